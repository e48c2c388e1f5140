"""What goes wrong in reading a file that may be packed with gzip, as one clear error.

Not for what is in such files: idx.py, cifar.py.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from rpucc.errors import DataError
from rpucc.runtime.data.npy import unreadable


@contextlib.contextmanager
def reading_gzip(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading a file, maybe of gzip, into a DataError."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is a truncated or damaged gzip file: copy or download it again"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
