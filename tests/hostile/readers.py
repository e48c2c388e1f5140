"""What is attacked: each reader with good files, how they are damaged, and what is done with them.

`read` does with a file what the commands do, and raises RpuccError where it refuses it. Not for
running many of them: `worker.py`.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from rpucc.errors import RpuccError
from rpucc.losses import LABELS

from . import mutate
from .mutate import Mutation, one_of
from .mutate_onnx import onnx_fields


@dataclass(frozen=True)
class Reader:
    """One row of READERS."""

    name: str
    """The name of the file in the folder that `read` gets; what is damaged."""
    originals: Callable[[Path], list[bytes]]
    """Make good files; the folder is for what has to lie beside them."""
    mutation: Mutation
    read: Callable[[Path], object]
    adapt: Callable[[Path, bytes], bytes] = lambda folder, data: data
    """Make a kept file belong to what lies beside it, which an earlier rpucc made otherwise."""


# ---------------------------------------------------------------- programs


def _programs(folder: Path) -> list[bytes]:
    from .networks import KINDS, program

    made = []
    for kind in KINDS:
        program(kind).save(folder / "made.onnx")
        made.append((folder / "made.onnx").read_bytes())
    return made


def use_program(path: Path) -> None:
    """Load a program, plan it, and do one step of training and of evaluation with it."""
    from rpucc.program import Program
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.trainer import Trainer

    program = Program.load(path)
    _ = program.plan.to_dict(), program.cost.to_dict()
    machine = Machine(program, 1)
    with contextlib.suppress(RpuccError):  # what is damaged may be needed for nothing else
        machine.export()
    trainer = Trainer(machine)
    batch = program.fixed_batch or 2
    executor = trainer.executor(batch, evaluating=True)
    low, high = program.input_range
    random = np.random.default_rng(0)
    x = {
        name: random.uniform(low, high, executor[name].shape).astype(np.float32)
        for name in program.inputs
    }
    if not program.training:
        trainer.predict(x)
        return
    output = executor[program.output].shape
    classes = LABELS.get(program.loss) == "classes"
    y = np.zeros((output[0], *output[2:]), np.int64) if classes else np.zeros(output, np.float32)
    from rpucc.runtime.data import Dataset

    data = Dataset("data", x, y, x, y)
    trainer.fit(data, epochs=1, batch_size=batch, lr=0.01)


# ---------------------------------------------------------------- targets and plan files


def _targets(folder: Path) -> list[bytes]:
    from rpucc.target.load import preset_names, preset_text

    rules = """
[[layer]]
match = "conv*"
arrays = [3, "8-10"]
[layer.mapping]
replicas = 4
row_cuts = [0, 2, 4]
[layer.update]
bl = 3
[layer.device]
model = "constant-step"
dw_min = 0.002
[layer.cell]
model = "tiki-taka"
transfer_every = 3
gamma = 0.5
[layer.cell.fast]
model = "soft-bounds"
dw_min = 0.004
"""
    return [(preset_text(name) + rules).encode() for name in preset_names()]


def use_target(path: Path) -> None:
    """Load a target, write it, and make the devices of a layer."""
    from rpucc.runtime.devices import device_of
    from rpucc.target.target import Target

    target = Target.load(path)
    assert Target.from_json(target.to_json()) == target
    for name in ("conv1", "fc"):
        policy = target.for_layer(name)
        for plane, device in policy.plane_devices.items():
            if ":" not in device.model:  # what a file names is not imported here
                device_of(policy, plane=plane)


PLAN = """
[placement]
share = true
[[layer]]
match = "c"
arrays = [0, "1-3"]
[layer.mapping]
array = "large"
replicas = 2
col_cuts = [0, 5, 9]
row_cuts = [0, 4]
[[layer]]
match = "fc"
[layer.management]
bound_forward = false
"""


def use_plan(path: Path) -> None:
    """Compile a tiny network by a plan file."""
    from rpucc.compiler.compile import compile_model
    from rpucc.target.target import Target

    from .networks import network

    target = Target.load("rpu-managed", ("mapping.weight_scaling=off",)).with_plan(path)
    _ = compile_model(network("conv"), target, verify=False).plan.to_dict()


# ---------------------------------------------------------------- data


def _arrays() -> dict[str, Any]:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (12, 2, 5, 5)).astype(np.uint8), random.integers(0, 3, 12)
    return {"x": x, "y": y, "x_train": x, "y_train": y, "x_test": x[:3], "y_test": y[:3]}


def _npz(folder: Path) -> list[bytes]:
    made, arrays = [], _arrays()
    for keys in (("x", "y"), ("x_train", "y_train", "x_test", "y_test")):
        for save in (np.savez, np.savez_compressed):
            stream = io.BytesIO()
            save(stream, **{key: arrays[key] for key in keys})
            made.append(stream.getvalue())
    return made


def _npy(folder: Path) -> list[bytes]:
    made, x = [], _arrays()["x"]
    for array in (x, x[0], x.astype(np.float32) / 255):
        stream = io.BytesIO()
        np.save(stream, array)
        made.append(stream.getvalue())
    return made


def _png(folder: Path) -> list[bytes]:
    from PIL import Image

    made, random = [], np.random.default_rng(0)
    for shape in ((5, 5), (5, 5, 3), (5, 5, 4)):
        for paletted in (False, True):
            pixels = random.integers(0, 256, shape).astype(np.uint8)
            pixels[..., 3:] = 255  # opaque
            image = Image.fromarray(pixels)
            stream = io.BytesIO()
            (image.convert("P") if paletted else image).save(stream, "PNG")
            made.append(stream.getvalue())
    return made


def _idx(folder: Path) -> list[bytes]:
    arrays = _arrays()
    pixels = arrays["x"][:, 0]

    def idx(array: Any) -> bytes:
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        return header + array.tobytes()

    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(pixels))
        labels = idx(arrays["y"].astype(np.uint8))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    (folder / "train-images-idx3-ubyte").unlink()  # the damaged file takes its place
    wide = np.repeat(pixels, 20, axis=0)[: len(pixels)]
    return [gzip.compress(idx(each), mtime=0) for each in (pixels, wide)]


def _cifar(folder: Path) -> list[bytes]:
    """Archives of both versions, packed."""
    from rpucc.runtime.data.cifar import CIFARS

    made, random = [], np.random.default_rng(0)
    for kind in CIFARS.values():
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name in kind.files:
                rows = random.integers(0, kind.classes, (2, kind.labels + 3072), np.uint8)
                member = tarfile.TarInfo(f"{kind.folder}/{name}")
                member.size = rows.nbytes
                archive.addfile(member, io.BytesIO(rows.tobytes()))
        made.append(gzip.compress(stream.getvalue(), mtime=0))
    return made


def _jpeg(folder: Path) -> list[bytes]:
    """Photos of both kinds, one of them turned, in a folder of a class beside good ones."""
    from PIL import Image

    made, random = [], np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for shape in ((8, 6), (8, 6, 3)):
        image = Image.fromarray(random.integers(0, 256, shape).astype(np.uint8))
        for options in ({}, {"progressive": True}, {"exif": exif}):
            stream = io.BytesIO()
            turned = image.rotate(90, expand=True) if "exif" in options else image
            turned.save(stream, "JPEG", **options)
            made.append(stream.getvalue())
    for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg"):
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(made[0])
    return made


def use_photo(path: Path) -> None:
    """Load a photo by itself and among others of its class."""
    from rpucc.errors import RpuccError
    from rpucc.runtime.data import load_dataset, load_inputs

    folder = path.parent / "photos"
    (folder / "a" / "2.jpg").write_bytes(path.read_bytes())
    try:
        load_inputs(path, (1, 8, 6), (0.0, 1.0))
    except RpuccError:
        load_dataset(f"{folder}:6x8", inputs={"x": (3, 8, 6)})
        raise
    load_dataset(folder)


def _safetensors(folder: Path) -> list[bytes]:
    from safetensors.numpy import save

    arrays = _arrays()
    return [
        save({key: arrays[key] for key in keys})
        for keys in (("x", "y"), ("x_train", "y_train", "x_test", "y_test"))
    ]


def _csv(folder: Path) -> list[bytes]:
    rows = [f"{i},{i / 7},{'abc'[i % 3]}" for i in range(12)]
    texts = ["a,b,label", *rows], [f'"{i}";{-i};{i % 3}' for i in range(9)]
    return ["\n".join(texts[0]).encode(), ("a;b;label\r\n" + "\r\n".join(texts[1])).encode()]


def _cells(random: Random, data: bytes) -> bytes:
    """Put texts, numbers, delimiters and quotes where cells were."""
    lines = data.split(b"\n")
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(lines))
        cells = lines[at].split(b",")
        pools = (mutate.TEXTS, mutate.NUMBERS, mutate.FLOATS, ('"', ",,", ";", "\r", "1e5,", '"a'))
        new = str(random.choice(random.choice(pools))).encode()
        cells[random.randrange(len(cells))] = new
        lines[at] = b",".join(cells)
    return b"\n".join(lines)


def _parquet(folder: Path) -> list[bytes]:
    import pyarrow
    import pyarrow.parquet

    made = []
    a = _arrays()
    for compression in ("none", "snappy"):
        for labels in (a["y"], np.array(["a", "b", "c"])[a["y"]], a["y"] / 7):
            table = {"a": np.arange(12), "b": np.arange(12) / 7, "label": labels}
            stream = io.BytesIO()
            pyarrow.parquet.write_table(pyarrow.table(table), stream, compression=compression)
            made.append(stream.getvalue())
    return made


def use_table(path: Path) -> None:
    """Load a table with its labels, and as samples alone."""
    from rpucc.errors import RpuccError
    from rpucc.runtime.data import fitted, load_dataset, load_inputs

    try:
        found = load_dataset(path)
        fitted(found, {"x": (2,)}, (3,) if found.classes else (1,), "none")
    except RpuccError:
        load_inputs(path, (3,), (0.0, 1.0))
        raise


def _inside_gzip(random: Random, data: bytes) -> bytes:
    inner = one_of((2, mutate.idx_header), (1, mutate.damage))(random, gzip.decompress(data))
    return gzip.compress(inner, mtime=0)


def _inside_tar(random: Random, data: bytes) -> bytes:
    """Damage a header of an archive, or anything in it."""
    inner = bytearray(gzip.decompress(data))
    if random.random() < 0.3:
        return gzip.compress(mutate.damage(random, bytes(inner)), mtime=0)
    starts = [i for i in range(0, len(inner), 512) if inner[i + 257 : i + 262] == b"ustar"]
    start = random.choice(starts)
    where = start + random.choice((random.randrange(512), random.randrange(124, 136), 156))
    inner[where] = random.choice((0, 32, 55, 255, random.randrange(256)))
    return gzip.compress(bytes(inner), mtime=0)


def use_cifar(path: Path) -> None:
    """Load an archive of CIFAR."""
    from rpucc.runtime.data import load_dataset

    load_dataset(path)


def use_data(path: Path) -> None:
    """Load a data set and fit it to a model."""
    from rpucc.runtime.data import fitted, load_dataset, load_inputs

    found = load_dataset(str(path.parent if path.suffix == ".gz" else path))
    sample = (1, 5, 5) if path.suffix == ".gz" else (2, 5, 5)
    fitted(found, {"x": sample}, (3,), "cross-entropy")
    if path.suffix == ".npz":
        load_inputs(path, sample, (0.0, 1.0))


def use_input(path: Path) -> None:
    """Load an input for models of two kinds."""
    from rpucc.errors import RpuccError
    from rpucc.runtime.data import load_inputs

    shapes = ((1, 5, 5), (3, 5, 5), (25,)) if path.suffix == ".png" else ((2, 5, 5), (50,))
    refusals = []
    for shape in shapes:
        try:
            load_inputs(path, shape, (0.0, 1.0))
        except RpuccError as error:
            refusals.append(error)
    if len(refusals) == len(shapes):
        raise refusals[0]


# ---------------------------------------------------------------- run folders


def _run(folder: Path) -> tuple[Path, Path]:
    """Train a tiny network for two epochs; returns program and checkpoint."""
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.trainer import Trainer

    from .networks import program

    made = program("conv")
    made.save(folder / "program.onnx")
    a = _arrays()
    data = Dataset("data", a["x"], a["y"], a["x_test"], a["y_test"])
    trained = folder / "trained.safetensors"
    Trainer(Machine(made, 1)).fit(data, epochs=2, batch_size=5, checkpoint=trained)
    return folder / "program.onnx", trained


def _checkpoints(folder: Path) -> list[bytes]:
    return [_run(folder)[1].read_bytes()]


def _of_this_program(folder: Path, data: bytes) -> bytes:
    """A checkpoint names its program by a digest."""
    from rpucc.program import Program
    from rpucc.runtime.checkpoint_file import program_digest

    digest = program_digest(Program.load(folder / "program.onnx"))
    return re.sub(rb"(program[^0-9a-f]{1,12})[0-9a-f]{64}", rb"\g<1>" + digest.encode(), data)


_programs_by_folder: dict[Path, Any] = {}


def use_checkpoint(path: Path) -> None:
    """Load a checkpoint, show its history, evaluate it and train on."""
    from rpucc.program import Program
    from rpucc.report.text.training import epoch_row
    from rpucc.runtime.checkpoint import load_checkpoint
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.metrics import EpochMetrics
    from rpucc.runtime.trainer import Trainer

    if path.parent not in _programs_by_folder:
        _programs_by_folder[path.parent] = Program.load(path.parent / "program.onnx")
    machine = load_checkpoint(path, _programs_by_folder[path.parent])
    for record in machine.history:
        epoch_row(EpochMetrics.from_record(record), 3)
    trainer, a = Trainer(machine), _arrays()
    trainer.evaluate(a["x_test"], a["y_test"])
    data = Dataset("data", a["x"], a["y"], a["x_test"], a["y_test"])
    trainer.fit(data, epochs=machine.counters.epoch + 1, batch_size=5)


def _run_json(folder: Path) -> list[bytes]:
    from rpucc.compiler.options import CompileOptions
    from rpucc.outputs import to_json
    from rpucc.runs.record import Record

    given = Record(
        model="tiny.onnx",
        target="rpu-managed",
        data="mnist-mini",
        compiling=CompileOptions(overrides=("update.bl=3",), input_range=(0.0, 1.0)),
        data_dir=None,
        epochs=3,
        batch_size=2,
        lr=0.01,
        lr_schedule="step:2:0.5",
        validation="0.1",
        augment=["noise:0.1"],
        seed=1,
        threads=1,
    )
    (folder / "program.onnx").write_bytes(b"")
    (folder / "checkpoint.safetensors").write_bytes(b"")
    return [to_json(given.values()).encode()]


def use_run_json(path: Path) -> None:
    """Take a resumed training's arguments from a run folder, and what other commands take."""
    from rpucc.cli.train_resume import saved_of
    from rpucc.errors import DataError, ModelError
    from rpucc.runs.folder import RunFolder
    from rpucc.runtime.data import DATASETS, load_dataset
    from rpucc.runtime.learning_rate import parse_schedule

    saved = saved_of(RunFolder(path.parent))
    for name, use in (
        ("model", lambda: RunFolder(Path(saved["model"])).exists()),
        ("data", lambda: saved["data"] in DATASETS or load_dataset(saved["data"])),
    ):
        try:
            use()
        except (DataError, ModelError):
            assert name  # what is not there is said so
    assert parse_schedule(saved["lr_schedule"])(saved["lr"], 5) >= 0
    assert np.zeros((saved["batch_size"], 1), np.uint8).size * saved["threads"] < 2**31
    assert saved["epochs"] <= 2**31


def _layer_record(folder: Path) -> list[bytes]:
    from rpucc.runs.layer_record import LayerRecorder
    from rpucc.runtime.layer_stats import layer_stats
    from rpucc.runtime.machine import Machine

    from .networks import program

    machine = Machine(program("conv"), 1)
    recorder = LayerRecorder(folder / "made.jsonl", machine)
    for epoch in (1, 2, 3):
        recorder.add(layer_stats(machine, epoch, {}))
    return [(folder / "made.jsonl").read_bytes()]


def _one_line(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    i = random.randrange(len(lines) - 1)
    lines[i] = mutate.json_tree(random, lines[i])
    return b"\n".join(lines)


def use_layer_record(path: Path) -> None:
    """Take a record of layers as a resumed training does, and draw what a page shows of it."""
    from rpucc.report.runs import layers
    from rpucc.report.runs.run_report import History, LayerReport, RunReport
    from rpucc.runs.layer_record import read_layer_records

    from .networks import program

    records = read_layer_records(path)
    last = records[-1].layers if records else ()
    shown = tuple(LayerReport(each.layer, each.weights, each.planes, ()) for each in last)
    if path.parent not in _programs_by_folder:
        _programs_by_folder[path.parent] = program("conv")
    report = RunReport(
        History("run", (), records), _programs_by_folder[path.parent], 1, "", (), "", "", shown,
        {(la.layer, p.plane): p for la in records[0].layers for p in la.planes} if records else {},
        None, (), (),
    )  # fmt: skip
    layers.over_time(report)
    layers.weights(report)


# ---------------------------------------------------------------- models


def _models(folder: Path) -> list[bytes]:
    from .networks import _NETWORKS, network

    return [network(name).SerializeToString() for name in _NETWORKS]


def use_model(path: Path) -> None:
    """Compile a model for training; where that is refused, check it for inference."""
    from rpucc.compiler.check import check_model
    from rpucc.compiler.compile import compile_model
    from rpucc.errors import RpuccError

    try:
        _ = compile_model(path, "rpu-managed", verify=False).plan
    except RpuccError:
        check_model(str(path), "rpu-managed", training=False)
        raise


_FILE = (1, mutate.damage)
READERS: dict[str, Reader] = {
    "programs": Reader("program.onnx", _programs, one_of((8, onnx_fields), _FILE), use_program),
    "targets": Reader("target.toml", _targets, one_of((3, mutate.toml_tree), _FILE), use_target),
    "plans": Reader(
        "plan.toml",
        lambda folder: [PLAN.encode()],
        one_of((3, mutate.toml_tree), _FILE),
        use_plan,
    ),
    "npz": Reader("data.npz", _npz, one_of((3, mutate.zip_members), (2, mutate.damage)), use_data),
    "npy": Reader("data.npy", _npy, one_of((2, mutate.npy_header), _FILE), use_input),
    "idx": Reader("train-images-idx3-ubyte.gz", _idx, one_of((3, _inside_gzip), _FILE), use_data),
    "cifar": Reader("cifar.tar.gz", _cifar, one_of((3, _inside_tar), _FILE), use_cifar),
    "safetensors": Reader(
        "data.safetensors",
        _safetensors,
        one_of((3, mutate.safetensors_header), _FILE),
        use_data,
    ),
    "csv": Reader("table.csv", _csv, one_of((3, _cells), _FILE), use_table),
    "jpeg": Reader("photo.jpg", _jpeg, mutate.damage, use_photo),
    "png": Reader("image.png", _png, one_of((3, mutate.png_chunks), _FILE), use_input),
    "checkpoints": Reader(
        "checkpoint.safetensors",
        _checkpoints,
        one_of((3, mutate.safetensors_header), _FILE),
        use_checkpoint,
        _of_this_program,
    ),
    "run.json": Reader("run.json", _run_json, one_of((4, mutate.json_tree), _FILE), use_run_json),
    "layers.jsonl": Reader(
        "layers.jsonl", _layer_record, one_of((4, _one_line), _FILE), use_layer_record
    ),
    "models": Reader("model.onnx", _models, one_of((5, onnx_fields), _FILE), use_model),
}
"""Name -> reader; adding one is one row."""
if find_spec("pyarrow") is not None:
    READERS["parquet"] = Reader("table.parquet", _parquet, mutate.damage, use_table)
