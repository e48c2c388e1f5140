"""What of two machines and their versions can change a bit, and that nothing else is said."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rpucc.runs.same_bits import apart, differences, made_elsewhere

RUN: dict[str, Any] = {
    "machine": {
        "processor": "AMD EPYC 9754",
        "portable": False,
        "compiled_for": "znver4",
        "instructions": "avx avx2 avx512f fma",
        "blas": ["Zen"],
        "numpy": "X86_V3 X86_V4",
        "libc": "glibc 2.36",
        "cpus": 8,
    },
    "versions": {"python": "3.11.7", "rpucc": "0.1.0", "numpy": "2.4.6", "onnx": "1.23.0"},
}


def changed(machine: dict[str, Any] | None = None, **versions: str) -> dict[str, Any]:
    found = copy.deepcopy(RUN)
    found["machine"] |= machine or {}
    found["versions"] |= versions
    return found


def texts(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    return [f"{d.what} {d.first} | {d.second}".strip() for d in differences(first, second)]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (changed(), []),
        (changed({"processor": "AMD EPYC 9354", "cpus": 64}), []),
        (changed(python="3.11.2", onnx="1.24.0"), []),
        (changed(python="3.12.1"), ["python 3.11 | 3.12"]),
        (changed(numpy="2.3.1"), ["numpy 2.4.6 | 2.3.1"]),
        (changed({"compiled_for": "zen", "blas": ["Haswell"]}), ["kernels for znver4 | zen"]),
        (changed({"instructions": "avx avx2 fma"}), ["instructions avx512f | none"]),
        (changed({"blas": ["Haswell"]}), ["BLAS for Zen | Haswell"]),
        (changed({"numpy": "X86_V3"}), ["NumPy with X86_V3 X86_V4 | X86_V3"]),
        (changed({"libc": "glibc 2.39"}), ["C library glibc 2.36 | glibc 2.39"]),
        (changed({"portable": True}), ["not portable | portable"]),
        # Written by earlier versions, by nobody, by an attacker.
        ({"machine": {"compiled_for": "znver4", "blas": ["Zen"]}}, []),
        ({}, []),
        ({"machine": None, "versions": []}, []),
        (changed({"blas": {"a": [1]}}), ["BLAS for Zen | none"]),
        (changed({"compiled_for": "x\n" * 99}), ["kernels for znver4 | " + "x " * 18 + "x..."]),
    ],
)
def test_what_is_said(other, said):
    assert texts(RUN, other) == said


def test_two_portable_ones_may_have_other_processors():
    held = {"portable": True, "compiled_for": "x86-64-v3"}
    one, two = changed(held), changed({**held, "processor": "Intel", "cpus": 1})
    assert texts(one, two) == []
    two["machine"]["libc"] = "glibc 2.39"
    two["versions"]["numba"] = "0.68.1"  # the other does not know
    assert texts(one, two) == ["C library glibc 2.36 | glibc 2.39"]


def test_lines_about_several():
    names = ("a", "b", "c")
    assert apart(names, [RUN, changed(), {}]) is None
    assert apart(names, [RUN, changed(), changed(numpy="2.3.1")]) == (
        "a and c were trained with numpy 2.4.6 and 2.3.1: even of one seed their last bits, and "
        "what follows from them, may differ"
    )


def test_a_line_about_stored_runs(monkeypatch):
    monkeypatch.setattr("rpucc.runs.same_bits.here", lambda: RUN)
    other = changed({"compiled_for": "haswell"})
    assert made_elsewhere([]) is None
    assert made_elsewhere([RUN, {}, changed()]) is None
    assert made_elsewhere([RUN, other, other]) == (
        "2 of 3 runs were trained with kernels for haswell, here znver4: their last bits, and what "
        "follows from them, may be others than here"
    )
