"""Weights that a mask fixes: the mask in the program, and the tiles that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import rpucc
from rpucc.errors import TargetError
from rpucc.layers import AnalogLayer, analog_layers
from rpucc.masks import missing_devices, weights_of
from rpucc.program import Program

from ..hostile.networks import KINDS
from .masked import sparse

TILES = ("array.rows=3", "array.cols=5")
MASKABLE = (
    *("conv", "grouped", "transposed", "independent", "devices", "norm", "exact", "scaled"),
    *("tiki-taka", "tiki-taka by minibatch", "reference", "two inputs"),
)


def compiled(kind: str, *overrides: str, verify: bool = True, **changed: Any) -> Program:
    name, target, own, how = KINDS[kind]
    return rpucc.compile(
        sparse(name), target, overrides=[*own, *overrides], verify=verify, **how, **changed
    )


def layers_of(program: Program) -> dict[str, AnalogLayer]:
    return {layer.name: layer for layer in analog_layers(program.model)}


@pytest.mark.parametrize("kind", MASKABLE)
def test_zeros_are_fixed_whatever_a_layer_is_made_of(kind: str, tmp_path: Path) -> None:
    """The program computes what its function bodies say, and is accepted when it is read again."""
    program = compiled(kind, "update.mask=zeros", *(TILES if kind == "conv" else ()))
    held = 0
    for layer in analog_layers(program.model):
        if not layer.updates:
            continue
        weights, mask = weights_of(layer), layer.mask
        bias = any(
            node.op_type == "AppendOne" and node.metadata_props["rpucc.layer"] == layer.name
            for node in program.model.graph
        )
        assert mask is not None
        assert mask.shape == weights.shape
        free = mask & (weights == 0)
        # the bias alone may begin at 0 and is trained
        assert not (free[:, :-1] if bias else free).any()
        assert not (~mask & (weights != 0)).any()
        held += int((~mask).sum())
    assert held > 5
    program.save(tmp_path / "p.rpu.onnx")
    Program.load(tmp_path / "p.rpu.onnx")


def test_a_layer_without_zeros_keeps_its_update_and_its_program() -> None:
    plain = rpucc.compile("lenet", "rpu-managed", verify=False)
    masked = rpucc.compile("lenet", "rpu-managed", overrides=["update.mask=zeros"], verify=False)
    ops = [node.op_type for node in masked.model.graph]
    assert ops == [node.op_type for node in plain.model.graph]
    assert "Update" in ops
    note = "update.mask: no weight is fixed, for none of its layers has a zero"
    assert note in masked.plan.notes
    assert not any("Masked" in op for op in ops)


def test_a_bias_of_zeros_is_trained() -> None:
    model = rpucc.dense([(np.array([[0.0, 0.3], [0.2, 0.0]]), np.zeros(2))])
    program = rpucc.compile(model, "rpu-managed", overrides=["update.mask=zeros"])
    (layer,) = analog_layers(program.model)
    assert layer.mask is not None
    np.testing.assert_array_equal(layer.mask, [[False, True, True], [True, False, True]])


# ---------------------------------------------------------------- tiles that are not there


def test_tiles_of_fixed_zeros_are_left_out_of_every_cycle() -> None:
    weights = np.ones((6, 10))
    weights[:3, :5] = weights[3:, 5:] = 0
    weights[0, 7] = 0  # one zero among others: its tile stays
    model = rpucc.dense([(np.full((10, 4), 0.1), None), (weights, None)])
    overrides = [*TILES, "update.mask=zeros"]
    layer = layers_of(rpucc.compile(model, "rpu-managed", overrides=overrides))["fc2"]
    assert len(layer.nodes) == 3
    for node in layer.nodes:
        assert list(node.attributes["absent"].as_ints()) == [0, 3]
    inference = rpucc.compile(model, "rpu-managed", overrides=overrides, training=False)
    assert layers_of(inference)["fc2"].absent == (0, 3)
    frozen = rpucc.compile(model, "rpu-managed", overrides=overrides, freeze=("fc2",))
    assert layers_of(frozen)["fc2"].absent == (0, 3)
    assert layers_of(rpucc.compile(model, "rpu-managed", overrides=TILES))["fc2"].absent == ()


def test_a_tile_of_zeros_that_are_trained_stays(tmp_path: Path) -> None:
    weights = np.full((6, 5), 0.1)
    weights[:3] = 0
    mask = np.ones((6, 5))
    mask[1, 2] = mask[4, 4] = 0
    np.savez(tmp_path / "m.npz", fc1=mask)
    overrides = [*TILES, f"update.mask={tmp_path / 'm.npz'}"]
    program = rpucc.compile(rpucc.dense([(weights, None)]), "rpu-managed", overrides=overrides)
    (layer,) = analog_layers(program.model)
    assert layer.absent == ()
    assert layer.mask is not None
    np.testing.assert_array_equal(layer.mask, mask != 0)


@pytest.mark.parametrize("what", ["a mask of ones", "a bias of zeros"])
def test_no_tile_is_left_out_where_no_weight_is_fixed(what: str, tmp_path: Path) -> None:
    """A tile of zeros is there where all of them are trained; the program can be read again."""
    weights = np.full((3, 8), 0.1)
    if what == "a mask of ones":
        weights[:, :5] = 0
        np.savez(tmp_path / "m.npz", fc1=np.ones((3, 8)))
        layers = [(weights, None)]
        overrides = [*TILES, f"update.mask={tmp_path / 'm.npz'}"]
    else:
        layers = [(weights, np.zeros(3))]
        overrides = ["update.mask=zeros", "mapping.bias=array", "mapping.col_cuts=[0,8,9]"]
    program = rpucc.compile(rpucc.dense(layers), "rpu-managed", overrides=overrides)
    (layer,) = analog_layers(program.model)
    assert [node.attributes.get_ints("absent", ()) for node in layer.nodes] == [()] * 2
    program.save(tmp_path / "p.rpu.onnx")
    Program.load(tmp_path / "p.rpu.onnx")


# ---------------------------------------------------------------- masks of a file


@pytest.mark.parametrize("how", [{"training": False}, {"freeze": ("fc1", "fc2")}])
def test_a_file_is_about_the_layers_that_it_names(how: dict[str, Any], tmp_path: Path) -> None:
    """Also where nothing trains them: zeros of other layers are fixed in no way."""
    weights = np.full((4, 4), 0.1)
    weights[0] = 0
    np.savez(tmp_path / "m.npz", fc2=np.ones((4, 4)))
    model = rpucc.dense([(weights, None)] * 2 + [(np.full((2, 4), 0.1), None)])
    overrides = [f"update.mask={tmp_path / 'm.npz'}"]
    program = rpucc.compile(model, "rpu-managed", overrides=overrides, **how)
    assert {layer.name: layer.fixed for layer in program.plan.layers} == {
        "fc1": 0, "fc2": 4, "fc3": 0,
    }  # fmt: skip
    found = layers_of(program)
    assert missing_devices(found["fc1"]) is None
    np.testing.assert_array_equal(missing_devices(found["fc2"]), weights == 0)
    program.save(tmp_path / "p.rpu.onnx")
    Program.load(tmp_path / "p.rpu.onnx")


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *((kind, "file") for kind in ("conv", "grouped", "transposed", "devices", "independent")),
        *((kind, "matrix") for kind in ("grouped", "transposed", "devices")),
    ],
)
def test_a_mask_has_the_form_of_the_weight_or_of_the_matrix(
    kind: str, form: str, tmp_path: Path
) -> None:
    """Where the file's weights are not 0 is a mask of this file's zeros, in either form."""
    name, _, own, _ = KINDS[kind]
    model = sparse(name)
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    weighted = [node for node in model.graph.node if len(node.input) > 1]
    masks = {node.name: held[node.input[1]] != 0 for node in weighted}
    expected = layers_of(compiled(kind, "update.mask=zeros", verify=False))
    if form == "matrix":
        alone = [each for each in own if "replica" not in each and "devices" not in each]
        once = rpucc.compile(
            model, KINDS[kind][1], overrides=[*alone, "mapping.bias=digital"], verify=False
        )
        masks = {layer.name: weights_of(layer) != 0 for layer in analog_layers(once.model)}
    np.savez(tmp_path / "m.npz", **masks)
    found = layers_of(compiled(kind, f"update.mask={tmp_path / 'm.npz'}", verify=False))
    for layer in expected:
        np.testing.assert_array_equal(found[layer].mask, expected[layer].mask)


def test_a_mask_lies_beside_the_target_file(tmp_path: Path) -> None:
    folder = tmp_path / "targets"
    folder.mkdir()
    text = rpucc.Target.load("rpu-managed").to_json()
    np.savez(folder / "m.npz", fc1=np.zeros((2, 2)))
    import json

    data = json.loads(text)
    (folder / "mine.toml").write_text(
        'name = "mine"\n[[array]]\nname = "a"\nrows = 8\ncols = 8\nt_read = 1e-8\n'
        f'[device]\nmodel = "{data["device"]["model"]}"\n'
        '[[layer]]\nmatch = "fc1"\nupdate.mask = "m.npz"\n'
    )
    model = rpucc.dense([(np.full((2, 2), 0.3), None), (np.full((2, 2), 0.3), None)])
    found = layers_of(rpucc.compile(model, folder / "mine.toml"))
    assert found["fc1"].mask is not None
    assert not found["fc1"].mask.any()
    assert found["fc2"].mask is None


def two_layers() -> onnx.ModelProto:
    return rpucc.dense([(np.full((3, 4), 0.3), np.zeros(3)), (np.full((2, 3), 0.3), None)])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"fc1": np.ones((3, 3))},
            "array 'fc1': has the shape [3, 3]; layer 'fc1' takes [3, 4] (its weight in the file) "
            "or [3, 5] (with the bias as the last column)",
        ),
        ({"fc3": np.ones((2, 3))}, "array 'fc3' is no layer; did you mean 'fc"),
        ({"fc1": np.full((3, 4), np.nan)}, "array 'fc1': holds NaN or infinity; a mask is 0 where"),
        ({"fc1": np.full((3, 4), "x")}, "array 'fc1': holds <U1; a mask holds numbers"),
        ({"fc2": np.ones((2, 3))}, "array 'fc2': this layer is not on arrays"),
    ],
)
def test_bad_masks_are_one_clear_line(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, **arrays)
    overrides = [f"update.mask={path}", "layer.fc2.analog=false"]
    with pytest.raises(TargetError) as caught:
        rpucc.compile(two_layers(), "rpu-managed", overrides=overrides)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"update.mask {path}: ")
    assert message in line


def test_a_file_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    damaged = tmp_path / "m.npz"
    damaged.write_bytes(b"PK\x03\x04 no archive")
    for path, message in (
        (damaged, "is no .npz archive; np.savez(FILE, LAYER=array) makes one"),
        (tmp_path / "no.npz", "no such file in the current folder"),
    ):
        with pytest.raises(TargetError, match=r"update\.mask") as caught:
            rpucc.compile(two_layers(), "rpu-managed", overrides=[f"update.mask={path}"])
        assert str(caught.value).endswith(message)
    np.savez(damaged, fc1=np.ones((3, 4)))
    later = bytearray(damaged.read_bytes())
    later[later.rindex(b"PK\1\2") + 6] = 128  # the version of zip that is needed to unpack it
    damaged.write_bytes(bytes(later))
    with pytest.raises(TargetError, match=r"zip file version 12\.8; np\.savez"):
        rpucc.compile(two_layers(), "rpu-managed", overrides=[f"update.mask={damaged}"])
    np.savez(damaged, fc1=np.ones((3, 4)))
    raw = bytearray(damaged.read_bytes())
    raw[-200] ^= 0xFF  # within the numbers: the checksum of the archive says so
    damaged.write_bytes(bytes(raw))
    with pytest.raises(TargetError, match="array 'fc1'"):
        rpucc.compile(two_layers(), "rpu-managed", overrides=[f"update.mask={damaged}"])


@pytest.mark.parametrize("value", ["ones", "m.txt", "3", "true"])
def test_other_values_of_the_key_are_refused(value: str) -> None:
    with pytest.raises(TargetError, match=r'"none", "zeros", or the path of a \.npz file'):
        rpucc.Target.load("ideal", [f"update.mask={value}"])
