"""One exported folder against the pipeline: images of any size, count and batch, without torch."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import LCMScheduler
from PIL import Image

import zoo
from zoo.errors import ExportError, FolderExistsError, IntegrityError
from zoo_instantfamily.drawing import DrawnFaces
from zoo_instantfamily.encoders import DrawnFaceEncoder, FaceFeatures
from zoo_instantfamily.face_encoder import DrawnFaceReader
from zoo_instantfamily.projector import IDProjector

TOLERANCE = 1e-4
STEPS = 3
QUIET = {"num_images_per_prompt", "circles"}


def people(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [
        FaceFeatures(
            torch.randn(1, 6, generator=generator), torch.randn(1, 4, 5, generator=generator)
        )
        for _ in range(count)
    ]


def strips(count, height, width):
    return [(width * k / count, 8, width * (k + 1) / count, height - 8) for k in range(count)]


def by_torch(pipe, *args, seed=0, **options):
    if isinstance(seed, list):
        generator = [torch.Generator().manual_seed(number) for number in seed]
    else:
        generator = torch.Generator().manual_seed(seed)
    options = {"num_inference_steps": STEPS, "output_type": "np", **options}
    return pipe(*args, generator=generator, **options).images


def by_onnx(runner, *args, **options):
    options = {"num_inference_steps": STEPS, "output_type": "np", **options}
    return runner(*args, **options).images


def difference(one, two):
    assert one.shape == two.shape
    return np.abs(one - two).max()


@pytest.fixture(scope="module")
def folder(pipe, tmp_path_factory):
    return pipe.export_onnx(tmp_path_factory.mktemp("exported") / "bundle")


@pytest.fixture(scope="module")
def runner(folder):
    return zoo.load_onnx(folder, device="cpu")


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("size", [(64, 64), (40, 104)], ids=["square", "wide"])
def test__export_onnx__any_count_and_canvas__draws_the_same_image(pipe, runner, count, size):
    faces, boxes = people(count), strips(count, *size)
    options = {"height": size[0], "width": size[1], "negative_prompt": "blurry"}
    image = by_torch(pipe, "two men", faces, boxes, **options)
    assert difference(image, by_onnx(runner, "two men", faces, boxes, **options)) < TOLERANCE
    others = by_onnx(runner, "two men", people(count, seed=2), boxes, **options)
    assert difference(image, others) > 100 * TOLERANCE


@pytest.mark.parametrize(
    "options",
    [
        {"id_scale": [0.5, 2.0]},
        {"id_start": 0.4, "id_end": [1.0, 0.7]},
        {"variant": "none"},
        {"guidance_scale": 1.0},
        {"controlnet_conditioning_scale": 0.3, "control_guidance_end": 0.7},
        {"circles": False},
        {"num_images_per_prompt": 2},
    ],
    ids="-".join,
)
def test__call__option__acts_as_in_the_pipeline(pipe, runner, options):
    faces, boxes = people(2), strips(2, 64, 64)
    image = by_torch(pipe, "a", faces, boxes, **options)
    error = difference(image, by_onnx(runner, "a", faces, boxes, **options))
    assert error < TOLERANCE
    plain = by_onnx(runner, "a", faces, boxes, num_images_per_prompt=len(image))
    # Discs hardly show in the images of so small a ControlNet.
    assert difference(image, plain) > 4 * error or options.keys() & QUIET


def test__call__batch_of_different_counts__equals_the_pipeline(pipe, runner):
    faces = people(4)
    rows, prompts = [faces[:1], faces[1:]], ["one man", "three"]
    boxes = [strips(1, 64, 64), strips(3, 64, 64)]
    options = {"seed": [3, 4]}
    image = by_torch(pipe, prompts, rows, boxes, **options)
    assert difference(image, by_onnx(runner, prompts, rows, boxes, **options)) < TOLERANCE


@pytest.mark.parametrize(
    "options",
    [
        {"decoupled": True},
        {"decoupled": True, "controlnet_attention": "faces"},
        {"controlnet_attention": "text"},
    ],
    ids=["decoupled", "faces", "text"],
)
def test__export_onnx__other_attention__draws_the_same_image(make_pipe, tmp_path, options):
    pipe = make_pipe(**options)
    runner = zoo.load_onnx(pipe.export_onnx(tmp_path / "bundle", verify=False), device="cpu")
    faces, boxes = people(2), strips(2, 64, 64)
    scale = {"id_scale": [0.5, 1.0]}
    image = by_torch(pipe, "a", faces, boxes, **scale)
    assert difference(image, by_onnx(runner, "a", faces, boxes, **scale)) < TOLERANCE


def test__export_onnx__face_encoder__reads_pictures_as_the_pipeline_does(make_pipe, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = DrawnFaceEncoder(4, 6, 5).eval()
        projector = IDProjector(global_dim=6, local_dim=5, grid=6, cross_attention_dim=16).eval()
    pipe = make_pipe(id_projector=projector, face_encoder=DrawnFaceReader.of(encoder))
    runner = zoo.load_onnx(pipe.export_onnx(tmp_path / "bundle"), device="cpu")
    drawn = DrawnFaces(seed=1)
    pixels = drawn.portraits(drawn.identities(2), size=70).permute(0, 2, 3, 1).numpy()
    pictures = [Image.fromarray((255 * one).round().astype(np.uint8)) for one in pixels]
    pictures[1] = pictures[1].resize((130, 110))
    boxes = strips(2, 64, 64)
    image = by_torch(pipe, "a", pictures, boxes)
    assert difference(image, by_onnx(runner, "a", pictures, boxes)) < TOLERANCE


def test__export_onnx__layout__is_that_of_optimum_with_the_new_parts(folder):
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    networks = ["text_encoder", "unet", "vae_encoder", "vae_decoder", "controlnet", "id_projector"]
    wanted = {f"{name}/{file}" for name in networks for file in ("model.onnx", "config.json")}
    wanted |= {"context/model.onnx", "control/model.onnx", "model_index.json", "zoo.json"}
    wanted |= {"scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json"}
    assert names == wanted | {"tokenizer/vocab.json", "tokenizer/merges.txt"}
    listed = json.loads((folder / "zoo.json").read_text())
    files = {record["file"] for record in listed["graphs"].values()} | set(listed["files"])
    assert files | {"zoo.json"} == names


def test__load_onnx__torch_and_diffusers_forbidden__draws(folder, pipe, tmp_path):
    faces = people(2)
    features = [(face.vector[0].numpy(), face.tokens[0].numpy()) for face in faces]
    np.savez(
        tmp_path / "faces.npz", **{f"f{i}{j}": f[j] for i, f in enumerate(features) for j in (0, 1)}
    )
    code = f"""
import sys
for name in ("torch", "diffusers", "transformers", "sklearn", "scipy"):
    sys.modules[name] = None
import numpy as np, zoo
data = np.load({str(tmp_path / "faces.npz")!r})
faces = [(data[f"f{{i}}0"], data[f"f{{i}}1"]) for i in range(2)]
runner = zoo.load_onnx({str(folder)!r}, device="cpu")
boxes = {strips(2, 64, 64)!r}
image = runner("two men", faces, boxes, num_inference_steps={STEPS}, output_type="np").images
np.save({str(tmp_path / "image.npy")!r}, image)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    image = by_torch(pipe, "two men", faces, strips(2, 64, 64))
    assert difference(image, np.load(tmp_path / "image.npy")) < TOLERANCE


def test__call__steps__run_context_and_control_once(runner, monkeypatch):
    calls = []
    run = type(runner).run

    def counted(self, graph, feeds):
        calls.append(graph)
        return run(self, graph, feeds)

    monkeypatch.setattr(type(runner), "run", counted)
    by_onnx(runner, "a", people(1), strips(1, 64, 64), num_inference_steps=5)
    assert {name: calls.count(name) for name in calls} == {
        "text_encoder": 1,
        "id_projector": 1,
        "context": 1,
        "control": 1,
        "controlnet": 5,
        "unet": 5,
        "vae_decoder": 1,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "literal"}, "variant of an exported pipeline must be one of masked, none"),
        ({"output_type": "pt"}, "output_type must be one of pil, np, latent. Got 'pt'"),
        ({"num_inference_steps": 0}, "num_inference_steps must be from 1 to 1000. Got 0"),
        ({"scheduler": "PNDMScheduler"}, "scheduler must be one of .* Got 'PNDMScheduler'"),
        ({"seed": [1, 2]}, "seed must be one number or one for each image, 1. Got 2"),
        ({"seed": -1}, "seed of at least 0"),
        ({"latents": np.zeros((1, 4, 8, 9))}, r"latents must have the shape \(1, 4, 8, 8\)"),
        ({"negative_prompt": ["a", "b"]}, "negative_prompt must be one text or one for each"),
        ({"faces": []}, "There must be 1 to 16 faces in an image. Got 0"),
        ({"faces": [np.zeros(7), np.zeros(7)]}, "id_projector reads"),
        ({"faces": [np.zeros((2, 2)), np.zeros((2, 2))]}, "Face 0 must be a picture"),
        (
            {"faces": [(np.zeros(7), np.zeros((4, 5)))] * 2},
            r"vector of a face must have the shape \(6,\). Got \(7,\)",
        ),
        ({"boxes": [(0, 0, 9, 9)]}, "2 faces came with 1"),
        ({"pose": torch.zeros(1, 3, 64, 64)}, "pose of an exported pipeline must be pictures"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test__call__bad_input__one_sentence(runner, options, message):
    arguments = {"faces": people(2), "boxes": strips(2, 64, 64), **options}
    with pytest.raises(ValueError, match=message):
        runner("a", **arguments)


def test__export_onnx__not_empty_or_changed__is_refused(pipe, folder, tmp_path, make_pipe_xl):
    with pytest.raises(FolderExistsError, match="overwrite=True"):
        pipe.export_onnx(folder)
    with pytest.raises(ExportError, match="must be an InstantFamilyPipeline with one ControlNet"):
        make_pipe_xl().export_onnx(tmp_path / "xl")
    assert not (tmp_path / "xl").exists()
    again = pipe.export_onnx(tmp_path / "again", verify=False)
    (again / "tokenizer/merges.txt").write_text("#version: 0.2\na b\n")
    with pytest.raises(IntegrityError, match=r"merges\.txt"):
        zoo.load_onnx(again)


def test__export_onnx__part_that_cannot_be_written__is_refused(make_pipe, tmp_path):
    pipe = make_pipe()
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    with pytest.raises(ExportError, match="scheduler of an exported pipeline must be one of"):
        pipe.export_onnx(tmp_path / "bundle")
    pipe = make_pipe()
    layer = pipe.unet.mid_block.resnets[0]
    layer.time_embedding_norm = "scale_shift"
    with pytest.raises(ExportError, match=r"residual block must be plain\. Got a ResnetBlock2D"):
        pipe.export_onnx(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
