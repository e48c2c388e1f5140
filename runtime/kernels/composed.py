"""Read kernels that are compiled with further stages (`rpucc/stages/`).

The kernel without any is `read.py`, as it stands. One with stages is a module of the same text, in
which the stages' scalar functions act on the products: they are composed when it is compiled, and
nothing is looked up while it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from inspect import getfile, getsource
from pathlib import Path
from typing import Any

from rpucc.node_attributes import carried
from rpucc.runtime.kernels import read
from rpucc.runtime.kernels.generated import fill, generated
from rpucc.stages.base import ProductStage

Kernel = Callable[..., None]
Stages = tuple[type[ProductStage], ...]

SEAM = "from rpucc.runtime.kernels.product_stages import after_product\n"
"""The line of `read.py` in whose place the stages come."""


@cache
def read_kernels(stages: Stages) -> tuple[Kernel, Kernel]:
    """(`read`, `read_groups`) with these stages after each product, one after the other.

    `Settings.stages` has the values of their keys in this order, `Scratch.sums` room for the sums
    of each.
    """
    if not stages:
        return read.read, read.read_groups
    text = getsource(read).replace(SEAM, _text(stages))
    functions: dict[str, Callable[..., Any]] = {}
    for k, stage in enumerate(stages):
        functions[f"output_{k}"] = stage.output
        functions[f"crosspoint_{k}"] = stage.crosspoint
    name = "_".join(["read", *(stage.__name__.lower() for stage in stages)])
    made: Any = generated(name, text, functions, _sources(stages))
    return made.read, made.read_groups


def _text(stages: Stages) -> str:
    """`after_product` with the stages' functions, which the module gets as `output_0` and so on."""
    template = files(__package__).joinpath("product_stage_template.py.txt").read_text("utf-8")
    arguments = "rows, W, tile, transpose, xs, zs, first, width, keys, sums"
    parts, calls, taken = [], [], 0
    for k, stage in enumerate(stages):
        keys = range(taken, taken + len(carried(stage, "Read")))
        taken = keys.stop
        parts.append(fill(template, _fills(k, stage, keys)))
        calls.append(f"    stage_{k}({arguments})\n")
    return f"{''.join(parts)}@inlined\ndef after_product({arguments}):\n{''.join(calls)}\n"


def _fills(k: int, stage: type[ProductStage], keys: range) -> dict[str, str]:
    sums = range(stage.sums())
    terms = "".join(f"a{s}, " for s in sums)

    def each(text: str, between: str = "; ") -> str:
        return between.join(text.format(s) for s in sums)

    def add(to: str, crosspoint: str) -> str:
        return f"{terms}= crosspoint_{k}({crosspoint}, n); {each(to)}" if sums else "pass"

    return {
        "$K": str(k),
        "$COUNT": str(len(sums)),
        "$ROWS": each("s{0} = sums[{0} * width : ({0} + 1) * width]") or "pass",
        "$ADD_TO_ROWS": add("s{0}[r] += a{0}", "w[r], v, at"),
        "$START": each("s{0} = nb.float32(0)") or "pass",
        "$ADD": add("s{0} += a{0}", "w[j], x[j], nb.float32(nb.int32(j))"),
        "$OF_ROWS": "".join(f"s{s}[r], " for s in sums),
        "$SUMS": "".join(f"s{s}, " for s in sums),
        "$KEYS": "".join(f", keys[{i}]" for i in keys),
    }


def _sources(stages: Stages) -> str:
    """The files of these stages and of those that are part of every kernel."""
    folder = files("rpucc.stages")
    own = {item.name: item.read_text("utf-8") for item in folder.iterdir() if item.is_file()}
    found = "".join(own[name] for name in sorted(own))
    return found + "".join(Path(getfile(stage)).read_text("utf-8") for stage in stages)
