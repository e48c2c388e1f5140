"""A .pt2 file where the command line takes MODEL."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch's exporter needs, is absent")


@pytest.fixture
def network(workplace: Path) -> Path:
    """Wide enough for the pixels of mnist-mini, and no more."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module, (torch.zeros(2, 1, 28, 28),), dynamic_shapes=shapes)
    torch.export.save(program, workplace / "net.pt2")
    return workplace / "net.pt2"


def test_check_train_and_weights_for_torch(cli, network: Path, workplace: Path):
    found = cli("check", network, "-t", "ideal")
    assert found.code == 0
    assert "net on ideal" in found.stdout
    options = ("-t", "ideal", "--data", "mnist-mini", "--epochs", 1, "--lr", 0.05, "-o", "run")
    done = cli("train", network, *options)
    assert done.code == 0, done.stderr
    assert cli("eval", "run", "--data", "mnist-mini").code == 0
    assert cli("export", "run", "--torch", "state.safetensors").code == 0
    from safetensors.torch import load_file

    state = load_file(workplace / "state.safetensors")
    assert {name: tuple(each.shape) for name, each in state.items()} == {
        "1.weight": (10, 784),
        "1.bias": (10,),
    }


@pytest.mark.parametrize("command", ["check", "compile"])
def test_a_damaged_file_is_one_line_and_exit_1(cli, network: Path, command: str):
    network.write_bytes(network.read_bytes()[:5000])
    done = cli(command, network)
    assert done.code == 1
    assert done.stderr.startswith(f"Error: {network}: a damaged archive")
    assert done.stderr.count("\n") == 1
