"""Data of every kind, and masks."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from . import mutate
from .mutate import one_of
from .reader import Reader


def samples() -> dict[str, Any]:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (12, 2, 5, 5)).astype(np.uint8), random.integers(0, 3, 12)
    return {"x": x, "y": y, "x_train": x, "y_train": y, "x_test": x[:3], "y_test": y[:3]}


def _npz(folder: Path) -> list[bytes]:
    made, arrays = [], samples()
    for keys in (("x", "y"), ("x_train", "y_train", "x_test", "y_test")):
        for save in (np.savez, np.savez_compressed):
            stream = io.BytesIO()
            save(stream, **{key: arrays[key] for key in keys})
            made.append(stream.getvalue())
    return made


def _npy(folder: Path) -> list[bytes]:
    made, x = [], samples()["x"]
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
    arrays = samples()
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

    arrays = samples()
    return [
        save({key: arrays[key] for key in keys})
        for keys in (("x", "y"), ("x_train", "y_train", "x_test", "y_test"))
    ]


def _csv(folder: Path) -> list[bytes]:
    rows = [f"{i},{i / 7},{'abc'[i % 3]}" for i in range(12)]
    texts = ["a,b,label", *rows], [f'"{i}";{-i};{i % 3}' for i in range(9)]
    return ["\n".join(texts[0]).encode(), ("a;b;label\r\n" + "\r\n".join(texts[1])).encode()]


def _parquet(folder: Path) -> list[bytes]:
    import pyarrow
    import pyarrow.parquet

    made = []
    a = samples()
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


def _bomb(random: Random, data: bytes) -> bytes:
    """Make an archive with a member that is far larger than the file, or says so."""
    size = random.choice((0xFF, 2**16 - 1, 2**26, 2**32 - 1))
    shape = random.choice(((3, 16), (2**40,), (2**20, 2**20), (2**13, 2**13)))
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    starts = (
        b"\x93NUMPY\2\0" + struct.pack("<I", size),
        b"\x93NUMPY\3\0" + struct.pack("<I", size),
        b"\x93NUMPY\1\0" + struct.pack("<H", len(header) + 1) + header + b"\n",
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
    blocks = random.choice((1, 2, 2, 2**8 - 1))  # 4 GB are 4 MB of a file
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    start = packer.compress(random.choice(starts)) + packer.flush(zlib.Z_FULL_FLUSH)
    content, whole = start + _zeros() * blocks, b""
    claimed = random.choice((blocks * BLOCK, 2**32 - 2, 100))
    bad, central = random.choice(names), b""
    for name in names:
        body = content if name == bad else b""
        sizes = struct.pack("<III", 0, len(body), claimed if name == bad else 0)
        about = struct.pack("<HHHHH", 20, 0, 8 if body else 0, 0, 0x21) + sizes
        text = name.encode()
        entry = b"PK\1\2" + struct.pack("<H", 20) + about + struct.pack("<H", len(text))
        central += entry + bytes(12) + struct.pack("<I", len(whole)) + text
        whole += b"PK\3\4" + about + struct.pack("<HH", len(text), 0) + text + body
    ends = (0, 0, len(names), len(names), len(central), len(whole), 0)
    return whole + central + b"PK\5\6" + struct.pack("<HHHHIIH", *ends)


BLOCK = 2**24


@cache
def _zeros() -> bytes:
    """A block of zeros, deflated, that can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)


def _masks(folder: Path) -> list[bytes]:
    random, made = np.random.default_rng(0), []
    masks = {"c": random.random((4, 2, 2, 2)) < 0.5, "fc": random.random((3, 16)).round()}
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, **masks)
        made.append(stream.getvalue())
    return made


def use_mask(path: Path) -> None:
    """Compile a network with masks."""
    from rpucc.compiler.compile import compile_model
    from rpucc.target.target import Target

    from .networks import network

    target = Target.load("ideal", (f'update.mask="{path}"',))
    _ = compile_model(network("conv"), target, verify=False).plan


def _curves(folder: Path) -> list[bytes]:
    """Curves of two devices, in weights and in conductances, with reads that failed."""
    made = []
    for header, delimiter in (("weight", ","), ("conductance_uS", ";")):
        rows = [["device", "pulse", "direction", header]]
        for device in ("a", "b"):
            values = [min(i, 40 - i) / 20 for i in range(41)]
            for i, value in enumerate(values):
                way = "up" if i <= 20 else "down"
                rows.append([device, str(i), way, "NaN" if i % 9 == 4 else str(value)])
        made.append("\n".join(map(delimiter.join, rows)).encode())
    return made


def use_curves(path: Path) -> None:
    """Read response curves; what is taken can be looked at."""
    from rpucc.runtime.fitting.read import read_curves
    from rpucc.runtime.fitting.sketch import noise, sketch

    curves = read_curves(path)
    noise(curves, [sketch(each) for each in curves.devices])


_FILE = (1, mutate.damage)
READERS = {
    "curves": Reader("curves.csv", _curves, one_of((3, mutate.cells), _FILE), use_curves),
    "npz": Reader(
        "data.npz", _npz, one_of((6, mutate.zip_members), (4, mutate.damage), (1, _bomb)), use_data
    ),
    "npy": Reader("data.npy", _npy, one_of((2, mutate.npy_header), _FILE), use_input),
    "idx": Reader("train-images-idx3-ubyte.gz", _idx, one_of((3, _inside_gzip), _FILE), use_data),
    "cifar": Reader("cifar.tar.gz", _cifar, one_of((3, _inside_tar), _FILE), use_cifar),
    "safetensors": Reader(
        "data.safetensors", _safetensors, one_of((3, mutate.safetensors_header), _FILE), use_data
    ),
    "csv": Reader("table.csv", _csv, one_of((3, mutate.cells), _FILE), use_table),
    "jpeg": Reader("photo.jpg", _jpeg, mutate.damage, use_photo),
    "png": Reader("image.png", _png, one_of((3, mutate.png_chunks), _FILE), use_input),
    "masks": Reader(
        "masks.npz",
        _masks,
        one_of((6, mutate.zip_members), (4, mutate.damage), (1, _bomb)),
        use_mask,
        share=30,
    ),
}
if find_spec("pyarrow") is not None:
    READERS["parquet"] = Reader("table.parquet", _parquet, mutate.damage, use_table)
