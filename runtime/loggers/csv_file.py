"""A row an epoch, as comma-separated values: what metrics.csv of a run folder is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rpucc import arguments
from rpucc.errors import OutputError
from rpucc.files import write_whole
from rpucc.report.csv import records_csv

if TYPE_CHECKING:
    from rpucc.runtime.metrics import EpochMetrics, RunInfo


class CSVLogger:
    """Writes the metrics of all epochs to a file, which is whole after each of them.

    A callback of `Trainer.fit`. A row has the fields of EpochMetrics that the same seed gives
    again, so the file has the same bytes again; a training that goes on begins with the rows of the
    epochs before.

    path: the file, in a folder that is there. Raises OutputError where it cannot be written.

    >>> import rpucc, tempfile
    >>> trainer = rpucc.Trainer(rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = rpucc.CSVLogger(f"{folder}/metrics.csv")
    ...     _ = trainer.fit("mnist-mini", epochs=1, batch_size=10, lr=1.0, callbacks=[log])
    ...     print(log.path.read_text()[:43])
    epoch,samples,train_loss,train_error,test_l
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = arguments.path("CSVLogger(path)", path)
        self._rows: list[dict[str, Any]] = []

    def on_start(self, run: RunInfo) -> None:
        """Take over the epochs that are complete."""
        self._rows = [metrics.reproducible() for metrics in run.history]
        if self._rows:
            self._write()

    def on_epoch(self, metrics: EpochMetrics) -> None:
        """Write one more row."""
        self._rows.append(metrics.reproducible())
        self._write()

    def _write(self) -> None:
        text = records_csv(self._rows).encode()
        try:
            write_whole(self.path, lambda stream: stream.write(text))
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{self.path}: cannot be written: {reason}") from error
