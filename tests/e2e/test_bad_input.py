"""Bad input: one clear line, exit code 1 or 2, nothing written, nothing on standard output."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper


def refused(outcome: Any, *fragments: str, code: int = 1) -> None:
    """Assert that a command refused as it should."""
    assert outcome.code == code, outcome.stderr
    assert outcome.stdout == ""
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1, outcome.stderr
    assert lines[0].startswith("Error: ")
    assert "Traceback" not in lines[0]
    assert "internal error" not in lines[0]
    for fragment in fragments:
        assert fragment in lines[0]


# ---------------------------------------------------------------- models


def _empty(folder: Path, make: Callable[..., Path]) -> Path:
    path = folder / "empty.onnx"
    path.write_bytes(b"")
    return path


def _truncated(folder: Path, make: Callable[..., Path]) -> Path:
    from rpucc.models import build

    path = folder / "cut.onnx"
    path.write_bytes(build("lenet").SerializeToString()[:5000])
    return path


def _text(folder: Path, make: Callable[..., Path]) -> Path:
    path = folder / "notes.onnx"
    path.write_text("This is not a network.\nIt is a text.\n")
    return path


def _lstm(folder: Path, make: Callable[..., Path]) -> Path:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], "memory", hidden_size=2)
    weights = {"w": np.zeros((1, 8, 4)), "r": np.zeros((1, 8, 2))}
    return make("lstm.onnx", [node], [5, 1, 4], **weights)


def _channels(folder: Path, make: Callable[..., Path]) -> Path:
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", kernel_shape=[3, 3])
    return make("channels.onnx", [node], ["N", 3, 8, 8], w=np.zeros((4, 2, 3, 3)))


def _dynamic(folder: Path, make: Callable[..., Path]) -> Path:
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", kernel_shape=[3, 3])
    return make("dynamic.onnx", [node], ["N", 1, "height", 8], w=np.zeros((4, 1, 3, 3)))


def _undefined(folder: Path, make: Callable[..., Path]) -> Path:
    node = helper.make_node("Relu", ["nowhere"], ["y"], "relu")
    return make("undefined.onnx", [node], ["N", 8])


def _missing(folder: Path, make: Callable[..., Path]) -> Path:
    return folder / "missing.onnx"


def _folder(folder: Path, make: Callable[..., Path]) -> Path:
    path = folder / "folder.onnx"
    path.mkdir()
    return path


MODELS = {
    "missing": (_missing, "missing.onnx"),
    "folder": (_folder, "folder"),
    "empty": (_empty, "empty"),
    "truncated": (_truncated, "cut.onnx"),
    "text": (_text, "notes.onnx"),
    "unsupported op": (_lstm, "LSTM"),
    "channels": (_channels, "conv"),
    "dynamic size": (_dynamic, "height"),
    "undefined value": (_undefined, "nowhere"),
}


@pytest.mark.parametrize("verb", ["compile", "train", "run"])
@pytest.mark.parametrize("case", list(MODELS))
def test_model(case, verb, cli, files, workplace, make_model, tiny_data):
    make, fragment = MODELS[case]
    path = make(workplace, make_model)
    before = files()
    arguments = {"compile": ["-o", "out.onnx"], "train": ["--data", tiny_data], "run": [tiny_data]}
    refused(cli(verb, path, *arguments[verb]), fragment)
    assert files() == before


def test_inspect_refuses_what_it_cannot_show(cli, files, workplace, tiny_model, make_model):
    before = files()
    refused(cli("inspect", tiny_model), "rpucc compile")
    refused(cli("inspect", "missing.onnx"), "missing.onnx")
    refused(cli("inspect", workplace), "run folder")
    refused(cli("inspect", "missing.safetensors"), "missing.safetensors")
    assert files() == before


def test_eval_refuses_what_is_not_trained(cli, files, workplace, tiny_model):
    before = files()
    refused(cli("eval", tiny_model), "run folder")
    refused(cli("eval", "missing"), "missing")
    (workplace / "x.safetensors").write_bytes(b"rubbish")
    refused(cli("eval", "x.safetensors"), "program")
    refused(cli("eval", "x.safetensors", "--program", tiny_model), "tiny.onnx")
    assert files() == {**before, "x.safetensors": b"rubbish"}


def test_damaged_checkpoint(cli, tiny_model, tiny_data, workplace):
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "a").code == 0
    assert (
        cli("train", tiny_model, "--data", tiny_data, "-o", "b", "--set", "update.bl=2").code == 0
    )
    other = (workplace / "b/checkpoint.safetensors").read_bytes()
    (workplace / "a/checkpoint.safetensors").write_bytes(other)
    refused(cli("eval", "a"), "another program")
    (workplace / "a/checkpoint.safetensors").write_bytes(other[:500])
    refused(cli("eval", "a"), "checkpoint.safetensors")
    refused(cli("train", "a", "--resume"), "checkpoint.safetensors")
    (workplace / "b/run.json").write_text("{")
    refused(cli("train", "b", "--resume"), "run.json")


# ---------------------------------------------------------------- targets


TARGETS = {
    "key": ("noise = 1", "periphery.noise"),
    "type": ('read_noise = "much"', "periphery.read_noise"),
    "range": ("read_noise = -0.5", "periphery.read_noise"),
    "syntax": ("read_noise = = 1", "line"),
}


@pytest.mark.parametrize("verb", ["compile", "train"])
@pytest.mark.parametrize("case", list(TARGETS))
def test_target_file(case, verb, cli, files, workplace, tiny_model):
    line, fragment = TARGETS[case]
    text = cli("targets", "show", "ideal").stdout
    wrong = text.replace("[periphery]\n", f"[periphery]\n{line}\n", 1).replace(
        "read_noise = 0.0", "# read_noise", 1
    )
    (workplace / "wrong.toml").write_text(wrong)
    before = files()
    refused(cli(verb, tiny_model, "-t", "wrong.toml"), "wrong.toml", fragment)
    assert files() == before


@pytest.mark.parametrize(
    "setting", ["update.bll=1", "update.bl=many", "update.bl=0", "update.bl", "device.nix=1"]
)
def test_setting(setting, cli, files, tiny_model, tiny_data):
    before = files()
    outcome = cli("train", tiny_model, "--data", tiny_data, "--set", setting)
    refused(outcome, setting.partition("=")[0])
    assert files() == before


def test_target_that_is_not_there(cli, files, tiny_model):
    before = files()
    refused(cli("compile", tiny_model, "-t", "rpu-manged", "-o", "x.onnx"), "rpu-managed")
    assert files() == before


# ---------------------------------------------------------------- data


def _arrays(**change: Any) -> dict[str, Any]:
    x, y = np.full((20, 12), 0.5, np.float32), np.arange(20) % 3
    return {"x": change.get("x", x), "y": change.get("y", y)}


class _Boom:
    """Pickled: would make a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("unpickled", "w")


DATA: dict[str, tuple[dict[str, Any], str]] = {
    "shape": (_arrays(x=np.zeros((20, 13), np.float32)), "[13]"),
    "labels above": (_arrays(y=np.arange(20) % 4), "label 3"),
    "labels below": (_arrays(y=np.arange(20) % 3 - 1), "label -1"),
    "NaN": (_arrays(x=np.full((20, 12), np.nan, np.float32)), "NaN"),
    "lengths": (_arrays(y=np.arange(19) % 3), "19"),
    "pickle": (_arrays(x=np.array([_Boom()] * 20, object)), "pickle"),
    "keys": ({"images": np.zeros((20, 12))}, "x_train"),
    "regression": (_arrays(y=np.zeros((20, 3), np.float32)), "cross-entropy"),
}


@pytest.mark.parametrize("case", list(DATA))
def test_data(case, cli, files, workplace, tiny_model):
    arrays, fragment = DATA[case]
    np.savez(workplace / "wrong.npz", **arrays)
    before = files()
    refused(cli("train", tiny_model, "--data", "wrong.npz"), "wrong.npz", fragment)
    assert files() == before


def test_data_that_is_no_archive(cli, files, workplace, tiny_model):
    (workplace / "a.npz").write_bytes(pickle.dumps([1, 2]))
    (workplace / "b.npz").write_bytes(b"")
    before = files()
    refused(cli("train", tiny_model, "--data", "a.npz"), "a.npz", "pickle")
    refused(cli("train", tiny_model, "--data", "b.npz"), "b.npz", "empty")
    refused(cli("train", tiny_model, "--data", "c.npz"), "c.npz", "mnist-mini")
    assert files() == before


@pytest.mark.parametrize("case", ["shape", "NaN", "pickle"])
def test_input_of_run(case, cli, files, workplace, tiny_model):
    np.savez(workplace / "wrong.npz", **DATA[case][0])
    before = files()
    refused(cli("run", tiny_model, "wrong.npz", "-o", "out.npy"), "wrong.npz")
    assert files() == before


# ---------------------------------------------------------------- outputs


def test_folder_that_cannot_be_written(cli, files, workplace, tiny_model, tiny_data):
    (workplace / "file").write_text("keep me")
    before = files()
    data = ["--data", tiny_data]
    refused(cli("train", tiny_model, *data, "-o", "file/run"), "file is a file")
    refused(cli("train", tiny_model, *data, "-o", "file"), "is a file")
    refused(cli("train", tiny_model, *data, "-o", "x" * 300), "cannot write")
    refused(cli("demo", "-o", "file/run"), "file is a file")
    refused(cli("compile", tiny_model, "-o", "file/out.onnx"), "file is not a folder")
    refused(cli("compile", tiny_model, "-o", "nowhere/out.onnx"), "nowhere does not exist")
    refused(cli("compile", tiny_model, "--dump-passes", "file/dumps"), "file is a file")
    refused(cli("run", tiny_model, tiny_data, "-o", "file/out.npy"), "file is not a folder")
    refused(cli("models", "build", "mlp", "-o", "nowhere/mlp.onnx"), "nowhere")
    assert files() == before


def test_output_is_checked_before_the_model(cli, workplace):
    (workplace / "file").write_text("")
    refused(cli("train", "missing.onnx", "-o", "file/run"), "file is a file")
    refused(cli("compile", "missing.onnx", "-o", "nowhere/x.onnx"), "nowhere")


def test_a_run_is_not_replaced(cli, files, tiny_model, tiny_data, workplace):
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "run").code == 0
    before = files()
    refused(cli("train", tiny_model, "--data", tiny_data, "-o", "run"), "--resume", "--force")
    refused(cli("demo", "-o", "run"), "--force")
    refused(cli("train", "run"), "--resume", code=2)
    assert files() == before
    (workplace / "mine").mkdir()
    (workplace / "mine/program.rpu.onnx").write_bytes(b"precious")
    refused(cli("train", tiny_model, "--data", tiny_data, "-o", "mine"), "program.rpu.onnx")
    assert (workplace / "mine/program.rpu.onnx").read_bytes() == b"precious"


# ---------------------------------------------------------------- usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "0"],
        ["--batch-size", "0"],
        ["--lr", "0"],
        ["--lr", "nan"],
        ["--lr", "inf"],
        ["--lr-schedule", "step:0:0.5"],
        ["--seed", "-1"],
        ["--threads", "0"],
        ["--epochs", "many"],
        ["--loss", "hinge"],
        ["--input-range", "1", "0"],
        ["--input-range", "0", "inf"],
        ["--resume", "--force"],
        ["--nonsense"],
    ],
    ids=" ".join,
)
def test_usage(arguments, cli, files, tiny_model, tiny_data):
    before = files()
    refused(cli("train", tiny_model, "--data", tiny_data, *arguments), code=2)
    assert files() == before


def test_options_that_contradict_the_model(cli, files, tiny_model, tiny_data):
    assert cli("compile", tiny_model, "-o", "program.rpu.onnx").code == 0
    assert cli("compile", tiny_model, "--inference", "-o", "inference.onnx").code == 0
    before = files()
    data = ["--data", tiny_data]
    refused(cli("train", "program.rpu.onnx", *data, "-t", "ideal"), "--target", code=2)
    refused(cli("train", "inference.onnx", *data), "--inference", code=2)
    refused(cli("run", "inference.onnx", tiny_data, "--set", "update.bl=1"), "--set", code=2)
    refused(cli("compile", "program.rpu.onnx"), "compiled")
    refused(cli("train", tiny_model, *data, "--resume"), "nothing to resume")
    assert files() == before


def test_unknown_names(cli):
    refused(cli("tarin"), "'train'", code=2)
    refused(cli("models", "build", "lenett"), "lenet")
    refused(cli("devices", "show", "constant"), "constant-step")
    refused(cli("targets", "show", "nix"), "rpu-managed")


def test_conv_error_names_the_node(cli, make_model):
    """The model must load in onnx: what is wrong is its channels alone."""
    path = _channels(Path(), make_model)
    assert onnx.load(path).graph.node[0].op_type == "Conv"
    refused(cli("compile", path), "channels.onnx", "conv")
