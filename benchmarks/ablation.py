"""What makes a search find: a recipe's search beside ones that differ in one thing and its due.

    python benchmarks/ablation.py RECIPE --table FILE --out FOLDER [--only NAME ...] [--seeds 2]
        [--data-root FOLDER]

Every search is judged by a table of all architectures, as `unas lab ranking` does it, in a folder
of its own below --out; the same command goes on where it was stopped. What differs only after the
warm-up goes on from that of the recipe with the same seed, whose seconds count for it too, and what
differs only in choosing from the whole search.
Writes ablation.json and .md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import unas
from unas.architecture.policy import Policy
from unas.common.documents import read_json, write_json
from unas.common.errors import UserError
from unas.config import Config
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.lab.ranking import RankingPlan, ranking
from unas.lab.ranking.summary import MODE, with_error
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
from unas.pipeline.batches import search_streams
from unas.pipeline.opening import work_in
from unas.runs.checkpoints import Checkpoints, read_checkpoint
from unas.runs.names import GENOTYPE
from unas.runs.session import CheckpointConfig
from unas.searching.config import AdamConfig

Change = Callable[[Config], Config]


def searching(**changes: Any) -> Change:
    """Return what changes fields of the search."""
    return lambda config: replace(config, search=replace(config.search, **changes))


def choosing(**changes: Any) -> Change:
    """Return what changes fields of choosing."""
    return lambda config: replace(config, choosing=replace(config.choosing, **changes))


def in_space(**changes: Any) -> Change:
    """Return what changes fields of the space."""
    return lambda config: replace(config, space=replace(config.space, **changes))


def both(first: Change, second: Change) -> Change:
    """Return what changes one thing and then the other."""
    return lambda config: second(first(config))


def gap(kind: str) -> Change:
    """Return what adds the generalisation gap, which takes both kinds of images: half the draws."""
    terms = {
        "cross_entropy": CrossEntropy(),
        "gap": GeneralisationGap(weight=0.5, gap=kind),  # type: ignore[arg-type]
    }
    half = ReinforceLeaveOneOut(draws=8)
    return searching(objectives=terms, policy_on="both", estimator=half)


def policy_rate(lr: float) -> Change:
    """Return what changes the policy's learning rate."""
    return searching(policy=AdamConfig(lr=lr, final_lr=lr / 2, weight_decay=1e-6))


def draws(number: int, **changes: Any) -> Change:
    """Return what changes how many architectures the policy compares, and other fields."""
    return searching(estimator=ReinforceLeaveOneOut(draws=number), **changes)


NOTHING = "nothing"
WARM_UP = "warm-up"
SEARCHED = "search"


@dataclass(frozen=True)
class Variant:
    """A search that differs from the recipe's.

    Args:
        change: gives its configuration.
        shares: what it has in common with the recipe's: nothing, its warm-up, or its search.
    """

    change: Change
    shares: str = NOTHING


RECIPE = "the recipe"
VARIANTS: Mapping[str, Variant] = {
    RECIPE: Variant(lambda config: config),
    "best of 8 draws": Variant(choosing(candidates=8), SEARCHED),
    "best of 256 draws": Variant(choosing(candidates=256), SEARCHED),
    "gap, instance, λ 0.5, 8 draws": Variant(gap("instance"), WARM_UP),
    "gap, group, λ 0.5, 8 draws": Variant(gap("group"), WARM_UP),
    "policy on both halves, 8 draws": Variant(draws(8, policy_on="both"), WARM_UP),
    "8 draws": Variant(draws(8), WARM_UP),
    "2 draws": Variant(draws(2), WARM_UP),
    "1 draw, a running baseline": Variant(searching(estimator=Reinforce()), WARM_UP),
    "policy in every step, 4 draws": Variant(draws(4, policy_every=1), WARM_UP),
    "a fifth of the policy's rate": Variant(policy_rate(0.02), WARM_UP),
    "softening 0.5": Variant(searching(softening=0.5), WARM_UP),
    "warm-up of 1 epoch, 4 of policy": Variant(searching(warm_up_epochs=1, epochs=4)),
    "averaged weights": Variant(searching(average=0.998)),
    "4 architectures a batch": Variant(searching(architectures_per_batch=4, balanced=True)),
    "4, options left to chance": Variant(searching(architectures_per_batch=4)),
    "4, bn of the whole batch": Variant(
        both(searching(architectures_per_batch=4, balanced=True), in_space(bn="batch"))
    ),
    "32 architectures a batch": Variant(searching(architectures_per_batch=32, balanced=True)),
    # A relaxed step takes three times as long.
    "relaxed weights, 1 + 1 epochs": Variant(
        searching(weights_on="relaxed", warm_up_epochs=1, epochs=1)
    ),
    "rebar, relaxed weights, 1 + 1 epochs": Variant(
        searching(estimator=Rebar(), weights_on="relaxed", warm_up_epochs=1, epochs=1)
    ),
}
COLUMNS = ("search", "n", "rank", "accuracy", "rank of the mode", "τ, all", "τ, best tenth", "s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=2, help="(default: 2)")
    parser.add_argument("--architectures", type=int, default=30, help="for τ (default: 30)")
    parser.add_argument("--images", type=int, default=1000, help="for τ (default: 1000)")
    parser.add_argument("--data-root")
    arguments = parser.parse_args()
    config = replace(unas.recipe(arguments.recipe), data_root=arguments.data_root)
    config = saved_after_warm_up(config)
    plan = RankingPlan(architectures=arguments.architectures, images=arguments.images)
    file = arguments.out / "ablation.json"
    methods: dict[str, Any] = read_json(file) if file.exists() else {}
    for name in arguments.only:
        variant, folder = VARIANTS[name], arguments.out / folder_name(name)
        changed = variant.change(config)
        if variant.shares != NOTHING:
            for seed in range(config.seed, config.seed + arguments.seeds):
                source = arguments.out / folder_name(RECIPE) / f"search-{seed}"
                begin_from(source, variant.shares, replace(changed, seed=seed), folder)
        result = ranking(changed, arguments.table, folder, plan, seeds=arguments.seeds)
        methods[name] = result["methods"]
        write_json(file, methods)
        (arguments.out / "ablation.md").write_text(to_markdown(methods))


def folder_name(variant: str) -> str:
    """Return a variant's name as that of a folder."""
    return variant.replace(" ", "-").replace(",", "")


def saved_after_warm_up(config: Config) -> Config:
    """Return a configuration whose search is saved at the end of its warm-up, and at its own.

    A search that is more than twice as long as its warm-up saves more, and loses the first.
    """
    data = config.dataset.load(config.data_directory)
    train, _ = search_streams(config, data)
    steps = config.search.warm_up_epochs * train.steps_per_epoch
    return replace(config, checkpoint=CheckpointConfig(every_seconds=1e9, every_steps=steps))


def begin_from(source: Path, shared: str, config: Config, folder: Path) -> None:
    """Make a run that goes on from the warm-up or the end of another; leave one that is there."""
    directory = folder / f"search-{config.seed}"
    if Checkpoints(directory / "checkpoints").paths():
        return
    kept = [read_checkpoint(path) for path in Checkpoints(source / "checkpoints").paths()]
    begun = kept[-1] if kept else None
    if shared == WARM_UP:
        warm_up = config.checkpoint.every_steps
        begun = next((checkpoint for checkpoint in kept if checkpoint.step == warm_up), None)
    if begun is None or not (source / GENOTYPE).exists():
        raise UserError(
            f"{source} is no finished search with the checkpoint of its warm-up; "
            f"remove it if it is there, and begin with --only {RECIPE!r}"
        )
    state = begun.state["state"]
    if shared == WARM_UP:
        policy = Policy(config.space.choices, config.search.softening)
        untaught = config.search.estimator.start(policy.layout).state_dict()
        state = state | {"search": state["search"] | {"estimator": untaught}}
    with work_in(config, directory, "search", resume=True, quiet=True) as work:
        work.session.run.save_checkpoint(begun.phase, begun.step, state)


def to_markdown(methods: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a row for each search."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for name, rows in methods.items():
        row, mode = rows["search"], rows[MODE]
        cells = (
            name,
            str(row["seeds"]),
            with_error(row["rank"], 0),
            with_error(row["accuracy"], 2),
            with_error(mode["rank"], 0),
            with_error(row["tau"].get("all"), 2),
            with_error(row["tau"].get("best_tenth"), 2),
            with_error(row["seconds"], 0),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
