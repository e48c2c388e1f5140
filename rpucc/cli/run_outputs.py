"""What `rpucc run` writes: one output as .npy, all outputs by name as .npz.

Not for what is printed about them: that is run.py.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from rpucc.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rpucc.program import Program

ARCHIVE = ".npz"


def outputs_to_compute(program: Program, path: str | None, as_json: bool) -> tuple[str, ...]:
    """Return the names of the outputs that a run is to give, the program's own first.

    All of them go into an .npz file and, but for those that restate another, into JSON. Raises
    UsageError where a file that holds one array would lose others.
    """
    if path is None:
        return (program.output, *_others(program)) if as_json else program.outputs[:1]
    if Path(path).suffix.lower() == ARCHIVE:
        return program.outputs
    lost = _others(program)
    if lost:
        raise UsageError(
            f"-o {path}: the model has {len(lost) + 1} outputs "
            f"({', '.join((program.output, *lost))}) and this file holds one array; write all of "
            f"them, by name, with -o {Path(path).with_suffix(ARCHIVE)}"
        )
    return program.outputs[:1]


def say_outputs(program: Program, found: Mapping[str, NDArray[Any]], path: str | None) -> None:
    """Say on standard error what was written, or that nothing was and which outputs there are."""
    from rpucc.terminal import say

    if path is not None:
        named = path.lower().endswith(ARCHIVE)
        texts = [
            f"{name} {_text(array)}" if named else _text(array) for name, array in found.items()
        ]
        say(f"wrote {path}: {', '.join(texts)}")
        return
    main, others = found[program.output], _others(program)
    if others:
        say(
            f"this is of the output {program.output} {list(main.shape)}; the model also has "
            f"{', '.join(others)}: -o FILE{ARCHIVE} writes all, by name"
        )
    elif main.ndim != 2:
        say(f"outputs of shape {list(main.shape)}; -o FILE.npy writes them")


def _others(program: Program) -> tuple[str, ...]:
    """The outputs that say something else than the program's own."""
    names = program.outputs[1:]
    if not program.training:
        return names
    # the softmax or the change of shape behind the value that the loss is about
    return tuple(name for name in names if not program.restates_output(name))


def write_outputs(path: Path, outputs: Mapping[str, NDArray[Any]]) -> None:
    """Write all outputs by name (.npz), or the only one."""
    import numpy as np

    from rpucc.outputs import write_file

    if path.suffix.lower() == ARCHIVE:
        write_file(path, lambda stream: _write_archive(stream, outputs))
        return
    (array,) = outputs.values()
    write_file(path, lambda stream: np.save(stream, array, allow_pickle=False))


def _write_archive(stream: BinaryIO, outputs: Mapping[str, NDArray[Any]]) -> None:
    """Write what np.savez would, which lacks names such as "file" that are its own parameters."""
    import numpy as np

    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def _text(array: NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"
