"""The `rpucc` command: which commands there are, and how errors become one line and an exit code.

Imports nothing but click, so that help is immediate; a command's module is imported when the
command runs. Not for what a command does: each has a file of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

import click

from rpucc import __version__
from rpucc.cli import streams
from rpucc.cli.portable import decide
from rpucc.errors import InfeasibleError, OutputError, RpuccError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("rpucc.cli.demo:demo", "Compile and train a LeNet on built-in data: the whole path."),
    "check": ("rpucc.cli.check:check", "Say what would become of every node of an ONNX model."),
    "compile": ("rpucc.cli.compile:compile_", "Lay an ONNX model out on a target's arrays."),
    "inspect": ("rpucc.cli.inspect:inspect_", "Show a compiled program, checkpoint or run folder."),
    "diff": ("rpucc.cli.diff:diff", "Show what differs between two plans."),
    "train": ("rpucc.cli.train:train", "Train a model in situ on simulated arrays."),
    "reproduce": (
        "rpucc.cli.reproduce:reproduce",
        "Train published experiments again and compare.",
    ),
    "ablate": ("rpucc.cli.ablate:ablate", "Say which effect of a target costs accuracy."),
    "eval": ("rpucc.cli.evaluate:evaluate", "Measure a trained network's error on test data."),
    "export": (
        "rpucc.cli.export:export",
        "Write a run's trained weights into the model that they came from.",
    ),
    "report": ("rpucc.cli.report:report", "Write a training as one self-contained page of HTML."),
    "compare": ("rpucc.cli.compare:compare", "Show how trainings differ and how each went."),
    "run": ("rpucc.cli.run:run", "Classify inputs from files: arrays, images, data sets."),
    "targets": ("rpucc.cli.targets:targets", "List the targets, or show one."),
    "prune": (
        "rpucc.cli.prune:prune",
        "Set the smallest weights of a network to 0, and write it as ONNX.",
    ),
    "models": ("rpucc.cli.models:models", "List the built-in models, or write one as ONNX."),
    "operators": ("rpucc.cli.operators:operators", "List the operators and rules of the compiler."),
    "passes": ("rpucc.cli.passes:passes", "List the compiler's passes in order."),
    "cells": ("rpucc.cli.cells:cells", "List what a weight may be made of, or show one cell."),
    "devices": ("rpucc.cli.devices:devices", "List device models, show one, fit one."),
    "advise": ("rpucc.cli.advise:advise", "Say which training algorithms bear a device."),
}
"""Command -> (module:function, one line of help)."""


def fail(*problems: object, exit_code: int = 1) -> NoReturn:
    """Print an error, or all problems of a file, as one line each and leave."""
    for problem in problems:
        line = " ".join(str(problem).split())
        printable = "".join(c if c.isprintable() else "?" for c in line)
        click.echo(f"Error: {printable}", err=True)
    raise click.exceptions.Exit(exit_code)


class LazyGroup(click.Group):
    """A group whose commands come from COMMANDS, imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), function)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` start with; suggest the nearest for an unknown one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"commands: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {name!r}; {hint}", ctx)
        if name in COMMANDS:
            decide(name, args[1:])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for --help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the options of `rpucc` itself."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            _fail_in_one_line(error)
        except OutputError as error:  # of --help or --version
            fail(error, exit_code=error.exit_code)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; errors become one line and an exit code."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            _fail_in_one_line(error)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except RpuccError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            if isinstance(error, InfeasibleError):
                _show_report(error)
            fail(*error.args, exit_code=error.exit_code)
        except KeyboardInterrupt as stop:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo("\ninterrupted", err=True)
            from rpucc.runtime.interrupt import status_of

            raise click.exceptions.Exit(status_of(stop)) from None
        except MemoryError:
            fail("out of memory; try a smaller model, batch or data set")
        except OSError as error:  # what no command has foreseen: the system's reason, and the file
            if ctx.params.get("debug"):
                traceback.print_exc()
            where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            fail(f"{where}{error.strerror or error}")
        except Exception as error:  # noqa: BLE001  the last resort: no traceback reaches a user
            if ctx.params.get("debug"):
                traceback.print_exc()
            what = f"{type(error).__name__}: {error}"
            fail(f"internal error: {what}; run with --debug and report it")


def _show_report(error: InfeasibleError) -> None:
    """Print on standard error what a network lacks, layer by layer, and what would help."""
    from rpucc.report.text.infeasible import tables
    from rpucc.terminal import show

    show(*tables(error.report), "", stream=sys.stderr)


def _fail_in_one_line(error: click.UsageError) -> NoReturn:
    """Print a usage error as one line that says where to read on, in place of click's three."""
    if error.ctx is None or isinstance(error, click.exceptions.NoArgsIsHelpError):
        raise error
    message = error.format_message().rstrip(".")
    fail(f"{message} (see {error.ctx.command_path} --help)", exit_code=error.exit_code)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="rpucc %(version)s")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def cli(debug: bool) -> None:
    """Compile ONNX networks onto RPU arrays and train them in situ.

    Start with `rpucc demo`. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 two
    programs that should compute the same do not, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.
    """


def main() -> NoReturn:
    """Run the command line: the entry point of `rpucc` and `python -m rpucc`."""
    streams.guard()
    try:
        cli.main(prog_name="rpucc")
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 0
    else:
        status = 0
    status = streams.finish(status)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left that Ctrl-C could spoil
    sys.exit(status)
