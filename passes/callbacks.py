"""What may happen between two passes: structure checks, timing, dumps.

A callback is called with a PassEvent once for the imported model and once after every pass. Not
for checks by execution: those are in `verify.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from rpucc.errors import OutputError, VerificationError
from rpucc.structure import structure_problems

IMPORT = "import"
"""The name of the event that shows the imported model to the callbacks."""


@dataclass(frozen=True)
class PassEvent:
    """What a callback gets: a pass has run (index 0: the model has been imported)."""

    index: int
    name: str
    model: ir.Model
    """As the pass left it; the next pass changes it in place, so copy what must last."""
    seconds: float
    modified: bool


Callback = Callable[[PassEvent], None]
"""Called once for the imported model and once after every pass; raises to stop the pipeline."""


class StructureCheck:
    """Check that the model is valid ONNX and keeps rpucc's own rules; VerificationError if not.

    onnx.checker with full_check; every node named, and no two alike; every value typed and
    shaped; metadata refer to what exists; the cuts of a grid cover its matrix, and agree in all
    three cycles.
    """

    def __call__(self, event: PassEvent) -> None:
        """Check the model that the pass left."""
        check_structure(event.model, f"pass '{event.name}'")


def check_structure(model: ir.Model, after: str) -> None:
    """Raise VerificationError for the first thing that is wrong with the model's structure."""
    problem = next(structure_problems(model), None)
    if problem is not None:
        raise VerificationError(f"after {after}: {problem}")


class Timing:
    """Collect the seconds that each pass took: `seconds` maps names to times, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, event: PassEvent) -> None:
        """Note the pass's time; an import starts anew."""
        if event.index == 0:
            self.seconds.clear()
        self.seconds[event.name] = self.seconds.get(event.name, 0.0) + event.seconds

    @property
    def total(self) -> float:
        """Seconds of all passes together."""
        return sum(self.seconds.values())


class Dump:
    """Write the model after each pass to `folder` as `NN_name.onnx`; OutputError if it cannot."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.files: list[Path] = []

    def __call__(self, event: PassEvent) -> None:
        """Write one file; an import starts anew."""
        if event.index == 0:
            self.files.clear()
        from rpucc.write_model import write_model

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot make the folder for dumps: {error.strerror or error}"
            ) from error
        path = self.folder / f"{event.index:02d}_{event.name}.onnx"
        write_model(event.model, path)
        self.files.append(path)
