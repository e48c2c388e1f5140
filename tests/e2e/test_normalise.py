"""--mean and --std on the command line: kept in the run folder and in all that is done with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from safetensors.numpy import load_file

import rpucc

NORMALISED = ("--mean", "0.5", "--std", "0.25,0.5,0.5,0.25,0.5,0.5,0.25,0.5,0.5,0.25,0.5,0.5")


def test_a_run_is_normalised_ever_after(cli, tiny_model, tiny_data):
    call = ("train", "tiny.onnx", "-t", "ideal", "--data", "tiny.npz", "--lr", "0.1")
    assert cli(*call, *NORMALISED, "--epochs", "2", "-o", "run").code == 0
    kept = json.loads(Path("run/run.json").read_text())
    assert kept["mean"] == [0.5]
    assert kept["std"][:3] == [0.25, 0.5, 0.5]
    plain = cli(*call, "--epochs", "2", "-o", "plain")
    assert plain.code == 0
    assert json.loads(Path("plain/run.json").read_text())["mean"] is None

    found = json.loads(cli("eval", "run", "--json").stdout)
    history = Path("run/metrics.csv").read_text().splitlines()
    assert f"{found['loss']:.6g}"[:6] in history[-1]
    assert cli("run", "run", "tiny.npz", "-o", "out.npy").code == 0
    program = rpucc.Program.load(next(Path("run").glob("program*.onnx")))
    assert [node.name for node in program.model.graph][:2] == ["normalise_mean", "normalise_std"]

    # What was normalised before gives the same network.
    divided = np.array(NORMALISED[-1].split(","), "f4")
    data = dict(np.load("tiny.npz"))
    by_hand = {k: (v - np.float32(0.5)) / divided if k[0] == "x" else v for k, v in data.items()}
    np.savez(
        "normalised.npz", **{k: v.astype("f4") if k[0] == "x" else v for k, v in by_hand.items()}
    )
    call = ("train", "tiny.onnx", "-t", "ideal", "--data", "normalised.npz", "--lr", "0.1")
    assert cli(*call, "--input-range", "-4", "4", "--epochs", "2", "-o", "other").code == 0
    one = rpucc.Machine.load("run").state()
    other = rpucc.Machine.load("other").state()
    for name, weights in one.items():
        np.testing.assert_allclose(weights, other[name], atol=1e-5)
    unlike = rpucc.Machine.load("plain").state()
    assert any(np.abs(one[name] - unlike[name]).max() > 1e-3 for name in one)


def test_resuming_keeps_the_normalisation(cli, tiny_model, tiny_data):
    call = ("train", "tiny.onnx", "-t", "ideal", "--data", "tiny.npz", "--mean", "0.5", "-o")
    assert cli(*call, "whole", "--epochs", "2").code == 0
    assert cli(*call, "run", "--epochs", "1").code == 0
    refused = cli("train", "run", "--resume", "--epochs", "2", "--mean", "0.4")
    assert refused.code == 2
    assert "--mean: run was started with 0.5, not 0.4" in refused.stderr
    assert cli("train", "run", "--resume", "--epochs", "2", "--mean", "0.5").code == 0
    assert Path("run/metrics.csv").read_bytes() == Path("whole/metrics.csv").read_bytes()


def test_what_is_no_number_is_refused(cli, tiny_model):
    for given, part in (
        (
            ("--mean", "a"),
            "--mean': needs numbers between commas, as in 0.485,0.456,0.406; found 'a'",
        ),
        (("--std", "0"), "std: found (0.0,); allowed: a finite number, or one for each channel"),
        (("--mean", "1,2"), "--mean has 2 numbers, but the input 'x' is ["),
    ):
        outcome = cli("compile", "tiny.onnx", *given)
        assert outcome.code == 2
        assert part in outcome.stderr
        assert "Traceback" not in outcome.stderr


def test_what_is_exported_takes_the_same_data(cli, tiny_model, tiny_data):
    call = ("train", "tiny.onnx", "-t", "ideal", "--data", "tiny.npz", "--lr", "0.1", "-o", "run")
    assert cli(*call, *NORMALISED).code == 0
    assert cli("export", "run", "-o", "out.onnx").code == 0
    session = ort.InferenceSession("out.onnx")
    data = np.load("tiny.npz")
    found = session.run(None, {"x": data["x"]})[0]
    expected = rpucc.Trainer(rpucc.Machine.load("run")).predict(data["x"])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    exported = onnx.load("out.onnx")
    kinds = [node.op_type for node in exported.graph.node if node.op_type != "Constant"]
    assert kinds[:2] == ["Sub", "Div"]
    assert cli("export", "run", "--torch", "out.safetensors").code == 0
    assert sorted(load_file("out.safetensors")) == ["b1", "b2", "w1", "w2"]
