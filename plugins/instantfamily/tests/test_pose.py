"""Control images: what is drawn can be seen and read back."""

import numpy as np
import pytest
from PIL import Image

from zoo.targets import import_target
from zoo_instantfamily.assembly import assemble
from zoo_instantfamily.masks import circle_boxes
from zoo_instantfamily.places import canvas_size, control_images, read_points
from zoo_instantfamily.plugin import INSTANTFAMILY
from zoo_instantfamily.pose import boxes_from_points, draw_circles, draw_points

FIVE = np.array([[30, 40], [60, 40], [45, 55], [33, 72], [57, 72]], dtype=float)


def test__draw_points__each_point__has_the_colour_that_instantid_knows():
    image = np.asarray(draw_points([FIVE], height=100, width=90))
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]
    for (x, y), colour in zip(FIVE.astype(int), colours, strict=True):
        assert tuple(image[y, x]) == colour
    assert tuple(image[48, 37]) == (153, 0, 0)  # half way from the left eye to the nose
    assert not image[:25].any()
    with pytest.raises(ValueError, match=r"the shape \(identities, 5, 2\).* Got \(1, 4, 2\)"):
        draw_points([FIVE[:4]], height=100, width=90)


def test__boxes_from_points__scaled_and_shifted__the_box_goes_along():
    one, two = boxes_from_points([FIVE, 2 * FIVE + 10])
    np.testing.assert_allclose(two, 2 * one + 10)
    assert (one[:2] < FIVE.min(0)).all()
    assert (one[2:] > FIVE.max(0)).all()


def test__draw_circles__sixteen_faces__each_is_found_at_its_place():
    boxes = [
        (24 * (i % 4), 24 * (i // 4), 24 * (i % 4) + 24, 24 * (i // 4) + 24) for i in range(16)
    ]
    image = draw_circles(None, boxes, height=96, width=96)
    found = circle_boxes(np.asarray(image) / 255, people=16)
    middles = (found[:, 0] + found[:, 2]) / 2
    np.testing.assert_allclose(middles, [(b[0] + b[2]) / 2 for b in boxes], atol=1.0)


def test__canvas_size__nothing_asked__takes_the_poses():
    options = {"factor": 8, "side": 512, "height": None, "width": None}
    assert canvas_size(None, **options) == (512, 512)
    assert canvas_size(Image.new("RGB", (100, 75)), **options) == (72, 96)
    assert canvas_size([Image.new("RGB", (64, 32))], **options) == (32, 64)
    assert canvas_size(np.zeros((40, 80, 3)), **options) == (40, 80)
    assert canvas_size(None, **{**options, "height": 64}) == (64, 512)


def test__read_points__pictures_and_points__told_apart():
    assert read_points(None, 1) is None
    assert read_points([Image.new("RGB", (8, 8))], 1) is None
    assert read_points(np.zeros((8, 8, 3)), 1) is None
    assert [row.shape for row in read_points([FIVE, FIVE], 3)] == 3 * [(2, 5, 2)]
    assert [row.shape for row in read_points([[FIVE], [FIVE, FIVE]], 2)] == [(1, 5, 2), (2, 5, 2)]


def test__control_images__one_too_few__one_sentence():
    pictures = [Image.new("RGB", (8, 8))] * 2
    with pytest.raises(ValueError, match=r"one image or one for each prompt, 3\. Got 2"):
        control_images(pictures, [np.zeros((1, 4))] * 3, size=(8, 8), circles=False, several=False)


def test__model_spec__target__is_the_assembly():
    assert import_target(INSTANTFAMILY.targets["generation"]) is assemble
