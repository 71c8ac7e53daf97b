"""How far the trainings of finalists have come, in files of the run until one is chosen."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.pipeline.rungs import Rung
from unas.pipeline.short_training import ShortTraining
from unas.pipeline.work import Work
from unas.runs.checkpoints import Checkpoints, fitting, read_checkpoint
from unas.runs.names import FINALIST_STATES

PHASE = "finalist"


class FinalistStates:
    """The last two states of each finalist's training, which rank 0 writes and reads.

    Args:
        work: the run.
    """

    def __init__(self, work: Work) -> None:
        self._ranks = work.ranks
        self._directory = work.session.run.path(FINALIST_STATES)

    def keep(
        self, genotype: Genotype, steps: int, training: ShortTraining, losses: Sequence[float] = ()
    ) -> None:
        """Save a training after so many steps, with the losses of this rung if it isn't at its end.

        All processes must call this.

        Raises:
            UserError: the disk is full, or the file can't be written.
        """
        state = {"training": training.state_dict(), "losses": list(losses)}
        if self._ranks.is_main:
            self._of(genotype).save(PHASE, steps, state)

    def restore(
        self, genotype: Genotype, rung: Rung, training: ShortTraining
    ) -> tuple[int, list[float]]:
        """Let a training go on; return how many of its steps are done, and the rung's losses.

        Where no state of this rung, or of its beginning, is whole, the training begins again.

        Raises:
            UserError: the state is not of this training.
        """
        found = self._ranks.on_main(lambda: self._found(genotype, rung))
        if found is None:
            return 0, []
        with fitting(Path(found["path"])):
            training.load_state_dict(found["state"]["training"])
            return int(found["step"]), [float(loss) for loss in found["state"]["losses"]]

    def remove(self) -> None:
        """Remove all of them."""
        if self._ranks.is_main:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _found(self, genotype: Genotype, rung: Rung) -> dict[str, Any] | None:
        for path in reversed(self._of(genotype).paths()):
            with contextlib.suppress(UserError):
                checkpoint = read_checkpoint(path)
                if rung.begin <= checkpoint.step < rung.end:
                    step, state = checkpoint.step, checkpoint.state
                    return {"path": str(path), "step": step, "state": state}
        return None

    def _of(self, genotype: Genotype) -> Checkpoints:
        name = hashlib.sha256(genotype.to_json().encode()).hexdigest()[:16]
        return Checkpoints(self._directory / name)
