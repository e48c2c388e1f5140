"""What is attacked: each reader with good files, how they are damaged, and what is done with them.

Not for running many of them: `worker.py`.
"""

from __future__ import annotations

from . import of_code, of_data, of_programs, of_runs, of_targets
from .reader import Reader

READERS: dict[str, Reader] = {
    **of_programs.READERS,
    **of_targets.READERS,
    **of_data.READERS,
    **of_runs.READERS,
    **of_code.READERS,
}
"""Name -> reader; adding one is one row."""
