"""What a notebook shows: machines, epochs, runs, and the progress of a training."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import rpucc
from rpucc import notebook
from rpucc.runtime.metrics import Progress


@pytest.fixture(scope="module")
def trained() -> tuple[rpucc.Machine, Any]:
    program = rpucc.compile("mlp", "rpu-managed", verify=False)
    machine = rpucc.Machine(program, seed=0)
    x, y = (getattr(rpucc.load_dataset("mnist-mini"), f"{key}_train")[:300] for key in "xy")
    return machine, rpucc.Trainer(machine).fit((x, y), epochs=3, batch_size=10, lr=0.1)


def well_formed(html: str) -> ElementTree.Element:
    """It is XML, and loads and runs nothing."""
    root = ElementTree.fromstring(f"<div>{html}</div>")
    assert not {"script", "style", "link", "img"} & {each.tag for each in root.iter()}
    return root


def drawings(root: ElementTree.Element) -> list[str]:
    """What the outermost drawings say that they are."""
    svg = "{http://www.w3.org/2000/svg}svg"
    return [each.get("aria-label") for each in root.iter(svg) if each.get("aria-label")]


def rows(root: ElementTree.Element) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]


def test_a_machine_shows_its_layers_and_their_weights(trained: tuple[rpucc.Machine, Any]):
    machine, _ = trained
    root = well_formed(machine._repr_html_())
    head, *layers = rows(root)
    assert head[:2] == ["layer", "weights"]
    assert [row[0] for row in layers] == ["fc1", "fc2", "fc3"]
    W = machine.arrays["fc1.W"].weights
    assert layers[0][1:4] == ["200,960", f"{W.min():.3g}", f"{W.max():.3g}"]
    assert drawings(root) == [f"{layer}: weights" for layer in ("fc1", "fc2", "fc3")]
    assert "bounds of its devices" in "".join(root.itertext())
    assert "after 3 epochs" in "".join(root.itertext())


def test_cells_of_several_devices_and_no_bounds():
    cell = {"cell": {"model": "tiki-taka"}}
    target = rpucc.Target.load("soft-bounds").model_dump(by_alias=True)
    machine = rpucc.Machine(rpucc.compile("mlp", {**target, **cell}, verify=False))
    names = [row[0] for row in rows(well_formed(machine._repr_html_()))[1:]]
    assert names == [f"fc{i}, {plane}" for i in (1, 2, 3) for plane in ("slow", "fast")]
    ideal = rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False))
    assert "bounds of its devices" not in "".join(well_formed(ideal._repr_html_()).itertext())


def test_epochs_are_a_list_that_shows_itself(trained: tuple[rpucc.Machine, Any]):
    _, epochs = trained
    assert isinstance(epochs, list)
    assert epochs == list(epochs)
    assert repr(epochs) == repr(list(epochs))
    root = well_formed(epochs._repr_html_())
    table = rows(root)
    assert [row[0] for row in table[1:]] == ["1/3", "2/3", "3/3"]
    assert drawings(root) == ["Error", "Loss"]
    assert type(epochs)()._repr_html_() == "<p>no epoch is complete</p>"
    many = type(epochs)(epochs * 9)
    assert "7 epochs before these" in many._repr_html_()


def test_runs_show_themselves_alone_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    program = rpucc.compile("mlp", "ideal", verify=False)
    x, y = (getattr(rpucc.load_dataset("mnist-mini"), f"{key}_train")[:100] for key in "xy")
    for seed in (0, 1):
        machine = rpucc.Machine(program, seed=seed)
        rpucc.Trainer(machine).fit((x, y), epochs=2, batch_size=10, lr=0.1)
        machine.save(f"run<{seed}>")
    sweep = rpucc.compare("run<0>", Path("run<1>"))
    root = well_formed(sweep._repr_html_())
    assert ["training", "seed", "0", "1"] in rows(root)
    assert drawings(root) == ["Test error", "Test loss"]
    assert "run<1>" in "".join(root.itertext())
    alone = well_formed(sweep.runs[1]._repr_html_())
    assert drawings(alone) == ["Error", "Loss"]
    assert ["seed", "1"] in rows(alone)
    assert rpucc.compare("run<1>")._repr_html_() == sweep.runs[1]._repr_html_()
    with pytest.raises(rpucc.ArgumentError, match=r"found \(\); allowed: one or more run folders"):
        rpucc.compare()
    with pytest.raises(rpucc.CheckpointError, match="nowhere: no such run folder"):
        rpucc.compare("nowhere")


# ---------------------------------------------------------------- progress


class Kernel:
    """A notebook's kernel, as far as progress needs one: its displays and what they show."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[list[Any]] = []
        module = types.ModuleType("IPython")
        module.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
        display = types.ModuleType("IPython.display")
        display.display = self.display  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", module)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, value: Any, *, display_id: bool) -> Any:
        assert display_id
        output = [value]
        self.shown.append(output)
        return types.SimpleNamespace(update=output.append)


def test_progress_in_a_notebook_is_one_line_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    kernel = Kernel(monkeypatch)
    monkeypatch.setattr(notebook, "SECONDS", 0)
    trainer = rpucc.Trainer(rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False)))
    x, y = (getattr(rpucc.load_dataset("mnist-mini"), f"{key}_train")[:100] for key in "xy")
    trainer.fit((x, y), epochs=2, callbacks=[rpucc.ProgressBar()])
    assert len(kernel.shown) == 2  # an output an epoch
    for epoch, output in enumerate(kernel.shown, 1):
        assert repr(output[-2]).startswith(f"epoch {epoch}/2  90/90")
        assert '<progress value="90" max="90">' in output[-2]._repr_html_()
        assert (repr(output[-1]), output[-1]._repr_html_()) == ("", "")
    assert capsys.readouterr() == ("", "")


def test_progress_goes_away_where_a_training_fails(monkeypatch: pytest.MonkeyPatch):
    kernel = Kernel(monkeypatch)
    trainer = rpucc.Trainer(rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False)))
    x, y = (getattr(rpucc.load_dataset("mnist-mini"), f"{key}_train")[:100] for key in "xy")

    def fail(progress: Progress) -> None:
        raise RuntimeError("a callback of the user's")

    failing = types.SimpleNamespace(on_progress=fail)
    with pytest.raises(RuntimeError, match="of the user's"):
        trainer.fit((x, y), epochs=1, callbacks=[rpucc.ProgressBar(), failing])
    assert repr(kernel.shown[0][-1]) == ""


def test_updates_are_few(monkeypatch: pytest.MonkeyPatch):
    kernel = Kernel(monkeypatch)
    line = notebook.NotebookLine()
    for done in range(100):
        line.show(Progress(1, 1, done, 100, 0.5, 20.0))
    line.show(Progress(1, 1, 100, 100, 0.5, 20.0))
    assert len(kernel.shown[0]) < 5
    assert "100/100" in repr(kernel.shown[0][-1])


def test_progress_of_nobody_knows_how_many(monkeypatch: pytest.MonkeyPatch):
    """Batches that come one after the other: 0 samples stand for that."""
    kernel = Kernel(monkeypatch)
    line = notebook.NotebookLine()
    for done in range(1, 100):
        line.show(Progress(1, 1, done, 0, 0.5, 20.0))
    assert len(kernel.shown[0]) < 5
    assert "<progress></progress>" in kernel.shown[0][0]._repr_html_()


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch):
    module = types.ModuleType("IPython")
    module.get_ipython = lambda: types.SimpleNamespace()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert not notebook.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.in_notebook()


CELLS = (
    "import rpucc\nprogram = rpucc.compile('mlp', 'ideal', verify=False)\nprogram",
    "print(program.plan)\nprint(program.cost)\nprint(rpucc.check('mlp', 'ideal').compiles)",
    "machine = rpucc.Machine(program)\nmachine",
    "trainer = rpucc.Trainer(machine)\n"
    "trainer.fit('mnist-mini', epochs=2, batch_size=100, lr=1.0, callbacks=[rpucc.ProgressBar()])",
)


@pytest.mark.filterwarnings("ignore")  # those of Jupyter
def test_a_real_notebook(tmp_path: Path):
    """With the real kernel, where one is installed."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, kernel_name="python3", timeout=120).execute(cwd=str(tmp_path))
    program, plan, machine, fit = (cell.outputs for cell in book.cells)
    assert "<table>" in program[0].data["text/html"]
    assert {output.output_type for output in plan} == {"stream"}  # no display of rich's
    assert "bottleneck" in plan[0].text
    assert "\x1b" not in plan[0].text
    assert "weights" in machine[0].data["text/html"]
    progress, *_, epochs = fit
    assert progress.data["text/html"] == ""
    assert "2/2" in epochs.data["text/html"]
    assert len(fit) == 3  # what two bars left behind, and the epochs
