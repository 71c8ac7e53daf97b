"""From a finished search to one architecture, and to the file that says why."""

from __future__ import annotations

from unas.pipeline.batches import EvaluationBatches, drawn, search_streams
from unas.pipeline.finalists import best_finalist
from unas.pipeline.work import Work
from unas.runs.names import CANDIDATES
from unas.runs.progress import say
from unas.searching.choosing import Chosen, choose
from unas.searching.step import SearchStep


def choose_architecture(work: Work, search: SearchStep) -> Chosen:
    """Choose as the configuration says, write candidates.json, and say what is alarming.

    Args:
        work: the run.
        search: its search, finished.
    """
    config = work.config
    _, validation = search_streams(config, work.data, work.ranks)
    images = drawn(config, validation.image_set, config.choosing.images)
    batches = EvaluationBatches(work.data, images, work.ranks)
    stoppable = work.session.stoppable(batches)
    chosen = choose(search, config.choosing, stoppable, work.costs.budgets)
    run = work.session.run
    run.write_json(CANDIDATES, chosen.to_json())
    for text in chosen.separation.alarms().values():
        say(f"alarm: {text}", quiet=work.session.quiet)
    if config.choosing.finalists:
        chosen = best_finalist(work, chosen)
        run.write_json(CANDIDATES, chosen.to_json())
    return chosen
