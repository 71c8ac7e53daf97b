"""The operators that a network runs for one image, recorded in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from unas.graphs.evaluation import blank_images, evaluation_mode


@dataclass(frozen=True)
class Value:
    """An activation: a tensor that depends on the image.

    Args:
        index: its position in the order of making; the image is 0.
    """

    index: int


@dataclass(frozen=True)
class Operator:
    """One call of a PyTorch operator.

    Args:
        kind: the operator, an `OpOverload` such as `torch.ops.aten.relu.default`.
        arguments: positional arguments, where a `Value` stands for each activation; weights are
            the tensors themselves.
        keywords: arguments given by name, likewise with `Value`s.
        inputs: indices of the activations among the arguments.
        outputs: indices of the activations that it returns; an operator that works in place
            returns one of its inputs. None where it reads no activation.
        written: the shapes of the tensors that it returns.
    """

    kind: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    written: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """The operator's name without its overload, for example "relu"."""
        return str(self.kind.overloadpacket.__name__)


@dataclass
class Recording:
    """What a network did with its images.

    Args:
        shapes: the shape of each activation, the batch included.
        operators: the calls that read activations, in their order.
        others: the calls that don't: of weights alone, or of nothing at all.
        results: indices of the activations that the network returned.
    """

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    others: list[Operator] = field(default_factory=list)
    results: tuple[int, ...] = ()


def record(network: nn.Module, image_shape: tuple[int, int, int], batch_size: int = 1) -> Recording:
    """Return the operators that a network runs for one image, or for a few, in evaluation mode.

    Args:
        network: maps images [B, C, H, W] to anything, on any device ("meta" costs nothing); it is
            left as it is.
        image_shape: (C, H, W).
        batch_size: how many images.

    Raises:
        UserError: the shape is not three positive numbers.
    """
    recorder = _Recorder()
    with evaluation_mode(network), _taken_apart(), torch.no_grad():
        images = blank_images(network, image_shape, batch_size)
        recorder.name(images)
        with recorder:
            results = network(images)
    recorder.recording.results = tuple(recorder.indices(results))
    return recorder.recording


@contextmanager
def _taken_apart() -> Iterator[None]:
    """Let PyTorch take composite operators apart, which it doesn't in inference mode.

    Nor does it where it has one operator for a whole layer of a transformer.
    """
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.inference_mode(False):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator below autograd and writes it down."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = Recording()
        self._indices: dict[int, int] = {}
        self._kept: list[Tensor] = []  # an id is unique as long as its tensor lives

    def name(self, tensor: Tensor) -> int:
        """Return the index of an activation, a new one where it hasn't been seen."""
        if id(tensor) not in self._indices:
            self._indices[id(tensor)] = len(self.recording.shapes)
            self._kept.append(tensor)
            self.recording.shapes.append(tuple(tensor.shape))
        return self._indices[id(tensor)]

    def indices(self, values: Any) -> list[int]:
        """Return the indices of the activations in any structure."""
        leaves = tree_flatten(values)[0]
        return [self._indices[id(leaf)] for leaf in leaves if id(leaf) in self._indices]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operator; what it makes of an activation is an activation too."""
        kwargs = kwargs or {}
        inputs = self.indices((args, kwargs))
        results = func(*args, **kwargs)
        arguments, keywords = tree_map_only(Tensor, self._reference, (args, kwargs))
        tensors = [leaf for leaf in tree_flatten(results)[0] if isinstance(leaf, Tensor)]
        outputs = tuple(self.name(tensor) for tensor in tensors) if inputs else ()
        written = tuple(tuple(tensor.shape) for tensor in tensors)
        operator = Operator(func, tuple(arguments), keywords, tuple(inputs), outputs, written)
        calls = self.recording.operators if inputs else self.recording.others
        calls.append(operator)
        return results

    def _reference(self, tensor: Tensor) -> Tensor | Value:
        index = self._indices.get(id(tensor))
        return tensor if index is None else Value(index)
