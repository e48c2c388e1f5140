"""Portable trainings give the same bits under other names of processors, and on another processor.

The other one is emulated: qemu's Haswell has no AVX-512, other caches, and estimates of 1/x and
1/sqrt(x) that no real processor has. Minutes long; `pytest -m slow tests/e2e/test_portable.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rpucc import portable

TARGETS = ("rpu-managed", "rpu-managed-um", "soft-bounds", "ideal")
DIGITS = 40
"""Samples: few, as an emulated processor trains about one a second."""

EMULATED = ("qemu-x86_64", "-cpu", "Haswell")

TRAIN = """
import hashlib, json, sys
import rpucc
import numpy as np

def digest(arrays):
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()

targets, digits = json.loads(sys.argv[1]), int(sys.argv[2])
digits = slice(0, digits)
data = rpucc.load_dataset("mnist-mini")
part = data.x_train[digits], data.y_train[digits], data.x_test[digits], data.y_test[digits]
for target in targets:
    machine = rpucc.Machine(rpucc.compile("lenet", target, verify=False), seed=5)
    trainer = rpucc.Trainer(machine)
    size = 8 if target == "rpu-managed-um" else 1
    history = trainer.fit(part, epochs=1, batch_size=size, lr=0.01 * size)
    answers = {"answers": trainer.predict(np.asarray(part[2]))}
    print(target, digest(machine.state()), digest(answers), repr(history[-1].test_loss))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not portable.fit(), reason="the processor is none of x86-64-v3"),
]


@pytest.fixture(scope="module")
def caches(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("kernels")


def train(
    caches: Path, *before: str, targets: tuple[str, ...] = TARGETS, **environment: str
) -> list[str]:
    """Train each target in a process of its own; before: what runs Python."""
    folders = {"NUMBA_CACHE_DIR": str(caches / "numba"), "RPUCC_CACHE": str(caches / "rpucc")}
    done = subprocess.run(
        [*before, sys.executable, "-c", TRAIN, json.dumps(targets), str(DIGITS)],
        env={**os.environ, **folders, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def compiled(caches) -> list[str]:
    """The digests of the process that compiles the kernels."""
    return train(caches, RPUCC_PORTABLE="1")


def test_kernels_from_the_disk_compute_what_those_that_were_compiled_do(caches, compiled):
    assert train(caches, RPUCC_PORTABLE="1") == compiled


@pytest.mark.parametrize(
    ("name", "core"),
    [("znver3", "Zen"), ("skylake-avx512", "SkylakeX"), ("nehalem", "Nehalem")],
)
def test_names_of_other_processors_in_the_environment(caches, compiled, name, core):
    names = {"NUMBA_CPU_NAME": name, "OPENBLAS_CORETYPE": core}
    assert train(caches, RPUCC_PORTABLE="1", **names) == compiled


def test_the_test_sees_other_instructions(tmp_path, compiled):
    """Without it BLAS alone, in other words, makes other weights."""
    target = ("ideal",)
    natively = train(tmp_path, targets=target, OPENBLAS_CORETYPE="Nehalem", RPUCC_PORTABLE="0")
    assert natively != [line for line in compiled if line.startswith("ideal ")]


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="no qemu-x86_64 (qemu-user)")
def test_another_processor(caches, compiled, tmp_path):
    """With the kernels that were compiled here; what it compiles itself is the next test's."""
    shutil.copytree(caches, tmp_path, dirs_exist_ok=True)
    assert train(tmp_path, *EMULATED, RPUCC_PORTABLE="1") == compiled


ARITHMETIC = """
import hashlib
import rpucc
import numpy as np

random, found = np.random.default_rng(0), hashlib.sha256()
for n in (5, 16, 33, 64, 200):
    a, b = random.random((2, n, n), np.float32)
    c = a.astype(np.float64)
    for each in (
        a @ b, a @ b.T, a.T @ b, a @ b[0], c @ c, np.linalg.pinv(c), a.sum(0), a.sum(1), a.std(),
        np.exp(a), np.log(a), np.log2(a), np.exp2(a), np.tanh(a), np.sin(a), a**1.5, np.sqrt(a),
        np.exp(c), np.log(c), np.tanh(c), np.cos(c),
    ):
        found.update(np.ascontiguousarray(each).tobytes())
print(found.hexdigest())
"""


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="no qemu-x86_64 (qemu-user)")
def test_numpy_and_blas_compute_the_same_on_another_processor(tmp_path):
    natively = script(ARITHMETIC, tmp_path)
    assert script(ARITHMETIC, tmp_path, *EMULATED) == natively


COMPILE = """
import hashlib
import rpucc
from rpucc.runtime.kernels.softmax import softmax_rows
import numpy as np

x = np.linspace(-3, 3, 60, dtype=np.float32).reshape(4, 15)
softmax_rows(x, x)
(made,) = softmax_rows.overloads.values()
print(hashlib.sha256(x.tobytes()).hexdigest())
print(made.library.get_asm_str())
"""


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="no qemu-x86_64 (qemu-user)")
def test_another_processor_compiles_the_same_code(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    assert script(COMPILE, there, *EMULATED) == script(COMPILE, here)


def script(text: str, caches: Path, *before: str) -> str:
    """Run a portable script; before: what runs Python."""
    done = subprocess.run(
        [*before, sys.executable, "-c", text],
        env={**os.environ, "NUMBA_CACHE_DIR": str(caches), "RPUCC_PORTABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
