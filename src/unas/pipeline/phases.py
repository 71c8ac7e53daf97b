"""The phases of a run, each from what the one before left: search and choose, train, export."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.budgets.verdicts import as_summary
from unas.common.errors import UserError
from unas.compute.runtime import Runtime
from unas.compute.seeds import step_seed
from unas.data import ImageData, ImageSet
from unas.graphs.onnx import check_onnx, export_onnx
from unas.graphs.size import count_parameters, macs_if_known
from unas.latency import measure, measure_file
from unas.latency.backends.eager import EagerBackend
from unas.latency.gauges import quietest
from unas.nn.lease import give_back
from unas.pipeline.batches import (
    EvaluationBatches,
    first_images,
    search_streams,
    training_parts,
    training_stream,
    watched_batches,
)
from unas.pipeline.choosing import choose_architecture
from unas.pipeline.room import with_room
from unas.pipeline.work import Work, read_summary
from unas.runs.checkpoints import fitting
from unas.runs.names import GENOTYPE, ONNX, SEARCH, TRAINING, WEIGHTS
from unas.runs.network import save_network
from unas.runs.progress import say
from unas.searching.collapse import collapse
from unas.searching.loop import policy_updates, search_loop, weight_steps
from unas.searching.step import SearchStep
from unas.training import Keep, TrainingStep, Watch, evaluate, training_loop

ONNX_TOLERANCE = 1e-4  # of the largest logit
FEW_UPDATES = 30  # of a policy, which are too few for most data


def find_genotype(work: Work) -> Genotype:
    """Return the architecture that the run has found before, the configuration's, or search one."""
    run = work.session.run
    # genotype.json is written before the first checkpoint of the training.
    if run.checkpoint is not None and run.checkpoint.phase == TRAINING:
        work.summary = work.ranks.on_main(lambda: read_summary(run))
        text = work.ranks.on_main(lambda: load_genotype(run.path(GENOTYPE)).to_json())
        return Genotype.from_json(text)
    if work.config.genotype is None:
        return search_genotype(work)
    kept = run.path(GENOTYPE)  # of a run that was stopped before its first checkpoint
    source = str(work.config.genotype)
    text = work.ranks.on_main(
        lambda: load_genotype(str(kept) if kept.exists() else source).to_json()
    )
    genotype = Genotype.from_json(text)
    # A wrong one is refused before anything is spent on it.
    work.blueprint.skeleton(genotype)
    run.write_text(GENOTYPE, genotype.to_json())
    return genotype


def new_search(work: Work, steps_per_epoch: int) -> SearchStep:
    """Return the supernet, the policy and their optimisers as they are before the first step."""
    config = work.config
    return SearchStep(
        config.space,
        config.steered_search(),
        work.data.num_classes,
        work.data.image_shape[0],
        searching_runtime(work),
        seed=config.seed,
        total_steps=weight_steps(config.search, steps_per_epoch),
        policy_terms=work.costs.terms,
    )


def searching_runtime(work: Work) -> Runtime:
    """Return the runtime in which a step of the search fits into memory.

    A run that goes on does as it did before, to the same bits, whatever memory is free now.
    """
    checkpoint = work.session.run.checkpoint
    if checkpoint is not None and checkpoint.phase == SEARCH:
        with fitting(checkpoint.path):
            recomputes = checkpoint.state["search"].get("recomputes")
        if recomputes is not None and work.config.runtime.recompute == "auto":
            return replace(work.runtime, recomputes=recomputes)
    return with_room(work.config, work.data.size, work.runtime, quiet=work.session.quiet).runtime


def search_genotype(work: Work) -> Genotype:
    """Search, choose and write genotype.json."""
    config = work.config
    train, validation = search_streams(config, work.data, work.ranks)
    step = new_search(work, train.steps_per_epoch)
    updates = policy_updates(config.search, train.steps_per_epoch)
    if 0 < updates < FEW_UPDATES:
        say(
            f"the policy learns in {updates} steps of this search, where most images need a "
            "hundred: lower search.policy_every, or raise search.epochs and search.warm_up_epochs",
            quiet=work.session.quiet,
        )
    watch = watched_batches(work.data, validation.image_set, work.ranks)
    alarms = search_loop(step, train, validation, work.session, watch)
    chosen = choose_architecture(work, step)
    best = chosen.best
    work.session.run.write_text(GENOTYPE, best.genotype.to_json())
    signs = collapse(config.space, best.genotype)
    work.report(
        validation_loss=best.validation_loss,
        validation_accuracy=best.validation_accuracy,
        candidates=len(chosen.candidates),
        policy_entropy=float(step.policy.entropy().detach()),
        skipped_search_updates=step.skipped.total,
        normalised_entropy=collapse(config.space, step.policy).normalised_entropy,
        skip_share=signs.figures().get("skip_share"),
        alarms=signs.alarms() | alarms | chosen.separation.alarms(),
        **as_summary(work.costs.budgets.verdicts(best.genotype)),
    )
    return best.genotype


def train_network(work: Work, genotype: Genotype) -> nn.Module:
    """Train the architecture's network from scratch, test it and write model.safetensors."""
    config = work.config
    run = work.session.run
    give_back()  # the search's blocks of memory fit nothing in a training
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step_seed(config.seed, "training/weights", 0))
        network = work.blueprint.network(genotype)
    images, kept = training_parts(config, work.data)
    stream = training_stream(config, work.data, work.ranks)
    watch = _watch(work, kept)
    say(_about_images(len(images), kept, config.training.keep), quiet=work.session.quiet)
    step = TrainingStep(network, config.training, work.runtime, config.seed, stream.steps_per_epoch)
    if run.checkpoint is None or run.checkpoint.phase != TRAINING:
        run.save_checkpoint(TRAINING, 0, step.state_dict())
    weights = training_loop(step, stream, work.session, watch)
    if work.ranks.is_main:
        save_network(network, run.path(WEIGHTS), genotype, work.blueprint)
    work.report(
        **test(work, network),
        **weights,
        training_images=len(images),
        training_validation_images=0 if kept is None else len(kept),
        parameters=count_parameters(network),
        skipped_training_updates=step.skipped.total,
        **work.blueprint.decision(genotype),
    )
    macs = macs_if_known(network, work.data.image_shape)
    if macs is not None:
        work.report(macs=macs)
    return network


def _watch(work: Work, kept: ImageSet | None) -> Watch:
    """Return what a training is watched on: all that is kept for validation, else test images."""
    if kept is None:
        return Watch("test", watched_batches(work.data, work.data.test, work.ranks))
    batches = EvaluationBatches(work.data, kept, work.ranks)
    return Watch("validation", batches, keeps_best=work.config.training.keep == "best")


def _about_images(count: int, kept: ImageSet | None, keep: Keep) -> str:
    """Return in one line what a training learns from, and which weights it delivers."""
    if kept is None:
        return (
            f"training on all {count:,} training images; none are kept for validation, test images "
            "are watched, and the last weights are delivered"
        )
    delivered = "the last weights" if keep == "last" else "the weights that are best on them"
    return (
        f"training on {count:,} images; {len(kept):,} are kept for validation, and {delivered} "
        "are delivered"
    )


def test(work: Work, network: nn.Module) -> dict[str, float]:
    """Return the accuracy and the loss on the test images."""
    batches = EvaluationBatches(work.data, work.data.test, work.ranks)
    scores = evaluate(network, work.session.stoppable(batches), work.runtime)
    figures = {"test_accuracy": scores.top1, "test_loss": scores.loss}
    if scores.top5 is not None:
        figures["test_top5_accuracy"] = scores.top5
    return figures


def export_network(work: Work, network: nn.Module, genotype: Genotype) -> None:
    """Write model.onnx, reopen it, compare it with the network on real images and measure both.

    On rank 0 alone.

    Raises:
        UserError: ONNX Runtime's logits are not the network's.
    """
    if not work.ranks.is_main:
        return
    path = work.session.run.path(ONNX)
    network = network.to(memory_format=torch.contiguous_format)
    work.session.stop_if_asked()
    metadata = _metadata(work.data, genotype)
    export_onnx(network, work.data.image_shape, path, metadata, work.config.opset)
    work.session.stop_if_asked()
    _compare(work, network, path)
    work.session.stop_if_asked()
    _measure(work, network, path)


def _metadata(data: ImageData, genotype: Genotype) -> dict[str, str]:
    """Return what an exported file says of itself."""
    return {
        "mean": " ".join(map(str, data.mean)),
        "std": " ".join(map(str, data.std)),
        "classes": "\n".join(data.class_names),
        "genotype": genotype.to_json(),
    }


def _compare(work: Work, network: nn.Module, path: Path) -> None:
    """Refuse an exported file whose logits are not the network's."""
    difference = check_onnx(path, network, first_images(work.data, work.data.test))
    work.report(onnx_max_difference=difference)
    if not difference <= ONNX_TOLERANCE:
        raise UserError(
            f"{path}: logits differ from PyTorch's by {difference:.2g} of the largest, more than "
            f"{ONNX_TOLERANCE}; don't use the file"
        )


def _measure(work: Work, network: nn.Module, path: Path) -> None:
    """Report how long an exported file and its network take, and whether budgets are met."""
    shape = work.data.image_shape
    of_file = quietest(lambda: measure_file(path, shape))
    work.session.stop_if_asked()
    backend = EagerBackend()
    device = backend.device_for(str(work.runtime.device))  # an Apple GPU has no clock of its own
    of_network = quietest(lambda: measure(network, shape, backend, device))
    verdicts = work.costs.budgets.verdicts_of_file(path, network)
    work.report(latency=[asdict(of_file), asdict(of_network)], **as_summary(verdicts))
