"""`rpucc export`: what was trained on arrays, in the model that it came from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

import rpucc
from rpucc.origins.source import SOURCE

from .conftest import Cli, snapshot

SHARED = Path(__file__).resolve().parents[3] / "shared"


def run(cli: Cli, model: object, data: object, *more: object) -> str:
    """Train for an epoch; the run folder."""
    outcome = cli("train", model, "--data", data, "--lr", 0.05, "-o", "run", *more)
    assert outcome.code == 0, outcome.stderr
    return "run"


def predictions(path: object, x: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of a file, with its optimisations on."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def weights_of(path: object) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


@pytest.fixture
def trained(cli: Cli, tiny_model: Path, tiny_data: Path) -> str:
    return run(cli, tiny_model, tiny_data)


def test_the_model_comes_back_with_its_weights(
    cli: Cli, trained: str, tiny_model: Path, tiny_data: Path
) -> None:
    outcome = cli("export", trained, "-o", "out.onnx", "--torch", "out.safetensors")
    assert outcome.code == 0, outcome.stderr
    assert "changed      w1, b1, w2, b2" in outcome.stdout
    assert "computes what the arrays do" in outcome.stdout
    assert outcome.stderr == "wrote out.onnx\nwrote out.safetensors\n"
    before, after = onnx.load(tiny_model), onnx.load("out.onnx")
    assert [n.SerializeToString() for n in before.graph.node] == [
        n.SerializeToString() for n in after.graph.node
    ]
    machine = rpucc.Machine.load(trained)
    found = weights_of("out.onnx")
    both = np.column_stack([found["w1"], found["b1"]])
    assert np.array_equal(both, machine.arrays["hidden.W"].weights)
    saved = load_file("out.safetensors")
    assert saved.keys() == found.keys()
    assert all(np.array_equal(saved[name], found[name]) for name in found)
    with np.load(tiny_data) as data:
        x = data["x"]
    ideal = rpucc.Trainer(machine).predict(x, ideal=True)
    np.testing.assert_allclose(predictions("out.onnx", x), ideal, atol=1e-5)


def test_ideal_reads_are_those_of_the_exported_file(
    cli: Cli, trained: str, tiny_data: Path
) -> None:
    assert cli("export", trained, "-o", "out.onnx").code == 0
    noisy, ideal = (
        json.loads(cli("eval", trained, *flags, "--json").stdout) for flags in ([], ["--ideal"])
    )
    assert (noisy["ideal"], ideal["ideal"], ideal["reads"]) == (False, True, 0)
    assert noisy["loss"] != ideal["loss"]
    with np.load(tiny_data) as data:
        x, y = data["x"][600:], data["y"][600:]
    logits = predictions("out.onnx", x).astype(np.float64)
    wrong = np.mean(logits.argmax(1) != y)
    assert ideal["error"] == pytest.approx(wrong)
    chosen = np.exp(logits)[np.arange(len(y)), y] / np.exp(logits).sum(1)
    assert ideal["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    assert "ideal reads" in cli("eval", trained, "--ideal").stdout
    assert "reads " not in cli("eval", trained, "--ideal").stdout.split("\n", 1)[1]


def test_measured_weights_are_off_by_their_noise(cli: Cli, trained: str) -> None:
    """σ = 0.06 of a read; 200 reads of 12 or 13 columns: σ / √(200 - 13) at most."""
    outcome = cli("export", trained, "-o", "out.onnx", "--measured", 200, "--json")
    assert outcome.code == 0, outcome.stderr
    said = json.loads(outcome.stdout)
    assert said["measured"] == 200
    assert said["checked"].startswith("not compared")
    exact, found = rpucc.Machine.load(trained).export().weights, weights_of("out.onnx")
    for layer, weight in (("hidden", "w1"), ("classes", "w2")):
        error = said["standard_errors"][layer]
        assert error == pytest.approx(0.06 / np.sqrt(200), rel=0.1)
        assert np.sqrt(np.mean((found[weight] - exact[weight]) ** 2)) == pytest.approx(
            error, rel=0.3
        )
    assert cli("export", trained, "-o", "again.onnx", "--measured", 200).code == 0
    assert Path("again.onnx").read_bytes() == Path("out.onnx").read_bytes()


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_the_file_is_compared_with_the_arrays(cli, make_model, tiny_data, monkeypatch, batch):
    """Whatever number of samples it wants at once; a file that computes something else is none."""
    random = np.random.default_rng(1)
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"], "classes", transB=1)]
    weights = {"w": random.normal(0, 0.2, (3, 12)), "b": np.zeros(3)}
    model = make_model("m.onnx", nodes, [batch, 12], **weights)
    run(cli, model, tiny_data)
    said = cli("export", "run", "-o", "m.trained.onnx")
    assert said.code == 0, said.stderr
    assert "computes what the arrays do, to" in said.stdout
    export = rpucc.Machine.export

    def wrong(self: rpucc.Machine, **how: int | None) -> rpucc.Export:
        found = export(self, **how)
        weight = found.model.graph.initializers["w"]
        weight.const_value = ir.tensor(1.01 * weight.const_value.numpy())
        return found

    monkeypatch.setattr(rpucc.Machine, "export", wrong)
    refused = cli("export", "run", "-o", "other.onnx")
    assert refused.code == 3
    assert "the exported model differs from the arrays in output 'y'" in refused.stderr
    assert not Path("other.onnx").exists()


def test_nothing_is_lost(cli: Cli, trained: str) -> None:
    before = snapshot(Path())
    for arguments, code, said in (
        ((), 2, "nothing to write"),
        (("-o", "run/program.rpu.onnx"), 1, "is what the command reads"),
        (("-o", "run/program.rpu.onnx", "--force"), 1, "is what the command reads"),
        (("--torch", "run/checkpoint.safetensors", "--force"), 1, "is what the command reads"),
        (("-o", "tiny.onnx"), 1, "is there already; --force replaces it"),
        (("-o", "no/out.onnx"), 1, "does not exist"),
        (("-o", "out.safetensors"), 2, "--torch writes .safetensors"),
        (("--torch", "out.onnx"), 2, "ends in .safetensors"),
        (("-o", "out.onnx", "--measured", 1), 2, "1 is not in the range"),
    ):
        outcome = cli("export", trained, *arguments)
        assert (outcome.code, outcome.stderr.count("\n")) == (code, 1), outcome.stderr
        assert said in outcome.stderr
        assert snapshot(Path()) == before
    assert cli("export", trained, "-o", "tiny.onnx", "--force").code == 0
    missing = cli("export", "nothing", "-o", "out.onnx")
    assert (missing.code, missing.stderr.count("\n")) == (1, 1)


def test_a_run_of_an_earlier_version_says_what_it_lacks(cli: Cli, tiny_data: Path, tiny_model):
    program = rpucc.compile(tiny_model, "rpu-managed")
    del program.model.metadata_props[SOURCE]
    machine = rpucc.Machine(program)
    machine.save("old")
    outcome = cli("export", "old", "-o", "out.onnx")
    assert (outcome.code, outcome.stderr.count("\n")) == (1, 1)
    assert "does not hold the model that it was compiled from" in outcome.stderr
    assert not Path("out.onnx").exists()


# ---------------------------------------------------------------- 10,000 test images


def grouped_and_normalised(seed: int) -> onnx.ModelProto:
    """Convolutions, one of them grouped and one depthwise, with batch norms of all sizes."""
    random = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}

    def norm(name: str, channels: int) -> list[str]:
        names = [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        parts = (
            np.exp(random.normal(0, 0.5, channels)),
            random.normal(0, 0.2, channels),
            random.normal(0, 0.2, channels),
            np.exp(random.normal(0, 0.5, channels)),
        )
        weights.update(zip(names, parts, strict=True))
        return names

    def weight(name: str, *shape: int) -> str:
        weights[name] = random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
        return name

    node = helper.make_node
    nodes = [
        node("Conv", ["x", weight("c1.weight", 8, 1, 5, 5)], ["c1"], strides=[2, 2]),
        node("BatchNormalization", ["c1", *norm("n1", 8)], ["n1"]),
        node("Relu", ["n1"], ["r1"]),
        node("Conv", ["r1", weight("c2.weight", 16, 4, 3, 3)], ["c2"], group=2, strides=[2, 2]),
        node("BatchNormalization", ["c2", *norm("n2", 16)], ["n2"]),
        node("Relu", ["n2"], ["r2"]),
        node("Conv", ["r2", weight("c3.weight", 16, 1, 3, 3), "c3.bias"], ["c3"], group=16),
        node("BatchNormalization", ["c3", *norm("n3", 16)], ["n3"]),
        node("Relu", ["n3"], ["r3"]),
        node("Flatten", ["r3"], ["f"]),
        node("Gemm", ["f", weight("fc.weight", 10, 144), "fc.bias"], ["y"], transB=1),
    ]  # fmt: skip
    weights |= {"c3.bias": random.normal(0, 0.1, 16), "fc.bias": np.zeros(10)}
    graph = helper.make_graph(
        nodes,
        "grouped",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(w.astype("f"), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


CASES = {
    "lenet": (),
    "mnist-conv": ("--input-range", 0, 255, "--lr", 0.001),
    "grouped": ("--set", "batch_norm.policy=fold"),
    "grouped-kept": ("--set", "batch_norm.policy=train"),
    "grouped-frozen": ("--set", "batch_norm.policy=frozen"),
}


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")
@pytest.mark.parametrize("name", CASES)
def test_predictions_are_those_of_ideal_reads(cli: Cli, name: str) -> None:
    with np.load(SHARED / "data" / "mnist.npz") as data:
        x, y = data["x_test"][:, None], data["y_test"].astype(np.int64)
        np.savez("mnist.npz", x_train=data["x_train"][:2000, None], y_train=data["y_train"][:2000],
                 x_test=x, y_test=y)  # fmt: skip
    model: object = name
    if name == "mnist-conv":
        model = SHARED / "models" / "mnist-conv" / "model.onnx"
    elif name != "lenet":
        model = "grouped.onnx"
        onnx.save(grouped_and_normalised(0), model)
    outcome = cli("train", model, "--data", "mnist.npz", "-o", "run", *CASES[name])
    assert outcome.code == 0, outcome.stderr
    assert cli("export", "run", "-o", "out.onnx").code == 0
    scale = 1 if name == "mnist-conv" else 255
    batch = 1 if name == "mnist-conv" else len(x)
    samples = x.astype("f") / scale
    session = onnxruntime.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    outputs = [session.run(None, {feed: samples[i : i + batch]})[0]
               for i in range(0, len(x), batch)]  # fmt: skip
    classes = np.concatenate(outputs).argmax(1)
    trainer = rpucc.Trainer(rpucc.Machine.load("run"), threads=2)
    ideal = trainer.predict(x, ideal=True).argmax(1)
    assert np.array_equal(classes, ideal)
    found = json.loads(cli("eval", "run", "--ideal", "--json").stdout)
    assert round(found["error"] * 10000) == int(np.count_nonzero(classes != y))
    print(f"{name}: {np.count_nonzero(classes != y)} of 10,000 wrong, 0 predictions differ")
