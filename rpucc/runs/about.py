"""What a run was made with: the command, versions, the machine, the data; for run.json.

Says where numbers come from that another machine does not give again to the last bit. Nothing here
changes a training.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rpucc import portable
from rpucc.runtime.data.mapped import parts

if TYPE_CHECKING:
    from rpucc.runtime.data import Dataset

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "onnx", "onnx-ir", "onnxruntime", "safetensors")
"""Whose versions can change a last bit."""

ARITHMETIC = re.compile(r"avx|fma|f16c|sse4\.2|xop|amx|neon|sve|sme|fp|fullfp|dotprod|bf16")
"""The beginnings of LLVM's names of features with which a compiler may round otherwise."""

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def about(command: str | None, data: Dataset) -> dict[str, Any]:
    """Return what run.json says of the circumstances of a training that starts now.

    command: as it was typed; None where Python called.
    """
    return {
        "command": command,
        "started": now(),
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
        "data_digest": digest(data),
        "data_samples": {"train": len(data.y_train), "test": len(data.y_test)},
        "data_classes": list(data.class_names),
    }


def now() -> str:
    """The time, in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """The versions of Python, rpucc and what computes for it."""
    found = {"python": platform.python_version(), "rpucc": metadata.version("rpucc")}
    return found | {name: metadata.version(name) for name in PACKAGES}


def commit() -> str | None:
    """The commit of rpucc's sources: of the checkout they lie in, or as pip installed them.

    None where neither is known, as in a release.
    """
    import rpucc

    found = _of_checkout(Path(rpucc.__file__).resolve().parents[1])
    if found is None:
        text = metadata.distribution("rpucc").read_text("direct_url.json")
        found = json.loads(text).get("vcs_info", {}).get("commit_id") if text else None
    return found if isinstance(found, str) and COMMIT.fullmatch(found) else None


def _of_checkout(root: Path) -> str | None:
    """The commit that a checkout of git stands on, read from its files."""
    try:
        git = root / ".git"
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (git / name).is_file():
            return (git / name).read_text(encoding="utf-8").strip()
        lines = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)


def machine() -> dict[str, Any]:
    """The processor and the system, and which instructions kernels, BLAS and NumPy use.

    Of the last, what can change a bit is compared (`same_bits.py`).
    """
    from threadpoolctl import threadpool_info

    from rpucc.runtime.kernels.blas import blas_routines
    from rpucc.runtime.kernels.jit import compiled_for

    blas_routines()  # what kernels call is loaded with the first of them
    name, features = compiled_for()
    cores = {pool["architecture"] for pool in threadpool_info() if "architecture" in pool}
    return {
        "processor": _processor(),
        "portable": portable.asked(),
        "compiled_for": name,
        "instructions": " ".join(sorted(filter(ARITHMETIC.match, features))),
        "blas": sorted(cores),
        "numpy": " ".join(portable.numpy_chosen()),
        "libc": " ".join(platform.libc_ver()).strip(),
        "cpus": os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor()


def digest(data: Dataset) -> str:
    """SHA-256 of all samples and labels with their names, types and shapes."""
    found = hashlib.sha256()
    for part in ("x_train", "y_train", "x_test", "y_test"):
        values = getattr(data, part)
        named = values if isinstance(values, Mapping) else {"": values}
        for name, array in sorted(named.items()):
            found.update(json.dumps([part, name, array.dtype.str, list(array.shape)]).encode())
            for _, rows in parts(array):  # those of a large file one after the other
                found.update(np.ascontiguousarray(rows).data)
    return found.hexdigest()
