"""The command line's frame: help, lists, JSON, errors, exit codes. Training is in tests/e2e."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from rpucc.cli.main import COMMANDS, cli
from rpucc.errors import RpuccError, UsageError, VerificationError


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str


def rpucc(*arguments: object, env: dict[str, str] | None = None) -> Outcome:
    result = CliRunner(env=env).invoke(cli, [str(a) for a in arguments], prog_name="rpucc")
    return Outcome(result.exit_code, result.stdout, result.stderr)


def python(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload,no-any-return]


# ---------------------------------------------------------------- help


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from rpucc.cli.main import cli\n"
        "try: cli.main(['--help'], prog_name='rpucc')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "third = {n for n in new if n not in sys.stdlib_module_names and n[0] != '_'}\n"
        "print('THIRD', *sorted(third))\n"
        "print('OURS', *sorted(n for n in sys.modules if n.startswith('rpucc')))\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2] == "THIRD click rpucc"
    ours = "rpucc rpucc.cli rpucc.cli.main rpucc.cli.portable rpucc.cli.streams rpucc.errors"
    assert lines[-1] == f"OURS {ours} rpucc.portable"
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_model_library(name):
    """Half a second, for a page of text."""
    code = (
        "import sys\n"
        "from rpucc.cli.main import cli\n"
        f"try: cli.main([{name!r}, '--help'], prog_name='rpucc')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'onnx', 'onnx_ir', 'onnxruntime', 'numba', 'numpy', 'pydantic', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = python(code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(name):
    outcome = rpucc(name, "--help")
    assert outcome.code == 0
    assert outcome.stdout.startswith(f"Usage: rpucc {name} ")
    assert COMMANDS[name][1] in outcome.stdout.splitlines()[2]
    assert rpucc(name, "-h").stdout == outcome.stdout


def test_version_and_module():
    from rpucc import __version__

    assert rpucc("--version").stdout == f"rpucc {__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "rpucc", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"rpucc {__version__}\n"


def test_no_command_shows_help():
    outcome = rpucc()
    assert outcome.code == 2
    assert "Commands:" in outcome.stdout + outcome.stderr


# ---------------------------------------------------------------- errors


class BrokenError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (RpuccError("file x:\n  bad"), 1, "Error: file x: bad"),
        (UsageError("a and b"), 2, "Error: a and b"),
        (VerificationError("values differ"), 3, "Error: values differ"),
        (MemoryError(), 1, "Error: out of memory; try a smaller model, batch or data set"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 1, "Error: No space left on device"),
        (OSError(5, "Input/output error", "a.npz"), 1, "Error: a.npz: Input/output error"),
        (
            BrokenError("oh\nno"),
            1,
            "Error: internal error: BrokenError: oh no; run with --debug and report it",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors(error, code, line, monkeypatch):
    def fail() -> list[tuple[str, str]]:
        raise error

    monkeypatch.setattr("rpucc.target.load.list_presets", fail)
    outcome = rpucc("targets")
    assert (outcome.code, outcome.stdout) == (code, "")
    assert outcome.stderr.split("\n", 1)[0 if line != "interrupted" else 1].strip() == line
    assert "Traceback" not in outcome.stderr
    debug = rpucc("--debug", "targets")
    assert debug.code == code
    assert debug.stderr.rstrip("\n").splitlines()[-1] == line
    if not isinstance(error, MemoryError):
        assert "Traceback (most recent call last)" in debug.stderr


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["tarin"], ["'train'", "(see rpucc --help)"]),
        (["xyzzy"], ["demo, check, compile"]),
        (["--xyzzy"], ["--xyzzy", "(see rpucc --help)"]),
        (["compile"], ["MODEL", "(see rpucc compile --help)"]),
        (["compile", "lenet", "--loss", "x"], ["--loss", "cross-entropy"]),
        (["models", "nix"], ["nix", "(see rpucc models --help)"]),
        (["targets", "show"], ["NAME"]),
    ],
)
def test_usage_is_one_line(arguments, fragments):
    outcome = rpucc(*arguments)
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert len(outcome.stderr.splitlines()) == 1
    assert all(fragment in outcome.stderr for fragment in fragments)


def test_broken_pipe():
    """The reader goes away before anything is written: no traceback."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "rpucc", "targets", "show", "ideal"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert process.returncode == 1
    assert process.stderr == ""


def test_a_terminal_without_unicode_is_no_error():
    done = subprocess.run(
        [sys.executable, "-m", "rpucc", "models"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 0
    assert b"lenet" in done.stdout


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize("name", ["targets", "models", "passes", "devices"])
def test_lists(name):
    shown, listed = rpucc(name), rpucc(name, "list")
    assert shown.code == 0
    assert shown == listed
    assert "\x1b" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100
    rows = json.loads(rpucc(name, "--json").stdout)
    assert rows == json.loads(rpucc(name, "list", "--json").stdout)
    assert all(row["name"] in shown.stdout for row in rows)


@pytest.mark.parametrize("columns", ["60", "80", "200", "nonsense", "0"])
def test_plain_tables_are_at_most_100_wide(columns):
    shown = rpucc("passes", env={"COLUMNS": columns}).stdout
    limit = min(int(columns), 100) if columns in ("60", "80", "200") else 100
    assert max(map(len, shown.splitlines())) <= limit
    assert "…" not in shown


def test_json_of_lists():
    models = {row["name"]: row for row in json.loads(rpucc("models", "--json").stdout)}
    assert models["lenet"]["weights"] == 80_202
    assert models["lenet"]["input_shape"] == ["N", 1, 28, 28]
    targets = [row["name"] for row in json.loads(rpucc("targets", "--json").stdout)]
    assert {"ideal", "rpu-baseline", "rpu-managed"} <= set(targets)
    passes = json.loads(rpucc("passes", "--json").stdout)
    names = [row["name"] for row in passes]
    assert names[:3] == ["import", "draw_dropouts", "normalise_products"]
    assert [row["name"] for row in passes if row["training_only"]] == [
        "differentiate",
        "assign_update",
    ]
    device = json.loads(rpucc("devices", "show", "constant-step", "--json").stdout)
    assert device["parameters"]["dw_min"]["default"] == 0.001
    assert device.pop("derived")["states"] == 1200
    assert device in json.loads(rpucc("devices", "--json").stdout)


def test_show_target_can_be_used_as_a_file(tmp_path):
    text = rpucc("targets", "show", "rpu-managed").stdout
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert rpucc("targets", "show", path).stdout == text
    assert json.loads(rpucc("targets", "show", path, "--json").stdout) == json.loads(
        rpucc("targets", "show", "rpu-managed", "--json").stdout
    )


def test_models_build(tmp_path, monkeypatch):
    import onnx

    monkeypatch.chdir(tmp_path)
    assert rpucc("models", "build", "mlp").stdout.startswith("wrote mlp.onnx: ")
    onnx.checker.check_model(onnx.load("mlp.onnx"))
    assert "--force" in rpucc("models", "build", "mlp").stderr
    before = Path("mlp.onnx").read_bytes()
    made = rpucc("models", "build", "mlp", "--force", "--seed", 1, "--json")
    assert json.loads(made.stdout)["path"] == "mlp.onnx"
    assert Path("mlp.onnx").read_bytes() != before


def test_models_build_of_ones_own(tmp_path, monkeypatch):
    import onnx

    from rpucc.models import build, build_cnn
    from rpucc.models.activations import ACTIVATIONS
    from rpucc.models.initial import INITS

    monkeypatch.chdir(tmp_path)
    spec = "c16k5 p2 c32k5 p2 f128 f10"
    made = rpucc("models", "build", "cnn", "--spec", spec, "--input-shape", "3,32,32", "--seed", 2)
    assert made.stdout == f"wrote cnn.onnx: {spec}, 3 × 32 × 32 to 10; 117,866 weights\n"
    assert onnx.load("cnn.onnx") == build_cnn(spec, 2, input_shape=(3, 32, 32))
    assert "--force" in rpucc("models", "build", "cnn", "--spec", spec).stderr
    long = rpucc("models", "build", "cnn", "--spec", "c4k3p1\n " * 40 + "f2", "--force").stdout
    assert long.startswith(f"wrote cnn.onnx: {'c4k3p1 ' * 11}..., 1 × 28 × 28 to 2; ")
    assert long.count("\n") == 1
    norm = ("--batch-norm", "--init", "glorot", "--activation", "elu", "-o", "norm.onnx")
    made = rpucc("models", "build", "cnn", "--spec", "c4k3 f2", *norm, "--json")
    assert json.loads(made.stdout)["weights"] == 4 * 9 + 8 + 2 * 4 * 26 * 26 + 2
    assert rpucc("models", "build", "mlp", "--layers", "95-16-6").code == 0
    assert onnx.load("mlp.onnx").graph.input[0].type.tensor_type.shape.dim[1].dim_value == 95
    assert rpucc("models", "build", "mlp", "--activation", "sigmoid", "--force").code == 0
    assert onnx.load("mlp.onnx") == build("mlp")
    shown = " ".join(rpucc("models", "build", "--help").stdout.split())
    assert all(name in shown for name in (*ACTIVATIONS, *INITS))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cnn",), '--spec "c16k5 p2'),
        (("cnn", "--spec", "c16"), "needs its kernel"),
        (("cnn", "--spec", "f10", "--layers", "784-10"), "--layers is for models build mlp"),
        (("mlp", "--spec", "f10"), "--spec is for models build cnn, not 'mlp'"),
        (("mlp", "--layers", "95x6"), "as 95-16-6"),
        (("mlp", "--layers", "9-2", "--init", "xavier"), "there are uniform, he"),
        (("lenet", "--activation", "relu"), "--activation is for models build cnn and mlp"),
        (("lenet", "--batch-norm"), "--batch-norm is for models build cnn and mlp"),
        (("cnn", "--spec", "f10", "--input-shape", "0,3"), "sizes of 1 or more"),
    ],
)
def test_models_that_cannot_be_built(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    refused = rpucc("models", "build", *arguments)
    assert refused.code == 2
    assert said in refused.stderr
    assert list(tmp_path.iterdir()) == []


# --- targets show ------------------------------------------------------------------------------


BROKEN = """\
name = "broken"
[[array]]
name = "a"
rows = 8
cols = 8
t_read = 1e-9
[device]
model = "constant-step"
dw_mni = 0.001
w_max = -3
[[layer]]
match = "fc*"
device.w_min = 3
[[layer]]
match = "conv*"
device.model = "soft-bonds"
"""


def test_targets_show_checks_a_file(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(BROKEN)
    refused = rpucc("targets", "show", str(path))
    assert (refused.code, refused.stdout) == (1, "")
    found = [line.partition("t.toml: ")[2] for line in refused.stderr.splitlines()]
    assert [line.split(":")[0] for line in found] == [
        "device.dw_mni",
        "device.w_max = -3",
        "layer.0.device.w_min = 3",
        "layer.1.device.model = 'soft-bonds'",
    ]
    text = BROKEN.replace("dw_mni", "dw_min").replace("= -3", "= 3").replace("= 3", "= 0.5")
    path.write_text(text.replace("device.w_min = 0.5", "").replace("soft-bonds", "soft-bounds"))
    assert rpucc("targets", "show", str(path)).code == 0


def test_targets_show_imports_no_device(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')\n")
    path = tmp_path / "t.toml"
    path.write_text(BROKEN.partition("dw_mni")[0].replace("constant-step", "mine:Device"))
    shown = rpucc("targets", "show", str(path))
    assert (shown.code, shown.stdout) == (0, path.read_text())
