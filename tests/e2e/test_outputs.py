"""Outputs that are no plain files, names beyond the system, full disks, readers that left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

FULL = Path("/dev/full")
full_disk = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
RPUCC = [sys.executable, "-m", "rpucc"]


def run(*arguments: object, **streams: object) -> subprocess.CompletedProcess[str]:
    streams = {"stderr": subprocess.PIPE} | streams
    return subprocess.run([*RPUCC, *map(str, arguments)], text=True, check=False, **streams)


@full_disk
@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["targets"], ["train", "--help"], ["models", "--json"]]
)
def test_a_full_disk_under_standard_output(arguments: list[str]) -> None:
    with FULL.open("w") as full:
        done = run(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "Error: cannot write to standard output: No space left on device\n"


@full_disk
def test_a_training_outlives_its_output(cli, tiny_model, tiny_data) -> None:
    options = ["train", tiny_model, "--data", tiny_data, "--epochs", 3]
    with FULL.open("w") as full:
        done = run(*options, "-o", "full", stdout=full)
    assert done.returncode == 1
    assert done.stderr.count("No space left on device; the training goes on") == 1
    assert "Traceback" not in done.stderr
    assert cli(*options, "-o", "whole").code == 0
    for name in ("checkpoint.safetensors", "metrics.csv"):
        assert Path("full", name).read_bytes() == Path("whole", name).read_bytes()


def test_a_reader_that_leaves_does_not_end_a_training(cli, tiny_model, tiny_data) -> None:
    options = ["train", tiny_model, "--data", tiny_data, "--epochs", 3]
    read, write = os.pipe()
    os.close(read)
    done = run(*options, "-o", "left", stdout=write)
    os.close(write)
    assert (done.returncode, "Error" in done.stderr) == (0, False), done.stderr
    assert cli(*options, "-o", "whole").code == 0
    assert Path("left/metrics.csv").read_bytes() == Path("whole/metrics.csv").read_bytes()


@full_disk
def test_a_full_disk_under_standard_error(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        done = run("check", "nothing.onnx", stdout=subprocess.PIPE, stderr=full, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


def test_closed_streams() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m rpucc targets >&-"], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [["inspect", "run", "--csv"], ["inspect", "run", "--html"]])
def test_a_pipe_stays_a_pipe(arguments: list[str], cli, tiny_model, tmp_path: Path) -> None:
    assert cli("compile", tiny_model, "-o", "program").code == 0
    os.mkfifo("pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(Path("pipe").read_bytes()))
    reader.start()
    arguments = [argument.replace("run", "program") for argument in arguments]
    assert cli(*arguments, "pipe").code == 0
    reader.join()
    assert cli(*arguments, "plain").code == 0
    assert found == [Path("plain").read_bytes()]
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize(
    "arguments", [["models", "build", "mlp"], ["prune", "tiny.onnx", "--share", "0.5"]]
)
def test_a_pipe_is_there_and_needs_no_force(arguments: list[str], cli, tiny_model) -> None:
    arguments = [str(tiny_model) if each == "tiny.onnx" else each for each in arguments]
    os.mkfifo("pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(Path("pipe").read_bytes()))
    reader.start()
    outcome = cli(*arguments, "-o", "pipe")
    if outcome.code:
        Path("pipe").write_bytes(b"")  # lets the reader go
    reader.join()
    assert outcome.code == 0, outcome.stderr
    assert cli(*arguments, "-o", "plain").code == 0
    assert found == [Path("plain").read_bytes()]
    assert "--force replaces it" in cli(*arguments, "-o", "plain").stderr


def test_a_program_in_a_pipe_and_behind_a_link(cli, tiny_model) -> None:
    Path("link").symlink_to("kept.rpu.onnx")
    assert cli("compile", tiny_model, "-o", "link").code == 0
    assert Path("link").is_symlink()
    os.mkfifo("pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(Path("pipe").read_bytes()))
    reader.start()
    assert cli("compile", tiny_model, "-o", "pipe").code == 0
    reader.join()
    Path("piped").write_bytes(found[0])
    assert cli("inspect", "piped").stdout == cli("inspect", "link").stdout.replace("link", "piped")


@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "tiny.onnx", "-o"],
        ["train", "tiny.onnx", "--data", "tiny.npz", "-o"],
        ["models", "build", "mlp", "-o"],
        ["inspect", "program", "--html"],
        ["check"],
        ["inspect"],
        ["eval"],
        ["compile", "tiny.onnx", "-t"],
        ["train", "tiny.onnx", "--data"],
        ["compare", "tiny.onnx"],
        ["report"],
        ["devices", "show"],
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_a_name_beyond_the_system(arguments, cli, tiny_model, tiny_data) -> None:
    assert cli("compile", tiny_model, "-o", "program").code == 0
    arguments = [{"tiny.onnx": tiny_model, "tiny.npz": tiny_data}.get(a, a) for a in arguments]
    outcome = cli(*arguments, "n" * 300)
    assert outcome.code in (1, 2), outcome
    assert outcome.stderr.startswith("Error: ")
    assert "internal error" not in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero on this system")
@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["compile"],
        ["run"],
        ["inspect"],
        ["eval"],
        ["diff", "program"],
        ["reproduce"],
        ["compile", "tiny.onnx", "-t"],
        ["compile", "tiny.onnx", "--plan"],
        ["compile", "tiny.onnx", "--loss"],
        ["compile", "tiny.onnx", "--class-weights"],
        ["train", "tiny.onnx", "--data"],
        ["run", "tiny.onnx"],
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_what_never_ends_is_no_file(arguments, cli, tiny_model) -> None:
    assert cli("compile", tiny_model, "-o", "program").code == 0
    arguments = [tiny_model if each == "tiny.onnx" else each for each in arguments]
    outcome = cli(*arguments, "/dev/zero")
    assert outcome.code in (1, 2), outcome
    assert "internal error" not in outcome.stderr
    assert outcome.stderr.count("\n") == 1, outcome.stderr


def test_a_model_out_of_a_pipe(cli, tiny_model) -> None:
    whole = subprocess.run(
        [*RPUCC, "check", "/dev/stdin"],
        input=Path(tiny_model).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert whole.returncode == 0, whole.stderr


def test_ctrl_c_while_modules_load() -> None:
    code = """if True:
        import sys

        class Pressed:
            def find_spec(self, name, *_):
                if name == "rpucc.cli.main":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Pressed())
        from rpucc.__main__ import main
        main()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "\ninterrupted\n")
