"""The built-in datasets, one file each (Fashion-MNIST with MNIST, CamVid with the folders that it is laid out as)."""

from __future__ import annotations

from flownet.data.dataset import Dataset
from flownet.data.datasets.breast_cancer import BreastCancer
from flownet.data.datasets.camvid import CamVid
from flownet.data.datasets.cifar10 import Cifar10
from flownet.data.datasets.csv_file import CsvFile
from flownet.data.datasets.digits import Digits
from flownet.data.datasets.idx_files import IdxFiles
from flownet.data.datasets.image_folder import ImageFolder
from flownet.data.datasets.iris import Iris
from flownet.data.datasets.mnist import FashionMnist, Mnist
from flownet.data.datasets.norris import Norris
from flownet.data.datasets.npz import Npz
from flownet.data.datasets.orl_faces import OrlFaces
from flownet.data.datasets.segmentation_folder import SegmentationFolder
from flownet.data.datasets.xor import Xor

__all__ = [
    "BreastCancer",
    "CamVid",
    "Cifar10",
    "CsvFile",
    "Digits",
    "FashionMnist",
    "IdxFiles",
    "ImageFolder",
    "Iris",
    "Mnist",
    "Norris",
    "Npz",
    "OrlFaces",
    "SegmentationFolder",
    "Xor",
    "builtin_datasets",
]


def builtin_datasets() -> dict[str, type[Dataset]]:
    """name -> class, for the registry's hook; those inside the package first, then those of the field, then files."""
    classes: tuple[type[Dataset], ...] = (
        *(Digits, Iris, BreastCancer, Norris, Xor),
        *(Mnist, FashionMnist, Cifar10, CamVid, OrlFaces),
        *(CsvFile, Npz, IdxFiles, ImageFolder, SegmentationFolder),
    )
    return {cls.name: cls for cls in classes}
