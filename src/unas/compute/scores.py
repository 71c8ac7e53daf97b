"""How well a network tells classes apart, added up batch after batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from unas.common.errors import UserError
from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.compute.shapes import Labels, Logits

FEW = 5  # of more classes than these it is also told whether the right one is among the first 5


@dataclass(frozen=True)
class Scores:
    """How well a network does on some images.

    Args:
        top1: share of images whose class has the largest logit, from 0 to 1.
        top5: share of images whose class is among the five largest logits; None of up to five
            classes.
        loss: mean cross-entropy in nats.
    """

    top1: float
    top5: float | None
    loss: float

    def figures(self, of: str) -> dict[str, float]:
        """Return the figures for the log, named after the images that they are of."""
        figures = {f"{of}_top1": self.top1, f"{of}_loss": self.loss}
        if self.top5 is not None:
            figures[f"{of}_top5"] = self.top5
        return figures


class Scoring:
    """Adds up the scores of batches."""

    def __init__(self) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64)  # top-1, top-5, loss, images
        self._has_top5 = False

    def add(self, logits: Logits, labels: Labels) -> None:
        """Add a batch."""
        self._has_top5 = logits.shape[1] > FEW
        # Several NaN logits are one class to argmax, and none to topk.
        first = (logits.argmax(1) == labels).sum()
        among = first
        if self._has_top5:
            among = (logits.topk(FEW).indices == labels[:, None]).any(1).sum()
        loss = F.cross_entropy(logits, labels, reduction="sum")
        sums = torch.stack([first.to(loss), among.to(loss), loss]).tolist()
        self._sums += torch.tensor([*sums, len(labels)], dtype=torch.float64)

    def result(self, ranks: Ranks = ONE_PROCESS) -> Scores:
        """Return the scores of all batches; of several processes, of the batches of all.

        Raises:
            UserError: there was no image.
        """
        first, among, loss, images = ranks.sum(*self._sums.tolist())
        if not images:
            raise UserError("no image to test on can be read; replace the files that the log names")
        has_top5 = ranks.largest(int(self._has_top5)) > 0
        return Scores(first / images, among / images if has_top5 else None, loss / images)
