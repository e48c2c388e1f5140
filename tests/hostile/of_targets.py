"""Targets, plan files, experiments and what is written on a command line."""

from __future__ import annotations

import contextlib
import math
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from rpucc.errors import RpuccError, UsageError, one_line

from . import mutate
from .mutate import one_of
from .reader import Reader, WronglyTakenError


def _targets(folder: Path) -> list[bytes]:
    from rpucc.target.load import preset_names, preset_text

    rules = """
[[layer]]
match = "conv*"
arrays = [3, "8-10"]
[layer.mapping]
replicas = 4
row_cuts = [0, 2, 4]
[layer.update]
bl = 3
[layer.device]
model = "constant-step"
dw_min = 0.002
[layer.cell]
model = "tiki-taka"
transfer_every = 3
gamma = 0.5
[layer.cell.fast]
model = "soft-bounds"
dw_min = 0.004
"""
    return [(preset_text(name) + rules).encode() for name in preset_names()]


def use_target(path: Path) -> None:
    """Load a target, write it, and make the devices of a layer."""
    from rpucc.runtime.devices import device_of
    from rpucc.target.target import Target

    target = Target.load(path)
    if Target.from_json(target.to_json()) != target:
        raise WronglyTakenError("the target says something else of itself")
    for name in ("conv1", "fc"):
        policy = target.for_layer(name)
        for plane, device in policy.plane_devices.items():
            if ":" in device.model:  # what a file names is not imported here
                continue
            with contextlib.suppress(RpuccError):  # its parameters come up when it runs
                device_of(policy, plane=plane)


PLAN = """
[placement]
share = true
[[layer]]
match = "c"
arrays = [0, "1-3"]
[layer.mapping]
array = "large"
replicas = 2
col_cuts = [0, 5, 9]
row_cuts = [0, 4]
[[layer]]
match = "fc"
[layer.management]
bound_forward = false
"""


def use_plan(path: Path) -> None:
    """Compile a tiny network by a plan file."""
    from rpucc.compiler.compile import compile_model
    from rpucc.target.target import Target

    from .networks import network

    target = Target.load("rpu-managed", ("mapping.weight_scaling=off",)).with_plan(path)
    _ = compile_model(network("conv"), target, verify=False).plan.to_dict()


def _experiments(folder: Path) -> list[bytes]:
    from importlib import resources

    from rpucc.experiments.load import experiment_names

    shipped = resources.files("rpucc.experiments")
    return [shipped.joinpath(f"{name}.toml").read_bytes() for name in experiment_names()]


def use_experiment(path: Path) -> None:
    """Read an experiment, show it, and say what determines the numbers of its rows."""
    from rpucc.errors import RpuccError
    from rpucc.experiments.configuration import fingerprint, row_configuration
    from rpucc.experiments.load import load_experiment
    from rpucc.experiments.outcome import outcome
    from rpucc.experiments.schema import TrainingExperiment
    from rpucc.report.experiments.page import training_page
    from rpucc.report.experiments.tables import experiments_table

    found = load_experiment(str(path))
    experiments_table([found])
    if not isinstance(found, TrainingExperiment):
        return
    for training in (found.training, found.quick):
        for row in found.row:
            found.seeds_of(row)
            with contextlib.suppress(RpuccError):  # a wrong target is that row's refusal
                fingerprint(row_configuration(row, found.model, training, "0" * 16))
        training_page(outcome(found, training, {}), training.data, "0" * 16)


OVERRIDES = (
    "update.bl=3",
    'device.model="constant-step"',
    "layer.conv*.update.lr_scale=0.5",
    "layer.c.arrays=[1, '3-4']",
    "array.large.rows=128",
    "periphery.adc_bits=7",
    'cell.model="tiki-taka"',
    'layer."a.b".mapping.row_cuts=[0, 4]',
)


def _overrides(folder: Path) -> list[bytes]:
    return [text.encode() for text in OVERRIDES]


def _override(random: Random, data: bytes) -> bytes:
    """Change the key, or put another value behind it."""
    key, _, value = data.decode().partition("=")
    kind = random.randrange(5)
    if kind == 0:
        parts = key.split(".")
        at = random.randrange(len(parts) + 1)
        parts[at : at + random.randrange(2)] = [str(random.choice((*mutate.TEXTS, "layer", "*")))]
        key = ".".join(parts)
    elif kind == 1:
        key = random.choice(OVERRIDES).partition("=")[0]
    else:
        new = mutate.hostile_value(random, random.choice((value, 3, 0.5, True, [1], "off")))
        value = mutate.toml_text(new) if random.random() < 0.8 else str(new)
    return f"{key}={value}".encode("utf-8", "surrogatepass")


def use_override(path: Path) -> None:
    """Change a key of a target; what is taken, the target says again."""
    from rpucc.target.target import Target

    text = path.read_bytes().decode("utf-8", "surrogateescape")
    target = Target.load("rpu-managed", (text,))
    if Target.from_json(target.to_json()) != target:
        raise WronglyTakenError(text)


def _options(folder: Path) -> list[bytes]:
    """Every option of every command that takes a value, with one that is good for many."""
    values = ("1", "0.5", "constant", "step:2:0.5", "noise:0.1", "5%", "1,2,3", "3,5,5", "he:3")
    values += ("mse", "error", "last", "0 1", "relu", "all")
    return [
        "\n".join((command, option, value)).encode()
        for command, options in _takers().items()
        for option in options
        for value in values
        if _takes(command, option, value)
    ][::3]


@cache
def _takers() -> dict[str, dict[str, Any]]:
    """Command -> its options that take a value."""
    import click

    from rpucc.cli.main import COMMANDS, cli

    found: dict[str, dict[str, Any]] = {}
    for name in COMMANDS:
        context = click.Context(cli)
        command = cli.get_command(context, name)
        groups = getattr(command, "commands", {"": command})
        for sub, each in groups.items():
            for option in each.params:
                if isinstance(option, click.Option) and not (option.is_flag or option.hidden):
                    found.setdefault(f"{name} {sub}".strip(), {})[option.opts[0]] = option
    return found


def _takes(command: str, option: str, value: str) -> bool:
    import click

    try:
        _parse(command, option, value)
    except (click.UsageError, RpuccError):
        return False
    return True


def _parse(command: str, option: str, value: str) -> Any:
    import click

    found = _takers()[command][option]
    context = click.Context(click.Command(command), info_name=command)
    given: Any = value.split(" ", found.nargs - 1) if found.nargs > 1 else value
    return found.process_value(context, (given,) if found.multiple else given)


def _option(random: Random, data: bytes) -> bytes:
    """Put another value behind an option."""
    command, option, value = data.decode().split("\n", 2)
    pool = ("1", "0.5", "step:2:0.5", "cosine", "plateau:2:0.1", "noise:0.1", "flip", "5%", "1,2,3")
    old = random.choice((value, *pool, 1, 0.5))
    new = str(mutate.hostile_value(random, old)).replace("inf", random.choice(("inf", "1e999")))
    if random.random() < 0.3:
        new = random.choice(("٣", "１", "+1", "1_000", "0x10", "1e5", " 1", "1 ", "--", "-")) + new
    return "\n".join((command, option, new)).encode("utf-8", "surrogatepass")


def use_option(path: Path) -> None:
    """Give an option a value, and take a learning rate of what is a schedule."""
    import click

    from rpucc.runtime.learning_rate import parse_schedule

    text = path.read_bytes().decode("utf-8", "surrogateescape")
    command, option, value = text.split("\n", 2)
    try:
        found = _parse(command, option, value)
    except click.UsageError as error:  # as the command line shows it
        raise UsageError(one_line(error.format_message())) from error
    if option == "--lr-schedule":
        schedule = parse_schedule(found)
        for epoch in (0, 1, 7, 2**31):
            if not 0 <= schedule(0.01, epoch, [0.5, 0.4, math.nan][: epoch % 4], 0.0) < math.inf:
                raise WronglyTakenError(f"{value}: epoch {epoch}")


def _describe(folder: Path) -> list[bytes]:
    from rpucc.outputs import to_json
    from rpucc.report.text.program import describe

    from .networks import program

    made = [describe(program(kind)) for kind in ("conv", "norm", "inference")]
    (folder / "other.json").write_text(to_json(made[0]))
    return [to_json(each).encode() for each in (*made, made[0]["plan"])]


def use_description(path: Path) -> None:
    """Compare what `inspect --json` wrote with another."""
    from rpucc.cli.diff import read_described
    from rpucc.outputs import to_json
    from rpucc.report.text.diff import diff
    from rpucc.report.text.diff_tables import as_tables

    for pair in ((path, path.parent / "other.json"), (path.parent / "other.json", path)):
        found = diff(*(read_described(str(each)) for each in pair))
        to_json(found.to_dict())
        as_tables(found, ("a", "b"))


_FILE = (1, mutate.damage)
READERS = {
    "targets": Reader("target.toml", _targets, one_of((3, mutate.toml_tree), _FILE), use_target),
    "plans": Reader(
        "plan.toml",
        lambda folder: [PLAN.encode()],
        one_of((3, mutate.toml_tree), _FILE),
        use_plan,
        named=False,
        share=25,
    ),
    "experiments": Reader(
        "experiment.toml",
        _experiments,
        one_of((3, mutate.toml_tree), _FILE),
        use_experiment,
        share=40,
    ),
    "--set": Reader(
        "set.txt", _overrides, one_of((3, _override), _FILE), use_override, named=False
    ),
    "options": Reader("option.txt", _options, _option, use_option, named=False, lenient=True),
    "diff": Reader("plan.json", _describe, one_of((4, mutate.json_tree), _FILE), use_description),
}
