"""What would become of every node of a model, and all that stands in its way.

`check_model` compiles the model, watches each node of the file on its way through the importer and
the passes, collects problems where a compilation would stop at the first, and throws the program
away: what it says is what `compile_model` does. Not for printing: that is `report/text/check.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from rpucc.compiler.check_trail import NodeFate, Trail
from rpucc.compiler.compile import compile_watched
from rpucc.compiler.options import CompileOptions
from rpucc.compiler.takes_options import takes_options
from rpucc.errors import ModelError
from rpucc.passes.frontend.rules import Problems

if TYPE_CHECKING:
    from rpucc.passes.frontend.source import Source
    from rpucc.target.target import TargetSource


@dataclass(frozen=True)
class Check:
    """The fate of every node of a model on a target, and whether it would compile."""

    model: str
    target: str
    training: bool
    nodes: tuple[NodeFate, ...]
    """In the order of the file."""
    problems: tuple[str, ...]
    """All that a compilation would refuse, each as it would say it; the first is its error."""
    notes: tuple[str, ...]
    """What a user should know about a model that compiles, as the plan says it."""

    @property
    def compiles(self) -> bool:
        """Whether `compile_model` makes a program of it."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return {**asdict(self), "compiles": self.compiles}


@takes_options(CompileOptions)
def check_model(model: Source, target: TargetSource, options: CompileOptions) -> Check:
    """Tell what compiling a model would do with each of its nodes.

    This is `rpucc.check`; model and target are those of `rpucc.compile`, and so are the options,
    but that nothing is verified unless `verify` is True.

    model: an ONNX model, or the name of one of the zoo.
    target: for which arrays.
    options: all that follows as one CompileOptions; what is given beside it as a keyword comes
        in the place of that field.
    {options}

    Raises ModelError for what is no valid ONNX model at all, TargetError, UsageError and PassError
    for a wrong target, argument or pass of your own: there are no nodes to speak of then.

    >>> import rpucc
    >>> check = rpucc.check("lenet")
    >>> [node.node for node in check.nodes if node.fate == "array"], check.compiles
    (['conv1', 'conv2', 'fc1', 'fc2'], True)
    """
    chosen = options.applied_to(target)
    problems = Problems(collect=True)
    trail = Trail(insertion.each.name for insertion in options.passes)
    watched = replace(
        options, verify=bool(options.verify), callbacks=[trail.lowered, *options.callbacks]
    )
    notes: tuple[str, ...] = ()
    try:
        program = compile_watched(model, chosen, watched, problems, trail.imported)
        notes = program.plan.notes
    except ModelError as error:
        if not trail.started:
            raise
        if not any(error is known for known in problems.found):
            problems.found.append(error)
    except Exception:
        if not problems.found:  # else it follows from a problem that a compilation stops at
            raise
    texts = tuple(dict.fromkeys(str(text) for problem in problems.found for text in problem.args))
    return Check(
        model=trail.name,
        target=chosen.name,
        training=options.training,
        nodes=tuple(trail.fates(chosen, texts)),
        problems=texts,
        notes=notes,
    )
