"""ONNX files counted: by hand, file against module, and refused by the operator's name."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from unas.common.errors import UserError
from unas.graphs.onnx import export_onnx
from unas.graphs.onnx_size import OnnxSize, count_onnx
from unas.graphs.quick_onnx import direct_onnx
from unas.graphs.size import count_macs, count_parameters


def graph_of(
    nodes: list[onnx.NodeProto],
    constants: Sequence[tuple[str, torch.Tensor]] = (),
    image: tuple[str | int, ...] = ("batch", 3, 8, 8),
    images: int = 1,
) -> onnx.ModelProto:
    inputs = [
        onnx.helper.make_tensor_value_info(f"images{n}", 1, list(image)) for n in range(images)
    ]
    output = onnx.helper.make_tensor_value_info("out", 1, [f"d{n}" for n in range(len(image))])
    initializers = [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in constants]
    graph = onnx.helper.make_graph(nodes, "g", inputs, [output], initializers)
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )


def saved(model: onnx.ModelProto, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_matrix_products_and_transposed_convolutions_by_hand(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    nodes = [
        make("ConvTranspose", ["images0", "w"], ["up"], strides=[2, 2]),  # 3·8·8 inputs × 5·2·2
        make("MatMul", ["up", "m"], ["out"]),  # [1, 5, 16, 16] × [16, 7]
    ]
    path = saved(
        graph_of(nodes, [("w", torch.ones(3, 5, 2, 2)), ("m", torch.ones(16, 7))]), tmp_path
    )
    size = count_onnx(path)
    assert size.macs == 3 * 8 * 8 * 5 * 4 + 5 * 16 * 7 * 16
    assert size.parameters == 60 + 112
    assert size.memory == 4 * (5 * 16 * 16 + 5 * 16 * 7)


def test_weights_in_constant_nodes_count_as_initializers_do(tmp_path: Path) -> None:
    shape = (3, 12, 12)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, groups=3), nn.ReLU6(), nn.Flatten(), nn.LazyLinear(4)
    )
    network.eval()(torch.zeros(1, *shape))
    model = direct_onnx(network, shape)
    before = count_onnx(saved(model, tmp_path))
    assert before.parameters == count_parameters(network)
    nodes = [
        onnx.helper.make_node("Constant", [], [weight.name], value=weight)
        for weight in model.graph.initializer
    ]
    nodes.append(onnx.helper.make_node("Constant", [], ["more"], value_floats=[1.0, 2.0]))
    nodes.append(onnx.helper.make_node("Constant", [], ["scalar"], value_float=1.0))
    del model.graph.initializer[:]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    after = count_onnx(saved(model, tmp_path))
    assert after.parameters == before.parameters + 2
    assert (after.macs, after.memory) == (before.macs, before.memory)


@pytest.mark.parametrize("kind", ["initializer", "node"])
def test_sparse_weights_are_refused(kind: str, tmp_path: Path) -> None:
    make = onnx.helper.make_node
    values = onnx.helper.make_tensor("w", 1, [1], [1.0])
    sparse = onnx.helper.make_sparse_tensor(
        values, onnx.helper.make_tensor("i", 7, [1], [3]), [8, 8]
    )
    nodes = [make("Constant", [], ["w"], sparse_value=sparse)] if kind == "node" else []
    model = graph_of([*nodes, make("MatMul", ["images0", "w"], ["out"])])
    if kind == "initializer":
        model.graph.sparse_initializer.append(sparse)
    with pytest.raises(UserError, match="has sparse weights, which can't be counted"):
        count_onnx(saved(model, tmp_path))


def test_files_that_cannot_be_counted_give_one_line(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    relu = [make("Relu", ["images0"], ["out"])]
    branch = onnx.helper.make_graph(
        [make("Relu", ["images0"], ["b"])],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("b", 1, ["d0", "d1", "d2", "d3"])],
    )
    control = [make("If", ["c"], ["out"], then_branch=branch, else_branch=branch)]
    cases = {
        "takes 2 inputs": (
            graph_of([make("Add", ["images0", "images1"], ["out"])], images=2),
            None,
        ),
        "takes an input of 2 axes": (graph_of(relu, image=("batch", 3)), None),
        "leaves the size of its images open": (graph_of(relu, image=("batch", 3, "h", "w")), None),
        "not [3, 9, 9]": (graph_of(relu), (3, 9, 9)),
        "control flow": (graph_of(control, [("c", torch.tensor(True))]), None),
    }
    for part, (model, shape) in cases.items():
        with pytest.raises(UserError) as error:
            assert count_onnx(saved(model, tmp_path), shape).macs
        assert part in str(error.value)
        assert "\n" not in str(error.value)
    assert (
        count_onnx(saved(graph_of(relu, image=("batch", 3, "h", "w")), tmp_path), (3, 8, 8)).memory
        == 4 * 192
    )
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    for path, part in (
        (tmp_path / "model.onnx", "is no ONNX file"),
        (tmp_path / "none.onnx", "doesn't exist"),
    ):
        with pytest.raises(UserError, match=part):
            count_onnx(path)


def size_of(
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    directory: Path,
    image: tuple[str | int, ...] = ("batch", 3, 8, 8),
    kind: int = onnx.TensorProto.FLOAT,
) -> OnnxSize:
    """Return the size of a graph from "images" to "out", of two axes."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", kind, list(image))],
        [helper.make_tensor_value_info("out", kind, ["b", "n"])],
        [numpy_helper.from_array(weight, name) for name, weight in weights.items()],
    )
    domains = {"": 18, "com.microsoft": 1, "com.example": 1}
    opsets = [helper.make_opsetid(name, version) for name, version in domains.items()]
    return count_onnx(
        saved(helper.make_model(graph, opset_imports=opsets, ir_version=10), directory)
    )


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_an_einsum_is_a_product(tmp_path: Path) -> None:
    make = helper.make_node
    nodes = [
        make("Einsum", ["images", "w"], ["y"], equation="bchw,cd->bdhw"),
        make("GlobalAveragePool", ["y"], ["p"]),
        make("Flatten", ["p"], ["f"]),
        make("Gemm", ["f", "k"], ["out"]),
    ]
    size = size_of(nodes, {"w": floats(3, 64), "k": floats(64, 10)}, tmp_path)
    assert size.macs == 64 * 64 * 3 + 640 == 12_928
    assert size.parameters == 3 * 64 + 640


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float64"])
def test_weights_of_every_type_count(kind: str, tmp_path: Path) -> None:
    make = helper.make_node
    nodes = [
        make("Flatten", ["images"], ["f"]),
        make("Cast", ["q"], ["w"], to=onnx.TensorProto.FLOAT),
        make("MatMul", ["f", "w"], ["out"]),
    ]
    size = size_of(nodes, {"q": np.zeros((192, 10), kind)}, tmp_path)
    assert size.parameters == size.macs == 1_920


def test_numbers_that_only_say_where_are_no_parameters(tmp_path: Path) -> None:
    make = helper.make_node
    nodes = [
        make("Shape", ["images"], ["shape"]),
        make("Gather", ["shape", "zero"], ["batch"]),
        make("Concat", ["batch", "minus_one"], ["flat"], axis=0),
        make("Reshape", ["images", "flat"], ["f"]),
        make("Gather", ["f", "chosen"], ["g"], axis=1),
        make("Gemm", ["g", "w"], ["out"]),
    ]
    indices = {"zero": [0], "minus_one": [-1], "chosen": list(range(50))}
    weights = {name: np.array(values, np.int64) for name, values in indices.items()}
    size = size_of(nodes, {**weights, "w": floats(50, 4)}, tmp_path)
    assert size.parameters == size.macs == 200


def test_only_what_is_asked_is_counted(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mystery", ["images"], ["f"], domain="com.example"),
        helper.make_node("MatMul", ["f", "w"], ["out"]),
    ]
    with pytest.raises(UserError, match=r"model.onnx: com.example.Mystery is an operator"):
        assert size_of(nodes, {"w": floats(7, 3)}, tmp_path).macs
    with pytest.raises(UserError, match=r"com.example.Mystery .* may hold weights"):
        assert size_of(nodes, {"w": floats(7, 3)}, tmp_path).parameters
    nodes[0] = helper.make_node("Det", ["images"], ["f"])
    size = size_of(nodes, {"w": floats(3, 3)}, tmp_path)
    assert size.parameters == 9
    assert size.memory == 4 * (192 + 3)
    with pytest.raises(UserError, match=r"model.onnx: Det is an operator whose multiply-adds"):
        assert size.macs


def test_sizes_that_an_image_decides_are_refused(tmp_path: Path) -> None:
    make = helper.make_node
    nodes = [
        make("NonZero", ["images"], ["places"]),
        make("Cast", ["places"], ["p"], to=onnx.TensorProto.FLOAT),
        make("Transpose", ["p"], ["t"]),
        make("MatMul", ["t", "w"], ["out"]),
    ]
    # Of a black image it would be nothing.
    with pytest.raises(
        UserError, match="how large 'places' of NonZero is depends on what an image"
    ):
        assert size_of(nodes, {"w": floats(4, 64)}, tmp_path).macs


def test_a_product_of_weights_alone_belongs_to_no_image(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["w"]),
        helper.make_node("MatMul", ["images", "w"], ["out"]),
    ]
    size = size_of(nodes, {"a": floats(8, 2), "b": floats(2, 8)}, tmp_path)
    assert size.macs == 3 * 8 * 8 * 8
    assert size.parameters == 32


@pytest.mark.parametrize(
    ("kind", "gates", "biases"), [("LSTM", 4, 8), ("GRU", 3, 6), ("RNN", 1, 2)]
)
def test_recurrent_cells_by_hand(kind: str, gates: int, biases: int, tmp_path: Path) -> None:
    make = helper.make_node
    nodes = [
        make("Squeeze", ["images", "axis"], ["sequence"]),  # [1, 8, 8]: batch, steps, values
        make("Transpose", ["sequence"], ["steps"], perm=[1, 0, 2]),
        make(
            kind, ["steps", "w", "r", "bias"], ["", "out"], hidden_size=5, direction="bidirectional"
        ),
    ]
    weights = {"w": floats(2, gates * 5, 8), "r": floats(2, gates * 5, 5)}
    weights |= {"bias": floats(2, biases * 5), "axis": np.array([1])}
    size = size_of(nodes, weights, tmp_path, ("batch", 1, 8, 8))
    assert size.macs == 8 * 2 * gates * 5 * (8 + 5)
    assert size.parameters == 2 * gates * 5 * (8 + 5) + 2 * biases * 5


def test_a_fixed_number_of_images_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["images"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["out"]),
    ]
    size = size_of(nodes, {"w": floats(192, 10)}, tmp_path, (4, 3, 8, 8))
    assert size.parameters == 1_920
    for figure in ("macs", "memory"):
        with pytest.raises(UserError, match=r"model.onnx: it takes 4 images at once"):
            getattr(size, figure)


def test_float16_and_uint8_images_are_counted(tmp_path: Path) -> None:
    product = helper.make_node("MatMul", ["images", "w"], ["out"])
    half = size_of(
        [product], {"w": np.zeros((8, 5), np.float16)}, tmp_path, kind=onnx.TensorProto.FLOAT16
    )
    assert (half.macs, half.memory) == (3 * 8 * 5 * 8, 2 * (192 + 120))
    cast = helper.make_node("Cast", ["images"], ["x"], to=onnx.TensorProto.FLOAT)
    nodes = [cast, helper.make_node("MatMul", ["x", "w"], ["y"])]
    nodes.append(helper.make_node("Cast", ["y"], ["out"], to=onnx.TensorProto.UINT8))
    whole = size_of(nodes, {"w": floats(8, 5)}, tmp_path, kind=onnx.TensorProto.UINT8)
    assert (whole.macs, whole.memory) == (3 * 8 * 5 * 8, 4 * (192 + 120))


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()
        )
        self.head = nn.Linear(8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images).mean((2, 3)))


def test_what_onnx_runtime_optimised_is_counted_or_named(tmp_path: Path) -> None:
    network = Convolutional().eval()
    plain = direct_onnx(network, (3, 8, 8)).SerializeToString()
    path = tmp_path / "optimised.onnx"

    def optimised(level: onnxruntime.GraphOptimizationLevel) -> OnnxSize:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(plain, options, providers=["CPUExecutionProvider"])
        return count_onnx(path)

    fused = optimised(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    assert "FusedConv" in {node.op_type for node in onnx.load(path).graph.node}
    assert fused.macs == count_macs(network, (3, 8, 8))
    assert fused.parameters == count_parameters(network)
    reordered = optimised(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    kinds = {node.domain for node in onnx.load(path).graph.node}
    if "com.microsoft.nchwc" in kinds:  # on processors that it has kernels for
        with pytest.raises(UserError, match=r"com\.microsoft\.nchwc\.\w+ is an operator"):
            assert reordered.macs


def test_quantised_operators_are_counted(tmp_path: Path) -> None:
    make, one, zero = helper.make_node, np.array(1, np.float32), np.array(0, np.uint8)
    nodes = [
        make("QuantizeLinear", ["images", "s", "z"], ["x"]),
        make("QLinearConv", ["x", "s", "z", "w", "s", "z", "s", "z", "bias"], ["y"]),
        make("QLinearGlobalAveragePool", ["y", "s", "z", "s", "z"], ["p"], domain="com.microsoft"),
        make("Flatten", ["p"], ["f"]),
        make("QGemm", ["f", "s", "z", "k", "s", "z", "", "s", "z"], ["g"], domain="com.microsoft"),
        make("DequantizeLinear", ["g", "s", "z"], ["out"]),
    ]
    weights: dict[str, np.ndarray] = {"s": one, "z": zero, "w": np.zeros((6, 3, 3, 3), np.uint8)}
    weights |= {"bias": np.zeros(6, np.int32), "k": np.zeros((6, 10), np.uint8)}
    size = size_of(nodes, weights, tmp_path)
    assert size.macs == 6 * 6 * 6 * 27 + 60
    assert size.parameters == 162 + 6 + 60
    assert size.memory == 4 * 192 + 192  # the image and its quantised copy


class Recurrent(nn.Module):
    """Its shapes come from the batch, where onnx's inference loses them."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(images[:, 0])[0][:, -1])


class Transformer(nn.Module):
    """A learned token goes through a layer of its own, once for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 2, 2)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.before = nn.Linear(16, 16)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.left, self.right = nn.Parameter(torch.randn(16, 4)), nn.Parameter(torch.randn(4, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.patches(images).flatten(2).transpose(1, 2)
        token = self.before(self.token.expand(images.shape[0], -1, -1))
        tokens = self.layer(torch.cat([token, patches], 1))
        return tokens[:, 0] @ (self.left @ self.right)  # a product of weights alone


class Unusual(nn.Module):
    """Products that are no layers, and layers that are no Conv2d."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Conv1d(8, 16, 3, padding=1)
        self.volume = nn.Conv3d(1, 2, 3, padding=1)
        self.up = nn.ConvTranspose2d(2, 3, 2, 2)
        self.weight = nn.Parameter(torch.randn(3, 32, 5))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = self.rows(images[:, 0])
        volume = self.volume(rows[:, None, None]).squeeze(2)
        return torch.einsum("bcn,cnm->bcm", self.up(volume).mean(3), self.weight).mean(1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Recurrent, Transformer, Unusual])
def test_macs_of_a_module_are_those_of_its_file(kind: type[nn.Module], tmp_path: Path) -> None:
    network, path = kind().eval(), tmp_path / "model.onnx"
    export_onnx(network, (1, 8, 8), path, {})
    assert count_onnx(path).macs == count_macs(network, (1, 8, 8)) > 0


@pytest.mark.slow
def test_a_file_whose_shapes_come_from_the_batch_is_counted(tmp_path: Path) -> None:
    network, path = Recurrent().eval(), tmp_path / "model.onnx"
    export_onnx(network, (1, 8, 8), path, {})
    size = count_onnx(path)
    assert size.parameters == count_parameters(network)
    assert size.macs == 8 * 4 * 16 * (8 + 16) + 160
    assert size.memory > 4 * 64


@pytest.mark.parametrize("data_type", [33, 99])
def test_a_type_that_onnx_has_not_is_one_line(tmp_path: Path, data_type: int) -> None:
    model = graph_of([onnx.helper.make_node("Add", ["images0", "w"], ["out"])])
    weight = onnx.TensorProto(name="w", dims=[1], data_type=data_type, raw_data=b"0000")
    model.graph.initializer.append(weight)
    with pytest.raises(UserError, match=f"type number {data_type}, which is no type of a tensor"):
        _ = count_onnx(saved(model, tmp_path)).memory


def test_a_constant_without_a_value_is_one_line(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("Constant", [], ["w"]),
        onnx.helper.make_node("Add", ["images0", "w"], ["out"]),
    ]
    with pytest.raises(UserError, match="'w' of Constant has 0 values"):
        _ = count_onnx(saved(graph_of(nodes), tmp_path)).parameters
