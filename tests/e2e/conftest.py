"""What end-to-end tests share: the command line as a user has it, a small model, small data."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    stdout: str
    stderr: str


Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def cli() -> Cli:
    """Run `rpucc` with these arguments in this process; output is that of no terminal."""
    from rpucc.cli.main import cli as group

    def run(*arguments: object) -> Outcome:
        result = CliRunner().invoke(group, [str(a) for a in arguments], prog_name="rpucc")
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Press Ctrl-C once training has looked for it so many times: after every step, and epoch.

    stop: what another signal raises.
    """
    from rpucc.runtime import interrupt

    @contextlib.contextmanager
    def pressed(after: int, stop: KeyboardInterrupt | None = None) -> Iterator[None]:
        left = itertools.count(1)

        def check(self: interrupt.Interrupt) -> None:
            if next(left) == after:
                raise stop or KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(interrupt.Interrupt, "check", check)
            yield

    return pressed


@pytest.fixture
def command() -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m rpucc` as a process of its own."""

    def start(*arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "rpucc", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )

    return start


def save_model(path: Path, nodes: list[onnx.NodeProto], shape: list[object], **weights: object):
    """Write a model with input x of `shape` and output y."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "K"])],
        [numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def tiny_model(workplace: Path) -> Path:
    """A network of 12 inputs, 8 hidden units and 3 classes."""
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "hidden", transB=1),
        helper.make_node("Tanh", ["h"], ["a"], "tanh"),
        helper.make_node("Gemm", ["a", "w2", "b2"], ["y"], "classes", transB=1),
    ]
    return save_model(
        workplace / "tiny.onnx",
        nodes,
        ["N", 12],
        w1=np.clip(random.normal(0, 0.3, (8, 12)), -0.55, 0.55),  # within the devices' bounds
        b1=np.zeros(8),
        w2=np.clip(random.normal(0, 0.3, (3, 8)), -0.55, 0.55),
        b2=np.zeros(3),
    )


@pytest.fixture
def tiny_data(workplace: Path) -> Path:
    """3 classes that a line or two separate: 600 + 66 samples of 12 pixels."""
    random = np.random.default_rng(2)
    y = random.integers(0, 3, 666)
    x = random.uniform(0, 0.4, (666, 12)).astype(np.float32)
    for label in range(3):
        x[y == label, 4 * label : 4 * label + 4] += 0.5
    path = workplace / "tiny.npz"
    np.savez(path, x=x, y=y)
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files below a folder with their bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def files(workplace: Path) -> Callable[[], dict[str, bytes]]:
    """What lies in the test's folder now."""
    return lambda: snapshot(workplace)


@pytest.fixture
def make_model(workplace: Path) -> Callable[..., Path]:
    """Write a model from nodes into the test's folder."""

    def make(name: str, nodes: list[onnx.NodeProto], shape: list[object], **weights: object):
        return save_model(workplace / name, nodes, shape, **weights)

    return make
