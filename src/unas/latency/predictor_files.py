"""Reading predictors: a JSON file that may be somebody else's, so everything in it is checked."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unas.architecture.policy import Layout
from unas.common.errors import UserError
from unas.costs.blocks import Block
from unas.costs.table import CostTable
from unas.latency.fingerprint import Fingerprint
from unas.latency.predictor import FORMAT, Predictor, Quality


def load_predictor(path: Path) -> Predictor:
    """Return the predictor that `Predictor.save` wrote.

    Raises:
        UserError: the file is missing, damaged or no predictor.
    """
    source = str(path)
    document = FORMAT.read(path)
    if not isinstance(document["network"], dict):
        raise UserError(f"{source}: network is no object; is the file damaged?")
    return Predictor(
        table=_table(document, source),
        network=document["network"],
        fingerprint=Fingerprint.from_dict(document["fingerprint"], source),
        quality=_quality(document["quality"], source),
    )


def _table(document: dict[str, Any], source: str) -> CostTable:
    layout = _layout(document, source)
    intercept = _number(document["intercept_ms"], f"{source}: intercept_ms")
    blocks, weights = _terms(document["terms"], layout, source)
    return CostTable(layout, intercept, blocks, weights)


def _layout(document: dict[str, Any], source: str) -> Layout:
    choices = document["choices"]
    if not isinstance(choices, dict) or not all(map(_is_texts, choices.values())):
        raise UserError(f"{source}: choices must map each choice's name to a list of options")
    return Layout(choices, str(document["space"]))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _terms(
    document: Any, layout: Layout, source: str
) -> tuple[tuple[Block, ...], tuple[Tensor, ...]]:
    blocks: list[Block] = []
    weights: list[Tensor] = []
    for position, term in enumerate(document if isinstance(document, list) else ()):
        where = f"{source}: terms[{position}]"
        block = _block(term, layout, where)
        shape = [len(layout.choices[name]) for name in block]
        blocks.append(block)
        weights.append(_tensor(term["weights_ms"], shape, f"{where}.weights_ms"))
    if sorted(itertools.chain.from_iterable(blocks)) != sorted(layout.choices):
        raise UserError(f"{source}: each choice must be in one of the terms; is the file damaged?")
    return tuple(blocks), tuple(weights)


def _block(term: Any, layout: Layout, where: str) -> Block:
    """Return the choices of a term."""
    if not isinstance(term, dict) or "weights_ms" not in term:
        raise UserError(f"{where} must have choices and weights_ms; is the file damaged?")
    names = term.get("choices")
    known = tuple(layout.choices)  # a name of the file may be of a type that has no hash
    if (
        not isinstance(names, list)
        or len(names) not in {1, 2}
        or any(name not in known for name in names)
    ):
        raise UserError(
            f"{where}.choices must be one or two choices of the space; is the file damaged?"
        )
    return tuple(names)


def _tensor(values: Any, shape: Sequence[int], what: str) -> Tensor:
    if not shape:
        return torch.tensor(_number(values, what), dtype=torch.float64)
    if not isinstance(values, list) or len(values) != shape[0]:
        raise UserError(f"{what} must be {shape[0]} numbers or lists; is the file damaged?")
    return torch.stack([_tensor(value, shape[1:], what) for value in values])


def _number(value: Any, what: str) -> float:
    # NaN is not less than anything, and so isn't taken either.
    if type(value) not in {int, float} or not abs(value) <= sys.float_info.max:
        raise UserError(f"{what} is {str(value)[:40]!r}; it must be a finite number")
    return float(value)


def _quality(document: Any, source: str) -> Quality:
    names = {field.name for field in fields(Quality)}
    if not isinstance(document, dict) or set(document) != names:
        raise UserError(f"{source}: quality must have the fields {', '.join(sorted(names))}")
    figures: dict[str, Any] = {}
    for name, value in document.items():
        is_count = name in {"architectures", "forwards", "held_out"}
        if value is None and not is_count:
            figures[name] = math.nan  # JSON has no NaN
            continue
        number = _number(value, f"{source}: quality.{name}")
        figures[name] = int(number) if is_count else number
    return Quality(**figures)
