"""`rpucc prune`, training what comes out with its zeros fixed, and what plans say about it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import rpucc
from rpucc import models
from rpucc.constant_weights import INITIAL_WEIGHTS
from rpucc.errors import ArgumentError, ModelError


def weights_of(path: str | Path) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def test_the_smallest_weights_of_each_layer_become_zero(cli, tiny_model) -> None:
    outcome = cli("prune", tiny_model, "--share", 0.75, "-o", "pruned.onnx")
    assert outcome.code == 0, outcome.stderr
    assert [line.split() for line in outcome.stdout.splitlines() if "%" in line] == [
        ["hidden", "96", "72", "75.0", "%"],
        ["classes", "24", "18", "75.0", "%"],
        ["total", "120", "90", "75.0", "%"],
    ]
    before, after = weights_of(tiny_model), weights_of("pruned.onnx")
    for name in ("w1", "w2"):
        gone = after[name] == 0
        assert gone.sum() == round(0.75 * gone.size)
        assert np.abs(before[name][gone]).max() < np.abs(before[name][~gone]).min()
        np.testing.assert_array_equal(after[name][~gone], before[name][~gone])
    np.testing.assert_array_equal(after["b1"], before["b1"])
    again = cli("prune", "pruned.onnx", "--share", 0.75, "-o", "again.onnx")
    assert again.code == 0
    np.testing.assert_array_equal(weights_of("again.onnx")["w1"], after["w1"])


def test_blocks_are_those_of_the_matrix(cli, tiny_model) -> None:
    outcome = cli("prune", tiny_model, "--share", 0.5, "--blocks", "4x5", "-o", "p.onnx", "--json")
    assert outcome.code == 0, outcome.stderr
    w1 = weights_of("p.onnx")["w1"]  # [8, 12]: blocks of 4 rows and 5, 5 and 2 columns
    zeros = 0
    for rows in (slice(0, 4), slice(4, 8)):
        for columns in (slice(0, 5), slice(5, 10), slice(10, 12)):
            block = w1[rows, columns]
            assert block.all() or not block.any()
            zeros += 0 if block.all() else block.size
    layers = {each["name"]: each for each in json.loads(outcome.stdout)["layers"]}
    assert 0 < zeros <= 48
    assert layers["hidden"]["zeros"] == zeros


def test_all_layers_together_lose_their_smallest(tiny_model) -> None:
    found = rpucc.prune(tiny_model, 0.5, together=True)
    before = weights_of(tiny_model)
    sizes = np.sort(np.abs(np.concatenate([before["w1"].ravel(), before["w2"].ravel()])))
    kept = [w[w != 0] for name, w in found.weights.items() if name.startswith("w")]
    assert np.abs(np.concatenate(kept)).min() == sizes[60]
    assert sum(layer.zeros for layer in found.layers) == 60


def test_convolutions_groups_and_batch_norms_keep_their_form(tmp_path: Path) -> None:
    """What is 0 in the file is 0 in the matrix, also of a kernel that a batch norm follows."""
    random = np.random.default_rng(0)
    nodes = [
        onnx.helper.make_node("Conv", ["x", "k"], ["c"], "conv", group=2),
        onnx.helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"], "bn"),
    ]
    constants = {"k": random.normal(size=(4, 2, 3, 3)), "s": random.random(4) + 0.5}
    constants |= {"b": np.ones(4), "m": np.ones(4), "v": np.full(4, 2.0)}
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "grouped",
        [info("x", 1, ["N", 4, 6, 6])],
        [info("y", 1, ["N", 4, 4, 4])],
        [numpy_helper.from_array(a.astype("f4"), name) for name, a in constants.items()],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10
    )
    found = rpucc.prune(model, 0.5, blocks=(1, 9))
    kernel = found.weights["k"].reshape(4 * 2, 9)  # each row of a group's matrix is two blocks
    assert sorted(np.count_nonzero(kernel, axis=1)) == [0] * 4 + [9] * 4
    for name in ("s", "b", "m", "v"):
        np.testing.assert_array_equal(found.weights[name], constants[name].astype("f4"))


def test_weights_that_nothing_trained_stay_so() -> None:
    """Pruned ones of a network that was built, but no one's whose file does not say that."""
    built = models.build("mlp")
    assert dict(rpucc.prune(built, 0.5).model.metadata_props)[INITIAL_WEIGHTS] == "1"
    kept = [entry for entry in built.metadata_props if entry.key != INITIAL_WEIGHTS]
    del built.metadata_props[:]
    built.metadata_props.extend(kept)
    assert INITIAL_WEIGHTS not in rpucc.prune(built, 0.5).model.metadata_props


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share", 1], "Invalid value for '--share': 1.0 is not in the range 0<=x<1"),
        (["--share", 0.5, "--blocks", "16"], "needs rows and columns, as in 16x16; found '16'"),
        (["--share", 0.5, "--blocks", "0x4"], "needs rows and columns of 1 or more; found '0x4'"),
        (["--share", 0.5, "--layer", "hiden"], "no layer 'hiden'; did you mean 'hidden'?"),
    ],
)
def test_what_cannot_be_is_one_line(cli, tiny_model, files, arguments, message) -> None:
    before = files()
    outcome = cli("prune", tiny_model, *arguments, "-o", "p.onnx")
    assert outcome.code in (1, 2)
    (line,) = outcome.stderr.splitlines()
    assert message in line
    assert files() == before
    assert cli("prune", tiny_model, "--share", 0.5, "-o", tiny_model).code == 1


def test_python_arguments_are_checked(tiny_model) -> None:
    for wrong in ({"share": 1.0}, {"share": -0.1}, {"share": 0.5, "blocks": (4,)}):
        with pytest.raises(ArgumentError, match=r"share|blocks"):
            rpucc.prune(tiny_model, **wrong)
    with pytest.raises(ModelError, match="no layer 'x'"):
        rpucc.prune(tiny_model, 0.5, layers=["x"])


def test_what_was_pruned_trains_with_its_zeros_and_comes_home(cli, tiny_model, tiny_data) -> None:
    assert cli("prune", tiny_model, "--share", 0.5, "-o", "pruned.onnx").code == 0
    sets = ["--set", "update.mask=zeros"]
    options = ["--data", tiny_data, "--batch-size", 3, "--epochs", 2, "--lr", 0.05, *sets]
    outcome = cli("train", "pruned.onnx", *options, "-o", "run")
    assert outcome.code == 0, outcome.stderr
    outcome = cli("export", "run", "-o", "trained.onnx")
    assert outcome.code == 0, outcome.stderr
    before, after = weights_of("pruned.onnx"), weights_of("trained.onnx")
    for name in ("w1", "w2"):
        assert not after[name][before[name] == 0].any()
        assert (after[name] != before[name])[before[name] != 0].mean() > 0.5
    assert cli("train", "--from", "run", "--epochs", 1, "-o", "second").code == 0


# ---------------------------------------------------------------- plans


def blocks_of_zeros() -> onnx.ModelProto:
    """64 x 60 weights on arrays of 16 x 20, of which 5 of 12 tiles are empty; and 3 x 64 full."""
    random = np.random.default_rng(0)
    W = random.uniform(0.1, 0.5, (64, 60))
    for row, column in ((0, 0), (1, 0), (1, 2), (2, 1), (3, 0)):
        W[16 * row : 16 * row + 16, 20 * column : 20 * column + 20] = 0
    return rpucc.dense([(W, None), (random.uniform(0.1, 0.5, (3, 64)), None)], activation="relu")


TARGET = ["mapping.array=small", "array.small.rows=16", "array.small.cols=20"]


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("more", [(), ("mapping.replicas=1", "mapping.devices_per_weight=2")])
def test_empty_tiles_take_no_arrays_and_no_reads(share: bool, more: tuple[str, ...]) -> None:
    overrides = [*TARGET, f"placement.share={str(share).lower()}", *more]
    masked, whole = (
        rpucc.compile(
            blocks_of_zeros(), "rpu-managed", overrides=[*overrides, f"update.mask={mask}"],
            verify=False,
        ).plan
        for mask in ("zeros", "none")
    )  # fmt: skip
    times = 2 if more else 1
    layer, before = masked.layers[0], whole.layers[0]
    assert (layer.tiles_left_out, before.tiles - layer.tiles) == (5 * times, 5 * times)
    assert layer.arrays_saved == before.arrays - layer.arrays
    assert whole.arrays["small"] - masked.arrays["small"] == masked.arrays_saved["small"]
    if not share:
        assert layer.arrays_saved == 5 * times
    assert layer.reads_saved == 5 * times  # of one forward read; a first layer has no backward one
    assert layer.fixed == 5 * 16 * 20
    assert masked.layers[1] == whole.layers[1]
    places = [(b.row, b.col) for b in masked.placement.blocks("fc1")]
    assert len(places) == len(set(places)) == 7 * times
    for block in masked.placement.blocks("fc1"):
        on = list(masked.placement.blocks_on(block.kind, block.array))
        assert block in on


def test_cost_is_that_of_the_tiles_that_are_there() -> None:
    masked, whole = (
        rpucc.compile(
            blocks_of_zeros(), "rpu-managed", overrides=[*TARGET, f"update.mask={mask}"],
            verify=False,
        ).cost
        for mask in ("zeros", "none")
    )  # fmt: skip
    for cycle, before in zip(masked.layers[0].cycles, whole.layers[0].cycles, strict=True):
        assert cycle.count == before.count
        assert cycle.seconds == before.seconds  # all tiles work at the same time
        if cycle.cycle == "forward":
            assert cycle.dac_conversions == pytest.approx(before.dac_conversions - 5 * 20)
            assert cycle.adc_conversions == pytest.approx(before.adc_conversions - 5 * 16)
        assert cycle.energy.arrays == pytest.approx(before.energy.arrays * 7 / 12)


def test_inspect_and_the_page_say_what_it_saved(cli) -> None:
    onnx.save(blocks_of_zeros(), "blocks.onnx")
    options = [part for each in TARGET for part in ("--set", each)]
    compiled = cli("compile", "blocks.onnx", "-t", "rpu-managed", *options, "--no-verify",
                   "--set", "update.mask=zeros", "-o", "p.rpu.onnx")  # fmt: skip
    assert compiled.code == 0, compiled.stderr
    saved = "5 tiles of fixed zeros, which saves 5 small and 5 tile reads a sample"
    assert saved in " ".join(compiled.stdout.split())
    layer = cli("inspect", "p.rpu.onnx", "--layer", "fc1").stdout
    text = " ".join(layer.split())
    assert "left out 5 tiles of fixed zeros, which saves 5 arrays and 5 tile reads a sample" in text
    assert "fixed 1,600 weights (41.7 %), which get no pulses" in text
    assert cli("inspect", "p.rpu.onnx", "--html", "page.html").code == 0
    page = Path("page.html").read_text()
    assert "5 tiles" in page
    assert "left out" in page
    found = json.loads(cli("inspect", "p.rpu.onnx", "--json").stdout)
    assert found["plan"]["totals"]["arrays_saved"] == {"small": 5}


def test_a_layer_of_fixed_zeros_alone_takes_nothing(cli) -> None:
    second = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 5))
    model = rpucc.dense([(np.zeros((5, 4)), np.array([0.1, 0.2, 0, 0, 0])), (second, None)])
    overrides = [*TARGET, "update.mask=zeros", "mapping.bias=digital"]
    program = rpucc.compile(model, "rpu-managed", overrides=overrides)
    layer = program.plan.layers[0]
    assert (layer.arrays, layer.tiles, layer.utilisation, layer.arrays_saved) == (0, 0, 0.0, 1)
    program.save("p.rpu.onnx")
    for options in ([], ["--layer", "fc1"], ["--html", "page.html"], ["--svg", "drawings"]):
        assert cli("inspect", "p.rpu.onnx", *options).code == 0
    assert rpucc.Program.load("p.rpu.onnx").plan.layers[0] == layer


def test_a_network_of_fixed_zeros_alone_takes_no_arrays() -> None:
    model = rpucc.dense([(np.zeros((5, 4)), None)])
    plan = rpucc.compile(model, "rpu-managed", training=False, overrides=["update.mask=zeros"]).plan
    assert plan.arrays == {}
    lines = dict(line.split(maxsplit=1) for line in str(plan).splitlines() if "  " in line)
    assert lines["arrays"] == "none"


def test_no_layer_saves_less_than_nothing() -> None:
    """Tiles on arrays of their own may take more of them than all would on shared ones."""
    random = np.random.default_rng(0)
    weights = random.uniform(0.1, 0.5, (8, 12))
    weights[:, :4] = 0
    overrides = ["mapping.col_cuts=[0,4,8,12]", "placement.share=true", "layer.fc1.arrays=[0,1]"]
    plan = rpucc.compile(
        rpucc.dense([(weights, None)]), "rpu-managed",
        overrides=[*overrides, "update.mask=zeros", "mapping.bias=digital"],
    ).plan  # fmt: skip
    (layer,) = plan.layers
    assert (layer.tiles_left_out, layer.arrays, layer.arrays_saved) == (1, 2, 0)


# ---------------------------------------------------------------- the case of a user


@pytest.mark.slow
def test_the_pruned_case(cli, shared: Path) -> None:
    subprocess.run([sys.executable, shared / "cases" / "make_pruned.py"], check=True)
    before = weights_of("pruned.onnx")
    on_64 = ["--set", "mapping.array=small", "--set", "array.small.rows=64", "--set",
             "array.small.cols=64"]  # fmt: skip
    options = ["--data", "mnist-mini", "-t", "rpu-managed", "--epochs", 3, *on_64]
    outcome = cli("train", "pruned.onnx", *options, "--set", "update.mask=zeros", "-o", "run")
    assert outcome.code == 0, outcome.stderr
    assert cli("export", "run", "-o", "trained.onnx").code == 0
    after = weights_of("trained.onnx")
    for name in ("w1", "w2"):
        assert not after[name][before[name] == 0].any()
    plan = rpucc.Program.load("run/program.rpu.onnx").plan
    assert plan.arrays_saved == {"small": 8}  # of 26: those of the block of zeros
    assert plan.arrays == {"small": 20}
