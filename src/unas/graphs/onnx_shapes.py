"""The shapes of an ONNX graph's values for one image: inferred, or else seen in a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from unas.common.errors import UserError, first_line
from unas.graphs.onnx import blank_input, open_session
from unas.graphs.onnx_values import (
    SIZED_BY_VALUES,
    SIZES,
    images_of,
    subgraphs_of,
    values_of_images,
)

if TYPE_CHECKING:
    import onnx
    import onnxruntime


@dataclass(frozen=True)
class Extent:
    """How large a value is.

    Args:
        shape: its sizes.
        bytes_each: the bytes of one of its numbers.
    """

    shape: tuple[int, ...]
    bytes_each: int


class Extents:
    """The extents of a model's values for one image.

    Args:
        model: the model.
        image_shape: (C, H, W).

    Raises:
        UserError: the model takes a fixed number of images, or has control flow.
    """

    def __init__(self, model: onnx.ModelProto, image_shape: tuple[int, int, int]) -> None:
        for node in model.graph.node:
            if any(subgraphs_of(node)):
                raise UserError(
                    f"{node.op_type} is control flow, which can't be counted; export without it"
                )
        self._model = _for_one_image(model, image_shape)
        self._image_shape = image_shape

    def of(self, names: Iterable[str]) -> Mapping[str, Extent]:
        """Return the extents of these values at least.

        Raises:
            UserError: one can't be found out.
        """
        missing = sorted(set(names) - set(self._inferred))
        return {**self._inferred, **self._seen(missing)} if missing else self._inferred

    @cached_property
    def _inferred(self) -> dict[str, Extent]:
        import onnx

        model = self._model
        # Its error is no public class. What it doesn't find out, a run will tell.
        with contextlib.suppress(Exception):
            model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        graph = model.graph
        extents = {}
        for weight in graph.initializer:
            extents[weight.name] = Extent(tuple(weight.dims), _bytes_each(weight.data_type))
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            sizes = tuple(dimension.dim_value for dimension in tensor.shape.dim)
            is_known = all(dimension.HasField("dim_value") for dimension in tensor.shape.dim)
            if tensor.HasField("shape") and is_known and value.name not in extents:
                extents[value.name] = Extent(sizes, _bytes_each(tensor.elem_type))
        return extents

    def _seen(self, names: list[str]) -> dict[str, Extent]:
        """Run the model on an image without anything on it, and look at these values."""
        import onnx

        _require_fixed_sizes(self._model.graph)
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        del model.graph.output[:]
        for name in names:
            model.graph.output.add(name=name)
        try:
            session = open_session(model.SerializeToString())
            values = _run(session, names, (1, *self._image_shape))
            extents = [Extent(tuple(v.shape()), _bytes_each(v.element_type())) for v in values]
        except UserError:
            raise
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise UserError(
                f"the shape of {names[0]!r} can't be inferred, and ONNX Runtime can't run the "
                f"model: {first_line(error)}"
            ) from error
        return dict(zip(names, extents, strict=True))


def _for_one_image(model: onnx.ModelProto, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    """Return a copy of a model whose input is one image."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]  # the exporter's, of another batch
    (images,) = images_of(copy.graph)
    axes = images.type.tensor_type.shape.dim
    batch_size = axes[0].dim_value
    if batch_size > 1:
        raise UserError(
            f"it takes {batch_size} images at once, and budgets are for one; export it for any "
            "number of images"
        )
    for axis, size in zip(axes, (1, *image_shape), strict=True):
        axis.dim_value = size
    for result in copy.graph.output:
        result.type.tensor_type.ClearField("shape")
    return copy


def _require_fixed_sizes(graph: onnx.GraphProto) -> None:
    """Refuse values that are as large as what an image shows makes them: no image is like all."""
    values = values_of_images(graph)
    for node in graph.node:
        is_sized_by_values = node.op_type in SIZED_BY_VALUES
        positions = range(len(node.input)) if is_sized_by_values else SIZES.get(node.op_type, ())
        for position in positions:
            if position < len(node.input) and node.input[position] in values:
                raise UserError(
                    f"how large {node.output[0]!r} of {node.op_type} is depends on what an image "
                    "shows, so it can't be counted; export without it"
                )


def _run(
    session: onnxruntime.InferenceSession,
    names: list[str],
    batch_shape: tuple[int, int, int, int],
) -> list[onnxruntime.OrtValue]:
    """Return these values of a model, where ONNX Runtime keeps them: NumPy hasn't all types."""
    import onnxruntime

    inputs = blank_input(session, batch_shape)
    feed = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in inputs.items()}
    values: list[onnxruntime.OrtValue] = session.run_with_ort_values(names, feed)
    return values


def _bytes_each(data_type: int) -> int:
    import onnx

    try:
        return onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize
    except KeyError:
        raise UserError(
            f"a value is of type number {data_type}, which is no type of a tensor in ONNX"
        ) from None
