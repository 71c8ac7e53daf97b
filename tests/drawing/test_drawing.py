"""Drawings of architectures."""

from __future__ import annotations

import io
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from unas.architecture.genotype import Genotype
from unas.architecture.published import list_genotypes, load_genotype
from unas.drawing import cell_lines, draw_svg, draw_terminal
from unas.drawing.cells import CellEdge, CellGraph, cells_of, operation_label
from unas.drawing.layout import LABEL_WIDTH, lay_out

SVG = "{http://www.w3.org/2000/svg}"
CELLS = [name for name in list_genotypes() if load_genotype(name).space == "darts"]
CHAIN = Genotype("chain", {"layer1": "mbconv_3x3", "layer2<&>": "skip"})
DEEP = Genotype(
    "darts",
    {
        f"normal/node{node}/{kind}{slot}": option
        for node in range(4)
        for slot in (0, 1)
        for kind, option in (("input", str(node + slot)), ("op", "sep_conv_3x3"))
    },
)


def elements(document: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(document).iter(f"{SVG}{tag}"))  # noqa: S314 - we wrote it


@pytest.mark.parametrize("name", CELLS)
def test_svg_has_every_slot_of_the_genotype(name: str) -> None:
    genotype = load_genotype(name)
    edges = [e for e in elements(draw_svg(genotype, name), "path") if e.get("class") == "edge"]
    drawn = sorted(title.text or "" for edge in edges for title in edge)
    states = ["cell k-2", "cell k-1", "node 0", "node 1", "node 2"]
    expected = sorted(
        f"{states[int(genotype.choices[f'{cell}/node{node}/input{slot}'])]} to node {node}: "
        f"{genotype.choices[f'{cell}/node{node}/op{slot}']}"
        for cell in ("normal", "reduction")
        for node in range(4)
        for slot in (0, 1)
    )
    assert drawn == expected


@pytest.mark.parametrize("genotype", [*map(load_genotype, CELLS), DEEP])
def test_boxes_do_not_touch_each_other(genotype: Genotype) -> None:
    document = ElementTree.fromstring(draw_svg(genotype, "x"))  # noqa: S314 - we wrote it
    for cell in document.findall(f".//{SVG}g/{SVG}g"):
        boxes = [
            tuple(float(r.get(k, 0)) for k in ("x", "y", "width", "height"))
            for r in cell.iter(f"{SVG}rect")
        ]
        for i, (x, y, width, height) in enumerate(boxes):
            for other_x, other_y, other_width, other_height in boxes[i + 1 :]:
                apart_x = x + width < other_x or other_x + other_width < x
                assert apart_x or y + height < other_y or other_y + other_height < y


@pytest.mark.parametrize("genotype", [*map(load_genotype, CELLS), DEEP])
def test_edges_run_through_no_box_of_another_node(genotype: Genotype) -> None:
    for cell in cells_of(genotype):
        layout = lay_out(cell)
        for edge in cell.edges:
            rows = [layout.node(node)[1] for node in range(cell.num_nodes)]
            assert rows.count(layout.node(edge.node)[1]) == 1  # a row of its own
            if edge.source >= 2:
                assert layout.layers[edge.source - 2] < layout.layers[edge.node]


def test_labels_fit_into_their_boxes() -> None:
    long = "a_very_long_operation_of_somebody_elses"
    genotype = Genotype("cells", {"c/node0/input0": "0", "c/node0/op0": long})
    (label,) = [
        t for t in elements(draw_svg(genotype, "x"), "text") if t.text == operation_label(long)
    ]
    assert float(label.get("textLength", "inf")) < LABEL_WIDTH


def test_titles_and_options_are_escaped() -> None:
    document = draw_svg(CHAIN, "<b>&\x00\x1b", "a < b")
    texts = [element.text for element in elements(document, "text")]
    assert "<b>&\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}" in texts
    assert "chain space · a < b" in texts
    assert "layer2<&>" in texts


def test_terminal_shows_every_slot() -> None:
    genotype = load_genotype("UNAS_CIFAR10")
    file = io.StringIO()
    draw_terminal(genotype, "UNAS_CIFAR10", "3 parameters", file)
    text = file.getvalue()
    assert len(re.findall(r"──▶ node \d", text)) == 8
    for operation in set(genotype.choices.values()) - {"0", "1", "2", "3", "4"}:
        count = list(genotype.choices.values()).count(operation)
        assert text.count(f" {operation_label(operation)} ") == count


def test_a_chain_is_a_list() -> None:
    file = io.StringIO()
    draw_terminal(CHAIN, "chain", file=file)
    assert re.search(r"layer1 +mbconv_3x3", file.getvalue())
    assert cell_lines(CHAIN) == [("", "mbconv_3x3 skip")]


@pytest.mark.parametrize("name", ["UNAS", "PROXYLESS_GPU"])
def test_svg_has_every_layer_of_a_chain_in_the_colour_of_its_kernel(name: str) -> None:
    genotype = load_genotype(name)
    document = draw_svg(genotype, name)
    labels = [t for t in elements(document, "text") if t.get("class") == "middle"]
    assert [label.text for label in labels] == [
        operation_label(option) for option in genotype.choices.values()
    ]
    assert len(elements(document, "rect")) == 1 + 21  # the card, and a box a layer
    colours = {(re.sub(r" e\d", "", label.text or ""), label.get("style")) for label in labels}
    assert (
        len(colours)
        == len({kernel for kernel, _ in colours})
        == len({style for _, style in colours})
    )


NUMBER = "1" * 5000  # more digits than Python reads as a number
NO_CELLS = [
    {"c/node0/input0": "5", "c/node0/op0": "x"},
    {"c/node0/op0": "x"},
    {"a": "b"},
    {"c/node0/input0": NUMBER, "c/node0/op0": "x"},
    {f"c/node{NUMBER}/input0": "0", f"c/node{NUMBER}/op0": "x"},
    {f"c/node0/input{NUMBER}": "0", f"c/node0/op{NUMBER}": "x"},
]


@pytest.mark.parametrize("choices", NO_CELLS)
def test_what_is_no_cell_is_not_drawn_as_one(choices: dict[str, str]) -> None:
    assert cells_of(Genotype("other", choices)) == ()


def test_the_slots_of_many_nodes_are_found_without_looking_through_all_for_each() -> None:
    class Looked(CellEdge):
        """An edge that counts how often it is asked for its node."""

        times = 0

        def __getattribute__(self, name: str) -> Any:
            Looked.times += name == "node"
            return super().__getattribute__(name)

    cell = CellGraph("c", tuple(Looked(0, node, "x") for node in range(500)))
    Looked.times = 0
    assert [len(cell.slots(node)) for node in range(500)] == [1] * 500
    assert Looked.times <= 1000


def test_cells_are_read_from_names() -> None:
    (normal, reduction) = cells_of(load_genotype("UNAS_CIFAR10"))
    assert (normal.name, reduction.name) == ("normal", "reduction")
    assert isinstance(normal, CellGraph)
    assert reduction.slots(3) == (CellEdge(3, 3, "sep_conv_5x5"), CellEdge(1, 3, "avg_pool_3x3"))
    assert cell_lines(load_genotype("UNAS_CIFAR10"))[0][1].startswith(
        "n0 = sep_conv_5x5(k-2) + skip_connect(k-2)"
    )
