"""Checkpoints: whole, checked, bound to their program, and one clear line for all else."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from rpucc.errors import CheckpointError, OutputError, RpuccError
from rpucc.runtime.checkpoint import load_checkpoint, save_checkpoint
from rpucc.runtime.checkpoint_file import notes_digest
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from .small import tiny, tiny_data, train


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "good.safetensors"
    train(tiny(), tiny_data(), seed=9, checkpoint=path)
    return path


def refused(path: Path, program: Any = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, program or tiny())
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def rewritten(good: Path, path: Path, **changes: Any) -> Path:
    """The checkpoint with other metadata, and their digest; a change to None leaves one out."""
    with safe_open(good, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = json.loads(file.metadata()["rpucc"])
    metadata = {k: v for k, v in {**metadata, **changes}.items() if v is not None}
    metadata["notes"] = notes_digest(metadata)
    save_file(tensors, path, {"rpucc": json.dumps(metadata)})
    return path


def test_a_checkpoint_holds_the_machines_whole_state(good: Path, tmp_path: Path) -> None:
    machine, metrics = train(tiny(), tiny_data(), seed=9)
    loaded = load_checkpoint(good, tiny())
    assert loaded.seed == 9
    assert loaded.counters.epoch == 2
    assert loaded.counters.sample == 46
    assert loaded.history == [m.reproducible() for m in metrics]
    for name, array in machine.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name].weights, array.weights)
        devices = loaded.arrays[name].planes["weight"]
        np.testing.assert_array_equal(devices.parameters, array.planes["weight"].parameters)
    save_checkpoint(loaded, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == good.read_bytes()


def test_digital_weights_are_part_of_it(tmp_path: Path) -> None:
    program = tiny("rpu-managed", '\n[[layer]]\nmatch = "fc"\nanalog = false\n')
    machine, _ = train(program, tiny_data(), checkpoint=tmp_path / "c", epochs=1)
    loaded = load_checkpoint(tmp_path / "c", program)
    assert list(machine.arrays) == ["c.W"]
    assert set(machine.state()) == {"c.W", "fc.W"}
    for name, array in machine.state().items():
        np.testing.assert_array_equal(loaded.state()[name], array)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such checkpoint file" in refused(tmp_path / "none")
    assert "no such checkpoint file" in refused(tmp_path / "checkpoint.safetensors")
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors: no such checkpoint file"):
        load_checkpoint(tmp_path)


def test_a_run_folder_brings_its_program(tmp_path: Path) -> None:
    machine, _ = train(tiny(), tiny_data(), seed=9)
    save_checkpoint(machine, tmp_path / "checkpoint.safetensors")
    for place in (tmp_path, tmp_path / "checkpoint.safetensors"):
        with pytest.raises(CheckpointError, match=r"there is no program\.rpu\.onnx beside it"):
            load_checkpoint(place)
    machine.program.save(tmp_path / "program.onnx")
    for place in (tmp_path, str(tmp_path), tmp_path / "checkpoint.safetensors"):
        loaded = load_checkpoint(place)
        assert (loaded.seed, loaded.history) == (9, machine.history)
        for name, array in machine.state().items():
            np.testing.assert_array_equal(loaded.state()[name], array)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_truncated_file(good: Path, data: st.DataObject) -> None:
    content = good.read_bytes()
    path = good.with_name("truncated")
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert "not a checkpoint of rpucc, or damaged" in refused(path)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_damaged_header_never_ends_in_a_traceback(good: Path, data: st.DataObject) -> None:
    content = bytearray(good.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path = good.with_name("damaged")
    path.write_bytes(bytes(content))
    message = f"{path}: "
    try:
        load_checkpoint(path, tiny())  # some damage does no harm, such as a changed number
    except RpuccError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"hello", b"{}" * 50, b"\x80\x04N."])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert "not a checkpoint of rpucc" in refused(path)


def test_the_safetensors_file_of_another_program(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": "pt"}, {"rpucc": "no json"}, {"rpucc": "3"}):
        save_file({"w": np.zeros(3, np.float32)}, path, metadata)
        assert "not a checkpoint of rpucc" in refused(path)
    assert "metadata are damaged: 'seed' is missing" in refused(rewritten(good, path, seed=None))
    assert "checkpoint format 'x'" in refused(rewritten(good, path, format="x"))


def test_a_file_with_a_type_that_numpy_has_not(tmp_path: Path) -> None:
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path = tmp_path / "bf16.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert "not a checkpoint of rpucc" in refused(path)


@pytest.mark.parametrize(
    "other",
    [("rpu-managed", "", "update.bl=5"), ("ideal", ""), ("rpu-managed", "", "array.rows=3")],
)
def test_the_checkpoint_of_another_program(good: Path, other: tuple[str, ...]) -> None:
    assert "belongs to another program" in refused(good, tiny(*other))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": "abc"},
        {"seed": "-1"},
        {"seed": str(2**64)},
        {"counters": "{}"},
        {"counters": "[]"},
        {"counters": "nonsense"},
        {"counters": 3},
        {"counters": json.dumps({"epoch": 1, "extra": 2, "reads": [0, 0, 0]})},
        {"counters": json.dumps({"epoch": "one", "reads": [0, 0, 0]})},
        {"counters": json.dumps({"epoch": -1, "reads": [0, 0, 0]})},
        {"counters": json.dumps({"sample": 1.5, "reads": [0, 0, 0]})},
        {"counters": json.dumps({"reads": [0, 0]})},
        {"counters": json.dumps({"reads": ["a", 0, 0]})},
        {"history": "nonsense"},
        {"history": "3"},
        {"history": "[3]"},
        {"history": '[{"epoch": 1}]'},
        {"counters": json.dumps({"sample": 2**32 + 1, "reads": [0, 0, 0]})},
        {"counters": json.dumps({"loss_sum": 10**400, "reads": [0, 0, 0]})},
        {"counters": "[" * 100_000},
        {"seed": 1e999},
    ],
)
def test_damaged_metadata(good: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    refused(rewritten(good, tmp_path / "changed", **changes))


@pytest.mark.parametrize(
    ("key", "value"),
    [("train_loss", "0.5"), ("reads", [1]), ("reads", -1), ("lr", True), ("test_error", {})],
)
def test_damaged_history(good: Path, tmp_path: Path, key: str, value: Any) -> None:
    record = {**load_checkpoint(good, tiny()).history[0], key: value}
    path = rewritten(good, tmp_path / "changed", history=json.dumps([record]))
    assert f"metadata are damaged: history.0.{key}: found {json.dumps(value)}" in refused(path)


def test_a_history_of_other_epochs_than_were_trained(good: Path, tmp_path: Path) -> None:
    records = load_checkpoint(good, tiny()).history
    path = tmp_path / "changed"
    for changed in (records[:-1], [*records, records[-1]], [{**records[0], "epoch": 7}]):
        message = refused(rewritten(good, path, history=json.dumps(changed)))
        assert "metadata are damaged: history: found [" in message
        assert "allowed: the epochs 1 to " in message
    tracemalloc.start()
    counters = json.dumps({"epoch": 2**32, "reads": [0, 0, 0]})
    assert "the epochs 1 to 4294967296" in refused(rewritten(good, path, counters=counters))
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()
    twice = json.dumps(records)[:-2] + ', "epoch": 1}]'
    assert "history: holds 'epoch' twice" in refused(rewritten(good, path, history=twice))


@pytest.mark.parametrize(
    ("counters", "line"),
    [
        ({"done": -1}, "counters.done: found -1, allowed: a whole number from 0 to 4294967296"),
        ({"reads": [1, 2]}, "counters.reads: found [1, 2], allowed: 3 counts"),
        ({"layers": {"fc": [1]}}, "counters.layers.fc: found [1], allowed: 4 counts"),
        ({"layers": []}, "counters.layers: found [], allowed: an object"),
        ({"loss_sum": "0"}, 'counters.loss_sum: found "0", allowed: a number'),
        ({"pulses": 2**63}, "counters.pulses: found 9223372036854775808, allowed: a whole number"),
        ({"more": 1}, "counters.more: unknown key"),
    ],
)
def test_counters_that_are_none(
    good: Path, tmp_path: Path, counters: dict[str, Any], line: str
) -> None:
    whole = {"epoch": 1, "sample": 8, "reads": [0, 0, 0]}
    path = rewritten(good, tmp_path / "changed", counters=json.dumps({**whole, **counters}))
    assert f"the checkpoint's metadata are damaged: {line}" in refused(path)


def test_flipped_bits_of_the_weights(good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    size = int.from_bytes(content[:8], "little")
    for at in np.random.default_rng(0).integers(8 + size, len(content), 20):
        changed = bytearray(content)
        changed[at] ^= 1 << int(at) % 8
        path = tmp_path / "changed"
        path.write_bytes(changed)
        refused(path)


def test_flipped_bits_of_where_training_stands(good: Path, tmp_path: Path) -> None:
    """Every digit of seed, counters and history, each made another one."""
    content = good.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    start = content.index(b"seed")
    digits = [i for i in range(start, size) if chr(content[i]) in "0123456789"]
    assert len(digits) > 100
    for at in digits:
        changed = bytearray(content)
        changed[at] ^= 1
        path = tmp_path / "changed"
        path.write_bytes(changed)
        refused(path)


def test_a_checkpoint_without_digests_loads(good: Path, tmp_path: Path) -> None:
    """As earlier versions wrote them."""
    path = rewritten(good, tmp_path / "old", tensors=None)
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = json.loads(file.metadata()["rpucc"])
    del metadata["notes"]
    save_file(tensors, path, {"rpucc": json.dumps(metadata)})
    load_checkpoint(path, tiny())


def test_weights_beyond_their_devices_bounds(good: Path, tmp_path: Path) -> None:
    """In a file whose digest is right, or that is older than the digest."""
    with safe_open(good, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        notes = json.loads(file.metadata()["rpucc"])
    del notes["tensors"]
    path = tmp_path / "old"
    save_file(tensors, path, {"rpucc": json.dumps(notes)})
    load_checkpoint(path, tiny())
    tensors["fc.W"][1, 2] = 1e30
    save_file(tensors, path, {"rpucc": json.dumps(notes)})
    assert "weight 'fc.W' holds 1e+30, which lies beyond the bounds of its device" in refused(path)


def test_draws_that_would_repeat() -> None:
    machine = Machine(tiny())
    machine.counters.sample = 2**32 - 10
    with pytest.raises(RpuccError, match="random numbers would repeat after 4,294,967,296"):
        Trainer(machine).fit(tiny_data(), epochs=1)


def test_weights_that_do_not_fit(good: Path, tmp_path: Path) -> None:
    with safe_open(good, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()

    def message(**changes: Any) -> str:
        path = tmp_path / "changed"
        changed = {**tensors, **changes}
        save_file({k: v for k, v in changed.items() if v is not None}, path, metadata)
        return refused(path)

    wrong = np.zeros((3, 37), np.float32)
    assert "weights are not this program's" in message(**{"fc.W": None})
    assert "weights are not this program's" in message(extra=wrong)
    assert "weight 'fc.W' is float32[3, 36]" in message(**{"fc.W": wrong[:, 1:].copy()})
    assert "weight 'fc.W' is float64[3, 37]" in message(**{"fc.W": wrong.astype(np.float64)})
    for bad in (np.nan, np.inf):
        wrong[1, 2] = bad
        assert "weight 'fc.W' holds NaN or infinity" in message(**{"fc.W": wrong})


def unwritable(tmp_path: Path, kind: str) -> Path:
    (tmp_path / "file").write_text("keep me")
    (tmp_path / "folder").mkdir()
    return {
        "a folder that does not exist": tmp_path / "none" / "c",
        "a file for a folder": tmp_path / "file" / "c",
        "a folder for a file": tmp_path / "folder",
        "too long a name": tmp_path / ("x" * 300),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["a folder that does not exist", "a file for a folder", "a folder for a file",
     "too long a name"],
)  # fmt: skip
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    path = unwritable(tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="the checkpoint cannot be written: ") as caught:
        save_checkpoint(Machine(tiny()), path)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "keep me"


def test_a_failed_write_keeps_the_last_checkpoint(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    path.write_bytes(good.read_bytes())

    def full_disk(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        save_checkpoint(Machine(tiny()), path)
    assert list(tmp_path.iterdir()) == [path]
    load_checkpoint(path, tiny())
