"""The policy over epochs: a strip a choice, darker where the option that it ended with was more probable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unas.drawing.cells import operation_label
from unas.report.drawing import figure, label, line, svg
from unas.report.markup import Markup, element, number
from unas.report.policy_data import Epoch

WIDTH, LEFT, RIGHT = 480.0, 118.0, 318.0
ROW, BAR, TOP = 17.0, 12.0, 22.0
LEVELS = 10  # of shade
MAX_ROWS = 48  # of one figure
_LONGEST = 17  # characters of a label


@dataclass(frozen=True)
class Strip:
    """A choice over epochs.

    Args:
        name: of the choice.
        option: the one it is about.
        shares: its probability after each epoch.
        decided: the index of the epoch from which it was always the most probable one; None: it
            wasn't in the end.
        last: the probabilities in the end.
    """

    name: str
    option: str
    shares: Sequence[float]
    decided: int | None
    last: Mapping[str, float]


def strips_of(policy: Sequence[Epoch], found: Mapping[str, str]) -> list[Strip]:
    """Return a strip for each choice of a policy.

    Args:
        policy: its epochs, at least one.
        found: the architecture's options by choice; of a choice that isn't in it, the most probable
            one is taken.
    """
    strips = []
    for name, last in policy[-1].probabilities.items():
        if not last:
            continue
        option = found[name] if found.get(name) in last else max(last, key=lambda each: last[each])
        history = [epoch.probabilities.get(name, {}) for epoch in policy]
        shares = [each.get(option, 0.0) for each in history]
        leads = [_leads(option, each) for each in history]
        lasting = next((index for index in range(len(leads), 0, -1) if not leads[index - 1]), 0)
        strips.append(Strip(name, option, shares, lasting if lasting < len(leads) else None, last))
    return strips


def _leads(option: str, probabilities: Mapping[str, float]) -> bool:
    """Return whether an option is more probable than every other.

    In a policy that has not moved none is.
    """
    others = (share for name, share in probabilities.items() if name != option)
    return probabilities.get(option, 0.0) > max(others, default=0.0)


def draw(title: str, strips: Sequence[Strip], epochs: Sequence[int]) -> Markup:
    """Return strips as a figure.

    Args:
        title: of the figure.
        strips: from top to bottom.
        epochs: the number of each epoch.
    """
    size = (RIGHT - LEFT) / len(epochs)
    bottom = TOP + ROW * len(strips)
    parts = [label(LEFT, 12, f"epoch {epochs[0]}", class_="tick")]
    if len(epochs) > 1:
        parts.append(label(RIGHT, 12, f"{epochs[-1]}", anchor="end", class_="tick"))
    parts.append(label(RIGHT + 8, 12, "taken, and how sure", class_="tick"))
    for row, strip in enumerate(strips):
        parts += _row(strip, TOP + ROW * row, size, epochs)
    says = f"{title}: " + ", ".join(
        f"{strip.name} {strip.option} {strip.shares[-1]:.2f}" for strip in strips
    )
    return figure(title, svg(WIDTH, bottom + 34, says, [*parts, *_key(bottom + 20)]))


def _row(strip: Strip, top: float, size: float, epochs: Sequence[int]) -> list[Markup]:
    middle = top + BAR / 2
    parts = [
        label(LEFT - 6, middle + 4, _cut(strip.name.partition("/")[2] or strip.name), anchor="end")
    ]
    levels: dict[int, list[str]] = {}
    for start, stop, level in runs([round(share * LEVELS) for share in strip.shares]):
        at = LEFT + start * size
        levels.setdefault(level, []).append(
            f"M{number(at)} {number(middle)}H{number(LEFT + stop * size)}"
        )
    parts += [
        element("path", d=Markup("".join(pieces)), class_=f"heat h{level}")
        for level, pieces in sorted(levels.items())
    ]
    if strip.decided is not None:
        at = LEFT + strip.decided * size
        parts.append(line(at, top - 1.5, at, top + BAR + 1.5, "decided"))
    parts.append(
        label(
            RIGHT + 8, middle + 4, f"{strip.shares[-1]:.2f} {_cut(operation_label(strip.option))}"
        )
    )
    about = element("title", _says(strip, epochs))
    return [
        *parts,
        element("rect", about, x=LEFT, y=top, width=RIGHT - LEFT, height=BAR, class_="hover"),
    ]


def runs(levels: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (start, stop, level) for each run of equal levels."""
    starts = [
        index for index in range(len(levels)) if index == 0 or levels[index] != levels[index - 1]
    ]
    stops = [*starts[1:], len(levels)]
    return [(start, stop, levels[start]) for start, stop in zip(starts, stops, strict=True)]


def _key(y: float) -> list[Markup]:
    """Return what the shades and the tick mean."""
    width = 9.0
    parts = [label(LEFT - 6, y + 4, "probability 0", anchor="end", class_="tick")]
    for level in range(LEVELS + 1):
        at = LEFT + width * level
        d = f"M{number(at)} {number(y)}H{number(at + width)}"
        parts.append(element("path", d=d, class_=f"heat h{level}"))
    end = LEFT + width * (LEVELS + 1)
    parts.append(label(end + 5, y + 4, "1", class_="tick"))
    parts.append(line(end + 30, y - 7, end + 30, y + 7, "decided"))
    parts.append(label(end + 36, y + 4, "most probable from here on", class_="tick"))
    return parts


def _says(strip: Strip, epochs: Sequence[int]) -> str:
    ranked = sorted(strip.last.items(), key=lambda item: -item[1])
    end = ", ".join(f"{option} {share:.2f}" for option, share in ranked)
    if strip.decided is None:
        since = f"{strip.option} was taken, but another was more probable in the end"
    else:
        since = f"{strip.option} most probable from epoch {epochs[strip.decided]} on"
    return f"{strip.name}: {since}; in the end {end}"


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
