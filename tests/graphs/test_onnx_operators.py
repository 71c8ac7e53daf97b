"""Every operator of onnx's own node tests, against a count that is made by running them.

The count lets every factor be one. Each multiply-add then adds one to a sum, and the sum of all
results is their number.
"""

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unas.common.errors import UserError
from unas.graphs.onnx_macs import is_judged, is_product, macs_of_product, require_judged
from unas.graphs.onnx_values import name_of

Shape = Sequence[int]
Shapes = dict[str, tuple[int, ...]]
EXPANDED = "_expanded"  # at the end of the name of a case that is written in simpler operators


def sum_of_ones(kind: str, shapes: Sequence[Shape], **attributes: Any) -> int:
    """Run an operator on ones, and add up what comes out."""
    names = [f"x{position}" for position in range(len(shapes))]
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], **attributes)],
        "ones",
        [helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, None) for name in names],
        [helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    feed = {name: np.ones(shape) for name, shape in zip(names, shapes, strict=True)}
    (result,) = ReferenceEvaluator(model).run(None, feed)
    return int(result.sum())


@dataclass(frozen=True)
class Call:
    """The shapes of an operator's inputs and first result, and its attributes."""

    inputs: list[Shape]
    result: Shape
    attributes: dict[str, Any]


def of_convolution(call: Call) -> int:
    """Count padding as what it is: values that are multiplied like all others."""
    images, weight = call.inputs[:2]
    axes = len(weight) - 2
    strides = call.attributes.get("strides", [1] * axes)
    dilations = call.attributes.get("dilations", [1] * axes)
    padded = [
        (size - 1) * stride + (kernel - 1) * dilation + 1
        for size, stride, kernel, dilation in zip(
            call.result[2:], strides, weight[2:], dilations, strict=True
        )
    ]
    group = call.attributes.get("group", 1)
    options = {"strides": strides, "dilations": dilations, "group": group}
    return sum_of_ones("Conv", [(*images[:2], *padded), weight], **options)


def of_quantised_convolution(call: Call) -> int:
    return of_convolution(replace(call, inputs=[call.inputs[0], call.inputs[3]]))


def of_transposed_convolution(call: Call) -> int:
    """Count what is cut off from the result, too."""
    known = {"strides", "dilations", "group"}
    options = {name: value for name, value in call.attributes.items() if name in known}
    return sum_of_ones("ConvTranspose", call.inputs[:2], **options)


def of_product(call: Call) -> int:
    return sum_of_ones("MatMul", call.inputs[:2])


def of_quantised_product(call: Call) -> int:
    return sum_of_ones("MatMul", [call.inputs[0], call.inputs[3]])


def of_gemm(call: Call) -> int:
    options = {name: call.attributes.get(name, 0) for name in ("transA", "transB")}
    return sum_of_ones("Gemm", call.inputs[:2], **options)


def of_affine_grid(call: Call) -> int:
    batch, *positions, axes = call.result
    homogeneous = (batch, math.prod(positions), axes + 1)
    return sum_of_ones("MatMul", [homogeneous, (batch, axes + 1, axes)])


def of_einsum(call: Call) -> int:
    """Leave out what sums over nothing, as Mul does, and what has nothing to multiply."""
    total = sum_of_ones("Einsum", call.inputs, equation=call.attributes["equation"])
    is_product = len(call.inputs) > 1 and total > math.prod(call.result)
    return total if is_product else 0


def of_recurrent_cell(layer: Callable[..., nn.Module]) -> Callable[[Call], int]:
    """Count with PyTorch's layer of the same size, and PyTorch's counter."""

    def count(call: Call) -> int:
        (first, second, values), weight = call.inputs[:2]
        is_bidirectional = weight[0] == 2
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            network = layer(values, call.attributes["hidden_size"], bidirectional=is_bidirectional)
            network(torch.empty(first, second, values))
        return counter.get_total_flops() // 2

    return count


BY_RUNNING: dict[str, Callable[[Call], int]] = {
    "AffineGrid": of_affine_grid,
    "Conv": of_convolution,
    "ConvInteger": of_convolution,
    "ConvTranspose": of_transposed_convolution,
    "DeformConv": of_convolution,
    "Einsum": of_einsum,
    "GRU": of_recurrent_cell(nn.GRU),
    "Gemm": of_gemm,
    "LSTM": of_recurrent_cell(nn.LSTM),
    "MatMul": of_product,
    "MatMulInteger": of_product,
    "QLinearConv": of_quantised_convolution,
    "QLinearMatMul": of_quantised_product,
    "RNN": of_recurrent_cell(nn.RNN),
}


def counted_by_running(graph: onnx.GraphProto, shapes: Shapes) -> int:
    total = 0
    for node in graph.node:
        if node.op_type in BY_RUNNING:
            inputs: list[Shape] = [shapes.get(name, ()) for name in node.input]
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            call = Call(inputs, shapes.get(node.output[0], ()), attributes)
            total += BY_RUNNING[node.op_type](call)
    return total


def shapes_of(case: TestCase) -> Shapes:
    """Return the shapes of all values of a case, by running it."""
    assert case.data_sets is not None
    inputs, outputs = case.data_sets[0]
    graph = case.model.graph
    known = [value.name for value in (*graph.input, *graph.output)]
    values = dict(zip(known, (*inputs, *outputs), strict=True))
    if len(graph.node) > 1:
        feed = {value.name: values[value.name] for value in graph.input}
        values |= ReferenceEvaluator(case.model).run(None, feed, intermediate=True)
    return {name: np.shape(value) for name, value in values.items() if hasattr(value, "shape")}


@pytest.fixture(scope="module")
def cases() -> dict[str, TestCase]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that a type can't hold, on purpose
        return {case.name: case for case in collect_testcases(None)}


def products_of(cases: dict[str, TestCase]) -> Iterator[TestCase]:
    for case in cases.values():
        nodes = case.model.graph.node
        if all(is_judged(node) for node in nodes) and any(is_product(node) for node in nodes):
            yield case


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of masks that leave nothing
def test_products_are_counted_as_they_are_run(cases: dict[str, TestCase]) -> None:
    counted: Counter[str] = Counter()
    for case in products_of(cases):
        shapes = shapes_of(case)
        nodes = case.model.graph.node
        macs = sum(macs_of_product(node, shapes) for node in nodes if is_product(node))
        expected = counted_by_running(case.model.graph, shapes)
        if not any(node.op_type in BY_RUNNING for node in nodes):
            # An operator that is defined by simpler ones.
            twin = cases[case.name + EXPANDED]
            expected = counted_by_running(twin.model.graph, shapes_of(twin))
        assert macs == expected, case.name
        counted.update({name_of(node) for node in nodes if is_product(node)})
    assert sum(counted.values()) > 200
    assert {"Attention", "Conv", "Einsum", "Gemm", "LSTM", "QLinearConv"} <= counted.keys()


@pytest.mark.slow
def test_what_is_free_has_no_product_in_its_definition(cases: dict[str, TestCase]) -> None:
    compared = 0
    for name, case in cases.items():
        nodes = case.model.graph.node
        is_free = all(is_judged(node) and not is_product(node) for node in nodes)
        twin = cases.get(name + EXPANDED)
        if is_free and twin is not None:
            assert not any(is_product(node) for node in twin.model.graph.node), name
            compared += 1
    assert compared > 100


@pytest.mark.slow
def test_operators_that_nobody_has_judged_are_named(cases: dict[str, TestCase]) -> None:
    refused = set()
    for case in cases.values():
        for node in case.model.graph.node:
            if not is_judged(node):
                refused.add(name_of(node))
                with pytest.raises(UserError, match=f"^{re.escape(name_of(node))} is an operator"):
                    require_judged(node)
    assert "DFT" in refused


# What says "convolution" or "attention" in its description, and multiplies no matrices.
ONLY_MENTIONED = {"Col2Im", "LRN", "RotaryEmbedding", "TensorScatter"}
PRODUCT = re.compile(
    r"convol|matrix.{0,12}mult|mat ?mul|recurrent|attention|dot.product|gemm|einstein",
    re.IGNORECASE,
)


def test_what_is_described_as_a_product_is_not_free() -> None:
    described = 0
    for schema in onnx.defs.get_all_schemas():
        node = onnx.NodeProto(op_type=schema.name, domain=schema.domain)
        inner = schema.function_body.node
        if PRODUCT.search(schema.doc or "") or any(is_product(part) for part in inner):
            described += 1
            is_free = is_judged(node) and not is_product(node)
            assert not is_free or schema.name in ONLY_MENTIONED, schema.name
    assert described > 10
