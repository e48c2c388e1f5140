"""What run folders and the core both know of a run folder: names of files, and a mark.

What else is in a run folder, and what each file holds: `runs/folder.py`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PROGRAM = "program.rpu.onnx"
EARLIER_PROGRAM = "program.onnx"
"""Its name in folders that earlier versions wrote."""
CHECKPOINT = "checkpoint.safetensors"
"""The last one; `best_of` and `epoch_of` say what those that are kept beside it are called."""
CONFIGURATION = "configuration.json"
"""Of an experiment's run: what it was made from, by which it is found again."""

BEFORE_TRAINING = "rpucc.weights"
"""Model metadata of a run folder's program: a sentence about the weights in it."""


def program_in(folder: Path) -> Path:
    """Return where the program of a folder lies, or would."""
    earlier = folder / EARLIER_PROGRAM
    new = folder / PROGRAM
    return earlier if earlier.is_file() and not new.is_file() else new


def best_of(checkpoint: Path) -> Path:
    """Return where the best epoch's checkpoint lies, beside the last one.

    >>> best_of(Path("runs/a/checkpoint.safetensors")).name
    'checkpoint-best.safetensors'
    """
    return checkpoint.with_name(f"{checkpoint.stem}-best{checkpoint.suffix}")


def epoch_of(checkpoint: Path, epoch: int) -> Path:
    """Return where the checkpoint after an epoch lies that is kept beside the last one.

    >>> epoch_of(Path("checkpoint.safetensors"), 20).name
    'checkpoint-epoch0020.safetensors'
    """
    return checkpoint.with_name(f"{checkpoint.stem}-epoch{epoch:04d}{checkpoint.suffix}")


def kept_beside(checkpoint: Path) -> list[Path]:
    """Return the checkpoints that were kept beside the last one, the best and those of epochs."""
    name = re.escape(checkpoint.stem) + r"-(best|epoch\d{4,})" + re.escape(checkpoint.suffix)
    try:
        names = [entry.name for entry in os.scandir(checkpoint.parent) if entry.is_file()]
    except OSError:
        return []
    return [checkpoint.with_name(each) for each in sorted(names) if re.fullmatch(name, each)]
