"""What happens to a run folder while its training runs: emptied, deleted, moved, replaced, taken.

What is left goes on to the bits of a training that nothing happened to, or is another's and stays
as it is. Kills: test_kills.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import rpucc
from rpucc.errors import OutputError
from rpucc.runs.data import load_data
from rpucc.runs.folder import RunFolder
from rpucc.runs.keeper import Keeper
from rpucc.runs.start import load_program, resume

SAME = ("checkpoint.safetensors", "metrics.csv", "program.rpu.onnx", "target.toml")
Attack = Callable[[], object]


OPTIONS = ("--data", "tiny.npz", "--batch-size", 100)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where the folders that every test begins with are kept."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(autouse=True)
def made(kept, cli, tiny_model, tiny_data) -> None:
    """Make `run`, a training of two epochs, and `whole`, the same one of eight."""
    for name, epochs in (("run", 2), ("whole", 8)):
        if not (kept / name).exists():
            assert cli("train", "tiny.onnx", *OPTIONS, "--epochs", epochs, "-o", name).code == 0
            os.rename(name, kept / name)
        shutil.copytree(kept / name, name)


@pytest.fixture
def attacked() -> Callable[[Attack, int], rpucc.Machine]:
    """Train `run` as rpucc train does, up to 6 epochs; the attack comes at a step of the fourth."""

    def training(attack: Attack, step: int) -> rpucc.Machine:
        run = RunFolder(Path("run"))
        program, record = load_program(run), run.read_record()
        data = load_data(record.data, None, program)

        class Attacks:
            def on_step(self, metrics: rpucc.StepMetrics) -> None:
                if (metrics.epoch, metrics.done) == (4, 100 * step):
                    attack()

        with run.held():
            machine = resume(run, program, record, data)
            keeper = Keeper(run, machine)
            watching = [keeper, Attacks()] if step < 6 else [Attacks(), keeper]
            with keeper:
                rpucc.Trainer(machine).fit(
                    data, epochs=6, batch_size=100, checkpoint=run.checkpoint, callbacks=watching
                )
        return machine

    return training


@pytest.fixture
def goes_on(cli) -> Callable[[str], None]:
    """Hold that a folder goes on to what a training comes to that nothing happened to."""

    def check(folder: str) -> None:
        resumed = cli("train", folder, "--resume", "--epochs", 8)
        assert resumed.code == 0, resumed.stderr
        for name in SAME:
            assert Path(folder, name).read_bytes() == Path("whole", name).read_bytes(), name
        assert not list(Path(folder).glob(".*.tmp"))

    return check


def emptied() -> None:
    for path in Path("run").iterdir():
        path.unlink()


def deleted() -> None:
    shutil.rmtree("run")


def without_program() -> None:
    Path("run/program.rpu.onnx").unlink()


def without_layers() -> None:
    Path("run/layers.jsonl").unlink()


def test_what_is_kept_may_be_any_bytes(attacked):
    """Files that no training reads may be damaged: they are kept, and written anew, as they are."""
    Path("run/calibration.csv").write_bytes(b"\xff")
    attacked(emptied, 1)
    assert Path("run/calibration.csv").read_bytes() == b"\xff"


def test_a_record_of_layers_that_never_ends_is_refused(cli):
    Path("run/layers.jsonl").unlink()
    Path("run/layers.jsonl").symlink_to("/dev/zero")
    resumed = cli("train", "run", "--resume", "--epochs", 3)
    assert resumed.code == 1
    assert "run/layers.jsonl: cannot read: is a device, not a file" in resumed.stderr


@pytest.mark.parametrize("step", [1, 6])
@pytest.mark.parametrize("attack", [emptied, deleted, without_program, without_layers])
def test_what_is_gone_is_written_anew(attacked, goes_on, capsys, attack, step):
    attacked(attack, step)
    said = capsys.readouterr().err
    assert said.count("run: was deleted while it trained; what is lost is written anew") == 1
    goes_on("run")


def test_a_moved_folder_stays_what_it_was(attacked, goes_on):
    attacked(lambda: os.rename("run", "moved"), 2)
    goes_on("moved")
    goes_on("run")


def test_a_folder_in_its_place_stays_as_it_is(attacked, goes_on, cli):
    """Another training's folder is put there, or it trains there at this moment."""
    assert cli("train", "tiny.onnx", *OPTIONS, "--seed", 4, "-o", "another").code == 0
    before = {path.name: path.read_bytes() for path in Path("another").iterdir()}

    def replace() -> None:
        os.rename("run", "moved")
        os.rename("another", "run")

    with pytest.raises(OutputError, match="run: is another folder than the one that this training"):
        attacked(replace, 2)
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    goes_on("moved")


def test_an_empty_folder_that_another_training_holds_is_its_own(attacked):
    other = RunFolder(Path("run")).held()

    def taken() -> None:
        os.rename("run", "moved")
        other.__enter__()

    with pytest.raises(OutputError, match="run: another process trains in this folder"):
        attacked(taken, 2)
    assert not list(Path("run").iterdir())
    other.__exit__(None, None, None)


def test_a_second_training_is_refused(attacked, goes_on, cli):
    found = []

    def second() -> None:
        for words in (("run", "--resume"), ("tiny.onnx", *OPTIONS, "-o", "run", "--force")):
            found.append(cli("train", *words))

    attacked(second, 2)
    assert [each.code for each in found] == [1, 1]
    assert all("run: another process trains in this folder" in each.stderr for each in found)
    goes_on("run")
