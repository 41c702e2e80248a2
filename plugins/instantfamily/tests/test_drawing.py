"""Drawn faces: who is drawn, that it is the same person again, and where everything lies."""

import pytest
import torch

from zoo_instantfamily.drawing import (
    BACKGROUND_COLOURS,
    BACKGROUND_STYLES,
    CLOTHES_COLOURS,
    CROWDING,
    MOODS,
    STYLES,
    TRAITS,
    DrawnFaces,
    crop_faces,
    draw_people,
    read_traits,
    sample_nuisance,
)


def _family(seed, n, people):
    return DrawnFaces(seed).identities(n * people).view(n, people, -1)


def test__drawn_faces__same_seed__same_pictures():
    one, two = DrawnFaces(5), DrawnFaces(5)
    assert torch.equal(one.identities(3), two.identities(3))
    people = _family(1, 2, 2)
    a, b = one.scenes(people, size=(40, 56)), two.scenes(people, size=(40, 56))
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.control, b.control)
    assert a.captions == b.captions
    assert torch.equal(one.portraits(people[0], size=32), two.portraits(people[0], size=32))
    assert not torch.equal(DrawnFaces(6).identities(3), DrawnFaces(5).identities(3))


def test__drawn_faces__drawing__leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    faces = DrawnFaces(0)
    faces.scenes(faces.identities(2)[None], size=(32, 32))
    faces.portraits(faces.identities(2), size=32)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [16, 48, 96])
def test__portraits__any_resolution__values_and_shape(size):
    faces = DrawnFaces(2)
    images = faces.portraits(faces.identities(6), size=size)
    assert images.shape == (6, 3, size, size)
    assert images.dtype == torch.float32
    assert images.min() >= 0.0
    assert images.max() <= 1.0
    assert images.std() > 0.1


def test__portraits__twice_the_resolution__the_same_picture():
    people = DrawnFaces(3).identities(8)
    nuisance = sample_nuisance(8, generator=torch.Generator().manual_seed(0))

    def draw(size):
        centre = torch.full((8, 2), size / 2)
        scale = torch.full((8,), size / 2.4)
        return draw_people(people, nuisance, centre, scale, size=(size, size))

    fine = torch.nn.functional.avg_pool2d(draw(256), 4)
    assert (fine - draw(64)).abs().mean() < 0.012
    assert (fine - draw(64).roll(1, 3)).abs().mean() > 0.02


def test__draw_people__one_person__equals_the_person_in_a_batch():
    people = DrawnFaces(4).identities(5)
    nuisance = sample_nuisance(5, generator=torch.Generator().manual_seed(1))
    centre, scale = torch.full((5, 2), 24.0), torch.linspace(14, 22, 5)
    batch = draw_people(people, nuisance, centre, scale, size=(48, 48))
    for k in range(5):
        row = slice(k, k + 1)
        single = draw_people(people[row], nuisance[row], centre[row], scale[row], size=(48, 48))
        torch.testing.assert_close(single[0], batch[k], atol=2e-5, rtol=0)


def test__draw_people__whole_pixels_to_the_side__moves_the_picture():
    people = DrawnFaces(4).identities(3)
    nuisance = sample_nuisance(3, generator=torch.Generator().manual_seed(1))
    scale = torch.full((3,), 12.0)
    here = draw_people(people, nuisance, torch.full((3, 2), 30.0), scale, size=(64, 64))
    moved = torch.tensor([[34.0, 27.0]]).repeat(3, 1)
    there = draw_people(people, nuisance, moved, scale, size=(64, 64))
    torch.testing.assert_close(
        here[:, :, 10:50, 10:50], there[:, :, 7:47, 14:54], atol=1e-4, rtol=0
    )


def test__draw_people__colours__never_exceed_opacity():
    people = DrawnFaces(8).identities(12)
    nuisance = sample_nuisance(12, generator=torch.Generator().manual_seed(1))
    sheets = draw_people(
        people, nuisance, torch.full((12, 2), 20.0), torch.full((12,), 14.0), size=(40, 40)
    )
    assert (sheets[:, :3] <= sheets[:, 3:] + 1e-6).all()
    assert (sheets >= 0).all()
    assert torch.isfinite(sheets).all()
    assert (sheets[:, 3, 20, 20] == 1).all()


def test__draw_people__nobody__is_an_empty_batch():
    people = DrawnFaces(0).identities(0)
    nuisance = sample_nuisance(0, generator=torch.Generator())
    sheets = draw_people(people, nuisance, torch.zeros(0, 2), torch.zeros(0), size=(8, 8))
    assert sheets.shape == (0, 4, 8, 8)


@pytest.mark.parametrize("trait", [
    "skin", "hair_style", "hair_colour", "face_width", "eye_size", "eye_spacing", "eye_colour",
    "brow_thickness", "nose_width", "mouth_width", "lip_colour", "glasses", "freckles", "mole",
])  # fmt: skip
def test__portraits__one_trait_changed__shows(trait):
    people = DrawnFaces(10).identities(24)
    column = TRAITS.index(trait)
    low, high = people.clone(), people.clone()
    low[:, column], high[:, column] = 0.02, 0.98
    nuisance = sample_nuisance(24, generator=torch.Generator().manual_seed(2), strength=0.3)
    place = torch.full((24, 2), 32.0), torch.full((24,), 64 / 2.4)
    a = draw_people(low, nuisance, *place, size=(64, 64))
    b = draw_people(high, nuisance, *place, size=(64, 64))
    changed = ((a - b).abs().amax(1) > 0.04).flatten(1).sum(1)
    assert changed.median() >= 4


def test__read_traits__many_people__every_style_and_feature_occurs():
    people = DrawnFaces(0).identities(3000)
    traits = read_traits(people)
    rows = torch.stack([traits.hair[name] for name in ("present", "bun", "buns", "tails")], 1)
    assert 0.005 < float((rows[:, 0] == 0).float().mean()) < 0.12
    assert (rows[:, 1:].mean(0) > 0.01).all()
    for name in ("beard", "goatee", "stubble", "moustache", "glasses", "mole", "earrings",
                 "beanie", "band", "elder", "lashes"):  # fmt: skip
        share = float(traits[name].mean())
        assert 0.01 < share < 0.6, name
    assert len(STYLES) >= 15


def test__scenes__people__stand_where_the_boxes_say():
    people = _family(7, 3, 2)
    scenes = DrawnFaces(7).scenes(people, size=(64, 80))
    side = scenes.boxes[..., 2] - scenes.boxes[..., 0]
    torch.testing.assert_close(side, scenes.boxes[..., 3] - scenes.boxes[..., 1])
    middle = (scenes.boxes[..., :2] + scenes.boxes[..., 2:]) / 2
    for b in range(3):
        for k in range(2):
            x, y = middle[b, k].long()
            assert scenes.masks[b, k, y, x] > 0.99
            assert scenes.masks[b, 1 - k, y, x] < 0.01
    inside = (scenes.keypoints >= scenes.boxes[:, :, None, :2]) & (
        scenes.keypoints <= scenes.boxes[:, :, None, 2:]
    )
    assert inside.all()
    eyes, nose, mouth = (
        scenes.keypoints[:, :, :2],
        scenes.keypoints[:, :, 2],
        scenes.keypoints[:, :, 3:],
    )
    assert (eyes[..., 1].mean(-1) < nose[..., 1]).all()
    assert (nose[..., 1] < mouth[..., 1].mean(-1)).all()


@pytest.mark.parametrize("people", [1, 2, 3, 4, 5, 8, 11, 16])
@pytest.mark.parametrize("crowding", list(CROWDING))
def test__scenes__any_number__everybody_is_on_the_canvas(people, crowding):
    scenes = DrawnFaces(people).scenes(_family(3, 4, people), size=(64, 96), crowding=crowding)
    middle = (scenes.boxes[..., :2] + scenes.boxes[..., 2:]) / 2
    assert (middle > 0).all()
    assert (middle[..., 0] < 96).all()
    assert (middle[..., 1] < 64).all()
    assert scenes.images.shape == (4, 3, 64, 96)
    assert (scenes.visible > 0.05).all()
    assert torch.isfinite(scenes.images).all()
    order = scenes.depth.sort(1).values
    assert torch.equal(order, torch.arange(people).expand(4, -1))


def test__scenes__crowding__hides_more_and_more():
    people = _family(3, 24, 4)
    seen = [
        float(DrawnFaces(1).scenes(people, size=(48, 48), crowding=c).visible.mean())
        for c in CROWDING
    ]
    assert seen[0] > seen[1] > seen[2]
    assert seen[0] > 0.97
    assert seen[2] < 0.9


def test__scenes__masks__share_each_pixel():
    scenes = DrawnFaces(1).scenes(_family(3, 4, 5), size=(48, 64), crowding="overlapping")
    total = scenes.masks.sum(1)
    assert total.max() <= 1 + 1e-5
    front = scenes.depth.argmax(1)
    torch.testing.assert_close(scenes.visible[torch.arange(4), front], torch.ones(4))


def test__scenes__order_of_people__is_no_order_of_places():
    scenes = DrawnFaces(0).scenes(_family(0, 200, 2), size=(32, 48))
    left_first = (scenes.boxes[:, 0, 0] < scenes.boxes[:, 1, 0]).float().mean()
    assert 0.35 < left_first < 0.65


def test__scenes__selected__only_they_get_a_circle():
    people = _family(2, 1, 2)
    both = DrawnFaces(0).scenes(people, size=(64, 64))
    one = DrawnFaces(0).scenes(people, size=(64, 64), selected=torch.tensor([[True, False]]))
    assert torch.equal(both.images, one.images)
    saturation = one.control.amax(1) - one.control.amin(1)
    colour = both.control.amax(1) - both.control.amin(1)
    for k, kept in ((0, True), (1, False)):
        mask = both.masks[0, k] > 0.5
        assert bool((saturation[0][mask] > 0.5).any()) is kept
        assert (colour[0][mask] > 0.5).any()


def test__scenes__captions__say_what_is_drawn():
    people = _family(2, 2, 3)
    codes = torch.tensor([[0, 2, 1, 5, 0], [0, 0, 0, 3, 5]])
    scenes = DrawnFaces(0).scenes(people, size=(64, 64), codes=codes)
    colours, clothes = list(BACKGROUND_COLOURS), list(CLOTHES_COLOURS)
    assert scenes.captions[0] == (
        f"three happy people in {clothes[0]} clothes, "
        f"{colours[5]} {BACKGROUND_STYLES[0]} background"
    )
    assert scenes.captions[1] == (
        f"three {MOODS[0]} people in colourful clothes, "
        f"{colours[3]} {BACKGROUND_STYLES[5]} background"
    )
    corner = scenes.images[0, :, 1, 1]
    distance = (torch.stack(list(BACKGROUND_COLOURS.values())) - corner).norm(dim=1)
    assert int(distance.argmin()) == 5
    assert DrawnFaces(0).scenes(people[:, :1], size=(16, 16)).captions[0].startswith("one ")


def test__crop_faces__a_face_in_a_scene__is_framed_like_a_portrait():
    faces = DrawnFaces(9)
    people = faces.identities(20)
    scenes = faces.scenes(people[:, None], size=(64, 64))
    crops = crop_faces(scenes.images, scenes.boxes, 48)[:, 0]
    portraits = faces.portraits(people, size=48)
    crops, portraits = (images[:, :, 14:34, 14:34] for images in (crops, portraits))
    own = (crops - portraits).abs().mean((1, 2, 3))
    other = (crops - portraits.roll(1, 0)).abs().mean((1, 2, 3))
    assert (own < other).float().mean() > 0.8


def test__crop_faces__whole_square__is_the_picture():
    picture = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[[2.0, 2.0, 18.0, 18.0]]]).repeat(2, 1, 1)
    torch.testing.assert_close(crop_faces(picture, box, 20)[:, 0], picture, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, z: f.scenes(z), r"identities must have the shape \(n, people, traits\)"),
        (lambda f, z: f.portraits(z[:, :7]), r"with \d+ traits, got \(17, 7\)"),
        (lambda f, z: f.portraits(z + 1), r"identities must hold numbers in \[0, 1\]"),
        (lambda f, z: f.portraits(z * float("nan")), r"identities must hold numbers in \[0, 1\]"),
        (lambda f, z: f.portraits(z, size=4), "size of portraits.. must be at least 8 pixels"),
        (lambda f, z: f.scenes(z[None]), "must hold 1 to 16 people per scene, got 17"),
        (lambda f, z: f.scenes(z[None, :0]), "must hold 1 to 16 people per scene, got 0"),
        (lambda f, z: f.scenes(z[None, :2], crowding="far"), "must be one of apart, touching, ov"),
        (lambda f, z: f.scenes(z[None, :2], size=(4, 64)), "at least 8 by 8 pixels"),
        (
            lambda f, z: f.scenes(z[None, :2], codes=torch.zeros(2, 5, dtype=torch.long)),
            r"codes of scenes\(\) must have the shape \(1, 5\), got \(2, 5\)",
        ),
    ],
)  # fmt: skip
def test__drawn_faces__bad_input__one_sentence(call, message):
    faces = DrawnFaces(0)
    with pytest.raises(ValueError, match=message):
        call(faces, faces.identities(17))
