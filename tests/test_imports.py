"""Imports point one way: cli -> (passes, runtime, models) -> core, and help stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CORE = {"errors", "layers", "light", "node_attributes", "op_shapes", "op_spec", "opset", "plan"}
CORE |= {"structure", "target", "target_load", "target_values", "targets", "report", "cost"}
CORE |= {"arguments", "constant_weights", "digests", "files", "layer_rules", "placement"}
CORE |= {"plan_layers", "program_check", "run_files", "stamps", "target_sections", "texts"}
CORE |= {"program", "step_contract", "target_keys", "trust"}
ALLOWED = {
    "core": CORE,
    "cost": CORE,
    "opset": CORE,
    "program_check": CORE,
    "experiments": CORE | {"experiments"},
    "placement": CORE,
    "passes": CORE | {"passes"},
    "runtime": CORE | {"runtime"},
    "models": {"models", "errors", "files"},
}
"""Part of the package -> parts that its files may import."""


def package_files() -> list[tuple[str, Path]]:
    """(part, file) of every module whose imports are restricted."""
    found = []
    for part in (
        "passes",
        "runtime",
        "models",
        "cost",
        "opset",
        "placement",
        "experiments",
        "program_check",
    ):
        (folder,) = find_spec(f"rpucc.{part}").submodule_search_locations
        found += [(part, path) for path in sorted(Path(folder).rglob("*.py"))]
    for name in sorted(CORE - {"targets", "report", "cost", "opset", "placement", "program_check"}):
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


def test_importing_rpucc_loads_nothing_heavy():
    code = (
        "import sys, rpucc; heavy = {'numpy', 'onnx', 'numba', 'pydantic', 'rich', 'click'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
