"""Sample sheets, looked at pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from flownet.data.datasets import Digits, Iris
from flownet.data.sheet import class_colours, sample_sheet, save_sheet
from flownet.data.split import ArraySplit, Field
from flownet.errors import FlownetError
from flownet.types import DType


def pixels(sheet):
    return np.asarray(sheet)


def test_pictures_stand_in_a_grid_enlarged_by_whole_factors():
    image = np.zeros((4, 1, 2, 2), np.uint8)
    image[:, 0] = np.array([10, 60, 110, 160])[:, None, None]
    split = ArraySplit({"image": image}, {"image": Field(DType.float32, (1, 2, 2), "image", range=(0, 1))})
    sheet = pixels(sample_sheet(split, 4, columns=2))
    assert sheet.shape == (2 * 62 + 6, 2 * 62 + 6, 3)  # 2 pixels enlarged 28 times, and gaps of 6
    for k, grey in enumerate((10, 60, 110, 160)):
        top, left = 6 + k // 2 * 62, 6 + k % 2 * 62
        assert (sheet[top : top + 56, left : left + 56] == grey).all()
    assert (sheet[:6] == 255).all()


def test_standardised_images_look_as_before():
    plain, standardised = (Digits(standardise=how).open()["train"] for how in ("none", "per_channel"))
    difference = pixels(sample_sheet(plain)).astype(int) - pixels(sample_sheet(standardised))
    assert np.abs(difference).max() <= 1


def test_a_mask_is_beside_its_image_in_the_colours_of_its_classes():
    image = np.full((1, 3, 60, 60), 200, np.uint8)
    mask = np.zeros((1, 60, 60), np.uint8)
    mask[:, 20:40] = 1
    mask[:, 40:] = 2
    fields = {
        "image": Field(DType.float32, (3, 60, 60), "image", range=(0, 1)),
        "mask": Field(DType.int32, (60, 60), "mask", ("road", "sky"), ignore=2),
    }
    sheet = pixels(sample_sheet(ArraySplit({"image": image, "mask": mask}, fields)))
    colours = class_colours(2)
    assert sheet[30, 30].tolist() == [200, 200, 200]
    assert sheet[16, 90].tolist() == colours[0].tolist()
    assert sheet[36, 90].tolist() == colours[1].tolist()
    assert sheet[56, 90].tolist() == [0, 0, 0]
    below = {tuple(colour) for colour in sheet[72:].reshape(-1, 3).tolist()}
    assert {tuple(colours[0].tolist()), tuple(colours[1].tolist())} <= below  # the legend


def test_colours_are_distinct_and_never_black():
    colours = {tuple(colour) for colour in class_colours(21).tolist()}
    assert len(colours) == 21
    assert (0, 0, 0) not in colours
    assert class_colours(3).tolist() == [[128, 0, 0], [0, 128, 0], [128, 128, 0]]  # PASCAL VOC's 1, 2, 3


def test_captions_are_drawn():
    split = Digits().open()["train"]
    sheet = pixels(sample_sheet(split, 1))
    assert (sheet[-20:] < 100).any()


def test_a_table_has_no_sheet(refused):
    with refused("data-field", "only `x`, `label`"):
        sample_sheet(Iris().open()["train"])


def test_saving_replaces_the_file_as_a_whole(tmp_path):
    path = tmp_path / "sheet.png"
    path.write_text("old")
    save_sheet(Image.new("RGB", (3, 2)), path)
    assert Image.open(path).size == (3, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_a_place_that_cannot_be_written_is_the_machines_fault(tmp_path):
    with pytest.raises(FlownetError) as caught:
        save_sheet(Image.new("RGB", (3, 2)), tmp_path / "no" / "sheet.png")
    assert (caught.value.diagnostics[0].code, caught.value.exit_status) == ("cannot-write", 3)
