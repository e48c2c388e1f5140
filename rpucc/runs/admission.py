"""Devices of a user's own: which module a command is about to import, and whether it may.

Not for importing: that is rpucc.runtime.devices.own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rpucc.errors import TargetError, one_line
from rpucc.runs.folder import RunFolder
from rpucc.trust import module_of

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.trust import Trust


def admit(
    program: Program, source: str, *, trusted: bool = False, named: Collection[str] = ()
) -> None:
    """Let a machine of the program import the modules of its own devices, and say which.

    source: how the user named what the program came from. trusted: the user gave --trust. named:
    devices that the command line names as well. Raises TargetError for a device that only a file
    names.
    """
    devices = program.own_devices
    if not devices:
        return
    program.trust = program.trust.beside([*_places(RunFolder(Path(source))), Path.cwd()])
    for model in devices:
        if not (trusted or model in named or program.trust.allows(model)):
            raise TargetError(
                f"{one_line(source)}: its device '{model}' would import the module "
                f"{_module(model, program.trust)}, which only this file names; --trust allows it "
                "(docs/security.md)"
            )
    program.trust = program.trust.also(devices)
    announce(devices, program.trust)


def announce(devices: Iterable[str], trust: Trust) -> None:
    """Say on standard error which modules these devices are about to import."""
    from rpucc.runtime.devices.own import module_place
    from rpucc.terminal import say

    for model in devices:
        if module_place(model, trust.folders):  # else it is an error, which says so
            say(f"device {model}: imports {_module(model, trust)}")


def trust_flag(program: Program) -> str:
    """Return what a later command on the program's file needs: " --trust", or nothing."""
    return " --trust" if program.own_devices else ""


def _module(model: str, trust: Trust) -> str:
    """Return the module and, where there is one to be found, its file."""
    from rpucc.runtime.devices.own import module_place

    place = module_place(model, trust.folders)
    return f"'{module_of(model)}'" + (f" ({one_line(place)})" if place else "")


def _places(run: RunFolder) -> list[Path]:
    """Return where a run's own devices may lie: in its folder, or beside the target it was from.

    Nowhere for what is no run folder.
    """
    if not run.exists():
        return []
    target = run.read_record().target if run.record.is_file() else None
    beside = [Path(target).parent] if target is not None and Path(target).is_file() else []
    return [run.path.resolve(), *(folder.resolve() for folder in beside)]
