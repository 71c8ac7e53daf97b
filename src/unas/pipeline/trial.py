"""A trial of all that a run does with its networks, on a few random images, before it begins."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Sample
from unas.architecture.published import load_genotype
from unas.budgets.effort import Effort
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.quantities import CountedQuantity
from unas.common.errors import UserError
from unas.common.registry import is_built_in
from unas.compute.ranks import ONE_PROCESS
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.data import DataSize
from unas.graphs.onnx import check_onnx, export_onnx
from unas.nn.recomputation import recompute_parts
from unas.pipeline.own_code import (
    name_of,
    names_not_taken,
    one_line,
    require_logits,
    require_weights,
)
from unas.runs.network import load_network, save_network
from unas.spaces import Blueprint, SearchSpace, without_memory
from unas.training import TrainingStep

ARCHITECTURES = 2  # of the hard sample
GROSS = 0.01  # of the largest logit: no rounding, however deep the untrained network


def try_out(config: Config, data: DataSize, runtime: Runtime, *, exports: bool = True) -> None:
    """Refuse a run in which a network can't be searched, trained, saved, loaded or exported.

    Torch's generators are left as they are.

    Args:
        config: the run.
        data: says how many classes there are, and what shape the images have.
        runtime: where it computes.
        exports: whether the run goes on after the search.

    Raises:
        UserError: says what the model gave, or can't do.
    """
    alone = replace(runtime, ranks=ONE_PROCESS)  # the other processes wait
    trial = _Trial(config, data, alone)
    devices = [alone.device] if alone.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        if is_tested(config.space):
            trial.of_shapes()
        else:
            trial.of_everything(exports=exports)


def is_tested(space: SearchSpace) -> bool:
    """Return whether the tests of unas hold for the space.

    What they prove of any network of a built-in space (it is trained, saved, loaded and exported)
    isn't tried again. Whether its shapes fit these images is, on the device "meta", where nothing
    is computed: about a second at any size, and no memory to speak of.
    """
    return is_built_in(space.registry_name) and space.all_choices() is not None


@dataclass(frozen=True)
class _Trial:
    """The trial of one run; see `try_out`."""

    config: Config
    data: DataSize
    runtime: Runtime

    @property
    def blueprint(self) -> Blueprint:
        return self.config.blueprint(self.data.num_classes, self.data.image_shape)

    @property
    def name(self) -> str:
        return name_of(self.config.space)

    def of_shapes(self) -> None:
        """Run the supernet and a network on the device "meta"."""
        if self.config.genotype is None:
            build = partial(self.config.space.supernet, *self._classes_and_channels())
            self._search(without_memory(build), torch.device("meta"))
        network = self.blueprint.skeleton(self.genotypes()[0])
        images = self._images(2).to("meta")
        self._losses(network.train(), images)

    def of_everything(self, *, exports: bool) -> None:
        """Run the supernet and, of each option, a network: all that happens to them in a run."""
        if self.config.genotype is None:
            with one_line(f"{self.name} can't be made", self._hint()):
                supernet = self.config.space.supernet(*self._classes_and_channels())
            require_weights(self.name, supernet)
            if self.runtime.recomputes and not recompute_parts(supernet):
                raise UserError(
                    f"recompute is 'always', but nothing in {self.name} can be computed again: it "
                    "has no OpChoice; use --recompute auto"
                )
            self._search(supernet.to(self.runtime.device), self.runtime.device)
        for genotype in self.genotypes():
            with one_line(f"{self.name} can't be made", self._hint()):
                network = self.blueprint.network(genotype)
            require_weights(self.name, network)
            self._train(network)
            self._require_repeatable(network.cpu().eval())
            if exports:
                with tempfile.TemporaryDirectory() as folder:
                    self._deliver(network, genotype, Path(folder))

    def genotypes(self) -> list[Genotype]:
        """Return the architecture that is trained; before a search, one for each option.

        In them each option of each choice is picked at least once.
        """
        if self.config.genotype is not None:
            return [load_genotype(self.config.genotype)]
        space = self.config.space
        genotypes = []
        for number in range(max(len(options) for options in space.choices.values())):
            picks = {}
            for choice, options in space.choices.items():
                picks[choice] = options[number % len(options)]
            genotypes.append(Genotype(space.registry_name, picks))
        return genotypes

    def _search(self, supernet: nn.Module, device: torch.device) -> None:
        """Run a supernet under a relaxed and a hard sample, and backward where there are values."""
        search = self.config.search
        share = search.batch_size // search.num_architectures(search.batch_size)
        batches = [self._images(ARCHITECTURES * min(share, 2)).to(device)]
        if search.small_images:
            batches.append(search.small_images.of(batches[0]))
        for images, sample in product(batches, self._samples(device)):
            with one_line(f"{self.name} can't take {list(images.shape)}", self._hint()):
                with self.runtime.autocast():
                    logits = supernet(images, sample)
                self._require_logits(logits, images)
                if device.type != "meta":
                    torch.autograd.backward(logits.float().sum())

    def _samples(self, device: torch.device) -> list[Sample]:
        """Return a relaxed sample, which runs every option, and a hard one."""
        space = self.config.space
        layout = Layout(space.choices, space.registry_name)
        even = {}
        for choice, options in space.choices.items():
            shape = (ARCHITECTURES, len(options))
            even[choice] = torch.full(shape, 1 / len(options), device=device)
        weights = tuple(group.requires_grad_() for group in layout.stack(even))
        genotypes = self.genotypes()
        hard = Sample.from_genotypes(layout, [genotypes[0], genotypes[-1]])
        return [Sample(layout, weights, is_hard=False), hard]

    def _train(self, network: nn.Module) -> None:
        """Do one step of the training from scratch."""
        images = self._images(2).to(self.runtime.device, memory_format=torch.channels_last)
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        training = replace(self.config.training, warm_up_epochs=0, epochs=1)
        with one_line(f"{self.name} can't be trained on {list(images.shape)}", self._hint()):
            step = TrainingStep(network, training, self.runtime, self.config.seed, 1)
            self._losses(network.train(), images)
            step(0, images, labels)

    def _losses(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return a sum of all logits, those of auxiliary heads too, in training mode."""
        with one_line(f"{self.name} can't take {list(images.shape)}", self._hint()):
            with self.runtime.autocast():
                outputs = network(images)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            total = torch.zeros((), device=images.device)
            for logits in outputs:
                self._require_logits(logits, images)
                total = total + logits.float().sum()
        return total

    @torch.no_grad()
    def _require_repeatable(self, network: nn.Module) -> None:
        """Refuse a network that gives something else each time in evaluation mode."""
        images = self._images(2)
        with one_line(f"{self.name} can't take {list(images.shape)} in evaluation mode"):
            logits = network(images)
            self._require_logits(logits, images)
            again = network(images)
        if _differ(logits, again):
            raise UserError(
                f"{self.name} gives other logits each time in evaluation mode; "
                "draw random numbers only where self.training is true"
            )

    def _deliver(self, network: nn.Module, genotype: Genotype, folder: Path) -> None:
        """Save and load a network, export it and count the file."""
        network = network.to(memory_format=torch.contiguous_format)
        self._reload(network, genotype, folder / "model.safetensors")
        path = folder / "model.onnx"
        images = self._images(3)
        with self._about(path), one_line(f"{self.name} can't be exported to ONNX"):
            with _exporter_silenced():
                export_onnx(network, self.data.image_shape, path, {}, self.config.opset)
            difference = check_onnx(path, network, images)
            if difference > GROSS and network(images).isfinite().all():
                raise UserError(f"{path} gives other logits than PyTorch; it can't be delivered")
            for budget in self.config.budgets:
                if isinstance(budget.quantity, CountedQuantity):
                    budget.of_file(OnnxFile(path, self.data.image_shape), "cpu", Effort())

    @torch.no_grad()
    def _reload(self, network: nn.Module, genotype: Genotype, path: Path) -> None:
        images = self._images(2)
        with self._about(path), one_line(f"{self.name} can't be saved and loaded"):
            save_network(network, path, genotype, self.blueprint)
            loaded = load_network(path, self.config.space)
            is_another = _differ(network(images), loaded(images))
        if is_another:
            raise UserError(
                f"{self.name} gives other logits after it was saved and loaded; "
                "keep every tensor that they depend on as a parameter or a buffer"
            )

    @contextmanager
    def _about(self, path: Path) -> Iterator[None]:
        """Name the model where a message names a temporary file."""
        try:
            yield
        except UserError as error:
            message = str(error).replace(str(path), f"{path.name} of {self.name}")
            if self.name not in message:
                message = f"{self.name}: {message}"
            raise UserError(message) from error

    def _require_logits(self, outcome: object, images: Tensor) -> None:
        require_logits(self.name, outcome, images, self.data.num_classes, self._hint())

    def _hint(self) -> str:
        return names_not_taken(self.config.space)

    def _classes_and_channels(self) -> tuple[int, int]:
        return self.data.num_classes, self.data.image_shape[0]

    def _images(self, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(count, *self.data.image_shape, generator=generator)


def _differ(logits: Tensor, others: Tensor) -> bool:
    """Return whether two outcomes of one network differ by more than rounding."""
    difference = (logits - others).abs().max()
    return bool(difference > GROSS * logits.abs().max())


@contextmanager
def _exporter_silenced() -> Iterator[None]:
    """Keep back what PyTorch's exporter logs on its way to an error: pages of graphs."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
