"""Networks as ONNX files: converted, written with their metadata, and compared with PyTorch."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unas.common.errors import UserError, first_line
from unas.common.files import write_bytes

if TYPE_CHECKING:
    import onnx
    import onnxruntime


INPUT = "images"
OUTPUT = "logits"
OPSET = 18
# What the exporter of every PyTorch that we support writes by itself; to older versions it converts
# most networks by writing 18 after all.
OPSETS = range(18, 24)
# NumPy's names of ONNX Runtime's types, where they differ.
_OF_NUMPY = {"float": "float32", "double": "float64"}


def check_opset(opset: int) -> None:
    """Refuse a version of ONNX's operators that no file can be written with.

    Raises:
        UserError: it isn't from `OPSETS`.
    """
    if opset not in OPSETS:
        raise UserError(f"opset is {opset}; it must be from {OPSETS[0]} to {OPSETS[-1]}")


def cpu_copy(network: nn.Module) -> nn.Module:
    """Return a copy of a network in float32, on the CPU and in evaluation mode."""
    return copy.deepcopy(network).to(device="cpu", dtype=torch.float32).eval()


def to_onnx(
    network: nn.Module, image_shape: tuple[int, int, int], opset: int = OPSET
) -> onnx.ModelProto:
    """Return the network as an ONNX model for any batch size.

    Its input "images" is [batch, C, H, W], its output "logits" is [batch, classes].

    Args:
        network: maps images to logits in evaluation mode; it is left as it is.
        image_shape: (C, H, W).
        opset: the version of ONNX's operators, from `OPSETS`.

    Raises:
        UserError: the network makes the number of images a constant.
    """
    batch = torch.export.Dim("batch", min=1)
    # Two example images: one alone would make the batch size a constant of the model.
    example = torch.zeros(2, *image_shape)
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter uses what PyTorch itself calls deprecated, and looks through the list of
        # weights that a recurrent layer keeps beside them.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", r"The tensor attributes .*_flat_weights", UserWarning)
        program = torch.onnx.export(
            cpu_copy(network),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=opset,
            verbose=False,
        )
    assert program is not None  # noqa: S101  for the type checker
    model = program.model_proto
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise UserError(
            "the network makes the number of images a constant when it is exported; "
            "write images.shape[0] where its code has len(images)"
        )
    # The exporter leaves stack traces everywhere: half of a small file, with this machine's paths.
    for described in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del described.metadata_props[:]
        described.doc_string = ""
    return model


def open_session(model: bytes | Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open an ONNX model with ONNX Runtime on the CPU.

    Args:
        model: the model or its file.
        threads: how many threads work on one operator; None lets ONNX Runtime choose.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    if threads is not None:
        options.intra_op_num_threads = threads
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def blank_input(
    session: onnxruntime.InferenceSession, batch_shape: tuple[int, int, int, int]
) -> dict[str, npt.NDArray[Any]]:
    """Return what to feed an open model with: images of zeros, of the type that it takes.

    Raises:
        UserError: the model takes another number of images, or a type that NumPy doesn't know.
    """
    images = session.get_inputs()[0]
    batch_size = images.shape[0]  # a name where any number will do
    if isinstance(batch_size, int) and batch_size != batch_shape[0]:
        raise UserError(
            f"it takes {batch_size} images at once, not {batch_shape[0]}; export it for any number"
        )
    kind = images.type.removeprefix("tensor(").removesuffix(")")
    try:
        dtype = np.dtype(_OF_NUMPY.get(kind, kind))
    except TypeError as error:
        raise UserError(
            f"it takes images of the type {kind}; export it for float32 or float16"
        ) from error
    return {images.name: np.zeros(batch_shape, dtype)}


def export_onnx(
    network: nn.Module,
    image_shape: tuple[int, int, int],
    path: Path,
    metadata: Mapping[str, str],
    opset: int = OPSET,
) -> None:
    """Write the network to an ONNX file, as `to_onnx` makes it.

    Args:
        network: maps images to logits in evaluation mode; it is left as it is.
        image_shape: (C, H, W).
        path: the file; it is replaced in one step.
        metadata: what a user of the file must know, for example "mean", "std", "classes" and
            "genotype"; it is read back as the model's `metadata_props`.
        opset: the version of ONNX's operators, from `OPSETS`.

    Raises:
        UserError: the network takes no other number of images, or the file can't be written.
    """
    model = to_onnx(network, image_shape, opset)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    write_bytes(path, model.SerializeToString())


def check_onnx(path: Path, network: nn.Module, images: Tensor) -> float:
    """Return the largest difference between ONNX Runtime's and PyTorch's logits.

    It is relative to the largest of PyTorch's logits. Both run on the CPU. The images are tried all
    at once, and the first of them alone.

    Args:
        path: the file that `export_onnx` wrote.
        network: the network that was written.
        images: [B, C, H, W] float.

    Returns:
        The difference; infinity where a logit is not finite.

    Raises:
        UserError: the file can't be opened or run by ONNX Runtime, or its logits are of another
            shape.
    """
    reference = cpu_copy(network)
    try:
        session = open_session(path)
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise UserError(f"{path} can't be opened by ONNX Runtime: {first_line(error)}") from error
    largest = 0.0
    for batch in (images, images[:1]):
        inputs = batch.detach().to(device="cpu", dtype=torch.float32).contiguous()
        logits = _logits(session, inputs, path)
        with torch.no_grad():
            expected = reference(inputs)
        if logits.shape != expected.shape:
            raise UserError(
                f"{path} gives {list(logits.shape)} for {len(inputs)} images, and the network "
                f"{list(expected.shape)}; it must give [images, classes] for any number of images"
            )
        largest = max(largest, _relative_difference(logits, expected))
    return largest


def _logits(session: onnxruntime.InferenceSession, images: Tensor, path: Path) -> Tensor:
    try:
        (logits,) = session.run([OUTPUT], {INPUT: images.numpy()})
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise UserError(
            f"{path} can't be run on {len(images)} images: {first_line(error)}; the network must "
            "take any number of images"
        ) from error
    return torch.from_numpy(logits)


def _relative_difference(logits: Tensor, expected: Tensor) -> float:
    """Return the largest difference by the largest expected logit; infinity if one isn't finite."""
    difference = float((logits - expected).abs().nan_to_num(torch.inf).max())
    size = float(expected.abs().max())
    if difference == 0:
        return 0.0
    return difference / size if 0 < size < torch.inf else torch.inf
