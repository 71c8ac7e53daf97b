"""Search and training steps on a part of a batch: what each of several processes does, or the only
one.

`torchrun -m ranks DIRECTORY` writes what each process found to DIRECTORY/RANK.pt.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from plain_model import PlainModel
from unas.architecture.policy import Sample
from unas.common.errors import UserError
from unas.compute.ranks import Ranks
from unas.compute.runtime import RuntimeConfig
from unas.compute.torchrun import joined
from unas.estimators import Estimator
from unas.estimators.exact import Exact
from unas.estimators.gumbel_softmax import GumbelSoftmax
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.estimators.relax import Relax
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
from unas.searching.config import AdamConfig, SearchConfig
from unas.searching.step import SearchStep
from unas.spaces.module import ModuleSpace
from unas.training import TrainingConfig, TrainingStep

B, G = 12, 6
CONFIG = SearchConfig(
    architectures_per_batch=G,
    batch_size=B,
    objectives={"cross_entropy": CrossEntropy(), "gap": GeneralisationGap()},
    weights=AdamConfig(lr=1e-2, final_lr=1e-3, weight_decay=1e-2),
    policy=AdamConfig(lr=5e-2, final_lr=1e-2, weight_decay=1e-2),
    clip_norm=0.5,  # small enough that it clips
)
SEARCHES: dict[str, tuple[Estimator, str]] = {
    "exact": (Exact(), "relaxed"),
    "reinforce": (Reinforce(), "hard"),
    "reinforce_loo": (ReinforceLeaveOneOut(), "relaxed"),
    "reinforce_loo, 2 draws": (ReinforceLeaveOneOut(draws=2), "hard"),
    "rebar": (Rebar(), "relaxed"),
    "rebar, independent": (Rebar(is_coupled=False), "hard"),
    "rebar, learned": (Rebar(learn_eta=True, leave_one_out=True), "relaxed"),
    "relax": (Relax(), "hard"),
    "gumbel_softmax": (GumbelSoftmax(), "relaxed"),
}


def batch(seed: int, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return this process's part of a batch of B images, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    x, x_val = torch.randn(2, B, 1, 8, 8, generator=generator, dtype=torch.float64)
    y, y_val = torch.randint(10, (2, B), generator=generator)
    rows = slice(ranks.rank * B // ranks.size, (ranks.rank + 1) * B // ranks.size)
    return x[rows], y[rows], x_val[rows], y_val[rows]


def search(estimator: Estimator, weights_on: Any) -> dict[str, Any]:
    """Take a step that warms up and three more; return the state, the figures, and the samples that
    were evaluated.
    """
    runtime = RuntimeConfig(device="cpu").build()
    config = replace(CONFIG, estimator=estimator, weights_on=weights_on)
    step = SearchStep(ModuleSpace(PlainModel), config, 10, 1, runtime, seed=3)
    step.supernet.double()
    step.policy.double()
    samples: list[Tensor] = []

    def note(_: object, arguments: tuple[Tensor, Sample]) -> None:
        sample = arguments[1]
        samples.append(torch.cat([group.detach().flatten(1) for group in sample.groups], 1))

    step.supernet.register_forward_pre_hook(note)
    figures = [step.warm_up(*batch(0, runtime.ranks)[:2])]
    figures += [step(*batch(number, runtime.ranks)) for number in range(1, 4)]
    return {"state": step.state_dict(), "figures": figures, "samples": samples}


def training() -> dict[str, Any]:
    """Train an architecture for three steps."""
    runtime = RuntimeConfig(device="cpu").build()
    space = ModuleSpace(PlainModel)
    torch.manual_seed(5)
    from unas.architecture.genotype import Genotype

    genotype = Genotype("module", {name: options[0] for name, options in space.choices.items()})
    network = space.network(genotype, 10, 1).double()
    step = TrainingStep(
        network, TrainingConfig(clip_norm=0.1, lr=0.1, warm_up_epochs=1), runtime, 0, 4
    )
    step._loss = _double_loss(step)  # type: ignore[method-assign]
    figures = [step(number, *batch(number, runtime.ranks)[:2]) for number in range(3)]
    return {"state": step.state_dict(), "figures": figures}


def statistics() -> dict[str, Tensor]:
    """Train a network with BatchNorm for two steps, each rank on images of its own; return what it
    has in the end.
    """
    runtime = RuntimeConfig(device="cpu").build()
    torch.manual_seed(6)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 10))
    step = TrainingStep(network, TrainingConfig(lr=0.1), runtime, 0, 4)
    for number in range(2):
        x, y, *_ = batch(number, runtime.ranks)
        step(number, x.float(), y)
    step.share_statistics()
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same_text(ranks: Ranks) -> list[str]:
    """Return what is said of a text that is the same everywhere, and of one that is not."""

    def said(text: str) -> str:
        try:
            ranks.require_same(text, "the text")
        except UserError as error:
            return f"{type(error).__name__}: {error}"
        return ""

    return [said("a"), said(str(ranks.rank))]


def _double_loss(step: TrainingStep) -> Any:
    def loss(images: Tensor, labels: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(step._replica(images), labels)

    return loss


def disagreement(ranks: Ranks) -> str:
    """Change one weight on the last rank by one unit in the last place, and return what the
    comparison says.
    """
    runtime = RuntimeConfig(device="cpu", ranks_compared_every=5).build()
    step = SearchStep(ModuleSpace(PlainModel), CONFIG, 10, 1, runtime)
    runtime.compare_ranks(step.named_tensors, "search", 5)  # nothing is wrong yet
    if ranks.rank == ranks.size - 1:
        with torch.no_grad():
            weight = dict(step.supernet.named_parameters())["model.head.weight"]
            weight[2, 1] = torch.nextafter(weight[2, 1], torch.tensor(torch.inf))
    runtime.compare_ranks(step.named_tensors, "search", 7)  # not yet
    try:
        runtime.compare_ranks(step.named_tensors, "search", 10)
    except UserError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def messages(ranks: Ranks) -> list[Any]:
    """Say things to each other."""

    def refused() -> None:
        raise UserError("rank 0 says no")

    told = ranks.on_main(lambda: {"a": [1, None, "é"], "t": torch.arange(3), "rank": ranks.rank})
    try:
        ranks.on_main(refused)
        error = ""
    except UserError as caught:
        error = f"{type(caught).__name__}: {caught}"
    own = float(ranks.rank + 1)
    return [told, error, ranks.largest(own), ranks.sum(own, 1), ranks.mean_figures({"a": own})]


def everything() -> dict[str, Any]:
    found: dict[str, Any] = {name: search(*each) for name, each in SEARCHES.items()}
    return found | {"training": training()}


def main(words: Sequence[str]) -> int:
    """Write what this process found to the directory; return the exit code."""
    torch.set_num_threads(1)
    with joined(torch.device("cpu")) as joined_ranks:
        results = everything()
        results |= {"statistics": statistics(), "same text": same_text(joined_ranks)}
        results |= {"disagreement": disagreement(joined_ranks), "messages": messages(joined_ranks)}
        torch.save(results, Path(words[0]) / f"{joined_ranks.rank}.pt")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
