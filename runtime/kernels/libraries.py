"""What Numba links into a kernel is the kernel's own, whatever else is loaded.

A kernel that calls another has a copy of it, optimised in its place. Numba leaves such copies weak:
where the same name is loaded already, from another kernel or because this process has compiled it,
that one is called. Copies of one function may round differently (LLVM joins other products and sums
into one instruction), so results would depend on what was loaded first, and a run that compiles
would differ from the next one, which finds all kernels on disk.
"""

from __future__ import annotations

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen

OURS = "rpucc"
"""In the names of functions of this package, and of the modules that are made for it."""


class OwnCopies(JITCodeLibrary):
    """A library whose copies of functions nobody else can call, nor anything replace."""

    def _finalize_final_module(self) -> None:
        """Hide the copies when all has been optimised, so that the code is what it would be."""
        made = [each for each in self._final_module.functions if not each.is_declaration]
        if any(OURS in each.name for each in made):
            self._shared_module = _to_be_linked(self._final_module)
            for each in made:
                if each.linkage == llvm.Linkage.linkonce_odr:
                    each.linkage = "internal"
        super()._finalize_final_module()


def _to_be_linked(module: llvm.ModuleRef) -> llvm.ModuleRef:
    """The module as Numba links it into others, which has to be made before copies are hidden."""
    shared = module.clone()
    for each in shared.functions:
        if not each.is_declaration and each.linkage == llvm.Linkage.external:
            each.linkage = "linkonce_odr"
    return shared


def use_own_copies() -> None:
    """Have all code of this process made so from here on; others' kernels stay as they are."""
    JITCPUCodegen._library_class = OwnCopies
