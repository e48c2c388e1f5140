"""`rpucc.ablate`: which effect costs accuracy, from one call; its files in one folder.

Not for how it is found: ablation.py and ablation_reads.py.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rpucc import arguments
from rpucc.errors import ArgumentError, UsageError
from rpucc.experiments.ablation import Ablation
from rpucc.experiments.schema import CONSTANT, Training
from rpucc.runs.ablation import AblationRows, AblationWish, train_ablation, window
from rpucc.runs.experiment_plan import Wish

EPOCHS, SEEDS = 10, 3
TABLE, DATA, PAGE = "ablation.csv", "ablation.json", "ablation.html"


def ablate(
    target: str,
    model: str | None = None,
    *,
    output: str | os.PathLike[str],
    data: str | None = None,
    data_dir: str | None = None,
    evaluate: bool = False,
    epochs: int = EPOCHS,
    seeds: int | Sequence[int] = SEEDS,
    batch_size: int = 1,
    lr: float = 0.01,
    lr_schedule: str = CONSTANT,
    overrides: Sequence[str] = (),
    causes: Sequence[str] | None = None,
    layers: Sequence[str] = (),
    runs: Sequence[str | os.PathLike[str]] = (),
    jobs: int | None = None,
    trust: bool = False,
) -> Ablation:
    """Train a model with each cause of error taken away, and with each alone; compare.

    target: a preset or a TOML file; with evaluate and without a model: a run folder, whose arrays
        are read as they are.
    model: a model of the zoo, or an ONNX file.
    output: the folder of runs, table, figures and page. What is there already is not done again.
    data: what `--data` of `rpucc train` takes; a run has its own.
    evaluate: train nothing: what acts on reads of the weights as they are.
    epochs, batch_size, lr, lr_schedule: of every training; errors are means over the last third of
        the epochs.
    seeds: so many, or these; each fixes devices, noise and the order of the samples.
    overrides: changes of the target in every row, as `--set` takes them.
    causes: only these.
    layers: patterns between commas, as in ["conv2", "conv1,conv2"]: the layers that lose all
        variations of their devices, each in a row of its own.
    runs: folders of finished runs that count as well.
    jobs: trainings at a time, each in a process; by default as many as there are processors.
    trust: whether devices of a user's own that only a run names may be imported.

    Errors are in percent. Raises ArgumentError, UsageError, TargetError, DataError, and RpuccError
    for trainings that failed.
    """
    from rpucc.outputs import check_folder

    place = arguments.path("ablate(output)", output)
    wish = AblationWish(
        target=arguments.instance("ablate(target)", target, str, "a preset or the path of a file"),
        model="" if model is None else arguments.instance("ablate(model)", model, str, "a path"),
        overrides=tuple(arguments.strings("ablate(overrides)", overrides, "a list of strings")),
        causes=None if causes is None else tuple(causes),
        layers=tuple(layers),
        reads=evaluate,
        read_only=model is None,
    )
    for run in runs:
        if not Path(run).is_dir():
            raise UsageError(f"--runs {run}: no such folder")
    chosen = _seeds(seeds)
    check_folder(Path(place))
    if evaluate:
        found = _evaluated(wish, data, data_dir, chosen, Path(place), trust)
    else:
        if model is None or data is None:
            raise UsageError("ablate: a training needs a model and data")
        numbers = {"epochs": epochs, "batch_size": batch_size, "lr": lr}
        training = _training(data, lr_schedule, numbers)
        asked = Wish(
            output=Path(place),
            further=tuple(Path(run) for run in runs),
            seeds=chosen,
            data_dir=data_dir,
            jobs=_jobs(jobs),
        )
        found = train_ablation(AblationRows(wish), training, asked)
    write_files(found, Path(place))
    return found


def _training(data: str, schedule: str, numbers: dict[str, float]) -> Training:
    epochs = arguments.integer("ablate(epochs)", numbers["epochs"], 1)
    return Training(
        data=data,
        epochs=epochs,
        batch_size=arguments.integer("ablate(batch_size)", numbers["batch_size"], 1),
        lr=arguments.positive("ablate(lr)", numbers["lr"]),
        lr_schedule=schedule,
        average=window(epochs),
    )


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int):
        return tuple(range(arguments.integer("ablate(seeds)", seeds, 1, 1000)))
    found = tuple(dict.fromkeys(arguments.integer("ablate(seeds)", s, 0) for s in seeds))
    if not found:
        raise ArgumentError("ablate(seeds): needs a number of seeds, or seeds as in [0, 1, 2]")
    return found


def _jobs(jobs: int | None) -> int:
    """Return how many trainings at a time; more than one needs joblib."""
    able = find_spec("joblib") is not None
    if jobs is None:
        return (os.cpu_count() or 1) if able else 1
    count = arguments.integer("ablate(jobs)", jobs, 1)
    if count > 1 and not able:
        raise UsageError("--jobs: several at a time need joblib: pip install 'rpucc[jobs]'")
    return count


def _evaluated(
    wish: AblationWish, data: str | None, data_dir: str | None, seeds: tuple[int, ...], place: Path,
    trust: bool,
) -> Ablation:  # fmt: skip
    from rpucc.runs.ablation_reads import evaluate_model, evaluate_run
    from rpucc.runs.data import data_of
    from rpucc.runs.trained import find_trained, trained_run

    if wish.model:
        if find_trained(wish.model) is not None:
            raise UsageError(
                f"{wish.model}: is a run, whose arrays are made already: give it alone, without a "
                "target; rpucc export writes its weights for other arrays"
            )
        if data is None:
            raise UsageError("--data: needed, because a model does not name its data")
        return evaluate_model(AblationRows(wish), data, data_dir, seeds, place)
    trained = trained_run(wish.target)
    if wish.overrides:
        raise UsageError(f"--set: has no effect on {wish.target}, whose arrays are made already")
    data, data_dir = data_of(trained, data, data_dir)
    return evaluate_run(wish, trained, data, data_dir, place, trusted=trust)


def write_files(found: Ablation, output: Path) -> None:
    """Write table, figures and page."""
    from rpucc.outputs import make_folder, to_json, write_text
    from rpucc.report.experiments.ablation import as_csv
    from rpucc.report.experiments.ablation_page import page

    make_folder(output)
    write_text(output / DATA, to_json(found.to_dict()) + "\n")
    write_text(output / TABLE, as_csv(found))
    write_text(output / PAGE, page(found))
