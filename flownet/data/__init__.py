"""Datasets, batches and augmentation: everything between files on a disk and the arrays that a training step takes.

    dataset = make_dataset({"dataset": "mnist", "validation": 5000}, builtin_datasets(), builtin_augmentations())
    splits = dataset.open("path/to/data")               # or FLOWNET_DATA
    batches = Batches(splits["train"], 64, seed=0, augment=dataset.augment)
    for batch in batches.epoch(0):                      # {"image": float32[64, 1, 28, 28], "label": int32[64]}
        ...

A new dataset: `dataset.Dataset`. A new augmentation: `augmentation.Augmentation`.
"""

from flownet.data.augmentation import Augmentation
from flownet.data.augmentations import builtin_augmentations
from flownet.data.batches import Batches
from flownet.data.dataset import Dataset, make_dataset
from flownet.data.datasets import builtin_datasets
from flownet.data.root import DataRoot
from flownet.data.split import ArraySplit, Batch, Field, Split, Splits

__all__ = [
    "ArraySplit",
    "Augmentation",
    "Batch",
    "Batches",
    "DataRoot",
    "Dataset",
    "Field",
    "Split",
    "Splits",
    "builtin_augmentations",
    "builtin_datasets",
    "make_dataset",
]
