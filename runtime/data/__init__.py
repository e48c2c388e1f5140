"""Data for training and inference: data sets from files and by name, and single inputs.

Needs only NumPy at import; pooch (downloads), Pillow (images) and pyarrow (Parquet) are imported
where they are used.
"""

from __future__ import annotations

from rpucc.runtime.data.class_names import renumbered
from rpucc.runtime.data.dataset import Dataset, check_finite, scaled
from rpucc.runtime.data.fit import fitted
from rpucc.runtime.data.labels import fitted_labels
from rpucc.runtime.data.layout import arranged
from rpucc.runtime.data.load import load_dataset
from rpucc.runtime.data.named import DATASETS, data_folder
from rpucc.runtime.data.run_inputs import load_inputs, load_run_inputs, load_samples

__all__ = [
    "DATASETS",
    "Dataset",
    "arranged",
    "check_finite",
    "data_folder",
    "fitted",
    "fitted_labels",
    "load_dataset",
    "load_inputs",
    "load_run_inputs",
    "load_samples",
    "renumbered",
    "scaled",
]
