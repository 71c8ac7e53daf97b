"""Run `digits` under budgets of a share of the median random architecture: kept, and at what cost.

    python benchmarks/budget.py --out runs/budget [--quantity latency|macs|params]
        [--shares 60 80 100] [--seeds 5]

Writes budget.json, budget.md and budget.png into --out, and policy.png: the policy's expected
latency over the steps of a search with rebar and one with reinforce. Every run is a run directory
below --out; the same command goes on where it was stopped. With the defaults, one run takes under a
minute on an idle core.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import onnxruntime
import torch

import unas
from unas import estimators
from unas.budgets import quantities
from unas.budgets.budget import Budget
from unas.budgets.effort import Effort
from unas.common import documents
from unas.compute.hardware import cpu_name
from unas.config import Config
from unas.costs.blocks import random_genotypes
from unas.latency.fitting import fit_predictor
from unas.objectives.latency import LatencyTerm
from unas.runs.metrics import read_metrics
from unas.searching.choosing import ChoosingConfig
from unas.searching.config import AdamConfig, SearchConfig
from unas.spaces import Blueprint

mpl.use("Agg")
NAMES = {"latency": "latency (ms)", "macs": "multiply-adds", "params": "parameters"}
TOLERANCE = 0.05  # the share by which a file over the limit still counts as near it


def short(arguments: argparse.Namespace) -> Config:
    """Return digits with a search that stays as it was when docs/budget.md was measured."""
    config = unas.recipe("digits")
    search = SearchConfig(
        warm_up_epochs=arguments.warm_up_epochs,
        epochs=arguments.search_epochs,
        batch_size=64,
        architectures_per_batch=8,
        weights=AdamConfig(lr=2e-3, final_lr=2e-4, weight_decay=3e-4),
        policy=AdamConfig(lr=5e-2, final_lr=1e-2, weight_decay=1e-6),
        augmentation=config.search.augmentation,
    )
    warm_up = min(config.training.warm_up_epochs, arguments.training_epochs - 1)
    training = replace(
        config.training, epochs=arguments.training_epochs, warm_up_epochs=max(warm_up, 0)
    )
    return replace(
        config,
        space=replace(config.space, bn="batch"),  # type: ignore[call-arg]
        search=search,
        choosing=ChoosingConfig(candidates=8),
        training=training,
    )


def blueprint(config: Config) -> Blueprint:
    data = config.dataset.load(config.data_directory)
    return config.blueprint(data.num_classes, data.image_shape)


def median_of_random(out: Path, quantity: str, networks: Blueprint, count: int) -> dict[str, Any]:
    """Return the figures of random architectures, measured once for all runs."""
    path = out / f"random-{quantity}.json"
    if not path.exists():
        example = f"{quantity}<={quantities.get(quantity).example}"
        gauge = Budget.parse(example).gauge(networks, "cpu", Effort())
        drawn = random_genotypes(networks.space, count, np.random.default_rng(0))
        values = [gauge(genotype).value for genotype in drawn]
        documents.write_json(path, {"values": values, "median": float(np.median(values))})
    return dict(json.loads(path.read_text()))


def predictor(out: Path, networks: Blueprint) -> str:
    """Return the file of a predictor that all runs share."""
    path = out / "predictor.json"
    if not path.exists():
        fitted = fit_predictor(
            networks.space, networks.options, networks.image_shape, "onnxruntime", held_out=8
        )
        fitted.save(path)
    return str(path)


def budgeted(config: Config, text: str, predictor_file: str | None) -> Config:
    """Return a run with a budget, and with a predictor that is not fitted anew."""
    budget = Budget.parse(text)
    config = replace(config, budgets=(budget,))
    term = budget.term()
    if isinstance(term, LatencyTerm) and predictor_file is not None:
        term = replace(term, predictor=predictor_file)
        objectives = {**config.search.objectives, "latency": term}
        config = replace(config, search=replace(config.search, objectives=objectives))
    return config


def run(config: Config, directory: Path) -> dict[str, Any]:
    summary = directory / "summary.json"
    if not (summary.exists() and "onnx_max_difference" in json.loads(summary.read_text())):
        unas.run(config, directory, resume=True, quiet=True)
    return dict(json.loads(summary.read_text()))


def trade_off(
    arguments: argparse.Namespace, config: Config, median: float, file: str | None
) -> list[dict[str, Any]]:
    rows = []
    for share in arguments.shares:
        limit = share / 100 * median
        is_latency = arguments.quantity == "latency"
        text = (
            f"{arguments.quantity}<={limit:.4f}ms"
            if is_latency
            else f"{arguments.quantity}<={limit:.0f}"
        )
        for seed in range(arguments.seeds):
            directory = arguments.out / f"{arguments.quantity}-{share}-{seed}"
            summary = run(replace(budgeted(config, text, file), seed=seed), directory)
            (verdict,) = summary["budgets"]
            rows.append(
                {"share": share, "seed": seed, "accuracy": summary["test_accuracy"], **verdict}
            )
            print(
                f"{share} %, seed {seed}: {summary['test_accuracy']:.4f}  {verdict['line']}",
                flush=True,
            )
    return rows


def table(rows: Sequence[Mapping[str, Any]], arguments: argparse.Namespace, about: str) -> str:
    lines = [
        about,
        "",
        "| limit, % of median | limit | value, mean | PASS | within 5 % "
        "| test accuracy, mean ± s.d. |",
        "|---" * 6 + "|",
    ]
    for share in arguments.shares:
        at_share = [row for row in rows if row["share"] == share]
        count = len(at_share)
        accuracy = [row["accuracy"] for row in at_share]
        values = [row["value"] for row in at_share]
        within = sum(row["value"] <= (1 + TOLERANCE) * row["limit"] for row in at_share)
        passed = sum(row["passed"] for row in at_share)
        spread = np.std(accuracy, ddof=1) if count > 1 else float("nan")
        cells = [
            str(share),
            f"{at_share[0]['limit']:.4g}",
            f"{np.mean(values):.4g}",
            f"{passed} of {count}",
        ]
        cells += [
            f"{within} of {count}",
            f"{100 * np.mean(accuracy):.2f} ± {100 * spread:.2f} %",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot_trade_off(rows: Sequence[Mapping[str, Any]], quantity: str, path: Path) -> None:
    from matplotlib import pyplot as plt
    from matplotlib.ticker import EngFormatter

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    limits = sorted({row["limit"] for row in rows})
    for limit, marker in zip(limits, "osD^v<>*", strict=False):
        at_limit = [row for row in rows if row["limit"] == limit]
        axes.axvline(limit, color="0.7", linewidth=1, linestyle="--")
        axes.plot(
            [row["value"] for row in at_limit],
            [100 * row["accuracy"] for row in at_limit],
            marker,
            color="0.2",
            label=f"limit {limit:.4g} ms" if quantity == "latency" else f"limit {limit:,.0f}",
        )
    axes.set_xlabel(f"{NAMES[quantity]} of the exported file")
    axes.set_ylabel("test accuracy (%)")
    axes.xaxis.set_major_formatter(
        EngFormatter(sep="\N{NO-BREAK SPACE}") if quantity != "latency" else "{x:g}"
    )
    axes.legend(title="dashed: the limits")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def policy_curves(arguments: argparse.Namespace, config: Config, median: float, file: str) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    limit = arguments.curve_share / 100 * median
    for name, style in (("rebar", "-"), ("reinforce", "--")):
        search = replace(
            config.search, estimator=estimators.get(name)(), epochs=arguments.curve_epochs
        )
        directory = arguments.out / f"policy-{name}"
        if not (directory / "summary.json").exists():
            unas.search(
                budgeted(replace(config, search=search), f"latency<={limit:.4f}ms", file),
                directory,
                resume=True,
                quiet=True,
            )
        lines = [
            line
            for line in read_metrics(directory / "metrics.jsonl")
            if "expected_latency_ms" in line
        ]
        axes.plot(
            [line["step"] for line in lines],
            [line["expected_latency_ms"] for line in lines],
            style,
            color="0.1",
            label=name,
        )
        last = lines[-1]["expected_latency_ms"]
        print(f"{name}: expected latency at the end {last:.4g} ms, limit {limit:.4g} ms")
    axes.axhline(limit, color="0.6", linewidth=1, label="limit")
    axes.axhline(0.95 * limit, color="0.6", linewidth=1, linestyle=":", label="target: 95 % of it")
    axes.set_xlabel("search step")
    axes.set_ylabel("expected latency of the policy, predicted (ms)")
    axes.legend()
    figure.savefig(arguments.out / "policy.png", dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/budget"))
    parser.add_argument("--quantity", default="latency", choices=list(NAMES))
    parser.add_argument(
        "--shares",
        type=int,
        nargs="+",
        default=[60, 80, 100],
        help="limits in %% of the random median",
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--random", type=int, default=15, help="random architectures whose median is taken"
    )
    parser.add_argument("--warm-up-epochs", type=int, default=1)
    parser.add_argument("--search-epochs", type=int, default=6)
    parser.add_argument("--training-epochs", type=int, default=8)
    parser.add_argument(
        "--curve-share", type=int, default=80, help="limit of the two searches of policy.png, in %%"
    )
    parser.add_argument("--curve-epochs", type=int, default=20, help="search epochs of these two")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    config = short(arguments)
    networks = blueprint(config)
    median = median_of_random(arguments.out, arguments.quantity, networks, arguments.random)[
        "median"
    ]
    versions = (
        f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"Python {platform.python_version()}"
    )
    search_epochs = f"{arguments.warm_up_epochs} + {arguments.search_epochs} search"
    epochs = f"{search_epochs} and {arguments.training_epochs} training epochs"
    random = f"median of {arguments.random} random architectures {median:.4g}"
    where = f"{cpu_name()}, {arguments.threads} thread(s), {versions}"
    about = f"digits, {arguments.quantity}, {where}; {epochs}; {random}"
    print(about, flush=True)
    file = predictor(arguments.out, networks) if arguments.quantity == "latency" else None
    rows = trade_off(arguments, config, median, file)
    documents.write_json(
        arguments.out / "budget.json", {"about": about, "median": median, "rows": rows}
    )
    text = table(rows, arguments, about)
    (arguments.out / "budget.md").write_text(text)
    print(text)
    plot_trade_off(rows, arguments.quantity, arguments.out / "budget.png")
    if file is not None:
        policy_curves(arguments, config, median, file)


if __name__ == "__main__":
    main()
