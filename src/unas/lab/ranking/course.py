"""The course of a method: its seconds, part by part, and what it would have answered when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

Clock = Callable[[], float]


class Moment(NamedTuple):
    """What a method would have answered at a time.

    Args:
        seconds: since the method began.
        choices: the architecture, the option of each choice.
    """

    seconds: float
    choices: Mapping[str, str]


class Course:
    """Seconds and moments of one method, over all processes that work on it.

    What a process did after its last checkpoint is lost and done again, so it isn't counted.

    Args:
        clock: seconds that never go back.

    Attributes:
        parts: seconds of each part, by name.
        moments: in order.
        steps_per_epoch: how many steps an epoch is cut to, so that the whole schedule fits into the
            time; None: it isn't.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.parts: dict[str, float] = {}
        self.moments: list[Moment] = []
        self.steps_per_epoch: int | None = None
        self._clock = clock
        self._earlier_seconds = 0.0
        self._began = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the method began."""
        return self._earlier_seconds + self._clock() - self._began

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the seconds of the block as those of a part."""
        began = self._clock()
        yield
        self.parts[name] = self.parts.get(name, 0.0) + self._clock() - began

    def note(self, choices: Mapping[str, str]) -> None:
        """Note what the method would answer now."""
        self.moments.append(Moment(self.seconds, dict(choices)))

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on."""
        moments = [[moment.seconds, dict(moment.choices)] for moment in self.moments]
        return {
            "seconds": self.seconds,
            "parts": dict(self.parts),
            "moments": moments,
            "steps_per_epoch": self.steps_per_epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; what this process did before isn't counted."""
        self._earlier_seconds = float(state["seconds"])
        self._began = self._clock()
        self.parts = dict(state["parts"])
        self.moments = [Moment(seconds, choices) for seconds, choices in state["moments"]]
        self.steps_per_epoch = state.get("steps_per_epoch")
