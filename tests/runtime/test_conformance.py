"""The tests of backends tell a right one from wrong ones, by what each gets wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rpucc.runtime.backend import Backend

from . import test_digital as digital
from .kernels import test_read as reads
from .kernels import test_read_noise as noise
from .kernels import test_update as updates
from .toy_backends import EVEN, PLAIN, QUIET, STEEP

HERE = Path(__file__).parent


def noisy_read(backend: Backend) -> None:
    reads.test_read_equals_the_reference(backend, True, True, 3, 7, 9, 0.06)


def quiet_read(backend: Backend) -> None:
    reads.test_read_equals_the_reference(backend, False, True, 3, 7, 9, 0.0)


def size_of_noise(backend: Backend) -> None:
    noise.test_scale_of_the_noise_under_noise_management(backend)


def noisy_update(backend: Backend) -> None:
    for device in (updates.COUNTED, updates.SOFT):
        updates.test_update_equals_the_reference(backend, device, 10, True, True)


def even_update(backend: Backend) -> None:
    updates.test_devices_without_pulse_noise(backend, updates.NOISELESS)


def small_softmax(backend: Backend) -> None:
    digital.check_op(backend, "Softmax", np.array([[1, 2, 3]], np.float32))


def large_softmax(backend: Backend) -> None:
    digital.test_softmax_of_large_numbers(backend)


CHECKS = [noisy_read, quiet_read, size_of_noise, noisy_update, even_update]
CHECKS += [small_softmax, large_softmax]
WRONG = {
    "plain": (PLAIN, []),
    "quiet": (QUIET, [noisy_read, size_of_noise]),
    "even": (EVEN, [noisy_update]),
    "steep": (STEEP, [large_softmax]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_backend_gets_wrong_is_seen_and_nothing_else(name: str) -> None:
    backend, failing = WRONG[name]
    for check in CHECKS:
        if check not in failing:
            check(backend)
        else:
            with pytest.raises(AssertionError):
                check(backend)


@pytest.mark.parametrize(("name", "status"), [("PLAIN", 0), ("QUIET", 1)])
def test_the_command_line_names_a_backend(name: str, status: int) -> None:
    """As docs/backends.md has it, on one file; what takes no backend does not run."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider",
            "-m", "conformance", "--backend", f"toy_backends:{name}", "kernels/test_read.py",
            "-k", "NM-BM or block",
        ],
        cwd=HERE, env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("16 passed" if status == 0 else "8 failed, 8 passed")
