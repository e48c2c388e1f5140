"""Network, layout, arrays and charts: what is drawn, and that any viewer can show it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise

import onnx
import onnx.helper as oh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpucc.cli.drawings import drawings
from rpucc.compiler.compile import compile_model
from rpucc.placement import Block
from rpucc.program import Program
from rpucc.report.drawings.arrays import (
    MOST_BLOCKS,
    PICTURE_WIDTH,
    array_pictures,
    cells,
    picture_drawing,
)
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.drawings.latency import cycle_seconds, latency_drawing
from rpucc.report.drawings.layout import isotonic, layout, ranks
from rpucc.report.drawings.network import COLUMN, network_columns
from rpucc.report.drawings.network_graph import Window, network
from rpucc.report.drawings.svg import fit
from rpucc.report.text.plan import total_lines
from rpucc.target.target import Target

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def lenet() -> Program:
    return compile_model("lenet", "rpu-managed", verify=False)


def residual(blocks: int) -> onnx.ModelProto:
    """Dense layers of 4 × 4 with a skip connection over each."""
    nodes, weights, x = [], [], "x"
    for i in range(blocks):
        weights.append(oh.make_tensor(f"w{i}", 1, (4, 4), [0.1] * 16))
        nodes += [
            oh.make_node("MatMul", [x, f"w{i}"], [f"m{i}"], name=f"fc{i}"),
            oh.make_node("Add", [f"m{i}", x], [f"a{i}"], name=f"add{i}"),
            oh.make_node("Relu", [f"a{i}"], [f"r{i}"], name=f"relu{i}"),
        ]
        x = f"r{i}"
    values = [oh.make_tensor_value_info(name, 1, ["N", 4]) for name in ("x", x)]
    graph = oh.make_graph(nodes, "residual", values[:1], values[1:], weights)
    return oh.make_model(graph, opset_imports=[oh.make_opsetid("", 21)])


def one_kind(rows: int, cols: int, *more: str) -> Target:
    kind = [f"array.0.rows={rows}", f"array.0.cols={cols}"]
    target = Target.load("ideal", overrides=[*kind, *more])
    return target.model_copy(update={"arrays": target.arrays[:1]})


# ---------------------------------------------------------------- the network


def test_digital_work_goes_with_the_layer_before(lenet: Program) -> None:
    found = network(lenet)
    assert [(node.layer, node.ops) for node in found.nodes] == [
        ("conv1", ("Tanh", "MaxPool")),
        ("conv2", ("Tanh", "MaxPool", "Flatten")),
        ("fc1", ("Tanh",)),
        ("fc2", ("SoftmaxCrossEntropyLoss",)),
    ]
    assert found.edges == ((0, 1), (1, 2), (2, 3))
    assert found.nodes[0].names == ("tanh1", "pool1")


@pytest.mark.parametrize("training", [False, True])
def test_what_joins_two_branches_stands_alone(training: bool) -> None:
    program = compile_model(
        residual(2), one_kind(8, 8), training=training, loss="mse", verify=False
    )
    found = network(program)
    shown = [(node.layer, node.ops[:2]) for node in found.nodes]
    assert shown[:2] == [("fc0", ()), (None, ("Add", "Relu"))]
    assert found.edges[:4] == ((0, 1), (1, 2), (1, 3), (2, 3))
    assert found.sources == {"x": (0, 1)}  # the first skip connection begins at the input


def test_a_matrix_that_two_places_read_is_drawn_at_both() -> None:
    program = compile_model(residual(2), one_kind(8, 8), training=False, verify=False)
    first, second = (node for node in program.model.graph if node.op_type == "Read")
    second.replace_input_with(1, first.inputs[1])
    scene = Scene(Program(program.model))
    assert [layer.name for layer in scene.plan.layers] == ["fc0"]
    assert [node.layer for node in scene.network.nodes if node.layer] == ["fc0", "fc0"]
    (drawing,) = network_columns(scene, links=True).drawings
    assert drawing.body.count('href="#layer-0"') == 2


def test_a_long_network_is_broken_into_columns() -> None:
    scene = Scene(compile_model(residual(40), one_kind(8, 8), training=False, verify=False))
    found = network_columns(scene, links=True)
    columns = found.drawings
    assert len(columns) >= 3
    assert len(columns) == 2 * found.per_row  # whole rows of a page
    assert len({column.width for column in columns}) == 1  # one scale where a page shrinks them
    assert all(column.height < 1.5 * COLUMN for column in columns)
    body = "".join(column.body for column in columns)
    for i in range(40):
        assert body.count(f'href="#layer-{i}"') == 1
    assert body.count(">continued<") == 2 * (len(columns) - 1)  # text and title


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (Window((3, 3), (1, 1), (1, 1)), "3 × 3"),
        (Window((7, 7), (2, 2), (1, 1)), "7 × 7, stride 2"),
        (Window((1, 9), (1, 2), (1, 1)), "1 × 9, stride 1 × 2"),
        (Window((5,), (1,), (4,)), "5, dilation 4"),
        (Window((2, 2), (2, 2), (1, 1), transposed=True), "transposed 2 × 2, stride 2"),
    ],
)
def test_windows_in_words(window: Window, text: str) -> None:
    assert str(window) == text


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rule", [[], ["layer.*.analog=false"]])
def test_nodes_show_window_reads_and_shape(training: bool, rule: list[str]) -> None:
    program = compile_model("unet", "ideal", training=training, overrides=rule, verify=False)
    nodes = {node.layer: node for node in network(program).nodes}
    assert str(nodes["down1.conv1"].window) == "3 × 3"
    assert nodes["down1.conv1"].shape == (16, 64, 64)
    assert str(nodes["up2"].window) == "transposed 2 × 2, stride 2"
    assert nodes["up2"].shape == (32, 32, 32)
    body = "".join(d.body for d in network_columns(Scene(program), links=False).drawings)
    assert ">→ 16 × 64 × 64<" in body
    assert (">4,096 reads<" in body) == (not rule)
    assert (">digital<" in body) == bool(rule)


def test_every_layer_that_is_as_slow_is_marked() -> None:
    """Two layers of one shape on one kind of array; and the copies of a layer share its reads."""
    target = one_kind(8, 8)
    scene = Scene(compile_model(residual(3), target, training=False, verify=False))
    assert [layer.is_bottleneck for layer in scene.plan.layers] == [True] * 3
    assert [layer.name for layer in scene.plan.bottlenecks] == ["fc0", "fc1", "fc2"]
    assert scene.plan.bottleneck == "fc0"
    body = "".join(d.body for d in network_columns(scene, links=False).drawings)
    assert body.count('class="slow"') == 3
    assert latency_drawing(scene.plan).body.count('class="slow-text"') == 6  # names and times
    assert "fc0, 2 layers as slow" in latency_drawing(scene.plan).label
    assert dict(total_lines(scene.plan))["bottleneck"].startswith(
        "fc0 and 2 layers as slow: 1 read"
    )


def test_copies_are_in_the_box_of_a_layer() -> None:
    target = Target.load("ideal", ["layer.conv1.mapping.replicas=16"])
    scene = Scene(compile_model("lenet", target, training=False, verify=False))
    (drawing,) = network_columns(scene, links=False).drawings
    assert ">36 reads × 16<" in drawing.body


# ---------------------------------------------------------------- layout


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 12))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20)) if pairs else []
    return count, edges


@given(graphs())
def test_nodes_do_not_overlap_and_edges_go_down(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    sizes = [(20.0 + 7 * i, 10.0 + i) for i in range(count)]
    found = layout(sizes, edges, (5.0, 8.0))
    rank = ranks(count, edges)
    for a in range(count):
        x, y = found.corners[a]
        assert -1e-6 <= x <= x + sizes[a][0] <= found.width + 1e-6
        assert 0 <= y <= y + sizes[a][1] <= found.height + 1e-6
        for b in range(a):
            if rank[a] == rank[b]:
                left, right = sorted((a, b), key=lambda i: found.corners[i][0])
                gap = found.corners[right][0] - found.corners[left][0] - sizes[left][0]
                assert gap >= 5.0 - 1e-6
    for (a, b), route in zip(edges, found.routes, strict=True):
        assert rank[a] < rank[b]
        heights = [y for _, y in route]
        assert heights == sorted(heights)
        assert route[0][1] == pytest.approx(found.corners[a][1] + sizes[a][1])
        assert route[-1] == pytest.approx(
            (found.corners[b][0] + sizes[b][0] / 2, found.corners[b][1])
        )


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_isotonic(values: list[float]) -> None:
    found = isotonic(values)
    assert all(b >= a - 1e-9 for a, b in pairwise(found))
    assert sum(found) == pytest.approx(sum(values), abs=1e-6)
    steady = sorted(values)
    assert isotonic(steady) == pytest.approx(steady)
    error = sum((a - b) ** 2 for a, b in zip(found, values, strict=True))
    mean = sum(values) / len(values)
    assert error <= sum((mean - v) ** 2 for v in values) + 1e-6  # a constant is non-decreasing


@given(st.text(min_size=1), st.floats(20, 300))
def test_cut_names_keep_both_ends(text: str, width: float) -> None:
    cut = fit(text, width)
    assert cut == text or (len(cut) < len(text) and "…" in cut and cut[0] == text[0])
    assert len(cut) <= max(len(text), 3)


# ---------------------------------------------------------------- arrays


def _blocks(pictures: object) -> list[Block]:
    return [block for p in pictures for _, blocks in p.arrays for block in blocks]  # type: ignore[attr-defined]


@pytest.mark.parametrize("share", [False, True])
def test_every_block_is_drawn_once(share: bool) -> None:
    target = one_kind(64, 200, f"placement.share={str(share).lower()}")
    scene = Scene(compile_model("lenet", target, training=False, verify=False))
    pictures = array_pictures(scene)
    assert sorted(_blocks(pictures)) == sorted(scene.placement.blocks())
    arrays = [array for picture in pictures for array, _ in picture.arrays]
    assert sorted(arrays) == list(range(scene.placement.arrays[scene.kinds[0].name]))
    assert any(picture.shared for picture in pictures) == share


def test_a_grid_stands_as_the_matrix_is_cut(lenet: Program) -> None:
    scene = Scene(compile_model("lenet", one_kind(16, 100), training=False, verify=False))
    conv2 = next(p for p in array_pictures(scene) if p.layers == ("conv2",))
    layer = scene.layer("conv2")
    assert conv2.columns == layer.grid[1] == 4
    assert len(conv2.arrays) == layer.tiles == 8
    drawing = picture_drawing(scene, conv2)
    frames, blocks = (path for path in drawing.body.split("<path")[1:])
    assert frames.count("M") == blocks.count("M") == 8


@pytest.mark.parametrize("copies", [1, 3, 40])
def test_copies_stand_side_by_side(copies: int) -> None:
    target = one_kind(16, 100, f"layer.conv2.mapping.replicas={copies}")
    scene = Scene(compile_model("lenet", target, training=False, verify=False))
    conv2 = next(p for p in array_pictures(scene) if p.layers == ("conv2",))
    assert (conv2.each, conv2.columns, conv2.copies) == (8, 4, copies)
    grid = cells(scene, conv2)
    corners = {}
    for i, (_, (block,)) in enumerate(conv2.arrays):
        corners[block.copy, block.row, block.col] = grid.corner(i)
    assert len(set(corners.values())) == len(corners)
    for copy in range(min(copies, grid.across)):  # the first row: all at one height
        x, y = corners[copy, 0, 0]
        assert (x, y) == pytest.approx((copy * grid.copy_step[0], 0))
        assert corners[copy, 1, 3] == pytest.approx((x + 3 * grid.step[0], grid.step[1]))
    drawing = picture_drawing(scene, conv2)
    assert drawing.width <= PICTURE_WIDTH + 1
    assert (f" in {copies} copies" in drawing.label) == (copies > 1)
    assert grid.across == copies or grid.across * grid.copy_step[0] > PICTURE_WIDTH * 0.7


def test_copies_of_a_grouped_layer_stand_apart() -> None:
    target = Target.load("ideal", ["layer.*depthwise.mapping.replicas=3"])
    program = compile_model("mobilenet-v2-cifar", target, training=False, verify=False)
    scene = Scene(program)
    for picture in array_pictures(scene):
        owners = [{block.copy for block in blocks} for _, blocks in picture.arrays]
        assert all(len(copies) == 1 for copies in owners)
        for i, (copy,) in enumerate(owners):
            assert copy == i // picture.each


def test_what_is_not_drawn_is_said() -> None:
    scene = Scene(compile_model("mlp", one_kind(4, 4), training=False, verify=False))
    first = array_pictures(scene)[0]
    tiles = scene.plan.layers[0].tiles
    assert tiles > MOST_BLOCKS == len(first.arrays)
    assert first.left_out == tiles - MOST_BLOCKS
    label = picture_drawing(scene, first).label
    assert label.endswith(f"; {first.left_out:,} more tiles are not drawn")


# ---------------------------------------------------------------- charts and files


def test_cycles_add_up_to_the_training_time(lenet: Program) -> None:
    times = cycle_seconds(lenet.plan)
    for layer in lenet.plan.analog_layers:
        assert times[layer.name][0] == pytest.approx(layer.seconds)
        assert sum(times[layer.name]) == pytest.approx(layer.training_seconds)


def _files(program: Program) -> Iterator[tuple[str, ET.Element]]:
    for name, text in drawings(program):
        yield name, ET.fromstring(text)


def test_files_need_nothing_but_svg(lenet: Program) -> None:
    names = set()
    for name, root in _files(lenet):
        names.add(name)
        assert root.tag == f"{SVG}svg"
        assert float(root.get("width", "")) > 0
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
            *("svg", "g", "rect", "path", "line", "text", "title")
        }
        assert not any("var(" in v for e in root.iter() for v in e.attrib.values())
        for element in root.iter():  # looks do not hang on a style sheet
            if element.tag in (f"{SVG}rect", f"{SVG}path", f"{SVG}text"):
                assert "fill" in element.attrib
    assert names == {
        *("network.svg", "arrays-small.svg", "arrays-large.svg"),
        *("latency.svg", "pipeline.svg", "training.svg"),
    }


def test_files_hold_hostile_names(lenet: Program) -> None:
    model = residual(1)
    model.graph.node[0].name = "</text><script>alert(1)</script>\x00‮&"
    program = compile_model(model, one_kind(8, 8), training=False, verify=False)
    for _, root in _files(program):
        assert not list(root.iter(f"{SVG}script"))
