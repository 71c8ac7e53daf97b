"""The policy over epochs: a strip a choice, darker where its last option was more probable."""

from __future__ import annotations

import itertools
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
        name: the choice's.
        option: the option that the strip is about.
        shares: the option's probability after each epoch.
        decided: the index of the epoch from which the option was always the most probable one;
            None: another was in the end.
        last: the probabilities of all options in the end.
    """

    name: str
    option: str
    shares: Sequence[float]
    decided: int | None
    last: Mapping[str, float]


def strips_of(policy: Sequence[Epoch], options: Mapping[str, str]) -> list[Strip]:
    """Return a strip for each choice of a policy.

    Args:
        policy: its epochs, at least one.
        options: the architecture's options by choice; for a choice that isn't in it, the most
            probable one is taken.
    """
    strips = []
    for name, last in policy[-1].probabilities.items():
        if not last:
            continue
        option = options.get(name)
        if option is None or option not in last:
            option = max(last, key=lambda candidate: last[candidate])
        history = [epoch.probabilities.get(name, {}) for epoch in policy]
        shares = [probabilities.get(option, 0.0) for probabilities in history]
        strips.append(Strip(name, option, shares, _decided(option, history), last))
    return strips


def _decided(option: str, history: Sequence[Mapping[str, float]]) -> int | None:
    """Return the index from which an option was always the most probable one, if it was at last."""
    decided = len(history)
    for index in reversed(range(len(history))):
        if not _leads(option, history[index]):
            break
        decided = index
    return decided if decided < len(history) else None


def _leads(option: str, probabilities: Mapping[str, float]) -> bool:
    """Return whether an option is more probable than every other.

    In a policy that has not moved none is.
    """
    others = [share for name, share in probabilities.items() if name != option]
    return probabilities.get(option, 0.0) > max(others, default=0.0)


def draw(title: str, strips: Sequence[Strip], epochs: Sequence[int]) -> Markup:
    """Return strips as a figure.

    Args:
        title: what the figure is called.
        strips: from top to bottom.
        epochs: the number of each epoch.
    """
    size = (RIGHT - LEFT) / len(epochs)
    bottom = TOP + ROW * len(strips)
    shapes = [label(LEFT, 12, f"epoch {epochs[0]}", class_="tick")]
    if len(epochs) > 1:
        shapes.append(label(RIGHT, 12, f"{epochs[-1]}", anchor="end", class_="tick"))
    shapes.append(label(RIGHT + 8, 12, "taken, and how sure", class_="tick"))
    for row, strip in enumerate(strips):
        shapes += _row(strip, TOP + ROW * row, size, epochs)
    shapes += _key(bottom + 20)
    ends = [f"{strip.name} {strip.option} {strip.shares[-1]:.2f}" for strip in strips]
    return figure(title, svg(WIDTH, bottom + 34, f"{title}: {', '.join(ends)}", shapes))


def _row(strip: Strip, top: float, size: float, epochs: Sequence[int]) -> list[Markup]:
    middle = top + BAR / 2
    name = strip.name.partition("/")[2] or strip.name
    shapes = [label(LEFT - 6, middle + 4, _cut(name), anchor="end")]
    paths: dict[int, str] = {}
    for start, stop, level in runs([round(share * LEVELS) for share in strip.shares]):
        left = number(LEFT + start * size)
        right = number(LEFT + stop * size)
        paths[level] = f"{paths.get(level, '')}M{left} {number(middle)}H{right}"
    for level, path in sorted(paths.items()):
        shapes.append(element("path", d=Markup(path), class_=f"heat h{level}"))
    if strip.decided is not None:
        at = LEFT + strip.decided * size
        shapes.append(line(at, top - 1.5, at, top + BAR + 1.5, "decided"))
    end = f"{strip.shares[-1]:.2f} {_cut(operation_label(strip.option))}"
    shapes.append(label(RIGHT + 8, middle + 4, end))
    about = element("title", _says(strip, epochs))
    width = RIGHT - LEFT
    shapes.append(element("rect", about, x=LEFT, y=top, width=width, height=BAR, class_="hover"))
    return shapes


def runs(levels: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (start, stop, level) for each run of equal levels."""
    equal_runs = []
    start = 0
    for level, group in itertools.groupby(levels):
        stop = start + len(list(group))
        equal_runs.append((start, stop, level))
        start = stop
    return equal_runs


def _key(y: float) -> list[Markup]:
    """Return what the shades and the tick mean."""
    width = 9.0
    shapes = [label(LEFT - 6, y + 4, "probability 0", anchor="end", class_="tick")]
    for level in range(LEVELS + 1):
        at = LEFT + width * level
        d = f"M{number(at)} {number(y)}H{number(at + width)}"
        shapes.append(element("path", d=d, class_=f"heat h{level}"))
    end = LEFT + width * (LEVELS + 1)
    shapes.append(label(end + 5, y + 4, "1", class_="tick"))
    shapes.append(line(end + 30, y - 7, end + 30, y + 7, "decided"))
    shapes.append(label(end + 36, y + 4, "most probable from here on", class_="tick"))
    return shapes


def _says(strip: Strip, epochs: Sequence[int]) -> str:
    ranked = sorted(strip.last.items(), key=lambda item: -item[1])
    end = ", ".join(f"{option} {share:.2f}" for option, share in ranked)
    if strip.decided is None:
        since = f"{strip.option} was taken, but another was more probable in the end"
    else:
        since = f"{strip.option} most probable from epoch {epochs[strip.decided]} on"
    return f"{strip.name}: {since}; in the end {end}"


def _cut(words: str) -> str:
    if len(words) <= _LONGEST:
        return words
    return words[: _LONGEST - 1] + "…"
