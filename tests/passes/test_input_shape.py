"""Models exported with open sizes, and the one size that they are compiled for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.helper as h
import onnx.numpy_helper as nh
import pytest
from click.testing import CliRunner

import rpucc
from rpucc.cli.main import cli
from rpucc.errors import ModelError, UsageError


def open_model(dims: list[str | int | None], inputs: int = 1) -> onnx.ModelProto:
    """Conv, global pooling and a dense layer, as exporters write them for images of any size."""
    rng = np.random.default_rng(0)
    nodes = [
        h.make_node("Conv", ["x", "k"], ["c"], name="c", pads=[1, 1, 1, 1]),
        h.make_node("Relu", ["c"], ["r"], name="r"),
        h.make_node("GlobalAveragePool", ["r"], ["p"], name="p"),
        h.make_node("Flatten", ["p"], ["f"], name="f"),
        h.make_node("Gemm", ["f", "w"], ["y"], name="fc"),
    ]
    more = [h.make_tensor_value_info(f"x{i}", 1, ["N", 1]) for i in range(1, inputs)]
    for value in more:
        nodes[-1].output[0] = f"{value.name}.before"
        nodes.append(h.make_node("Add", [f"{value.name}.before", value.name], ["y"]))
    graph = h.make_graph(
        nodes,
        "open",
        [h.make_tensor_value_info("x", 1, dims), *more],
        [h.make_tensor_value_info("y", 1, ["n", 4])],
        [
            nh.from_array(rng.normal(size=(5, 3, 3, 3)).astype(np.float32), "k"),
            nh.from_array(rng.normal(size=(5, 4)).astype(np.float32), "w"),
        ],
        value_info=[h.make_tensor_value_info("c", 1, ["n", 5, "height", "width"])],
    )
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("dims", [["N", 3, "h", "w"], [None] * 4, [1, 3, "h", 7], [-1, 3, -1, -1]])
def test_the_size_is_taken(dims: list[str | int | None]) -> None:
    program = rpucc.compile(open_model(dims), "ideal", input_shape=(3, 6, 7), verify=True)
    assert program.plan.layers[0].reads_forward == 42


def test_a_batch_of_minus_one_is_open() -> None:
    program = rpucc.compile(open_model([-1, 3, 6, 7]), "ideal", verify=True)
    assert program.fixed_batch is None


def test_without_it_open_sizes_are_refused_and_it_is_named() -> None:
    with pytest.raises(ModelError, match=r"dynamic dimension 2 \('h'\).*\(--input-shape\)"):
        rpucc.compile(open_model(["N", 3, "h", "w"]), "ideal")


@pytest.mark.parametrize("shape", [(3, 6), (3, 6, 7, 1), (1, 6, 7)])
def test_what_the_file_fixes_stays(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"does not fit the input 'x' \[N, 3, h, w\]"):
        rpucc.compile(open_model(["N", 3, "h", "w"]), "ideal", input_shape=shape)


def test_one_input_only() -> None:
    with pytest.raises(UsageError, match=r"for models with one input, this one has 2 \(x, x1\)"):
        rpucc.compile(open_model(["N", 3, "h", "w"], 2), "ideal", input_shape=(3, 6, 7))


def test_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "open.onnx"
    onnx.save(open_model([None] * 4), path)
    run = CliRunner()
    for command in ("compile", "check"):
        done = run.invoke(cli, [command, str(path), "-t", "ideal", "--input-shape", "3,6,7"])
        assert done.exit_code == 0, done.output
        for wrong in ("3,x,7", "3,0,7", "", "3,,7"):
            refused = run.invoke(cli, [command, str(path), "--input-shape", wrong])
            assert refused.exit_code == 2
            assert "as in 3,224,224" in refused.output
