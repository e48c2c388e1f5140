"""Imports point one way, cli -> (passes, runtime, models) -> core, in no circle; help is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import networkx as nx
import pytest

from .repository import modules

CORE = {
    "errors",
    "layers",
    "without_weights",
    "node_attributes",
    "op_shapes",
    "op_spec",
    "opset",
}
CORE |= {"plan"}
CORE |= {"structure", "target", "targets", "report", "cost"}
CORE |= {
    "arguments",
    "constant_weights",
    "digests",
    "feedback",
    "files",
    "layer_rules",
    "limits",
    "masks",
    "placement",
}
CORE |= {"batch_norms", "listed", "program_check", "run_files", "stamps", "texts"}
CORE |= {"exact_operators", "left_out", "losses", "origins", "patterns", "portable", "program"}
CORE |= {"step_contract"}
CORE |= {"cells", "frameworks", "stages", "trust", "write_model"}
CORE |= {"checked", "exact_operators", "npy_header", "portable"}
CORE |= {"impossible_sizes", "ort_session"}
ALLOWED = {
    "core": CORE,
    "cells": {"cells", "target"},
    "cost": CORE,
    "opset": CORE,
    "origins": CORE,
    "program_check": CORE,
    "stages": CORE,
    "target": CORE,
    "plan": CORE,
    "experiments": CORE | {"experiments"},
    "frameworks": CORE,
    "placement": CORE,
    "runs": CORE | {"compiler", "experiments", "outputs", "runs", "runtime", "terminal"},
    "passes": CORE | {"passes"},
    "runtime": CORE | {"runtime"},
    "models": {"models", "arguments", "errors", "files"},
}
"""Part of the package -> parts that its files may import."""


def package_files() -> list[tuple[str, Path]]:
    """(part, file) of every module whose imports are restricted."""
    found = []
    for part in (
        "passes",
        "runtime",
        "models",
        "cells",
        "cost",
        "frameworks",
        "opset",
        "origins",
        "placement",
        "experiments",
        "program_check",
        "runs",
        "stages",
        "target",
        "plan",
    ):
        (folder,) = find_spec(f"rpucc.{part}").submodule_search_locations
        found += [(part, path) for path in sorted(Path(folder).rglob("*.py"))]
    for name in sorted(CORE - set(ALLOWED) - {"targets", "report"}):
        found.append(("core", Path(find_spec(f"rpucc.{name}").origin)))
    return found


def imported_parts(path: Path) -> set[str]:
    """The parts of rpucc that a file imports, also inside functions; type checking left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "rpucc":
                names.update(f"rpucc.{alias.name}" for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("rpucc.")} - {"__version__"}


@pytest.mark.parametrize(("part", "path"), package_files(), ids=lambda value: str(value)[-40:])
def test_imports_point_one_way(part, path):
    assert imported_parts(path) <= ALLOWED[part]


def test_models_import_only_onnx_and_numpy():
    (folder,) = find_spec("rpucc.models").submodule_search_locations
    for path in Path(folder).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        roots = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom | ast.Import)
        }
        assert roots - set(sys.stdlib_module_names) <= {"onnx", "numpy", "rpucc"}


def test_the_check_sees_a_wrong_import(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "def f():\n    from rpucc.runtime.machine import Machine\n    return Machine\n"
    )
    assert imported_parts(wrong) == {"runtime"}


# --- circles -----------------------------------------------------------------------------------

SHOWS_ITSELF = ("__str__", "__repr__", "_repr_html_")
"""An object asks the reports late how it looks: the only imports that may point back."""


def imported_modules(tree: ast.AST, known: frozenset[str]) -> set[str]:
    """The modules among the known ones that a file needs: also late, and for types alone.

    A type is something to know about, and a late import is one. Not counted is what an object
    asks for to show itself.
    """
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and node.name in SHOWS_ITSELF:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports in the package are absolute"
            inside = (f"{node.module}.{alias.name}" for alias in node.names)
            found.update(name if name in known else str(node.module) for name in inside)
        else:
            found |= imported_modules(node, known)
    return found & known


def circles(files: dict[str, Path]) -> list[set[str]]:
    """The groups of modules that all need each other."""
    graph = nx.DiGraph()
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        needed = imported_modules(tree, frozenset(files)) - {name}
        graph.add_edges_from((name, other) for other in needed)
    return [group for group in nx.strongly_connected_components(graph) if len(group) > 1]


def test_no_modules_import_each_other_in_a_circle():
    """The package's own file is left out: it is a table of names, which load late."""
    files = {name: path for name, path in modules().items() if name != "rpucc"}
    assert [sorted(group) for group in circles(files)] == []


@pytest.mark.parametrize(
    "last",
    [
        "from p.a import x",
        "import p.a",
        "from p import a",
        "if TYPE_CHECKING:\n    from p.a import x",
        "def f():\n    from p.a import x",
    ],
)
def test_a_circle_is_found(tmp_path, last):
    texts = {"p.a": "from p.b import y\n", "p.b": "def f():\n    import p.c\n", "p.c": f"{last}\n"}
    files = {}
    for name, text in {**texts, "p.d": "from p.a import x\n"}.items():
        files[name] = tmp_path / f"{name}.py"
        files[name].write_text(text)
    assert circles(files) == [{"p.a", "p.b", "p.c"}]
    files["p.c"].write_text(
        "class C:\n    def __str__(self):\n        from p.a import x\n        return x()\n"
    )
    assert circles(files) == []


# --- what is light -----------------------------------------------------------------------------


def test_importing_rpucc_loads_nothing_heavy():
    code = (
        "import sys, rpucc; heavy = {'numpy', 'onnx', 'numba', 'pydantic', 'rich', 'click'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
