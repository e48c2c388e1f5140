"""A backend is a table handed to the executor: its parts know no executor, and may be missing."""

from __future__ import annotations

import ast
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.errors import RpuccError
from rpucc.opset import OPS
from rpucc.runtime.chains import Chain, FoldChain, Head, ReadChain, Slope, Turn, UnrollChain
from rpucc.runtime.cpu import CPU
from rpucc.runtime.machine import Machine

from .stock import assert_agree, run_executor, training_feeds, training_outputs

USERS = {"executor", "machine", "trainer", "step", "warmup"}


def parts_of_a_backend() -> list[Path]:
    (runtime,) = find_spec("rpucc.runtime").submodule_search_locations
    files = [Path(runtime) / f"{name}.py" for name in ("backend", "builder", "cpu", "fits")]
    for folder in ("chains", "digital", "instructions"):
        files += sorted((Path(runtime) / folder).glob("*.py"))
    return files


@pytest.mark.parametrize("path", parts_of_a_backend(), ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_builders_know_the_protocol_and_no_executor(path: Path) -> None:
    """Also where types alone are meant: so there is no circle."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert not modules & {f"rpucc.runtime.{name}" for name in USERS}


@pytest.mark.parametrize(
    "kinds", [{UnrollChain, FoldChain}, {Turn, Slope}, {Turn, Head}, set()],
    ids=lambda kinds: "-".join(sorted(kind.__name__ for kind in kinds)) or "reads alone",
)  # fmt: skip
def test_a_backend_fuses_what_it_has_builders_for(kinds: set[type[Chain]]) -> None:
    """The same values; the longer the table, the fewer instructions."""
    program = rpucc.compile("lenet", "ideal", verify=False)
    outputs, feeds = training_outputs(program), training_feeds(program, 2)
    whole = run_executor(Machine(program), feeds, outputs, 2, fuse=True)
    chains = {kind: CPU.chains[kind] for kind in {ReadChain, *kinds}}
    backend = replace(CPU, chains=chains)
    part = run_executor(Machine(program), feeds, outputs, 2, fuse=True, backend=backend)
    assert len(part._instructions) > len(whole._instructions)
    assert set(outputs) <= assert_agree(part, {name: whole[name] for name in whole.names()})


def test_the_table_is_where_instructions_come_from() -> None:
    """A row of another table runs in its place."""
    program = rpucc.compile("mlp", "ideal", verify=False, training=False)
    ran = []

    def noting(builder, chain):  # type: ignore[no-untyped-def]
        instruction = CPU.chains[ReadChain](builder, chain)

        def run() -> None:
            ran.append(chain.nodes[-1].name)
            instruction()

        return run

    backend = replace(CPU, chains={**CPU.chains, ReadChain: noting})
    x = np.zeros((1, 1, 28, 28), np.float32)
    run_executor(Machine(program), {"x": x}, [program.output], 1, backend=backend)
    assert len(ran) == len(program.plan.layers)


def test_an_exact_rpu_operator_without_a_row_is_its_body() -> None:
    program = rpucc.compile("lenet", "ideal", overrides=["mapping.bias=array"], verify=False)
    assert {"Im2Col", "AppendOne"} <= {node.op_type for node in program.model.graph}
    outputs, feeds = training_outputs(program), training_feeds(program, 2)
    whole = run_executor(Machine(program), feeds, outputs, 2)
    rows = {op: build for op, build in CPU.rpu.items() if not OPS[op].exact}
    assert len(rows) < len(CPU.rpu)
    chains = {ReadChain: CPU.chains[ReadChain]}
    part = run_executor(
        Machine(program), feeds, outputs, 2, backend=replace(CPU, rpu=rows, chains=chains)
    )
    assert set(outputs) <= assert_agree(part, {name: whole[name] for name in whole.names()})


def test_any_other_rpu_operator_needs_a_row() -> None:
    program = rpucc.compile("mlp", "ideal", verify=False)
    rows = {op: build for op, build in CPU.rpu.items() if op != "Update"}
    with pytest.raises(RpuccError, match=r"\(Update\): the backend cpu cannot run it"):
        run_executor(
            Machine(program), training_feeds(program, 1), training_outputs(program), 1,
            backend=replace(CPU, rpu=rows),
        )  # fmt: skip
