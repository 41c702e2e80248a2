"""Both pipelines: what they promise of batches, seeds, regions, strengths and folders."""

import json

import numpy as np
import pytest
import torch
from diffusers import (
    LCMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
)
from diffusers.models.attention_processor import AttnProcessor2_0
from PIL import Image

from zoo.errors import FolderExistsError, FormatError
from zoo_instantfamily.encoders import DrawnFaceEncoder, FaceFeatures
from zoo_instantfamily.face_encoder import DrawnFaceReader
from zoo_instantfamily.masks import circle_boxes
from zoo_instantfamily.pipeline import InstantFamilyPipeline
from zoo_instantfamily.pipeline_xl import InstantFamilyXLPipeline
from zoo_instantfamily.pose import draw_circles
from zoo_instantfamily.projector import IDProjector

LEFT, RIGHT, MIDDLE = (2, 12, 26, 40), (38, 12, 62, 40), (26, 40, 40, 60)


def faces(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [
        FaceFeatures(
            torch.randn(1, 6, generator=generator), torch.randn(1, 4, 5, generator=generator)
        )
        for _ in range(count)
    ]


def draw(pipe, people, boxes, *, prompt="two men", seed=0, **options):
    if isinstance(seed, list):
        generator = [torch.Generator().manual_seed(number) for number in seed]
    else:
        generator = torch.Generator().manual_seed(seed)
    return pipe(
        prompt,
        people,
        boxes,
        generator=generator,
        **{"num_inference_steps": 2, "output_type": "np", "height": 64, "width": 64, **options},
    ).images


def difference(one, two):
    return np.abs(one - two).max()


@pytest.fixture(params=["sd15", "sdxl"])
def either(request):
    return request.getfixturevalue({"sd15": "pipe", "sdxl": "pipe_xl"}[request.param])


def test__call__same_seed__same_image_and_every_face_matters(either):
    people = faces(3)
    image = draw(either, people[:2], [LEFT, RIGHT])
    assert np.array_equal(image, draw(either, people[:2], [LEFT, RIGHT]))
    assert difference(image, draw(either, [people[0], people[2]], [LEFT, RIGHT])) > 1e-3
    assert difference(image, draw(either, people[1::-1], [LEFT, RIGHT])) > 1e-3
    assert difference(image, draw(either, people[:2], [LEFT, RIGHT], seed=1)) > 1e-3


@pytest.mark.parametrize("where", ["unet", "controlnet"])
def test__call__one_network_without_identities__draws_another_image(make_pipe, where):
    both = draw(make_pipe(), faces(2), [LEFT, RIGHT])
    one = draw(make_pipe(**{f"{where}_attention": "text"}), faces(2), [LEFT, RIGHT])
    assert difference(both, one) > 1e-4


@pytest.mark.parametrize("options", [{}, {"decoupled": True}], ids=["stack", "decoupled"])
def test__call__batch_of_four__equals_four_singles(make_pipe, options):
    pipe = make_pipe(**options)
    people = faces(6)
    rows = [people[:1], people[1:3], people[3:6], people[2:4]]
    regions = [[RIGHT], [LEFT, RIGHT], [LEFT, RIGHT, MIDDLE], [RIGHT, LEFT]]
    scales = [[1.0], [0.5, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0]]
    prompts = ["one man", "two men", "three", "two women in a park"]
    together = draw(pipe, rows, regions, prompt=prompts, seed=[0, 1, 2, 3], id_scale=scales)
    assert len(together) == 4
    for i in range(4):
        alone = draw(pipe, rows[i], regions[i], prompt=prompts[i], seed=i, id_scale=scales[i])
        assert difference(together[i], alone[0]) < 1e-5


def test__call__batch_of_four_sdxl__equals_four_singles(pipe_xl):
    people = faces(4)
    rows = [people[:1], people[1:3], people[:2], people[2:4]]
    regions = [[RIGHT], [LEFT, RIGHT], [RIGHT, LEFT], [LEFT, RIGHT]]
    together = draw(pipe_xl, rows, regions, prompt=["a", "b", "c", "d"], seed=[0, 1, 2, 3])
    for i in range(4):
        alone = draw(pipe_xl, rows[i], regions[i], prompt="abcd"[i], seed=i)
        assert difference(together[i], alone[0]) < 1e-5


def test__call__images_per_prompt__equals_a_longer_batch(pipe):
    people = faces(3)
    prompts, rows = ["a", "b"], [people[:2], people[2:]]
    regions = [[LEFT, RIGHT], [RIGHT]]
    many = draw(pipe, rows, regions, prompt=prompts, seed=[0, 1, 2, 3], num_images_per_prompt=2)
    longer = draw(
        pipe,
        [rows[0], rows[0], rows[1], rows[1]],
        [regions[0], regions[0], regions[1], regions[1]],
        prompt=["a", "a", "b", "b"],
        seed=[0, 1, 2, 3],
    )
    assert difference(many, longer) < 1e-5


def test__call__no_faces__is_bit_equal_to_the_parent(either):
    parent = (
        StableDiffusionXLControlNetPipeline
        if isinstance(either, InstantFamilyXLPipeline)
        else StableDiffusionControlNetPipeline
    )
    kept = {"requires_safety_checker": False, "add_watermarker": False}
    names = parent._get_signature_keys(parent)
    plain = parent(
        **{name: value for name, value in either.components.items() if name in names[0]},
        **{name: value for name, value in kept.items() if name in names[1]},
    )
    plain.set_progress_bar_config(disable=True)
    control = Image.new("RGB", (64, 64), (90, 10, 200))
    options = {"num_inference_steps": 2, "output_type": "np"}
    one, two = (
        pipe("two men", generator=torch.Generator().manual_seed(0), **how, **options).images
        for pipe, how in ((either, {"pose": control}), (plain, {"image": control}))
    )
    assert np.array_equal(one, two)


def test__call__strength_zero__equals_the_image_without_that_face(pipe):
    people = faces(2)
    options = {"circles": False}
    one = draw(pipe, people[:1], [LEFT], **options)
    silent = draw(pipe, people, [LEFT, RIGHT], id_scale=[1.0, 0.0], **options)
    assert difference(one, silent) < 1e-5
    louder = draw(pipe, people, [LEFT, RIGHT], id_scale=[1.0, 3.0], **options)
    assert difference(louder, draw(pipe, people, [LEFT, RIGHT], **options)) > 1e-3


@pytest.mark.parametrize("options", [{"id_end": 0.0}, {"id_start": 1.0}, {"id_scale": 0.0}])
def test__call__identities_never_act__equals_text_alone(pipe, options):
    control = Image.new("RGB", (64, 64), (90, 10, 200))
    options = {"pose": control, "circles": False, **options}
    silent = draw(pipe, faces(2), [LEFT, RIGHT], **options)
    text = draw(pipe, None, None, pose=control)
    assert difference(silent, text) < 1e-5


def test__call__window__acts_in_its_steps_and_the_callback_is_called(pipe):
    people = faces(1)
    steps = []

    def callback(_, step, timestep, tensors):
        steps.append((step, sorted(tensors)))
        return tensors

    options = {"num_inference_steps": 4, "callback_on_step_end": callback}
    always = draw(pipe, people, [LEFT], **options)
    early = draw(pipe, people, [LEFT], id_end=0.5, **options)
    late = draw(pipe, people, [LEFT], id_start=0.5, **options)
    all_but_the_first = draw(pipe, people, [LEFT], id_start=0.1, **options)
    assert steps == 4 * [(step, ["latents"]) for step in range(4)]
    images = [always, early, late, all_but_the_first]
    for i in range(4):
        for j in range(i):
            assert difference(images[i], images[j]) > 1e-5


@pytest.mark.parametrize(
    "options",
    [{"guidance_scale": 1.0}, {"guess_mode": True}, {"variant": "literal"}, {"variant": "none"}],
    ids=["no-guidance", "guess-mode", "literal", "none"],
)
def test__call__other_modes__both_faces_act(pipe, options):
    people = faces(3)
    image = draw(pipe, people[:2], [LEFT, RIGHT], **options)
    assert difference(image, draw(pipe, [people[0], people[2]], [LEFT, RIGHT], **options)) > 1e-4


def test__call__other_scheduler__is_the_parents(make_pipe):
    pipe = make_pipe()
    before = draw(pipe, faces(2), [LEFT, RIGHT])
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    after = draw(pipe, faces(2), [LEFT, RIGHT])
    assert difference(before, after) > 1e-3


def test__call__mask_of_the_box__equals_the_box(pipe):
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[16:40, 8:32] = 255
    options = {"prompt": "one man", "circles": False}
    by_box = draw(pipe, faces(1), [(8, 16, 32, 40)], margin=0.0, **options)
    by_mask = draw(pipe, faces(1), None, masks=[mask], **options)
    by_image = draw(pipe, faces(1), None, masks=[Image.fromarray(mask)], **options)
    assert np.array_equal(by_box, by_mask)
    assert np.array_equal(by_box, by_image)


def test__call__regions_from_discs_or_points__draws_there(pipe):
    people = faces(2)
    pose = draw_circles(None, [(4, 20, 28, 44), (36, 20, 60, 44)], height=64, width=64)
    painted = draw(pipe, people, None, pose=pose, circles=False)
    boxes = circle_boxes(np.asarray(pose) / 255, people=2)
    assert difference(painted, draw(pipe, people, boxes, pose=pose, circles=False)) == 0
    assert difference(painted, draw(pipe, people[::-1], boxes, pose=pose, circles=False)) > 1e-4
    points = [
        [(12, 28), (20, 28), (16, 32), (13, 37), (19, 37)],
        [(44, 28), (52, 28), (48, 32), (45, 37), (51, 37)],
    ]
    with_points = draw(pipe, people, None, pose=np.array(points, dtype=float))
    assert difference(with_points, draw(pipe, people[::-1], None, pose=points)) > 1e-4


def test__call__isolated_regions__changes_touching_faces(pipe):
    boxes = [(0, 10, 32, 50), (32, 10, 64, 50)]
    mixed = draw(pipe, faces(2), boxes)
    apart = draw(pipe, faces(2), boxes, isolate=True)
    assert difference(mixed, apart) > 1e-5


def test__call__keys_and_values__once_per_image(make_pipe):
    pipe = make_pipe()
    calls = []
    layers = 0
    for net in (pipe.unet, pipe.controlnet):
        for name in net.attn_processors:
            if name.endswith("attn2.processor"):
                layers += 1
                layer = net.get_submodule(name.removesuffix(".processor"))
                layer.to_k.register_forward_hook(lambda *_: calls.append(1))
    draw(pipe, faces(2), [LEFT, RIGHT], num_inference_steps=5)
    assert len(calls) == layers
    draw(pipe, faces(2), [LEFT, RIGHT])
    assert len(calls) == 2 * layers


def test__call__fails_on_the_way__leaves_the_pipeline_clean(make_pipe):
    pipe = make_pipe()

    def callback(*_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        draw(pipe, faces(1), [LEFT], callback_on_step_end=callback)
    assert pipe._family.stack is None
    assert not pipe._family._projected


def test__call__other_processors_were_set__regions_are_set_again(make_pipe):
    pipe = make_pipe()
    before = draw(pipe, faces(2), [LEFT, RIGHT])
    pipe.unet.set_attn_processor(AttnProcessor2_0())
    assert np.array_equal(before, draw(pipe, faces(2), [LEFT, RIGHT]))


def test__call__sixteen_faces__each_acts(pipe):
    boxes = [
        (16 * (i % 4) + 1, 16 * (i // 4) + 1, 16 * (i % 4) + 15, 16 * (i // 4) + 15)
        for i in range(16)
    ]
    people = faces(17)
    image = draw(pipe, people[:16], boxes)
    other = draw(pipe, [*people[:15], people[16]], boxes)
    assert difference(image, other) > 1e-5


PERSON = faces(1)[0]


@pytest.mark.parametrize(
    ("people", "options", "message"),
    [
        ([], {"boxes": []}, r"There must be 1 to 16 faces in an image\. Got 0"),
        ([PERSON] * 17, {"boxes": [LEFT] * 17}, r"1 to 16 faces in an image\. Got 17"),
        ([PERSON], {"boxes": [LEFT, RIGHT]}, "one box per face: 1 faces came with 2"),
        ([PERSON], {"masks": []}, "one mask per face: 1 faces came with 0"),
        (
            [PERSON] * 2,
            {"boxes": [LEFT, (20, 12, 40, 40)], "overlaps": "refuse"},
            r"regions of picture 0 overlap on \d+ pixels",
        ),
        ([PERSON] * 2, {"boxes": [LEFT, LEFT]}, "must be different places"),
        ([PERSON], {"boxes": [(70, 0, 90, 30)]}, r"must touch the canvas of 64 x 64"),
        ([PERSON], {"boxes": [(30, 0, 20, 30)]}, "must have left below right and top below bottom"),
        ([PERSON], {"boxes": [(0, 0, float("nan"), 3)]}, "must hold finite numbers"),
        ([PERSON], {"boxes": ["left"]}, "boxes must be rows of left, top, right, bottom"),
        (
            [PERSON],
            {"masks": [np.zeros((8, 8))]},
            "must mark at least one pixel",
        ),
        ([PERSON], {"masks": [np.full((8, 8), 2.0)]}, r"masks must be numbers in \[0, 1\]"),
        ([PERSON], {"masks": [np.ones(8)]}, r"masks.0. must have the shape"),
        ([PERSON] * 2, {"masks": [np.ones((8, 8)), np.ones((4, 4))]}, "all have one height"),
        ([PERSON], {}, "regions of the faces must be given as boxes or masks, or by a pose"),
        ([PERSON], {"boxes": [LEFT], "masks": [np.ones((8, 8))]}, "exactly one of boxes and masks"),
        (None, {"boxes": [LEFT]}, "There must be faces for the boxes"),
        ([3], {"boxes": [LEFT]}, r"Face 0 must be a picture, an embedding .* Got a int"),
        ([torch.ones(2, 2).bool()], {"boxes": [LEFT]}, r"Got a Tensor of shape \(2, 2\)"),
        (PERSON, {"boxes": [LEFT]}, "faces must be a list, one for each face"),
        ([[PERSON], [PERSON]], {"boxes": [LEFT]}, r"one list for each prompt, 1\. Got 2"),
        ([PERSON], {"boxes": [LEFT], "id_scale": [1, 1]}, r"one for each face, 1\. Got 2"),
        ([PERSON], {"boxes": [LEFT], "id_scale": -1.0}, r"id_scale must be between 0 and 10"),
        ([PERSON], {"boxes": [LEFT], "id_start": 2.0}, r"id_start must be between 0 and 1"),
        ([PERSON], {"boxes": [LEFT], "variant": "soft"}, "variant of a FamilyStack must be one of"),
        ([PERSON], {"boxes": [LEFT], "height": 60}, r"multiples of 8\. Got 60 and 64"),
        ([PERSON], {"boxes": [LEFT], "image": 1}, "must be given as pose"),
        (
            [PERSON],
            {"pose": Image.new("RGB", (64, 64))},
            "the colour of face 0",
        ),
        ([Image.new("RGB", (9, 9))], {"boxes": [LEFT]}, r"Got no face_encoder"),
        ([torch.ones(6)], {"boxes": [LEFT]}, r"\(vector, tokens\)\. Got no face_encoder"),
        (
            [FaceFeatures(torch.ones(1, 7), torch.ones(1, 4, 5))],
            {"boxes": [LEFT]},
            r"vectors of the faces must have the shape \(faces, 6\)\. Got \(1, 7\)",
        ),
        (
            [FaceFeatures(torch.ones(1, 6), torch.ones(1, 9, 5))],
            {"boxes": [LEFT]},
            r"local tokens of the faces must have the shape \(1, 4, 5\)\. Got \(1, 9, 5\)",
        ),
    ],
)
def test__call__wrong_input__one_sentence(pipe, people, options, message):
    with pytest.raises(ValueError, match=message):
        draw(pipe, people, **{"boxes": None, **options})


def test__init__attention_does_not_fit__one_sentence(make_pipe):
    with pytest.raises(ValueError, match="decoupled attention must have an id_adapter"):
        make_pipe(unet_attention="decoupled")
    with pytest.raises(ValueError, match="must be one of stack, decoupled, faces, text"):
        make_pipe(controlnet_attention="both")


@pytest.mark.parametrize("overlaps", ["share", "nearest"])
def test__call__regions_overlap__both_faces_act(pipe, overlaps):
    boxes = [LEFT, (20, 12, 44, 40)]
    people = faces(3)
    options = {"overlaps": overlaps}
    image = draw(pipe, people[:2], boxes, **options)
    assert difference(image, draw(pipe, people[1:], boxes, **options)) > 1e-4


def test__call__pictures_of_faces__equal_their_features_and_are_saved(make_pipe, tmp_path):
    torch.manual_seed(0)
    encoder = DrawnFaceEncoder(4, 6, 5)
    pipe = make_pipe(
        face_encoder=DrawnFaceReader.of(encoder.eval()),
        id_projector=IDProjector(global_dim=6, local_dim=5, grid=6, cross_attention_dim=16),
    )
    tensors = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    pixels = (tensors * 255).round().byte().permute(0, 2, 3, 1).numpy()
    pictures = [Image.fromarray(picture) for picture in pixels]
    read = pipe.face_encoder(pictures)
    features = [FaceFeatures(read.vector[i : i + 1], read.tokens[i : i + 1]) for i in range(2)]
    expected = draw(pipe, features, [LEFT, RIGHT])
    assert np.array_equal(expected, draw(pipe, pictures, [LEFT, RIGHT]))
    assert np.array_equal(expected, draw(pipe, list(pixels), [LEFT, RIGHT]))
    loaded = InstantFamilyPipeline.from_pretrained(pipe.save_pretrained(tmp_path / "family"))
    loaded.set_progress_bar_config(disable=True)
    assert np.array_equal(expected, draw(loaded, pictures, [LEFT, RIGHT]))
    with pytest.raises(ValueError, match="Got a mixture of both"):
        draw(pipe, [pictures[0], torch.ones(6)], [LEFT, RIGHT])


@pytest.mark.parametrize("kind", ["stack", "decoupled", "sdxl"])
def test__save_pretrained__loaded_again__draws_the_same_bits(
    kind, make_pipe, make_pipe_xl, tmp_path
):
    pipe = make_pipe_xl() if kind == "sdxl" else make_pipe(decoupled=kind == "decoupled")
    pipe.register_to_config(circles=False)
    before = draw(pipe, faces(2), [LEFT, RIGHT])
    folder = pipe.save_pretrained(tmp_path / "family")
    loaded = type(pipe).from_pretrained(folder)
    loaded.set_progress_bar_config(disable=True)
    assert np.array_equal(before, draw(loaded, faces(2), [LEFT, RIGHT]))
    for name in ("unet_attention", "controlnet_attention", "circles"):
        assert loaded.config[name] == pipe.config[name]
    with pytest.raises(FolderExistsError, match="overwrite=True"):
        pipe.save_pretrained(folder)
    pipe.save_pretrained(folder, overwrite=True)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("id_projector", ["os", "system"], "component 'id_projector' in .* must come from"),
        ("unet", ["antigravity", "fly"], "component 'unet' in .* must come from"),
        ("unet", ["diffusers"], "component 'unet' in .* must come from"),
        ("_class_name", "FluxPipeline", "must hold a InstantFamilyPipeline. Got 'FluxPipeline'"),
    ],
)
def test__from_pretrained__index_names_something_else__refused(key, value, message, pipe, tmp_path):
    folder = pipe.save_pretrained(tmp_path / "family")
    index = json.loads((folder / "model_index.json").read_text())
    index[key] = value
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(FormatError, match=message):
        InstantFamilyPipeline.from_pretrained(folder)
