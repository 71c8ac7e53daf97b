"""What was measured of a method with a seed, and the file that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unas.common import documents
from unas.common.errors import UserError
from unas.common.text import shown
from unas.lab.ranking.course import Course
from unas.lab.ranking.truth import Truth

FILE = "ranking.json"


@dataclass(frozen=True)
class Outcome:
    """One method with one seed.

    Args:
        method: its name.
        seed: of everything random.
        choices: the architecture that it ended with.
        accuracy: the table's figure of that architecture.
        rank: its rank in the table, 1 for the best.
        percentile: the share of the other architectures that are worse, from 0 to 100.
        seconds: of the whole method.
        parts: seconds of each part; "other" is data, checkpoints and the rest.
        moments: seconds, accuracy, rank and percentile of what it would have answered, in order.
        tau: Kendall's τ of its supernet and the table by sample; None without a supernet.
        note: what else to know.
    """

    method: str
    seed: int
    choices: dict[str, str]
    accuracy: float
    rank: int
    percentile: float
    seconds: float
    parts: dict[str, float]
    moments: list[dict[str, float]]
    tau: dict[str, Any] | None
    note: str = ""


def outcome(
    method: str,
    seed: int,
    choices: Mapping[str, str],
    course: Course,
    truth: Truth,
    *,
    note: str = "",
) -> Outcome:
    """Return what a method ended with; its time ends here."""
    seconds = course.seconds
    place = truth.place(choices)
    moments = []
    for moment in course.moments:
        then = truth.place(moment.choices)
        moments.append({"seconds": moment.seconds, **asdict(then)})
    parts = dict(course.parts)
    parts["other"] = seconds - sum(course.parts.values())
    return Outcome(
        method,
        seed,
        dict(choices),
        place.accuracy,
        place.rank,
        place.percentile,
        seconds,
        parts,
        moments,
        None,
        note,
    )


class OutcomeFile:
    """The outcomes so far, on disk as soon as they are known.

    Args:
        path: the file; what it holds already is not measured again.
        setup: all that must be the same for outcomes to be compared.

    Attributes:
        outcomes: by method and seed, in the order they were measured.

    Raises:
        UserError: the file has outcomes of another setup, or isn't what this class writes.
    """

    def __init__(self, path: Path, setup: Mapping[str, Any]) -> None:
        self.path = path
        self.setup = setup
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        if path.exists():
            self._read()

    def add(self, measured: Outcome) -> None:
        """Keep an outcome."""
        self.outcomes[measured.method, measured.seed] = measured
        self.write({})

    def write(self, summary: Mapping[str, Any]) -> None:
        """Write all outcomes, and a summary of them beside."""
        runs = [asdict(measured) for measured in self.outcomes.values()]
        documents.write_json(self.path, {"setup": self.setup, **summary, "runs": runs})

    def _read(self) -> None:
        document = documents.read_json(self.path)
        try:
            setup = dict(document["setup"])
            for entry in document["runs"]:
                measured = Outcome(**entry)
                self.outcomes[measured.method, measured.seed] = measured
        except (LookupError, TypeError, ValueError) as error:
            fix = "remove it, or use another --out"
            raise UserError(f"{self.path} is not what `unas lab ranking` writes; {fix}") from error
        for name, value in self.setup.items():
            if setup.get(name) != value:
                raise UserError(
                    f"{self.path} was measured with {name} {shown(setup.get(name))}, not "
                    f"{shown(value)}; use another --out"
                )
