"""A training killed again and again, checkpoints included, ends at the bits of one that was not.

`pytest -m slow tests/e2e/test_kills.py`, about 7 minutes; KILLS=20 makes it shorter.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
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


@pytest.mark.slow
def test_kills_at_random_moments(cli, tiny_model, tiny_data):
    """Epochs take milliseconds, so that most of the time goes into writing files."""
    moments = random.Random(5)
    options = ("--data", tiny_data, "--batch-size", 20, "--seed", 3)
    call = ("train", tiny_model, *options, "-o", "cut")
    for _ in range(KILLS):
        before = 0 if "--force" in call else written()
        words = [sys.executable, "-m", "rpucc", *map(str, call), "--epochs", str(10**6)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = moments.choice([0, 1, 1, 2, 2, 3, 5, 8, 13, 21])  # started or resumed, then epochs
        while written() < before + 75 * lines:
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.3) if lines < 2 else moments.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if Path("cut/checkpoint.safetensors").exists():
            call = ("train", "cut", "--resume")
        else:  # killed before there was anything to go on from
            call = ("train", tiny_model, *options, "-o", "cut", "--force")
    from rpucc import Machine

    epochs = Machine.load("cut").counters.epoch + 2
    assert epochs > KILLS, "kills came too early to say anything"
    assert cli("train", "cut", "--resume", "--epochs", epochs).code == 0
    assert cli("train", tiny_model, *options, "--epochs", epochs, "-o", "whole").code == 0
    for name in SAME:
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes(), name
    assert not list(Path("cut").glob(".*.tmp"))
