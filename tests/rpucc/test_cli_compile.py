"""`rpucc compile`, `inspect` and `run` on what compile makes."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from rpucc.cli.main import cli
from rpucc.models import write
from rpucc.runtime.answers import scores


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rpucc(*arguments: object, columns: int = 100) -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns)})
    return runner.invoke(cli, [str(a) for a in arguments], prog_name="rpucc")


@pytest.mark.parametrize("columns", [80, 100])
def test_compile_shows_the_layers(columns):
    shown = rpucc("compile", "lenet", columns=columns)
    assert shown.exit_code == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "conv1 Conv 16 × 26 1 × 1 small 0.16 % 576 – – fwd BL 10" in lines
    assert "conv2 Conv 32 × 401 1 × 1 small 4.9 % 64 64 bwd fwd BL 10" in lines
    assert "bottleneck conv1: 576 reads of 10.0 ns" in lines
    assert max(map(len, shown.stdout.splitlines())) <= columns
    assert list(Path().iterdir()) == []


def test_compile_json_and_files():
    done = rpucc(
        "compile", "mlp", "--json", "-o", "mlp.onnx", "--time-passes", "--dump-passes", "stages"
    )
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["training"]
    assert result["loss"] == "cross-entropy"
    assert result["input_shape"] == [1, 28, 28]
    assert [layer["name"] for layer in result["plan"]["layers"]] == ["fc1", "fc2", "fc3"]
    assert result["plan"]["totals"]["weights"] == 235_146
    assert result["output"] == "mlp.onnx"
    names = [row["name"] for row in json.loads(rpucc("passes", "--json").stdout)]
    assert list(result["pass_seconds"]) == names
    assert [Path(p).name for p in result["dumps"]] == [
        f"{i:02d}_{name}.onnx" for i, name in enumerate(names)
    ]
    for path in (*result["dumps"], "mlp.onnx"):
        onnx.checker.check_model(onnx.load(path))
    inspected = json.loads(rpucc("inspect", "mlp.onnx", "--json").stdout)
    assert inspected["plan"] == result["plan"]


def test_compile_options():
    done = rpucc(
        "compile", "mlp", "-t", "ideal", "--set", "array.rows=100", "--set", "array.cols=60",
        "--inference", "--input-range", "-1", "1", "--verify", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["input_range"] == [-1, 1]
    assert not result["training"]
    assert result["plan"]["layers"][0]["grid"] == [3, 14]


def test_time_passes_is_a_table():
    shown = rpucc("compile", "mlp", "--time-passes", "--no-verify").stdout.splitlines()
    assert shown[-1].split()[0] == "total"


def test_verification_error_is_exit_code_3(monkeypatch):
    """A pass that flips a weight: the comparison finds it."""
    from rpucc.passes.place import Place

    call = Place.call

    def broken(self, model):  # type: ignore[no-untyped-def]
        import onnx_ir as ir

        weight = model.graph.initializers["fc2.W"]
        W = weight.const_value.numpy().copy()
        W[3, 4] = -W[3, 4]
        weight.const_value = ir.tensor(W, name="fc2.W")
        return call(self, model)

    monkeypatch.setattr(Place, "call", broken)
    done = rpucc("compile", "mlp", "--verify", "-o", "x.onnx")
    assert done.exit_code == 3
    assert "fc2.W" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not Path("x.onnx").exists()


def test_compile_shows_groups_copies_and_devices():
    keys = ("replicas=2", "devices_per_weight=3", "weight_scaling=off")
    options = [word for key in keys for word in ("--set", f"mapping.{key}")]
    shown = rpucc("compile", "mobilenet-v2-cifar", "--no-verify", *options)
    assert shown.exit_code == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "layer op R × C copies a weight clipped grid array used" in lines
    # 51 or more groups of 3 rows lie on an array, so 2 arrays a copy
    (row,) = [line for line in lines if line.startswith("block2.depthwise Conv 96 of 1 ×")]
    assert re.search(r"2 3 [\d.]+ % 1 × 1 4 small", row)
    slowest = "block5.expand and 2 layers as slow: 128 reads of 80.0 ns (256 on 2 copies)"
    assert f"bottleneck {slowest}" in lines


def test_a_setting_without_words_of_its_own_is_shown_where_it_acts():
    """Every key that acts is: a new one needs no line in the report."""
    for target, acts in (("rpu-managed", True), ("rpu-baseline", False)):  # which has no BM
        sets = ["--set", "management.max_halvings=3", "--no-verify"]
        assert rpucc("compile", "lenet", "-t", target, *sets, "-o", "l.onnx").exit_code == 0
        shown = rpucc("inspect", "l.onnx", "--layer", "fc1").stdout
        assert ("other settings    management.max_halvings 3" in shown) == acts
        assert ("other settings" in shown) == acts


def test_inspect_layer():
    assert rpucc("compile", "lenet", "-o", "l.onnx", "--set", "array.rows=20").exit_code == 0
    shown = rpucc("inspect", "l.onnx", "--layer", "fc1")
    assert shown.exit_code == 0, shown.stderr
    for text in ("128 × 513", "7 large of 20 × 4,096", "1 read forward", "dw_min 0.001", "BL 10"):
        assert text in shown.stdout
    found = json.loads(rpucc("inspect", "l.onnx", "--layer", "fc1", "--json").stdout)
    assert found["periphery"]["adc_bits"] == 9
    rows = [tile["rows"] for tile in found["tile_list"]]
    assert rows[0][0] == 0
    assert rows[-1][1] == 128
    assert all(a[1] == b[0] for a, b in pairwise(rows))
    wrong = rpucc("inspect", "l.onnx", "--layer", "fc3")
    assert wrong.exit_code == 1
    assert "did you mean 'fc2'?" in wrong.stderr or "did you mean 'fc1'?" in wrong.stderr


def test_inspect_shows_a_layers_own_policy():
    """Learning rate and calibration too: in the table, in its facts, as JSON, in the page."""
    own = ("--set", "calibration.zero_shift=true", "--set", "layer.fc1.update.lr_scale=0.5")
    made = rpucc(
        "compile", "mlp", "-t", "soft-bounds-asymmetric", *own, "--no-verify", "-o", "l.onnx"
    )
    assert made.exit_code == 0, made.stderr
    lines = [line.split() for line in rpucc("inspect", "l.onnx").stdout.splitlines()]
    shown = {line[0]: " ".join(line) for line in lines if line}
    assert shown["fc1"].endswith("BL 10 lr × 0.5")
    assert shown["fc2"].endswith("BL 10")
    for text in ("BL 10 lr × 0.5", "zero-shifted by 10,000 pairs of pulses"):
        assert text in rpucc("inspect", "l.onnx", "--layer", "fc1").stdout
    found = json.loads(rpucc("inspect", "l.onnx", "--layer", "fc1", "--json").stdout)
    assert found["calibration"] == {"zero_shift": True, "pairs": 10000, "reference_std": 0.0}
    assert found["update"]["lr_scale"] == 0.5
    assert rpucc("inspect", "l.onnx", "--html", "page.html").exit_code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "zero-shifted by 10,000 pairs of pulses" in page


def test_a_long_list_of_tiles_is_cut_and_says_so():
    options = ["-t", "ideal", "--set", "array.rows=8", "--set", "array.cols=8"]
    assert rpucc("compile", "lenet", *options, "-o", "l.onnx").exit_code == 0
    shown = rpucc("inspect", "l.onnx", "--layer", "fc1").stdout
    assert shown.splitlines()[-1] == f"and {16 * 64 - 20:,} more (--json lists all)"
    found = json.loads(rpucc("inspect", "l.onnx", "--layer", "fc1", "--json").stdout)
    assert len(found["tile_list"]) == 16 * 64


def test_run_equals_onnxruntime_on_ideal_arrays():
    """Model, compiled program and ONNX file give the same classes."""
    import onnxruntime as ort

    from rpucc.models import build

    x = np.random.default_rng(0).uniform(0, 1, (5, 1, 28, 28)).astype(np.float32)
    np.save("x.npy", x)
    assert rpucc("models", "build", "lenet").exit_code == 0
    options = ["-t", "ideal", "--inference", "-o", "ideal.onnx"]
    assert rpucc("compile", "lenet", *options).exit_code == 0
    session = ort.InferenceSession(build("lenet").SerializeToString())
    expected = session.run(None, {session.get_inputs()[0].name: x})[0]
    for model in (["lenet", "-t", "ideal"], ["lenet.onnx", "-t", "ideal"], ["ideal.onnx"]):
        done = rpucc("run", model[0], "x.npy", "-o", "y.npy", *model[1:])
        assert done.exit_code == 0, done.stderr
        np.testing.assert_allclose(np.load("y.npy"), expected, rtol=1e-4, atol=1e-5)
        rows = [line.split() for line in done.stdout.splitlines()[2:]]
        assert [int(row[1]) for row in rows] == expected.argmax(axis=1).tolist()
    found = json.loads(rpucc("run", "ideal.onnx", "x.npy", "--json").stdout)
    np.testing.assert_allclose(found["outputs"], expected, rtol=1e-4, atol=1e-5)


def test_run_on_a_png():
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(784, dtype=np.uint8).reshape(28, 28)
    image.fromarray(pixels).save("digit.png")
    done = rpucc("run", "lenet", "digit.png")
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_scores():
    logits = np.array([[1.0, 3.0, 2.0]], np.float32)
    assert scores(logits).sum() == pytest.approx(1)
    assert scores(logits).argmax() == 1
    probabilities = np.array([[0.2, 0.8]], np.float32)
    np.testing.assert_array_equal(scores(probabilities), probabilities.astype(np.float64))


def test_compile_does_not_replace_what_it_reads():
    write("lenet", Path("model.onnx"))
    before = Path("model.onnx").read_bytes()
    done = rpucc("compile", "model.onnx", "-o", "./model.onnx", "--no-verify")
    assert done.exit_code == 1
    assert "is what the command reads" in done.stderr
    assert Path("model.onnx").read_bytes() == before


@pytest.mark.parametrize("command", [["inspect", "lenet"], ["diff", "lenet", "lenet"]])
def test_a_built_in_model_is_no_program_yet(command):
    done = rpucc(*command)
    assert done.exit_code == 1
    assert "rpucc compile lenet -o FILE makes one" in done.stderr
