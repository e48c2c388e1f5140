"""A training killed again and again, checkpoints included, ends at the bits of one that was not.

`pytest -m slow tests/e2e/test_kills.py`, about 7 minutes; KILLS=20 makes it shorter.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from rpucc.runs.events import read_events

KILLS = int(os.environ.get("KILLS", "200"))
SAME = ("checkpoint.safetensors", "metrics.csv", "metrics.jsonl", "program.rpu.onnx", "target.toml")


def starts() -> int:
    """How often a training began or went on."""
    found = read_events(Path("cut/events.jsonl"))
    return sum(event["event"] in ("started", "resumed") for event in found)


@pytest.mark.slow
def test_kills_at_random_moments(command, cli, tiny_model, tiny_data):
    """Epochs take milliseconds, so that most of the time goes into writing files."""
    moments = random.Random(5)
    options = ("--data", tiny_data, "--batch-size", 20, "--seed", 3)
    call = ("train", tiny_model, *options, "-o", "cut")
    for _ in range(KILLS):
        before = starts() if Path("cut").exists() else 0
        process = command(*call, "--epochs", 10**6)
        while not Path("cut/events.jsonl").exists() or starts() == before:
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if Path("cut/checkpoint.safetensors").exists():
            call = ("train", "cut", "--resume")
        else:  # killed before there was anything to go on from
            call = ("train", tiny_model, *options, "-o", "cut", "--force")
    from rpucc import Machine

    epochs = Machine.load("cut").counters.epoch + 2
    assert epochs > KILLS / 10, "kills came too early to say anything"
    assert cli("train", "cut", "--resume", "--epochs", epochs).code == 0
    assert cli("train", tiny_model, *options, "--epochs", epochs, "-o", "whole").code == 0
    for name in SAME:
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes(), name
    assert not list(Path("cut").glob(".*.tmp"))
