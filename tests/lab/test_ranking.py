"""`unas lab ranking` on a model of 18 architectures and a table whose order is known."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata

import unas
from fake_clock import SPACE
from small_run import small
from unas.architecture.genotype import Genotype
from unas.cli import main
from unas.common.errors import Interrupted, UserError
from unas.config import Config
from unas.data import DataSize, validation_count
from unas.estimators.rebar import Rebar
from unas.lab.ranking import RankingPlan, ranking, timed_search
from unas.lab.ranking.agreement import agreement, kendall_tau
from unas.lab.ranking.course import Course
from unas.lab.ranking.experiment import read_truth
from unas.lab.ranking.methods import Methods
from unas.lab.ranking.outcomes import Outcome
from unas.lab.ranking.plot import mean_rank
from unas.lab.ranking.rivals import chosen_rivals, rival_names, variant
from unas.lab.ranking.summary import mean_and_error
from unas.pipeline.checks import check
from unas.pipeline.estimate import Estimate
from unas.pipeline.opening import work_in
from unas.pipeline.short_training import ShortTraining
from unas.searching.choosing import ChoosingConfig

NAMES = tuple(SPACE.choices)
ROWS = list(itertools.product(*SPACE.choices.values()))
ACCURACIES = [round(90 + 10 * np.sin(7 * n), 1) for n in range(len(ROWS))]
ACCURACIES[3] = ACCURACIES[5]  # a tie
PLAN = RankingPlan("accuracy", rival_epochs=1, architectures=6, images=16)


class Ticks:
    """A clock that goes on by one each time that it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def write_table(path: Path, rows: list[tuple[str, ...]] = ROWS) -> Path:
    lines = [",".join((*NAMES, "accuracy"))]
    for row, accuracy in zip(rows, ACCURACIES, strict=False):
        lines.append(",".join((*row, str(accuracy))))
    path.write_text("\n".join(lines) + "\n")
    return path


def config() -> Config:
    made = small()
    search = replace(made.search, warm_up_epochs=1, epochs=2)
    return replace(made, search=search, training=replace(made.training, epochs=1))


def measured(out: Path, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"quiet": True, "clock": Ticks(), "rivals": ()}
    return ranking(config(), write_table(out / "table.csv"), out, PLAN, **{**options, **changes})


def runs_in(out: Path) -> dict[tuple[str, int], dict[str, Any]]:
    entries = json.loads((out / "ranking.json").read_text())["runs"]
    return {(entry["method"], entry["seed"]): entry for entry in entries}


def test_ranks_and_percentiles_are_those_of_the_table(tmp_path: Path) -> None:
    truth = read_truth(write_table(tmp_path / "table.csv"), "accuracy", config())
    ranks = rankdata([-accuracy for accuracy in ACCURACIES], method="min")
    middle = rankdata(ACCURACIES, method="average")
    for n, row in enumerate(ROWS):
        place = truth.place(dict(zip(NAMES, row, strict=True)))
        assert (place.accuracy, place.rank) == (ACCURACIES[n], ranks[n])
        assert place.percentile == pytest.approx(100 * (middle[n] - 1) / (len(ROWS) - 1))
        assert tuple(truth.genotype(n).choices[name] for name in NAMES) == row


def test_draws_are_different_and_of_the_best_tenth_where_asked(tmp_path: Path) -> None:
    truth = read_truth(write_table(tmp_path / "table.csv"), "accuracy", config())
    generator = np.random.default_rng(0)
    assert sorted(truth.draw(100, generator)) == list(range(len(ROWS)))
    best = truth.draw(100, generator, among_best=True)  # 1.8 of 18 architectures, rounded up
    assert sorted(truth.accuracies[best]) == sorted(ACCURACIES)[-2:]


@pytest.mark.parametrize("seed", range(5))
def test_tau_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 8, 20).tolist()  # with ties
    y = (np.array(x) + rng.normal(0, 3, 20)).tolist()
    assert kendall_tau(x, y) == pytest.approx(kendalltau(x, y).statistic)
    assert kendall_tau([1.0] * 20, y) is None


def test_a_loss_that_is_not_finite_is_the_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minus the accuracy as the loss agrees, also where the worst three have none."""
    truth = read_truth(write_table(tmp_path / "table.csv"), "accuracy", config())
    worst = sorted(truth.accuracies)[2]

    def losses(_search: object, genotypes: Sequence[Genotype], _batches: object) -> list[float]:
        found = []
        for genotype in genotypes:
            accuracy = truth.place(genotype.choices).accuracy
            found.append(math.nan if accuracy <= worst else -accuracy)
        return found

    monkeypatch.setattr("unas.lab.ranking.agreement.supernet_losses", losses)
    with work_in(config(), tmp_path / "run", "search", resume=False, quiet=True) as work:
        taus = agreement(work, None, truth, len(truth), 10)  # type: ignore[arg-type]
    assert taus is not None
    expected = [max(accuracy, worst) for accuracy in truth.accuracies]
    assert taus["all"] == pytest.approx(kendalltau(expected, truth.accuracies).statistic)


def test_a_course_counts_over_processes() -> None:
    clock = Ticks()
    course = Course(clock)
    with course.part("a"):
        clock.now += 10
    course.note({"c": "x"})
    saved = course.state_dict()
    clock.now += 1000  # what is lost isn't counted
    later = Course(clock)
    clock.now += 1000  # neither is what a process does before it goes on
    later.load_state_dict(saved)
    assert later.parts == {"a": 11.0}
    assert later.seconds == saved["seconds"] + 1
    assert later.moments == course.moments


def test_a_search_is_measured_part_by_part(tmp_path: Path) -> None:
    result = measured(tmp_path, seeds=2)
    runs = runs_in(tmp_path)
    for seed in range(2):
        run = runs["search", seed]
        assert set(run["parts"]) == {"warm_up", "policy", "choosing", "other"}
        assert sum(run["parts"].values()) == run["seconds"]
        steps = 2 * (config_images() // config().search.batch_size)
        assert len(run["moments"]) == steps + 1  # there are fewer than ten; and at the end
        genotype = json.loads((tmp_path / f"search-{seed}" / "genotype.json").read_text())
        assert run["choices"] == genotype["choices"]
        position = ROWS.index(tuple(run["choices"][name] for name in NAMES))
        assert run["accuracy"] == ACCURACIES[position]
        assert set(run["tau"]) == {"all", "best_tenth"}
    ranks = [runs["search", seed]["rank"] for seed in range(2)]
    row = result["methods"]["search"]
    assert row["rank"]["mean"] == np.mean(ranks)
    assert row["rank"]["standard_error"] == pytest.approx(np.std(ranks, ddof=1) / 2**0.5)
    assert "search: the policy's mode" in (tmp_path / "ranking.md").read_text()
    assert mean_and_error([1.0])["standard_error"] is None


def test_the_time_of_finalists_is_the_searchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ticks()
    steps = ShortTraining.steps

    def slow(self: ShortTraining, *span: int) -> Iterator[tuple[int, dict[str, float]]]:
        clock.now += 1000
        yield from steps(self, *span)

    monkeypatch.setattr(ShortTraining, "steps", slow)
    made = config()
    choosing = ChoosingConfig(candidates=3, finalists=2, finalist_share=1.0)
    recipe = replace(made, choosing=choosing, training=replace(made.training, epochs=2))
    table = write_table(tmp_path / "table.csv")
    ranking(recipe, table, tmp_path, replace(PLAN, architectures=0), quiet=True, clock=clock)
    run = runs_in(tmp_path)["search", 0]
    assert 2000 <= run["parts"]["choosing"] < 2100
    finalists = json.loads((tmp_path / "search-0" / "finalists.json").read_text())["trainings"]
    assert run["choices"] in [training["choices"] for training in finalists]


def test_modes_are_noted_at_minutes(tmp_path: Path) -> None:
    plan = replace(PLAN, at=(0.05, 1000.0), architectures=0)
    table = write_table(tmp_path / "table.csv")
    ranking(config(), table, tmp_path, plan, quiet=True, clock=Ticks())
    run = runs_in(tmp_path)["search", 0]
    assert len(run["moments"]) == 1  # in warm-up there is no mode, and 1000 minutes never pass
    assert run["tau"] is None


def test_rivals_get_as_much_time_as_the_search(tmp_path: Path) -> None:
    rivals = ("random", "evolution", "rebar", "published", "one-path")
    measured(tmp_path, rivals=rivals)
    runs = runs_in(tmp_path)
    assert list(runs) == [("search", 0), *((name, 0) for name in rivals)]
    limit = runs["search", 0]["seconds"]
    for name in rivals:
        run = runs[name, 0]
        assert 0.5 * limit < run["seconds"] <= limit + 12  # ticks of one step and of its end
        assert run["rank"] in rankdata([-accuracy for accuracy in ACCURACIES], method="min")
    assert runs["random", 0]["tau"] is None
    assert runs["random", 0]["note"].startswith(f"{len(runs['random', 0]['moments'])} trained")
    assert runs["published", 0]["tau"] is not None


@pytest.mark.parametrize(("seconds", "steps"), [(150.0, 100), (250.0, 200), (1e9, None)])
def test_the_published_schedule_fits_into_the_time(
    seconds: float, steps: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_second = Estimate(seconds=1.0, memory_bytes=0.0, tried="")
    monkeypatch.setattr(timed_search, "of_search", lambda *_: a_second)
    truth = read_truth(write_table(tmp_path / "table.csv"), "accuracy", config())
    plan = replace(PLAN, architectures=0)
    methods = Methods(config(), truth, plan, tmp_path, quiet=True, clock=lambda: 0.0)
    timed = Outcome("search", 0, {}, 0.0, 1, 0.0, seconds, {}, [], None)
    run = methods.rival("published", timed)
    whole = 100 * (config_images() // config().search.batch_size)
    assert run.note == f"100 epochs in {steps or whole:,} steps"
    assert len(run.moments) == 85 + 1  # each epoch after warm-up, and the end


def config_images() -> int:
    """Return how many images an epoch of the search has."""
    images = len(config().dataset.load(Path()).train)
    return images - validation_count(images, config().search.validation_fraction)


def test_images_that_a_training_would_keep_back_are_not_taken_from_random_networks(
    tmp_path: Path,
) -> None:
    accuracies = []
    kept: list[dict[str, Any]] = [{}, {"validation_fraction": 0.5, "keep": "best"}]
    for keeps in kept:
        made = config()
        recipe = replace(made, training=replace(made.training, **keeps))
        out = tmp_path / str(len(keeps))
        out.mkdir()
        table = write_table(out / "table.csv")
        ranking(recipe, table, out, PLAN, rivals=("random",), quiet=True, clock=Ticks())
        accuracies.append(json.loads((out / "random-0" / "networks.json").read_text()))
    assert accuracies[0]["accuracies"]
    assert accuracies[0] == accuracies[1]


def test_a_rival_that_is_stopped_in_warm_up_is_a_random_architecture(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv")
    truth = read_truth(table, "accuracy", config())
    methods = Methods(config(), truth, replace(PLAN, architectures=0), tmp_path, "", True, Ticks())
    search = replace(methods.search(0), seconds=5.0)
    rival = methods.rival("rebar", search)
    assert "stopped in warm-up" in rival.note
    assert rival.moments == []


def test_the_same_command_goes_on_after_a_kill_between_two_rivals(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    killed = tmp_path / "killed"
    for out in (whole, killed):
        out.mkdir()
    rivals = ("one-path", "rebar")
    measured(whole, rivals=rivals)
    code = (
        "import os, signal, sys, pathlib, test_ranking\n"
        "def say(line):\n"
        "    if line.startswith('one-path'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "test_ranking.measured(pathlib.Path(sys.argv[1]), rivals=('one-path', 'rebar'), say=say)\n"
    )
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.run(
        [sys.executable, "-c", code, str(killed)], env=environment, check=False
    )
    assert process.returncode == -9
    before = runs_in(killed)
    assert list(before) == [("search", 0), ("one-path", 0)]
    lines = list[str]()
    measured(killed, rivals=rivals, say=lines.append)
    assert [line.split(",")[0] for line in lines] == ["rebar"]
    assert {key: runs_in(killed)[key] for key in before} == before
    assert [run["choices"] for run in runs_in(killed).values()] == [
        run["choices"] for run in runs_in(whole).values()
    ]


def test_outcomes_of_another_setup_are_not_mixed(tmp_path: Path) -> None:
    measured(tmp_path)
    with pytest.raises(UserError, match="was measured with rival_epochs 1, not 2; use another"):
        ranking(config(), tmp_path / "table.csv", tmp_path, replace(PLAN, rival_epochs=2))


@pytest.mark.parametrize("written", ['{"setup": [1], "runs": []}', '{"setup": {}, "runs": [1]}'])
def test_a_file_of_something_else_is_one_line(written: str, tmp_path: Path) -> None:
    (tmp_path / "ranking.json").write_text(written)
    with pytest.raises(UserError, match="is not what `unas lab ranking` writes; remove it"):
        ranking(config(), write_table(tmp_path / "table.csv"), tmp_path, PLAN)


def test_wrong_tables_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(UserError, match=r"the table has 17 architectures, but .* has 18"):
        read_truth(write_table(path, ROWS[:-1]), "accuracy", config())
    path.write_text(write_table(path).read_text().replace("pool", "pond"))
    with pytest.raises(UserError, match=r"is one of .*pond.* in the table, and of .*pool"):
        read_truth(path, "accuracy", config())
    with pytest.raises(UserError, match="there is no column 'top1'"):
        read_truth(write_table(path), "top1", config())
    macro = tmp_path / "macro.json"
    macro.write_text(json.dumps({"01": {"mean_acc": 90.0}}))
    with pytest.raises(UserError, match=r"macro\.json: the table has no choice"):
        read_truth(macro, "mean_acc", config())


def test_the_mean_rank_is_of_the_newest_ranks() -> None:
    class Run:
        def __init__(self, *pairs: tuple[float, int]) -> None:
            *moments, (self.seconds, self.rank) = pairs
            self.moments = [{"seconds": seconds, "rank": rank} for seconds, rank in moments]

    runs: Any = [Run((1, 10), (4, 2), (5, 2)), Run((2, 30), (3, 6), (5, 4))]
    seconds, ranks = mean_rank(runs)
    assert seconds.tolist() == [2, 3, 4, 5]
    assert ranks.tolist() == [20, 8, 4, 3]  # and at the end, of what was chosen


def test_every_rival_can_be_made_of_every_recipe_of_a_table() -> None:
    for name in ("nasbench-macro", "nasbench201"):
        recipe = unas.recipe(name)
        four = replace(recipe.search, architectures_per_batch=4, balanced=True)
        for config in (recipe, replace(recipe, search=four)):
            for rival in set(rival_names(config)) - {"random", "evolution"}:
                made = variant(config, rival)
                check(made, DataSize(50_000, 10_000, 10, (3, 32, 32)))


def test_rivals_by_name() -> None:
    assert chosen_rivals(config(), "none") == ()
    everything = chosen_rivals(config(), "all")
    assert "reinforce" not in everything  # the recipe's own
    assert {"random", "evolution", "published", "one-path", "rebar", "relax"} <= set(everything)
    assert chosen_rivals(config(), "rebar,random,rebar") == ("rebar", "random")
    with pytest.raises(UserError, match="--rivals has 'evolutoin'; did you mean"):
        chosen_rivals(config(), "evolutoin")


def test_the_published_algorithm_is_unas() -> None:
    search = variant(config(), "published").search
    assert isinstance(search.estimator, Rebar)
    assert (search.weights_on, search.schedule) == ("relaxed", "restarted")
    assert search.architectures_per_batch == 0
    assert {"cross_entropy", "gap"} <= set(search.objectives)
    one_path = variant(config(), "one-path").search
    assert one_path.architectures_per_batch == 1
    assert "gap" not in one_path.objectives


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "--table is missing"),
        (("--table", "t.csv", "--at", "0"), "at has 0"),
        (("--table", "t.csv", "--times", "0"), "times is 0"),
        (("--table", "t.csv", "--rivals", "nobody"), "--rivals has 'nobody'"),
        (("--table", "nothing.csv", "--rivals", "none"), "nothing.csv"),
    ],
)
def test_mistakes_are_one_line(
    flags: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", "ranking", "nasbench-macro", "--device", "cpu", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


@pytest.mark.parametrize("name", ["rival_epochs", "images", "times"])
def test_a_plan_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} is 0; it must be"):
        RankingPlan(**{name: 0})  # type: ignore[arg-type]


def test_who_stops_it_is_told_the_whole_command(tmp_path: Path) -> None:
    truth = read_truth(write_table(tmp_path / "table.csv"), "accuracy", config())
    methods = Methods(config(), truth, PLAN, tmp_path, "unas lab ranking …", quiet=True)
    with methods._work(config(), "search", 0) as work:
        work.session.stop.signal_number = 2
        with pytest.raises(Interrupted, match="go on with: unas lab ranking"):
            work.session.stop_if_asked()
