"""Portable processes: that kernels, BLAS and NumPy really are what `rpucc.portable` says."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import onnx
import pytest

from rpucc import portable
from rpucc.cli import portable as choice
from rpucc.cli.main import COMMANDS, cli
from rpucc.errors import RpuccError
from rpucc.exact_operators import EXACT, not_held

needs_v3 = pytest.mark.skipif(not portable.fit(), reason=f"the processor: {portable._unfit()}")

OTHERS = {
    "NUMBA_CPU_NAME": "znver4",
    "NUMBA_CPU_FEATURES": "+sse2",
    "NUMBA_OPT": "0",
    "OPENBLAS_CORETYPE": "SkylakeX",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512F",
}
"""What a user's environment may hold already."""


def python(text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, that knows nothing of this one's environment."""
    kept = {k: v for k, v in os.environ.items() if k not in (portable.VARIABLE, *OTHERS)}
    return subprocess.run(
        [sys.executable, "-c", text],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


IN_EFFECT = """
import json, rpucc
from rpucc import portable
portable.check()
from rpucc.runtime.kernels.jit import OPTIONS, compiled_for, kernel
from rpucc.runtime.kernels.normals import fill_normals
from rpucc.runs.about import machine
import numba, numpy as np
portable.check.__globals__["_check"].cache_clear()
portable.check()  # with all of it loaded

@numba.njit(**OPTIONS)
def roots(x, out):
    for i in range(x.size):
        out[i] = np.float32(1) / np.sqrt(x[i]) + np.float32(1) / x[i]

x = np.ones(64, np.float32)
roots(x, x)
(code,) = roots.inspect_asm().values()
told = machine()
told["code"] = [word for word in ("rsqrt", "rcp", "zmm", "vsqrtps", "vdivps") if word in code]
told["features"] = sorted(compiled_for()[1])
print(json.dumps(told))
"""


@needs_v3
def test_what_is_in_effect_whatever_the_environment_says():
    done = python(IN_EFFECT, RPUCC_PORTABLE="1", **OTHERS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["portable"] is True
    assert found["compiled_for"] == "x86-64-v3"
    assert "+" + ",+".join(found["features"]) == portable.CPU_FEATURES
    assert found["instructions"] == "avx avx2 f16c fma sse4.2"
    assert found["blas"] == ["Haswell"]
    assert tuple(found["numpy"].split()) == portable.numpy_features()
    # Estimates of 1/x and 1/sqrt(x) are other numbers on processors of another make.
    assert found["code"] == ["vsqrtps", "vdivps"]


@needs_v3
@pytest.mark.skipif(not portable.numpy_beyond(), reason="NumPy has nothing beyond x86-64-v3 here")
def test_numpy_that_was_imported_first_is_refused_with_the_way_out():
    done = python(
        "import numpy, rpucc\ntry: rpucc.compile('mlp')\nexcept rpucc.RpuccError as e: print(e)",
        RPUCC_PORTABLE="1",
    )
    assert done.stdout.startswith("portable: NumPy was imported before rpucc, and computes with ")
    features = " ".join(portable.numpy_features())
    assert done.stdout.endswith(
        f"import rpucc first, or set NPY_ENABLE_CPU_FEATURES='{features}' and "
        "OPENBLAS_CORETYPE='Haswell' before Python starts\n"
    )
    # What it says helps:
    done = python(
        "import numpy, rpucc\nfrom rpucc import portable\nportable.check()\nprint('held')",
        RPUCC_PORTABLE="1",
        NPY_ENABLE_CPU_FEATURES=features,
        OPENBLAS_CORETYPE="Haswell",
    )
    assert done.stdout == "held\n", done.stderr


@needs_v3
def test_what_was_compiled_or_loaded_first_is_refused(monkeypatch):
    """In this process, which computes as it likes."""
    monkeypatch.setenv(portable.VARIABLE, "1")
    monkeypatch.setattr(portable, "numpy_beyond", list)
    monkeypatch.setattr(portable, "_numba_target", lambda: ("znver4", "+avx512f"))
    with pytest.raises(RpuccError, match="Numba compiles for znver4 already"):
        portable.check()
    monkeypatch.setattr(portable, "_numba_target", lambda: None)
    monkeypatch.setattr(portable, "BLAS_CORE", "Prescott")
    with pytest.raises(RpuccError, match=r"openblas\S* computes for \w+, not for Prescott"):
        portable.check()


def test_machines_that_cannot(monkeypatch):
    monkeypatch.setenv(portable.VARIABLE, "1")
    portable._unfit.cache_clear()
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    try:
        with pytest.raises(RpuccError, match=r"^portable: this machine is aarch64, not x86-64; "):
            portable.check()
        with pytest.raises(RpuccError, match="aarch64"):
            portable.ask()
    finally:
        portable._unfit.cache_clear()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    import llvmlite.binding as llvm

    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: {"avx": True, "sse2": True})
    try:
        with pytest.raises(RpuccError, match=r"processor lacks .*avx2, .*fma, .* of x86-64-v3"):
            portable.check()
    finally:
        portable._unfit.cache_clear()


def test_the_variable(monkeypatch):
    for text in ("", "0"):
        monkeypatch.setenv(portable.VARIABLE, text)
        assert not portable.asked()
        portable.check()
    monkeypatch.setenv(portable.VARIABLE, "yes")
    with pytest.raises(RpuccError, match="RPUCC_PORTABLE=yes: 1 asks for the same bits"):
        portable.check()


def test_features_have_the_names_that_this_numpy_has():
    from numpy._core._multiarray_umath import __cpu_baseline__, __cpu_dispatch__

    known = {*__cpu_baseline__, *__cpu_dispatch__}
    if "AVX2" in known or "X86_V3" in known:
        assert known.issuperset(portable.numpy_features())


def test_numba_knows_every_variable_that_is_set():
    for name in portable.COMPILING:
        assert hasattr(numba.config, name.removeprefix("NUMBA_"))


# ---------------------------------------------------------------- the command line


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What asks, in place of making this process portable."""
    found: list[str] = []
    monkeypatch.delenv(portable.VARIABLE, raising=False)
    monkeypatch.setattr(portable, "ask", lambda: found.append("asked"))
    monkeypatch.setattr(portable, "fit", lambda: True)
    return found


@pytest.fixture
def runs(tmp_path) -> Path:
    for name, machine in (("held", {"portable": True}), ("free", {"portable": False}), ("old", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"machine": machine}))
        (tmp_path / name / "checkpoint.safetensors").write_bytes(b"")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("[1")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train lenet --portable", True),
        ("train lenet", False),
        ("run lenet x.npy -- --portable", False),
        ("eval {}/held", True),
        ("eval {}/held/checkpoint.safetensors", True),
        ("eval {}/free", False),
        ("eval {}/old", False),
        ("eval {}/damaged", False),
        ("train --from {}/held -o new", True),
        ("train --from={}/held -o new", True),
        ("train lenet -o {}/held --resume", True),
        ("train lenet -o {}/held --force", False),
        ("train lenet --output={}/held --force", False),
        ("compare {}/held {}/free", False),
        ("ablate rpu-managed lenet --runs {}/held -o new", False),
    ],
)
def test_which_commands_are_portable(asked, runs, words, expected):
    command, *rest = words.replace("{}", str(runs)).split()
    choice.decide(command, rest)
    assert asked == (["asked"] if expected else [])


def test_a_run_is_not_portable_against_what_the_environment_says(asked, runs, monkeypatch):
    monkeypatch.setenv(portable.VARIABLE, "0")
    choice.decide("eval", [str(runs / "held")])
    monkeypatch.delenv(portable.VARIABLE)
    monkeypatch.setattr(portable, "fit", lambda: False)
    choice.decide("eval", [str(runs / "held")])
    assert asked == []


def test_what_computes_has_the_option():
    import click

    computing = {"demo", "compile", "train", "reproduce", "ablate", "eval", "export", "report"}
    computing |= {"advise"}
    context = click.Context(cli)
    having = set()
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        having |= {name} if any(p.name == "portable" for p in command.params) else set()
    assert having == {*computing, "run"}
    assert set(choice.GOING_ON) <= having


def test_operators_that_are_left_to_others_are_named():
    assert all(onnx.defs.has(name) for name in EXACT)
    assert not_held(["ln (LayerNormalization)"]) == (
        "portable, but ln (LayerNormalization) is computed by onnxruntime, which chooses its "
        "instructions by the processor: other machines may round otherwise there"
    )
