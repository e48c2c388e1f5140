"""The names of the files in a run folder that the command line and the runtime both look for.

What else is in a run folder, and what each file holds: `cli/run_folder.py`.
"""

from __future__ import annotations

PROGRAM = "program.onnx"
CHECKPOINT = "checkpoint.safetensors"
