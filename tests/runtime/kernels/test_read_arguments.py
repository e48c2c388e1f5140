"""The read kernel's named tuples: bound to machine code, and known again by Numba's disk cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.jit import machine_code
from rpucc.runtime.kernels.read import READS, read
from rpucc.runtime.kernels.read_arguments import UNBOUNDED, Draws, Lines, Scratch, Settings


def arguments() -> tuple[object, ...]:
    """Of a read of one row of ones through weights of 0.5, [3, 4]."""
    zero = np.float32(0)
    settings = Settings(False, 0, zero, zero, np.float32(UNBOUNDED), zero, False, zero)
    cuts = np.array([0, 4]), np.array([0, 3]), np.zeros((1, 1), np.int64)
    return (
        0, 1, 0, blas_routines(), np.full((3, 4), 0.5, np.float32), np.ones((1, 4), np.float32),
        np.empty((1, 3), np.float32), Lines(*cuts, False), settings,
        Draws(1, 1, 0, np.uint32(1), np.uint32(2)), Scratch.of(1, 4, 3), np.zeros(3, np.int64),
    )  # fmt: skip


def test_machine_code_does_what_the_kernel_does() -> None:
    called, bound = arguments(), arguments()
    read(*called)
    machine_code(read, *bound)(*bound)
    for a, b in ((called[6], bound[6]), (called[-1], bound[-1])):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(bound[6], [[2, 2, 2]])
    assert bound[-1][READS] == 1


AGAIN = """
import json
from rpucc.runtime.kernels.read import read
from {module} import arguments

read(*arguments())
print(json.dumps([sum(read.stats.cache_hits.values()), sum(read.stats.cache_misses.values())]))
"""


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    read(*arguments())  # is on disk from here on
    here = Path(__file__)
    code = f"import sys; sys.path.insert(0, {str(here.parent)!r})" + AGAIN.format(module=here.stem)
    result = subprocess.run(  # elsewhere: from here it would import the checkout, if not installed
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        timeout=300,
    )  # fmt: skip
    assert json.loads(result.stdout) == [1, 0]
