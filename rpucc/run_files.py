"""What run folders and the core both know of a run folder: names of files, and a mark.

What else is in a run folder, and what each file holds: `runs/folder.py`.
"""

from __future__ import annotations

from pathlib import Path

PROGRAM = "program.rpu.onnx"
EARLIER_PROGRAM = "program.onnx"
"""Its name in folders that earlier versions wrote."""
CHECKPOINT = "checkpoint.safetensors"

BEFORE_TRAINING = "rpucc.weights"
"""Model metadata of a run folder's program: a sentence about the weights in it."""


def program_in(folder: Path) -> Path:
    """Return where the program of a folder lies, or would."""
    earlier = folder / EARLIER_PROGRAM
    new = folder / PROGRAM
    return earlier if earlier.is_file() and not new.is_file() else new
