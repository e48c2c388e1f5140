"""`rpucc operators`: what the compiler does with each ONNX operator, and its rules."""

from __future__ import annotations

import click

from rpucc.cli import options


@click.command("operators")
@click.option("--markdown", is_flag=True, help="Print docs/operators.md, rules included.")
@options.as_json
def operators(markdown: bool, as_json: bool) -> None:
    """List the operators and rules of the compiler.

    Which operators can lie on arrays, are trained through, run natively or are refused.
    About the nodes of one model: rpucc check MODEL
    """
    from dataclasses import asdict

    from rpucc import operators as table
    from rpucc.errors import UsageError
    from rpucc.outputs import print_json

    if markdown and as_json:
        raise UsageError("--markdown and --json: give one of them")
    if markdown:
        click.echo(table.markdown(), nl=False)
        return
    found = table.operators()
    if as_json:
        rules = [
            {"subject": subject, "name": name, "rule": text, "more": more}
            for subject, rows in table.rules()
            for name, text, more in rows
        ]
        print_json({"operators": [asdict(op) for op in found], "rules": rules})
        return
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import show

    rows = [(op.name, op.arrays, op.forward, op.through, op.remark) for op in found]
    show(lists.operators(rows), "", " ".join(table.OTHERS.split()))
