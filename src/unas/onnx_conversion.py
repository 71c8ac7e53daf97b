"""From a module to an ONNX model in memory, and back into a session of ONNX Runtime."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:  # each of them takes a second to import
    import onnx
    import onnxruntime

INPUT, OUTPUT = "images", "logits"


def cpu_copy(network: nn.Module) -> nn.Module:
    """Return a copy in float32 on the CPU, in evaluation mode; the network itself is left as it is."""
    return copy.deepcopy(network).to(device="cpu", dtype=torch.float32).eval()


def to_onnx(network: nn.Module, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    """Return the network as an ONNX model: "images" [batch, C, H, W] to "logits" [batch, classes], any batch size.

    Args:
        network: maps images to logits in evaluation mode; it is left as it is.
        image_shape: (C, H, W).
    """
    batch = torch.export.Dim("batch", min=1)
    # Two example images: one alone would make the batch size a constant of the model.
    example = torch.zeros(2, *image_shape)
    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch 2.11's exporter uses what PyTorch 2.11 calls deprecated.
        warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)` is deprecated", FutureWarning)
        program = torch.onnx.export(
            cpu_copy(network),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None  # noqa: S101  for the type checker
    model = program.model_proto
    for described in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        # The exporter leaves stack traces there: half of a small file, with the paths of this machine.
        del described.metadata_props[:]
        described.doc_string = ""
    return model


def open_session(model: bytes | Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open an ONNX model with ONNX Runtime on the CPU.

    Args:
        model: the model or its file.
        threads: how many threads work on one operation; None lets ONNX Runtime choose.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    if threads is not None:
        options.intra_op_num_threads = threads
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
