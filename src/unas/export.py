"""A network as an ONNX file for other programs, checked by reopening it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from unas.errors import UserError
from unas.files import write_bytes
from unas.onnx_conversion import INPUT, OUTPUT, cpu_copy, open_session, to_onnx


def export_onnx(
    network: nn.Module,
    image_shape: tuple[int, int, int],
    path: Path,
    metadata: Mapping[str, str],
) -> None:
    """Write the network to an ONNX file: "images" [batch, C, H, W] to "logits" [batch, classes], any batch size.

    Args:
        network: maps images to logits in evaluation mode; it is left as it is.
        image_shape: (C, H, W).
        path: the file; it is replaced in one step.
        metadata: what a user of the file must know, for example "mean", "std", "classes", "genotype"; read back as
            `metadata_props`.

    Raises:
        UserError: the file can't be written.
    """
    model = to_onnx(network, image_shape)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    write_bytes(path, model.SerializeToString())


def check_onnx(path: Path, network: nn.Module, images: Tensor) -> float:
    """Return the largest absolute difference between ONNX Runtime's and PyTorch's logits, both on the CPU.

    The images are tried all at once and the first of them alone.

    Args:
        path: what `export_onnx` wrote.
        network: the network that it wrote.
        images: [B, C, H, W] float.

    Returns:
        The difference; infinity where a logit is not finite.

    Raises:
        UserError: the file can't be opened by ONNX Runtime.
    """
    reference = cpu_copy(network)
    try:
        session = open_session(path)
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise UserError(f"{path} can't be opened by ONNX Runtime: {str(error).splitlines()[0]}") from error
    largest = 0.0
    for batch in (images, images[:1]):
        inputs = batch.detach().to(device="cpu", dtype=torch.float32).contiguous()
        (logits,) = session.run([OUTPUT], {INPUT: inputs.numpy()})
        with torch.no_grad():
            difference = (torch.from_numpy(logits) - reference(inputs)).abs()
        largest = max(largest, float(difference.nan_to_num(torch.inf).max()))
    return largest
