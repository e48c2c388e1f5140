"""A training that is killed, stopped or out of disk again and again ends at the same bits.

`pytest -n0 -m slow tests/e2e/test_kills.py`, about 12 minutes; KILLS=20 makes it shorter.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

KILLS = int(os.environ.get("KILLS", "200"))
SAME = (
    "checkpoint.safetensors",
    "metrics.csv",
    "metrics.jsonl",
    "layers.jsonl",
    "program.rpu.onnx",
    "target.toml",
)


EVENTS = Path("cut/events.jsonl")


def written() -> int:
    """Bytes of what has happened so far."""
    return EVENTS.stat().st_size if EVENTS.exists() else 0


def train(call: tuple[object, ...]) -> subprocess.Popen[bytes]:
    """Start a training of epochs that take milliseconds, so that most time goes into files."""
    words = [sys.executable, "-m", "rpucc", *map(str, call), "--epochs", str(10**6)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def check_same_bits(cli, model, options: tuple[object, ...], least: int) -> None:
    """Let `cut` go on for two epochs, and hold that it is what an undisturbed training makes."""
    from rpucc import Machine

    epochs = Machine.load("cut").counters.epoch + 2
    assert epochs > least, "came too early to say anything"
    assert cli("train", "cut", "--resume", "--epochs", epochs).code == 0
    assert cli("train", model, *options, "--epochs", epochs, "-o", "whole").code == 0
    for name in SAME:
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes(), name
    assert not list(Path("cut").glob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("signals", ["SIGKILL", "SIGKILL SIGTERM SIGHUP SIGINT"])
def test_signals_at_random_moments(cli, tiny_model, tiny_data, signals):
    moments = random.Random(5)
    options = ("--data", tiny_data, "--batch-size", 20, "--seed", 3)
    call = ("train", tiny_model, *options, "-o", "cut")
    for _ in range(KILLS):
        before = 0 if "--force" in call else written()
        with train(call) as process:
            lines = moments.choice([0, 1, 1, 2, 2, 3, 5, 8, 13, 21])  # started or resumed, epochs
            while written() < before + 75 * lines:
                assert process.poll() is None
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.3) if lines < 2 else moments.uniform(0, 0.02))
            process.send_signal(signal.Signals[moments.choice(signals.split())])
            process.communicate()
        if Path("cut/checkpoint.safetensors").exists():
            call = ("train", "cut", "--resume")
        else:  # killed before there was anything to go on from
            call = ("train", tiny_model, *options, "-o", "cut", "--force")
    check_same_bits(cli, tiny_model, options, KILLS)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = Path("disk")
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full_at_random_moments(cli, small_disk, tiny_model, tiny_data):
    """Another program takes all but a few pages; the training ends with one line, and goes on."""
    moments, reasons = random.Random(6), set()
    Path("cut").symlink_to(small_disk / "run")
    options = ("--data", tiny_data, "--batch-size", 20, "--seed", 3)
    assert cli("train", tiny_model, *options, "-o", small_disk / "run").code == 0
    for _ in range(KILLS // 4):
        before = written()
        with train(("train", "cut", "--resume")) as process:
            while written() < before + 75 * moments.choice([0, 2, 4]):
                assert process.poll() is None
                time.sleep(0.001)
            with contextlib.suppress(OSError), (small_disk / "fill").open("wb", 0) as fill:
                while True:
                    fill.write(bytes(4096))
            with (small_disk / "fill").open("r+b") as fill:
                fill.truncate(
                    max(0, os.fstat(fill.fileno()).st_size - 4096 * moments.choice([0, 1, 3, 6]))
                )
            assert process.stderr is not None
            last = process.stderr.read().decode().splitlines()[-1]
        (small_disk / "fill").unlink()
        assert process.returncode == 1
        assert last.startswith("Error: cut/"), last
        reasons.add(re.sub(".*/", "", last))
    assert all("No space left on device" in reason for reason in reasons), reasons
    print(*sorted(reasons), sep="\n")
    check_same_bits(cli, tiny_model, options, KILLS // 4)
