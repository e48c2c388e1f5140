"""What the command line and the core both know of a run folder: names of files, and a mark.

What else is in a run folder, and what each file holds: `cli/run_folder.py`.
"""

from __future__ import annotations

PROGRAM = "program.onnx"
CHECKPOINT = "checkpoint.safetensors"

BEFORE_TRAINING = "rpucc.weights"
"""Model metadata of a run folder's program: a sentence about the weights in it."""
