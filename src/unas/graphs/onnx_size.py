"""How large an ONNX file is: multiply-adds, parameters, peak activation memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unas.common.errors import UserError, first_line
from unas.common.files import is_plain
from unas.graphs.onnx_macs import is_product, macs_of_product, require_judged
from unas.graphs.onnx_memory import onnx_peak_memory
from unas.graphs.onnx_parameters import count_onnx_parameters
from unas.graphs.onnx_shapes import Extents
from unas.graphs.onnx_values import constants_of, images_of, subgraphs_of

if TYPE_CHECKING:  # it takes a second to import
    import onnx


class OnnxSize:
    """The size of an ONNX model for one image; each figure is counted when it is asked for.

    Args:
        model: the model, without sparse weights.
        path: its file, which messages name.
        image_shape: (C, H, W).
    """

    def __init__(
        self, model: onnx.ModelProto, path: Path, image_shape: tuple[int, int, int]
    ) -> None:
        self.path = path
        self.image_shape = image_shape
        self._model = model

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of the convolutions, matrix products and recurrent cells.

        What is computed of weights alone is computed once, when the file is opened, and is free.

        Raises:
            UserError: an operator isn't known, or the shape of a product can't be found out.
        """
        with _naming(self.path):
            extents = self._extents
            graph = self._model.graph
            constants = constants_of(graph)
            products = []
            for node in graph.node:
                require_judged(node)
                if is_product(node) and not constants.issuperset(node.output):
                    products.append(node)
            names = {name for node in products for name in (*node.input, *node.output) if name}
            shapes = {name: extent.shape for name, extent in extents.of(names).items()}
            return sum(macs_of_product(node, shapes) for node in products)

    @cached_property
    def parameters(self) -> int:
        """Numbers in the weights; see `unas.graphs.onnx_parameters`.

        An exporter may fold a BatchNorm into the convolution before it: of its two numbers a
        channel one is left.

        Raises:
            UserError: an operator may hold weights in a form of its own.
        """
        with _naming(self.path):
            return count_onnx_parameters(self._model.graph)

    @cached_property
    def memory(self) -> int:
        """Peak activation memory in bytes; see `unas.graphs.memory`.

        Raises:
            UserError: the shape of an activation can't be found out.
        """
        with _naming(self.path):
            return onnx_peak_memory(self._model.graph, self._extents)

    @cached_property
    def _extents(self) -> Extents:
        return Extents(self._model, self.image_shape)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Begin every mistake that is found with the name of the file."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def count_onnx(path: Path, image_shape: tuple[int, int, int] | None = None) -> OnnxSize:
    """Return the size of an ONNX file.

    Args:
        path: the file.
        image_shape: (C, H, W), where the file leaves it open.

    Raises:
        UserError: it is no ONNX file, takes no images, leaves their shape open, or has sparse
            weights.
    """
    model = load_onnx(path)
    shape = input_shape_of(model, path, image_shape)
    if _is_sparse(model.graph):
        raise UserError(f"{path} has sparse weights, which can't be counted; export dense ones")
    return OnnxSize(model, path, shape)


def _is_sparse(graph: onnx.GraphProto) -> bool:
    """Return whether a graph, or one inside it, has sparse weights."""
    if graph.sparse_initializer:
        return True
    for node in graph.node:
        has_sparse = any(attribute.HasField("sparse_tensor") for attribute in node.attribute)
        if has_sparse or any(_is_sparse(subgraph) for subgraph in subgraphs_of(node)):
            return True
    return False


def load_onnx(path: Path) -> onnx.ModelProto:
    """Return the model in a file, the functions of its own written out.

    Raises:
        UserError: there is no model in it.
    """
    import onnx
    import onnx.inliner

    if not is_plain(path):
        raise UserError(f"{path} doesn't exist or is no file; name an ONNX file")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, onnx and the file system share no base class
        raise UserError(f"{path} is no ONNX file: {first_line(error)}") from error
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def input_shape_of(
    model: onnx.ModelProto, path: Path, image_shape: tuple[int, int, int] | None = None
) -> tuple[int, int, int]:
    """Return (C, H, W) of the images that a model takes.

    Args:
        model: the model.
        path: its file, which messages name.
        image_shape: (C, H, W), where the model leaves it open.

    Raises:
        UserError: the model doesn't take one batch of images, takes others, or leaves open a size
            that `image_shape` doesn't give.
    """
    inputs = images_of(model.graph)
    if len(inputs) != 1:
        raise UserError(
            f"{path} takes {len(inputs)} inputs; it must take one batch of images [B, C, H, W]"
        )
    axes = inputs[0].type.tensor_type.shape.dim
    if len(axes) != 4:
        raise UserError(
            f"{path} takes an input of {len(axes)} axes; it must take images [B, C, H, W]"
        )
    sizes = [axis.dim_value for axis in axes[1:]]  # 0 where it is open
    if image_shape is None and not all(sizes):
        raise UserError(
            f"{path} leaves the size of its images open; give it, for example --input-shape 3,32,32"
        )
    if image_shape is None:
        return sizes[0], sizes[1], sizes[2]
    for size, asked in zip(sizes, image_shape, strict=True):
        if size not in {0, asked}:
            raise UserError(
                f"{path} takes images {sizes}, not {list(image_shape)}; leave the shape out"
            )
    return image_shape
