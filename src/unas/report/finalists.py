"""Finalists: how those that were trained from scratch did, halving after halving."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from unas.report.fields import Fields
from unas.report.figures import percent, whole
from unas.report.markup import Markup
from unas.report.parts import table

_MAX_ROWS = 24
_MAX_HALVINGS = 6
_NOT_FINITE = "not finite"
_Key = tuple[tuple[str, str], ...]


@dataclass
class _Row:
    """A finalist.

    Args:
        losses: its training loss before each halving that it came to, by the steps done then;
            infinite where it wasn't finite.
        accuracy: of the last two, the share of validation images that it is right about.
        validation_loss: of the last two, on the same images; infinite where it wasn't finite.
    """

    losses: dict[float, float] = field(default_factory=dict)
    accuracy: float | None = None
    validation_loss: float = math.inf

    @property
    def order(self) -> tuple[int, bool, float, float, float]:
        """What rows are sorted by, the best first, as the run does it."""
        has_diverged = self.accuracy is not None and math.isinf(self.validation_loss)
        accuracy = self.accuracy or 0.0
        last_loss = self.losses[max(self.losses)]
        return -len(self.losses), has_diverged, -accuracy, self.validation_loss, last_loss


def draw(document: Fields, candidates: Fields) -> Markup | None:
    """Return a table of finalists.json, the best first; None where nothing was trained.

    Args:
        document: finalists.json.
        candidates: candidates.json, which knows where each comes from and what was chosen.
    """
    rows: dict[_Key, _Row] = {}
    for entry in document.objects("trainings"):
        row = rows.setdefault(_key(entry), _Row())
        row.losses[entry.number("steps") or 0.0] = _or_infinite(entry.number("training_loss"))
        row.accuracy = entry.number("validation_accuracy")
        row.validation_loss = _or_infinite(entry.number("validation_loss"))
    if not rows:
        return None
    known: dict[_Key, Fields] = {}
    for entry in candidates.objects("candidates"):
        known.setdefault(_key(entry), entry)  # one that was drawn at random may be among them again
    ends = sorted({end for row in rows.values() for end in row.losses})[-_MAX_HALVINGS:]
    lines = []
    for key, row in sorted(rows.items(), key=lambda item: item[1].order)[:_MAX_ROWS]:
        accuracy = "" if row.accuracy is None else percent(row.accuracy)
        losses = [_loss(row.losses.get(end)) for end in ends]
        name, loss = _in_the_supernet(known.get(key), is_judged=row.accuracy is not None)
        lines.append([name, loss, *losses, accuracy])
    trained = [f"training loss, step {whole(end)}" for end in ends]
    columns = ["finalist", "loss in the supernet", *trained, "validation accuracy"]
    caption = "Finalists, trained from scratch; the better half goes on each time"
    return table(caption, columns, lines, range(1, len(columns)))


def _key(entry: Fields) -> _Key:
    return tuple(sorted(entry.object("choices").named()))


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else value


def _in_the_supernet(candidate: Fields | None, *, is_judged: bool) -> tuple[str, str]:
    """Return what a candidate is called, and its loss in the supernet.

    Before finalists are judged, candidates.json has chosen the best in the supernet.
    """
    if candidate is None:
        return "", ""
    name = "mode" if candidate.text("source") == "mode" else "drawn"
    if is_judged and candidate.flag("chosen"):
        name += ", chosen"
    return name, _loss(candidate.number("validation_loss"))


def _loss(loss: float | None) -> str:
    if loss is None:
        return ""
    return f"{loss:.3f}" if math.isfinite(loss) else _NOT_FINITE
