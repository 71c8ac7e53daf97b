"""What makes a search find: a recipe's search beside ones that differ in one thing and its due.

    python benchmarks/ablation.py RECIPE --table FILE --out FOLDER [--only NAME ...] [--seeds 2]
        [--data-root FOLDER]

Every search is judged by a table of all architectures, as `unas lab ranking` does it, in a folder
of its own below --out; the same command goes on where it was stopped.
Writes ablation.json and .md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import unas
from unas.common.documents import read_json, write_json
from unas.config import Config
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.lab.ranking import RankingPlan, ranking
from unas.lab.ranking.summary import MODE, with_error
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
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


def gap(weight: float, kind: str) -> Change:
    """Return what adds the generalisation gap, which needs both kinds of images."""
    terms = {
        "cross_entropy": CrossEntropy(),
        "gap": GeneralisationGap(weight=weight, gap=kind),  # type: ignore[arg-type]
    }
    return searching(objectives=terms, policy_on="both")


def policy_rate(lr: float) -> Change:
    """Return what changes the policy's learning rate."""
    return searching(policy=AdamConfig(lr=lr, final_lr=lr / 2, weight_decay=1e-6))


CHANGES: Mapping[str, Change] = {
    "the recipe": lambda config: config,
    "1 draw, a running baseline": searching(estimator=Reinforce()),
    "2 draws": searching(estimator=ReinforceLeaveOneOut(draws=2)),
    "8 draws": searching(estimator=ReinforceLeaveOneOut(draws=8)),
    "policy in every step": searching(policy_every=1),
    "policy on training images": searching(policy_on="both"),
    "gap, instance, λ 0.5": gap(0.5, "instance"),
    "gap, group, λ 0.5": gap(0.5, "group"),
    "softening 0.5": searching(softening=0.5),
    "a fifth of the policy's rate": policy_rate(0.02),
    "warm-up of 1 epoch": searching(warm_up_epochs=1, epochs=4),
    "averaged weights": searching(average=0.998),
    "4 architectures a batch": searching(architectures_per_batch=4, balanced=True),
    "4, options left to chance": searching(architectures_per_batch=4),
    "4, bn of the whole batch": both(
        searching(architectures_per_batch=4, balanced=True), in_space(bn="batch")
    ),
    "32 architectures a batch": searching(architectures_per_batch=32, balanced=True),
    "relaxed weights": searching(weights_on="relaxed"),
    "rebar": searching(estimator=Rebar(), weights_on="relaxed"),
    "best of 8 draws": choosing(candidates=8),
    "best of 256 draws": choosing(candidates=256),
}
COLUMNS = ("search", "n", "rank", "accuracy", "rank of the mode", "τ, all", "τ, best tenth", "s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--seeds", type=int, default=2, help="(default: 2)")
    parser.add_argument("--architectures", type=int, default=30, help="for τ (default: 30)")
    parser.add_argument("--images", type=int, default=1000, help="for τ (default: 1000)")
    parser.add_argument("--data-root")
    arguments = parser.parse_args()
    config = replace(unas.recipe(arguments.recipe), data_root=arguments.data_root)
    plan = RankingPlan(architectures=arguments.architectures, images=arguments.images)
    file = arguments.out / "ablation.json"
    methods: dict[str, Any] = read_json(file) if file.exists() else {}
    for name in arguments.only:
        folder = arguments.out / name.replace(" ", "-").replace(",", "")
        changed = CHANGES[name](config)
        result = ranking(changed, arguments.table, folder, plan, seeds=arguments.seeds)
        methods[name] = result["methods"]
        write_json(file, methods)
        (arguments.out / "ablation.md").write_text(to_markdown(methods))


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
