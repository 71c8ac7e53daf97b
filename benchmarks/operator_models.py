"""ONNX models of images with every operator of onnx's own node tests, for `fuzz.py`."""

from __future__ import annotations

import warnings
from typing import cast

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase


def of_images(case: TestCase) -> onnx.ModelProto | None:
    """Return the model of a node test with images as its one input; None of one without tensors.

    They become the first input of the test, and the other inputs are constants.
    """
    inputs = case.data_sets[0][0] if case.data_sets else []
    if not inputs or not all(isinstance(value, np.ndarray) and value.size for value in inputs):
        return None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    first, *others = [value.name for value in graph.input]
    shape = numpy_helper.from_array(np.array(inputs[0].shape, np.int64), "fuzz/shape")
    to_first = [
        helper.make_node("Reshape", ["images", "fuzz/shape"], ["fuzz/values"]),
        helper.make_node(
            "Cast", ["fuzz/values"], [first], to=graph.input[0].type.tensor_type.elem_type
        ),
    ]
    constants = [
        numpy_helper.from_array(value, name)
        for name, value in zip(others, inputs[1:], strict=False)
    ]
    nodes = [*to_first, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.initializer.extend([shape, *constants])
    images = (1, 1, 1, inputs[0].size)
    graph.input.append(helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, images))
    return model


def operator_models() -> list[onnx.ModelProto]:
    """Return a model for each of onnx's own node tests, of images where that can be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that a type can't hold, on purpose
        cases = [case for case in collect_testcases(None) if case.model is not None]
        return [of_images(case) or cast("onnx.ModelProto", case.model) for case in cases]
