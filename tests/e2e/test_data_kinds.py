"""Every kind of data on the command line: trained on, evaluated, run and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

TRAIN = ("train", "tiny.onnx", "-t", "ideal", "--lr", "0.1", "--data")


def pixels() -> tuple[np.ndarray, np.ndarray]:
    """The samples of tiny_data as bytes."""
    with np.load("tiny.npz") as found:
        return np.rint(found["x"] * 255).astype(np.uint8), found["y"]


def as_images(folder: Path, names: str, suffix: str = "png", rows: slice = slice(None)) -> Path:
    """Write samples as 4 × 3 images, a folder for each class."""
    from PIL import Image

    x, y = pixels()
    for c, name in enumerate(names.split()):
        for i, sample in enumerate(x[rows][y[rows] == c]):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(sample.reshape(3, 4)).save(folder / name / f"{i:03d}.{suffix}")
    return folder


def as_csv(path: Path, names: str = "a b c", rows: slice = slice(None)) -> Path:
    x, y = pixels()
    lines = [",".join(f"x{i}" for i in range(12)) + ",kind"]
    for sample, label in zip(x[rows], y[rows], strict=True):
        lines.append(",".join(f"{v / 255:.4f}" for v in sample) + f",{names.split()[label]}")
    path.write_text("\n".join(lines) + "\n")
    return path


def as_parquet(path: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    x, y = pixels()
    columns = {f"x{i}": x[:, i] for i in range(12)} | {"label": y}
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


def test_every_kind_trains_and_is_found_again(cli, tiny_model, tiny_data):
    x, y = pixels()
    save_file({"x": x, "y": y}, "d.safetensors")
    Path("npy").mkdir()
    np.save("npy/x.npy", x)
    np.save("npy/y.npy", y)
    as_images(Path("photos"), "a b c")
    as_csv(Path("d.csv"))
    as_parquet(Path("d.parquet"))
    said = {
        "d.safetensors": "600 samples to train, 66 to test",
        "npy": "600 samples to train",
        "photos": "photos: 3 classes, numbered by name: a 0, b 1, c 2",
        "d.csv:kind": "d.csv: 12 columns of numbers and the label 'kind'",
        "d.parquet": "d.parquet: the last tenth of each class is the test part",
    }
    for i, (spec, line) in enumerate(said.items()):
        outcome = cli(*TRAIN, spec, "-o", f"run{i}", "--epochs", "1")
        assert outcome.code == 0, outcome.stderr
        assert line in outcome.stderr
        kept = json.loads(Path(f"run{i}/run.json").read_text())
        assert kept["data"] == str(Path(spec).resolve())
        assert kept["data_classes"] == (["a", "b", "c"] if i in (2, 3) else [])
        found = json.loads(cli("eval", f"run{i}", "--json").stdout)
        assert found["error"] < 0.2, spec
        assert cli("train", f"run{i}", "--resume", "--epochs", "2").code == 0
        ran = cli("run", f"run{i}", spec, "--json")
        assert abs(json.loads(ran.stdout)["error"] - found["error"]) < 0.2, ran.stderr


def test_jpegs_in_parts_and_single_images(cli, tiny_model, tiny_data):
    as_images(Path("photos/train"), "a b c", "jpg")
    as_images(Path("photos/test"), "a b c", "png", slice(60))
    outcome = cli(*TRAIN, "photos", "-o", "run", "--batch-size", "10", "--lr", "1")
    assert outcome.code == 0
    assert "666 samples to train, 60 to test" in outcome.stderr
    one = cli("run", "run", "photos/train/b/000.jpg")
    assert (one.code, one.stderr) == (0, one.stderr)
    flat = cli("run", "run", "photos/train/b", "--json")
    assert "its images, by name" in flat.stderr
    classes = [found["class"] for found in json.loads(flat.stdout)["predictions"]]
    assert np.mean(np.array(classes) == 1) > 0.8


def test_classes_keep_the_numbers_of_the_training(cli, tiny_model, tiny_data):
    assert cli(*TRAIN, f"{as_csv(Path('d.csv'))}:kind", "-o", "run", "--epochs", "2").code == 0
    lines = Path("d.csv").read_text().splitlines()
    few = [lines[0], *(line for line in lines[1:] if not line.endswith(",a"))]
    Path("few.csv").write_text("\n".join(few) + "\n")
    outcome = cli("eval", "run", "--data", "few.csv:kind", "--json")
    assert json.loads(outcome.stdout)["error"] < 0.2
    assert "few.csv: classes have the numbers of the training: a 0, b 1, c 2" in outcome.stderr
    ran = cli("run", "run", "few.csv:kind", "--json")
    assert json.loads(ran.stdout)["error"] < 0.2
    Path("odd.csv").write_text("\n".join(few).replace(",c", ",z") + "\n")
    refused = cli("eval", "run", "--data", "odd.csv:kind")
    assert refused.code == 1
    assert "class 'z' is none of those that were trained on: a 0, b 1, c 2" in refused.stderr
    assert "no error is given: odd.csv:kind: class 'z'" in cli("run", "run", "odd.csv:kind").stderr


def test_samples_without_labels_are_run(cli, tiny_model, tiny_data):
    x, _ = pixels()
    np.savetxt("new.csv", x[:5] / 255, delimiter=",", fmt="%.5f")
    outcome = cli("run", "tiny.onnx", "new.csv", "-t", "ideal", "-o", "y.npy")
    assert outcome.code == 0, outcome.stderr
    assert "new.csv: its rows (5 samples)" in outcome.stderr
    cli("run", "tiny.onnx", "tiny.npz", "-t", "ideal", "-o", "z.npy")
    assert np.load("y.npy").shape == (5, 3)


def test_the_pixels_of_a_folder_are_those_of_its_arrays(cli, tiny_model, tiny_data):
    """The same samples in the same order give the same weights."""
    as_images(Path("photos"), "a b c")
    x, y = pixels()
    order = np.argsort(y, kind="stable")
    tails = [np.flatnonzero(y[order] == c)[-(np.sum(y == c) // 10) :] for c in range(3)]
    tail = np.zeros(len(y), bool)
    tail[np.concatenate(tails)] = True
    x, y = x[order], y[order]
    parts = {"x_train": x[~tail], "y_train": y[~tail], "x_test": x[tail], "y_test": y[tail]}
    np.savez("same.npz", **parts)
    for name, spec in (("one", "photos"), ("other", "same.npz")):
        assert cli(*TRAIN, spec, "-o", name).code == 0
    assert Path("one/metrics.csv").read_bytes() == Path("other/metrics.csv").read_bytes()


def test_refusals_are_one_line(cli, tiny_model, tiny_data, files):
    as_images(Path("photos"), "a b")
    as_csv(Path("d.csv"))
    Path("bad.csv").write_text(Path("d.csv").read_text().replace(",b\n", ",\n", 1))
    rows = [f"{i % 3}," + ",".join(["2.5"] * 12) for i in range(9)]
    Path("wide.csv").write_text("\n".join(["label," + ",".join("abcdefghijkl"), *rows]))
    before = files()
    for spec, part in (
        ("d.csv", "d.csv: no column 'label'; it has 'x0', 'x1'"),
        ("bad.csv:kind", "column 'kind': is empty; fill the missing values"),
        ("photos:5x5", "5×5 = 25 pixels, grey or 3 times as many values in colour, but the model"),
        ("tiny.npz:x", "a colon names the column of a table's labels or the size"),
        ("photos/a", "its images lie in no folder of a class"),
        (
            "wide.csv",
            "the samples span 2.5 to 2.5, beyond the program's input range 0 to 1: compile",
        ),
    ):
        outcome = cli(*TRAIN, spec, "-o", "run")
        assert outcome.code == 1, spec
        lines = [line for line in outcome.stderr.splitlines() if line.startswith("Error")]
        assert len(lines) == 1
        assert part in lines[0], spec
    assert files() == before
