"""Make models/data/mnist_mini.npz, the built-in data, from the full MNIST.

    python scripts/make_mnist_mini.py mnist.npz [-o models/data/mnist_mini.npz]

600 training and 100 test images a class, drawn without replacement by a fixed seed and stored in
shuffled order as a plain .npz with the Keras keys: uint8 pixels, deflate level 9, which any
`numpy.load` reads without pickle. The same input gives the same bytes: the zip's time stamps are
fixed and the draw uses the raw PCG64 stream, which NumPy guarantees never to change (only a
zlib that is not the classic one may compress to other bytes; the arrays stay the same).

Not part of the installed package: run by a developer, once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np

SEED = 20170605
TRAIN_PER_CLASS = 600
TEST_PER_CLASS = 100
DEFAULT_OUTPUT = Path(__file__).resolve().parents[1] / "models" / "data" / "mnist_mini.npz"


def shuffled(count: int, stream: np.random.PCG64) -> np.ndarray:
    """Return a permutation of range(count) from the raw 64-bit stream."""
    return np.argsort(stream.random_raw(count), kind="stable")


def balanced_subset(labels: np.ndarray, per_class: int, stream: np.random.PCG64) -> np.ndarray:
    """Return shuffled indices that hold each of the labels 0..9 `per_class` times."""
    chosen = []
    for label in range(10):
        members = np.flatnonzero(labels == label)
        if len(members) < per_class:
            raise SystemExit(f"label {label} has {len(members)} images, {per_class} are needed")
        chosen.append(members[shuffled(len(members), stream)[:per_class]])
    indices = np.concatenate(chosen)
    return indices[shuffled(len(indices), stream)]


def archive_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Return the bytes of an .npz of `arrays`: fixed time stamps and modes, deflate level 9."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key, array in arrays.items():
            member = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            member.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0))
            archive.writestr(member, content.getvalue(), compresslevel=9)
    return buffer.getvalue()


def make(source: Path) -> bytes:
    """Return the bytes of the subset's .npz, made from the full MNIST .npz at `source`."""
    stream = np.random.PCG64(SEED)
    arrays: dict[str, np.ndarray] = {}
    with np.load(source, allow_pickle=False) as full:
        for part, per_class in (("train", TRAIN_PER_CLASS), ("test", TEST_PER_CLASS)):
            labels = full[f"y_{part}"]
            indices = balanced_subset(labels, per_class, stream)
            arrays[f"x_{part}"] = full[f"x_{part}"][indices].astype(np.uint8)
            arrays[f"y_{part}"] = labels[indices].astype(np.uint8)
    return archive_bytes(arrays)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, write the file, print its size."""
    parser = argparse.ArgumentParser(description="Make the built-in MNIST subset.")
    parser.add_argument("source", type=Path, help="the full MNIST as .npz (Keras keys)")
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_OUTPUT)
    options = parser.parse_args(arguments)
    content = make(options.source)
    temporary = options.output.with_name(options.output.name + ".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, options.output)
    print(f"{options.output}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
