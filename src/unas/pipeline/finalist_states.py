"""How far the trainings of finalists have come, in files of the run until one is chosen."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence

from unas.architecture.genotype import Genotype
from unas.pipeline.rungs import Rung
from unas.pipeline.short_training import ShortTraining
from unas.pipeline.work import Work
from unas.runs.checkpoints import Checkpoints, fitting
from unas.runs.names import FINALIST_STATES
from unas.runs.run_log import received, to_send

PHASE = "finalist"


class FinalistStates:
    """The last two states of each finalist's training, which rank 0 writes and reads.

    All processes must call each method.

    Args:
        work: the run.
    """

    def __init__(self, work: Work) -> None:
        self._ranks = work.ranks
        self._directory = work.session.run.path(FINALIST_STATES)

    def keep(
        self,
        genotype: Genotype,
        rung: Rung,
        steps: int,
        training: ShortTraining,
        losses: Sequence[float],
    ) -> None:
        """Save a training after so many steps, with the losses of those in this rung.

        Raises:
            UserError: the disk is full, or the file can't be written.
        """
        state = {
            "training": training.state_dict(),
            "total": training.total,
            "begin": rung.begin,
            "losses": list(losses),
        }
        if self._ranks.is_main:
            self._of(genotype).save(PHASE, steps, state)

    def restore(
        self, genotype: Genotype, rung: Rung, training: ShortTraining
    ) -> tuple[int, list[float]]:
        """Let a training go on; return how many of its steps are done, and the rung's losses.

        It begins at its first step where no state is whole, or that of another schedule is there.

        Raises:
            UserError: the state can't be read now, or is not of this training.
        """
        newest = self._ranks.on_main(lambda: to_send(self._of(genotype).load_newest()))
        found = received(newest)
        if found is None:
            return 0, []
        with fitting(found.path):
            if found.state["total"] != training.total or found.step > rung.end:
                return 0, []
            training.load_state_dict(found.state["training"])
            is_of_rung = found.state["begin"] == rung.begin
            return found.step, [float(loss) for loss in found.state["losses"] if is_of_rung]

    def remove(self) -> None:
        """Remove all of them."""
        if self._ranks.is_main:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _of(self, genotype: Genotype) -> Checkpoints:
        name = hashlib.sha256(genotype.to_json().encode()).hexdigest()[:16]
        return Checkpoints(self._directory / name)
