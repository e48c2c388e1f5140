"""What a kernel calls is a copy of its own, whatever else the process has loaded."""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
import pytest

from rpucc.runtime.kernels.generated import generated

TEXT = """
from rpucc.runtime.kernels.jit import kernel


@kernel
def called(x, out):
    for i in range(x.shape[0]):
        a = x[i]
{body}
        out[i] = a


@kernel
def calling(x, out):
    called(x, out)
    called(out, out)
"""
BODY = "\n".join(f"        a = a * a - x[i] if a < {k} else a / (x[i] + {k})" for k in range(1, 40))
"""Too long to become part of a caller."""


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.setenv("RPUCC_CACHE", str(tmp_path))
    return generated(f"copies_{tmp_path.name}", TEXT.format(body=BODY), {}, "")


def test_a_copy_can_be_neither_called_nor_replaced_by_others(module):
    x, out = np.linspace(0.5, 2, 8), np.zeros(8)
    module.calling(x, out)
    (compiled,) = module.calling.overloads.values()
    made = compiled.library._final_module
    copies = [f for f in made.functions if "called" in f.name and not f.is_declaration]
    assert copies, "the copy has become part of its caller, so that this test sees nothing"
    assert {f.linkage for f in copies} == {llvm.Linkage.internal}
    shared = compiled.library._get_module_for_linking()  # what its callers get is as Numba has it
    of_others = [f for f in shared.functions if "called" in f.name and not f.is_declaration]
    assert {f.linkage for f in of_others} == {llvm.Linkage.linkonce_odr}
    twice, again = np.zeros(8), np.zeros(8)
    module.called(x, twice)
    module.called(twice, again)
    np.testing.assert_allclose(out, again, rtol=1e-12)
