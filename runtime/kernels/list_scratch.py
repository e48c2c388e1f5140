"""What kernels work in that pulse listed devices side by side."""

from __future__ import annotations

import numpy as np

from rpucc.runtime.kernels.update_arguments import ListScratch

# Devices that are pulsed side by side: their noise, 16 bytes each, stays in L1.
LISTED = 256


def list_scratch() -> ListScratch:
    """What `pulse_counts` works in."""
    rows, columns, left = (np.empty(LISTED, np.int32) for _ in range(3))
    noise = np.empty((4, LISTED), np.float32)
    return ListScratch(np.empty(LISTED, np.uint32), rows, columns, left, noise)
