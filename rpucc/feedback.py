"""The feedback matrix of a layer: what it is called, and how far the weights lie along it.

Not for making one (`passes/learning/feedback_alignment.py`). Imports nothing: targets need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEEDBACK = ":feedback"
"""What the name of a layer's feedback matrix ends in, behind the layer's; no layer is called so."""


def ruled_as(name: str) -> str:
    """Return the layer whose rules hold for a matrix on arrays: of a feedback matrix, its layer.

    >>> ruled_as("fc1"), ruled_as("fc1:feedback")
    ('fc1', 'fc1')
    """
    while name.endswith(FEEDBACK):  # of a name out of a file, which may end so twice
        name = name.removesuffix(FEEDBACK)
    return name


def is_feedback(name: str) -> bool:
    """Tell whether a matrix on arrays is the feedback matrix of a layer.

    >>> is_feedback("fc1"), is_feedback("fc1:feedback")
    (False, True)
    """
    return name.endswith(FEEDBACK)


def angle(weights: NDArray[np.float32], feedback: NDArray[np.float32]) -> float:
    """Return the angle between a layer's weights and its feedback matrix [R, C], in degrees.

    90 is that of matrices that have nothing to do with each other; training makes it smaller. The
    line of a bias does not count: nothing is read of it in the feedback matrix, which is 0 there.
    """
    import numpy as np

    read = feedback.any(axis=0)
    one, other = (a[:, read].astype(np.float64).ravel() for a in (weights, feedback))
    cosine = one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-300)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
