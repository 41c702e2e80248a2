"""Regions: boxes and masks become one mask per identity and resolution, and none is ever lost."""

import numpy as np
import pytest

from zoo_instantfamily.masks import (
    box_masks,
    circle_boxes,
    latent_mask,
    layout_masks,
    level_masks,
    read_regions,
)
from zoo_instantfamily.slots import SLOTS

CANVAS = (64, 96)


def test__box_masks__whole_pixels__ones_inside_zeros_outside():
    mask = box_masks([[10, 20, 30, 40]], size=CANVAS, margin=0.0)[0]
    expected = np.zeros(CANVAS)
    expected[20:40, 10:30] = 1
    np.testing.assert_array_equal(mask, expected)


def test__box_masks__fractional_edges__cover_the_exact_area():
    rng = np.random.default_rng(0)
    corner = rng.uniform(2, 30, (20, 2))
    extent = rng.uniform(0.05, 20, (20, 2))
    masks = box_masks(np.concatenate([corner, corner + extent], 1), size=CANVAS, margin=0.0)
    np.testing.assert_allclose(masks.sum((1, 2)), extent.prod(1), rtol=1e-5)
    y, x = np.mgrid[: CANVAS[0], : CANVAS[1]] + 0.5
    centre = [(masks * y).sum((1, 2)), (masks * x).sum((1, 2))] / extent.prod(1)
    pixels = (extent > 3).all(1)
    np.testing.assert_allclose(centre.T[pixels, ::-1], (corner + extent / 2)[pixels], atol=0.15)


def test__box_masks__margin__grows_each_side_about_the_middle():
    mask = box_masks([20, 20, 36, 36], size=CANVAS)
    wider = np.zeros(CANVAS)
    wider[18:38, 18:38] = 1
    np.testing.assert_array_equal(mask, wider)


def test__read_regions__one_set_of_boxes__holds_for_the_whole_batch():
    boxes = [[4, 4, 24, 24], [40, 10, 70, 50]]
    one = read_regions(people=2, size=CANVAS, boxes=boxes)
    three = read_regions(people=2, size=CANVAS, boxes=boxes, batch=3)
    assert one.shape == (1, 2, *CANVAS)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(three, np.repeat(one, 3, 0))


def test__read_regions__boxes_per_picture__each_its_own():
    boxes = np.array([[[4, 4, 24, 24]], [[40, 10, 70, 50]]])
    regions = read_regions(people=1, size=CANVAS, boxes=boxes, batch=2)
    for k in range(2):
        np.testing.assert_array_equal(
            regions[k], read_regions(people=1, size=CANVAS, boxes=boxes[k])[0]
        )


def test__read_regions__mask_of_another_resolution__is_stretched_by_area():
    rng = np.random.default_rng(1)
    mask = (rng.random((2, 128, 192)) < 0.5).astype(float)
    regions = read_regions(people=2, size=CANVAS, masks=mask)
    expected = mask.reshape(2, 64, 2, 96, 2).mean((2, 4))
    np.testing.assert_allclose(regions[0], expected, atol=1e-6)
    coarse = (rng.random((1, 8, 12)) < 0.5).astype(float)
    np.testing.assert_allclose(
        read_regions(people=1, size=CANVAS, masks=coarse)[0, 0],
        np.kron(coarse[0], np.ones((8, 8))),
        atol=1e-6,
    )


def test__latent_mask__at_least_half__against_a_slow_count():
    rng = np.random.default_rng(2)
    regions = rng.random((2, 3, 24, 36)).astype(np.float32)
    masks = latent_mask(regions, (6, 12))
    for b, p, i, j in np.ndindex(2, 3, 6, 12):
        part = regions[b, p, 4 * i : 4 * i + 4, 3 * j : 3 * j + 3]
        assert masks[b, p, i, j] == (part.mean() >= 0.5)


def test__level_masks__any_box__keeps_a_cell_on_every_level():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 60, (200, 2))
    extent = 10 ** rng.uniform(-1.5, 1.0, (200, 2))
    boxes = np.concatenate([corner, corner + extent], 1)[:, None]
    regions = read_regions(people=1, size=(64, 64), boxes=boxes, batch=200, margin=0.0)
    for mask in level_masks(regions, [(64, 64), (16, 16), (8, 8), (2, 2), (1, 1), (5, 3)]):
        assert (mask.sum((2, 3)) >= 1).all()


def test__latent_mask__tiny_region__gets_the_cell_it_lies_in():
    regions = read_regions(people=1, size=(64, 64), boxes=[[41, 17, 43, 18.5]])
    mask = latent_mask(regions, (8, 8))[0, 0]
    assert np.argwhere(mask).tolist() == [[2, 5]]


def test__read_regions__nearest__no_pixel_of_two_and_none_lost():
    boxes = [[10, 10, 50, 50], [34, 10, 74, 50]]
    shared = read_regions(people=2, size=CANVAS, boxes=boxes)[0]
    own = read_regions(people=2, size=CANVAS, boxes=boxes, overlaps="nearest")[0]
    assert ((shared > 0.5).sum(0) > 1).any()
    assert ((own > 0.5).sum(0) <= 1).all()
    np.testing.assert_array_equal((own > 0.5).any(0), (shared > 0.5).any(0))
    assert own[0, 30, 41] == 1
    assert own[1, 30, 43] == 1


def test__circle_boxes__control_image_of_a_scene__finds_the_boxes():
    from zoo_instantfamily.drawing import DrawnFaces

    faces = DrawnFaces(4)
    scenes = faces.scenes(faces.identities(12).view(4, 3, -1), size=(128, 192))
    for k in range(4):
        found = circle_boxes(scenes.control[k].permute(1, 2, 0).numpy(), people=3)
        side = (scenes.boxes[k, :, 2] - scenes.boxes[k, :, 0]).numpy()
        error = np.abs(found - scenes.boxes[k].numpy()).max(1) / side
        assert (error < 0.12).all()


def test__layout_masks__painted_regions__are_read_back():
    layout = np.ones((20, 30, 3))
    layout[2:9, 3:11] = SLOTS[0]
    layout[8:18, 14:29] = SLOTS[1]
    masks = layout_masks(layout, people=2)
    assert masks.shape == (2, 20, 30)
    assert masks[0].sum() == 7 * 8
    assert masks[1, 8:18, 14:29].all()
    assert masks[1].sum() == 10 * 15


def test__slots__sixteen_colours__none_alike():
    colours = np.array(SLOTS)
    distance = np.abs(colours[:, None] - colours[None]).max(-1) + np.eye(16)
    assert distance.min() > 0.24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of boxes and masks .* got neither"),
        ({"boxes": [[0, 0, 9, 9]] * 2, "masks": np.ones((2, 8, 8))}, "got both"),
        ({"boxes": [[0, 0, 9, 9]]}, "one box per face: 2 faces came with 1"),
        ({"masks": np.ones((3, 8, 8))}, "one mask per face: 2 faces came with 3"),
        ({"boxes": [0, 0, 9, 9]}, r"boxes must have the shape \(people, 4\)"),
        ({"boxes": [[0, 0, 9], [0, 0, 9]]}, "four numbers each .* got 3"),
        ({"boxes": [[0, 0, 9, 9], [1, 2]]}, "boxes must be rows of left, top, right, bottom"),
        ({"boxes": np.zeros((3, 2, 4))}, "once or for each of the 1 pictures, got 3"),
        ({"boxes": [[0, 0, 9, 9], [30, 9, 20, 19]]}, r"boxes\[1\] of picture 0 must have left be"),
        ({"boxes": [[0, 9, 9, 9], [30, 9, 40, 19]]}, r"boxes\[0\] of picture 0 must have left be"),
        ({"boxes": [[0, 0, 9, 9], [97, 9, 120, 19]]}, "must touch the canvas of 96 x 64 pixels"),
        ({"boxes": [[0, -9, 9, -1], [9, 9, 12, 19]]}, "must touch the canvas of 96 x 64 pixels"),
        ({"boxes": [[0, 0, float("nan"), 9], [9, 9, 12, 19]]}, "must hold finite numbers"),
        ({"boxes": [[10, 10, 30, 30], [10, 10, 30.5, 30]]}, r"boxes\[0\] and boxes\[1\] of"),
        ({"masks": np.ones((2, 8, 8))}, r"masks\[0\] and masks\[1\] of picture 0 must"),
        ({"masks": np.stack([np.ones((8, 8)), np.zeros((8, 8))])}, r"masks\[1\].* got none"),
        ({"masks": np.full((2, 8, 8), 1.5)}, r"masks must be numbers in \[0, 1\]"),
        ({"masks": np.ones((8, 8))}, r"masks must have the shape \(people, height, width\)"),
        ({"boxes": [[0, 0, 9, 9], [30, 9, 40, 19]], "margin": -0.1}, "margin .* at least 0, got"),
        ({"boxes": [[0, 0, 9, 9], [30, 9, 40, 19]], "overlaps": "mix"}, "overlaps must be 'share'"),
        (
            {"boxes": [[10, 10, 50, 50], [34, 10, 74, 50]], "overlaps": "refuse"},
            "regions of picture 0 overlap on [0-9]+ pixels",
        ),
    ],
)  # fmt: skip
def test__read_regions__bad_input__one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        read_regions(people=2, size=CANVAS, **options)


@pytest.mark.parametrize("people", [0, 17])
def test__read_regions__too_few_or_many_faces__refused(people):
    with pytest.raises(ValueError, match=rf"faces must be 1 to 16 per picture, got {people}\."):
        read_regions(people=people, size=CANVAS, boxes=np.zeros((people, 4)))


def test__layout_masks__missing_colour__says_which():
    with pytest.raises(ValueError, match=r"the colour of face 0 \(#ff0000\) is not in it"):
        layout_masks(np.zeros((8, 8, 3)), people=1)
    with pytest.raises(ValueError, match=r"control image must have the shape \(height, width, 3\)"):
        circle_boxes(np.zeros((8, 8)), people=1)
