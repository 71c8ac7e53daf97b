"""What a training is watched by: its network's scores after each epoch, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from unas.compute.weights import load_weights
from unas.training.step import TrainingStep, evaluate


@dataclass(frozen=True)
class Watch:
    """Images that a training doesn't learn from.

    Args:
        of: what the log calls them: "test" or "validation".
        batches: normalised images with labels, read anew each time.
        keeps_best: the weights of the epoch with the highest top-1 on them are delivered.
    """

    of: str
    batches: Iterable[tuple[Tensor, Tensor]]
    keeps_best: bool = False


@dataclass
class Watched:
    """A training that is watched.

    Args:
        training: the network and its optimiser.
        watch: what it is watched on; None: on nothing.

    Attributes:
        best: the highest top-1 after an epoch, the lower loss where two are equal, the epoch, and
            the weights then; empty where the best isn't kept, or before the first epoch.
    """

    training: TrainingStep
    watch: Watch | None
    best: dict[str, Any] = field(default_factory=dict)

    def look(self, epoch: int) -> dict[str, float]:
        """Return the scores after an epoch, and keep the weights if they are the best."""
        if self.watch is None:
            return {}
        if self.training.runtime.ranks.size > 1:
            self.training.share_statistics()  # as they would be delivered
        network = self.training.network
        scores = evaluate(network, self.watch.batches, self.training.runtime)
        rank = [scores.top1, -scores.loss]
        # A loss that is not finite has no order, and such weights are never the best.
        is_candidate = self.watch.keeps_best and math.isfinite(scores.loss)
        if is_candidate and (not self.best or rank > self.best["rank"]):
            weights = {name: value.clone() for name, value in network.state_dict().items()}
            self.best = {"rank": rank, "epoch": epoch, "weights": weights}
        return scores.figures(self.watch.of)

    def deliver(self) -> dict[str, Any]:
        """Give the network the weights that are delivered, and return which, for summary.json."""
        if not self.best:
            return {"weights": "last"}
        load_weights(self.training.network, self.best["weights"])
        return {"weights": f"best, of epoch {self.best['epoch']}"}

    def state_dict(self) -> dict[str, Any]:
        """Return all that the training needs to go on."""
        state = self.training.state_dict()
        return {**state, "best": self.best} if self.best else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.training.load_state_dict(dict(state))
        best = state.get("best", {})
        if best:
            top1, minus_loss = map(float, best["rank"])
            network = self.training.network
            now = network.state_dict()
            load_weights(network, best["weights"])  # refuses those of another network
            load_weights(network, state["network"])
            weights = {name: best["weights"][name].to(now[name].device) for name in now}
            self.best = {
                "rank": [top1, minus_loss],
                "epoch": int(best["epoch"]),
                "weights": weights,
            }
