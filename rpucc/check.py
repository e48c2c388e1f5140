"""What would become of every node of a model, and all that stands in its way.

`check_model` compiles the model, watches each node of the file on its way through the importer and
the passes, collects problems where a compilation would stop at the first, and throws the program
away: what it says is what `compile_model` does. Not for printing: that is `report/check.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.check_trail import NodeFate, Trail
from rpucc.compiler import compile_model
from rpucc.errors import ModelError
from rpucc.passes.frontend.rules import Problems
from rpucc.target import Target

if TYPE_CHECKING:
    from rpucc.passes.frontend.source import Source


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


def check_model(
    model: Source,
    target: str | Path | Target = "rpu-managed",
    *,
    training: bool = True,
    loss: str = "auto",
    input_range: tuple[float, float] | None = None,
    input_shape: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
) -> Check:
    """Tell what compiling the model would do with each of its nodes; parameters as `compile_model`.

    Raises ModelError for what is no valid ONNX model at all, TargetError and UsageError for a
    wrong target or argument: there are no nodes to speak of then.

    >>> check = check_model("lenet")
    >>> [node.node for node in check.nodes if node.fate == "array"], check.compiles
    (['conv1', 'conv2', 'fc1', 'fc2'], True)
    """
    chosen = Target.load(target, overrides)
    problems = Problems(collect=True)
    trail = Trail()
    notes: tuple[str, ...] = ()
    try:
        program = compile_model(
            model,
            chosen,
            training=training,
            loss=loss,
            input_range=input_range,
            input_shape=input_shape,
            verify=False,
            callbacks=[trail.lowered],
            problems=problems,
            watch=trail.imported,
        )
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
        training=training,
        nodes=tuple(trail.fates(chosen, texts)),
        problems=texts,
        notes=notes,
    )
