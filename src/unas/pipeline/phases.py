"""The phases of a run, each from what the one before left: search and choose, train, export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.budgets.verdicts import as_summary
from unas.common.documents import read_json
from unas.common.errors import UserError
from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.compute.runtime import Runtime
from unas.compute.seeds import step_seed
from unas.config import Config
from unas.data import Augmentation, BatchStream, ImageData, ImageSet, evaluation_batches, split
from unas.graphs.onnx import check_onnx, export_onnx
from unas.graphs.size import count_parameters, macs_if_known
from unas.latency import measure, measure_file
from unas.latency.gauges import quietest
from unas.pipeline.deployed import DeployedCosts
from unas.runs.names import GENOTYPE, ONNX, SEARCH, SUMMARY, TRAINING, WEIGHTS
from unas.runs.network import save_network
from unas.runs.run_log import RunLog
from unas.runs.session import Session
from unas.searching.choosing import choose
from unas.searching.collapse import collapse
from unas.searching.loop import search_loop, total_steps
from unas.searching.step import SearchStep
from unas.spaces import Blueprint
from unas.training import TrainingStep, evaluate, training_loop

ONNX_TOLERANCE = 1e-4  # of the largest logit
EVALUATION_BATCH = 256


@dataclass
class Work:
    """A run in progress.

    Args:
        config: its configuration.
        runtime: device and precision.
        data: its images, on the device.
        session: where it logs and saves.
        costs: what the network that it deploys costs, and may cost.
        summary: the figures so far, as in summary.json.
    """

    config: Config
    runtime: Runtime
    data: ImageData
    session: Session
    costs: DeployedCosts
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def ranks(self) -> Ranks:
        """The processes that do the run together."""
        return self.runtime.ranks

    @property
    def blueprint(self) -> Blueprint:
        """How an architecture becomes a network for these images."""
        return self.config.blueprint(self.data.num_classes, self.data.image_shape)

    def report(self, **figures: Any) -> None:
        """Add figures to summary.json."""
        self.summary |= figures
        self.session.run.write_json(SUMMARY, self.summary)


def find_genotype(work: Work) -> Genotype:
    """Return the architecture that this run has found before, the configuration's, or search one."""
    run, given = work.session.run, work.config.genotype
    if (
        run.checkpoint is not None and run.checkpoint.phase == TRAINING
    ):  # genotype.json is written before that
        work.summary = work.ranks.on_main(lambda: read_summary(run))
        return Genotype.from_json(
            work.ranks.on_main(lambda: load_genotype(run.path(GENOTYPE)).to_json())
        )
    if given is None:
        return search_genotype(work)
    genotype = load_genotype(given)
    # A wrong one is refused before anything is spent on it.
    work.blueprint.skeleton(genotype)
    run.write_text(GENOTYPE, genotype.to_json())
    return genotype


def read_summary(run: RunLog) -> dict[str, Any]:
    """Return what summary.json holds so far; nothing before there is one.

    Raises:
        UserError: it is not what unas writes.
    """
    found = read_json(run.path(SUMMARY)) if run.path(SUMMARY).exists() else {}
    budgets = found.get("budgets", []) if isinstance(found, dict) else None
    wanted = {"line": str, "passed": bool}
    if not isinstance(budgets, list) or not all(
        isinstance(each, dict)
        and all(isinstance(each.get(name), kind) for name, kind in wanted.items())
        for each in budgets
    ):
        raise UserError(
            f"{run.path(SUMMARY)} is not a summary that unas wrote; remove it, and go on"
        )
    return dict(found)


def check(config: Config, data: ImageData, ranks: Ranks = ONE_PROCESS) -> None:
    """Refuse what a run would refuse later, before a directory is made for it.

    Raises:
        UserError: the data has too few images, or the space can't do what the configuration asks.
    """
    needs = [(TRAINING, config.training.batch_size, len(data.train), "training")]
    if config.genotype is None:
        for term in config.search.objectives.values():
            term.check(config.space)
        parts = split(data.train, config.search.validation_fraction, config.seed)
        for part, kind in zip(parts, ("training", "validation"), strict=True):
            needs.append((SEARCH, config.search.batch_size, len(part), kind))
    else:
        blueprint = config.blueprint(data.num_classes, data.image_shape)
        blueprint.skeleton(load_genotype(config.genotype))
    if config.genotype is None:
        ranks.share(
            config.search.num_architectures(config.search.batch_size),
            "search.architectures_per_batch",
        )
    for phase, batch_size, images, kind in needs:
        ranks.share(batch_size, f"{phase}.batch_size")
        if batch_size > images:
            raise UserError(
                f"{phase}.batch_size is {batch_size}, but there are {images} {kind} images; lower it"
            )


def search_streams(
    config: Config, data: ImageData, ranks: Ranks = ONE_PROCESS
) -> tuple[BatchStream, BatchStream]:
    """Return the training and the validation batches of a search."""
    search = config.search
    train, validation = split(data.train, search.validation_fraction, config.seed)
    return (
        _stream(
            config,
            data,
            train,
            "search/train",
            search.batch_size,
            ranks=ranks,
            augmentation=search.augmentation,
        ),
        _stream(config, data, validation, "search/validation", search.batch_size, ranks=ranks),
    )


def training_stream(config: Config, data: ImageData, ranks: Ranks = ONE_PROCESS) -> BatchStream:
    """Return the batches of a training from scratch: of all training images."""
    training = config.training
    name, augmentation = "training/train", training.augmentation
    return _stream(
        config, data, data.train, name, training.batch_size, ranks=ranks, augmentation=augmentation
    )


def _stream(
    config: Config,
    data: ImageData,
    images: ImageSet,
    name: str,
    batch_size: int,
    *,
    ranks: Ranks,
    augmentation: Augmentation | None = None,
) -> BatchStream:
    share = ranks.share(batch_size, f"{name.partition('/')[0]}.batch_size")
    normalisation = data.normalisation
    return BatchStream(
        images, share, augmentation, normalisation, seed=config.seed, stream=name, ranks=ranks
    )


def new_search(work: Work, steps_per_epoch: int) -> SearchStep:
    """Return the supernet, the policy and their optimisers as they are before the first step."""
    config = work.config
    return SearchStep(
        config.space,
        config.steered_search(),
        work.data.num_classes,
        work.data.image_shape[0],
        work.runtime,
        seed=config.seed,
        total_steps=total_steps(config.search, steps_per_epoch),
        policy_terms=work.costs.terms,
    )


def search_genotype(work: Work) -> Genotype:
    """Search, choose and write genotype.json."""
    config = work.config
    train, validation = search_streams(config, work.data, work.ranks)
    step = new_search(work, train.steps_per_epoch)
    alarms = search_loop(step, train, validation, work.session)
    batches = OwnBatches(work, validation.image_set)
    budgets = work.costs.budgets
    best, candidates = choose(step, config.choosing, work.session.stoppable(batches), budgets)
    work.session.run.write_text(GENOTYPE, best.genotype.to_json())
    found = collapse(config.space, best.genotype)
    work.report(
        validation_loss=best.validation_loss,
        validation_accuracy=best.validation_accuracy,
        candidates=len(candidates),
        policy_entropy=float(step.policy.entropy().detach()),
        skipped_search_updates=step.skipped.total,
        normalised_entropy=collapse(config.space, step.policy).normalised_entropy,
        skip_share=found.figures().get("skip_share"),
        alarms=found.alarms() | alarms,
        **as_summary(budgets.verdicts(best.genotype)),
    )
    return best.genotype


def train_network(work: Work, genotype: Genotype) -> nn.Module:
    """Train the architecture's network from scratch on all training images, test it and write model.safetensors."""
    config = work.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step_seed(config.seed, "training/weights", 0))
        network = work.blueprint.network(genotype)
    stream = training_stream(config, work.data, work.ranks)
    step = TrainingStep(network, config.training, work.runtime, config.seed, stream.steps_per_epoch)
    if work.session.run.checkpoint is None or work.session.run.checkpoint.phase != TRAINING:
        work.session.run.save_checkpoint(TRAINING, 0, step.state_dict())
    training_loop(step, stream, work.session)
    if work.ranks.is_main:
        save_network(network, work.session.run.path(WEIGHTS), genotype, work.blueprint)
    accuracy, loss = test(work, network)
    macs = macs_if_known(network, work.data.image_shape)
    work.report(
        test_accuracy=accuracy,
        test_loss=loss,
        parameters=count_parameters(network),
        skipped_training_updates=step.skipped.total,
        **({} if macs is None else {"macs": macs}),
        **work.blueprint.decision(genotype),
    )
    return network


def test(work: Work, network: nn.Module) -> tuple[float, float]:
    """Return the accuracy and the loss on the test images."""
    return evaluate(network, work.session.stoppable(OwnBatches(work, work.data.test)), work.runtime)


@dataclass(frozen=True)
class OwnBatches(Iterable[tuple[Tensor, Tensor]]):
    """The evaluation batches of this process, all of them or every N-th of N processes, read anew each time.

    Args:
        work: whose data and processes they are.
        images: what is evaluated.
    """

    work: Work
    images: ImageSet

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        normalisation = self.work.data.normalisation
        yield from evaluation_batches(self.images, EVALUATION_BATCH, normalisation, self.work.ranks)


def export_network(work: Work, network: nn.Module, genotype: Genotype) -> None:
    """Write model.onnx, reopen it, compare it with the network on real images and measure both.

    On rank 0 alone.

    Raises:
        UserError: ONNX Runtime's logits are not the network's.
    """
    if not work.ranks.is_main:
        return
    data, path = work.data, work.session.run.path(ONNX)
    metadata = {
        "mean": " ".join(map(str, data.mean)),
        "std": " ".join(map(str, data.std)),
        "classes": "\n".join(data.class_names),
        "genotype": genotype.to_json(),
    }
    network = network.to(memory_format=torch.contiguous_format)
    work.session.stop_if_asked()
    export_onnx(network, data.image_shape, path, metadata)
    work.session.stop_if_asked()
    difference = check_onnx(path, network, first_images(data.test, work))
    work.report(onnx_max_difference=difference)
    if not difference <= ONNX_TOLERANCE:
        raise UserError(
            f"{path}: logits differ from PyTorch's by {difference:.2g} of the largest, more than "
            f"{ONNX_TOLERANCE}; don't use the file"
        )
    work.session.stop_if_asked()
    latencies = [quietest(lambda: measure_file(path, data.image_shape))]
    work.session.stop_if_asked()
    latencies.append(
        quietest(lambda: measure(network, data.image_shape, device=work.runtime.device))
    )
    judged = as_summary(work.costs.budgets.verdicts_of_file(path, network))
    work.report(latency=[asdict(each) for each in latencies], **judged)


def first_images(images: ImageSet, work: Work, count: int = 64) -> Tensor:
    """Return the first few images, normalised."""
    batch, _ = next(evaluation_batches(images, count, work.data.normalisation))
    return batch
