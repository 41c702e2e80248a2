"""Training: exact resume, several processes, the loss against formulas, sources of pictures."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from safetensors.torch import load_file

from zoo.errors import FormatError, SourceError
from zoo_instantfamily.codec import SpaceToDepth
from zoo_instantfamily.drawing import DrawnFaces
from zoo_instantfamily.drawing.scene import caption
from zoo_instantfamily.drawn_model import build_drawn_faces, build_tokenizer
from zoo_instantfamily.encoders import DrawnFaceEncoder
from zoo_instantfamily.pipeline import InstantFamilyPipeline
from zoo_instantfamily.training import (
    DrawnSource,
    FamilyTrainer,
    FolderSource,
    TrainingSettings,
)
from zoo_instantfamily.training.checkpoint import find_checkpoint, load_checkpoint
from zoo_instantfamily.training.loss import diffusion_loss, identity_loss, predicted_latents
from zoo_instantfamily.training.network import FamilyNetwork
from zoo_instantfamily.training.settings import TRAINABLE

_TINY = """
import sys, torch
torch.set_num_threads(1)
from zoo_instantfamily.drawn_model import build_drawn_faces
from zoo_instantfamily.encoders import DrawnFaceEncoder
from zoo_instantfamily.training import DrawnSource, FamilyTrainer, TrainingSettings
torch.manual_seed(3)
pipe = build_drawn_faces(seed=1, channels=(16, 16), side=32, encoder=DrawnFaceEncoder(4, 8, 8))
settings = TrainingSettings(
    steps=6, accumulation=2, networks=("unet", "controlnet", "id_projector", "text_encoder"),
    rate=1e-3, warmup=1, identity_weight=0.1,
)
trainer = FamilyTrainer(pipe, DrawnSource(seed=2, batch_size=2, side=32), settings)
"""


def tiny(*, settings=None, **options):
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = DrawnFaceEncoder(4, 8, 8)
    pipe = build_drawn_faces(seed=1, channels=(16, 16), side=32, encoder=encoder)
    pipe.set_progress_bar_config(disable=True)
    settings = settings or TrainingSettings(
        steps=6, accumulation=2, networks=TRAINABLE, rate=1e-3, warmup=1, identity_weight=0.1
    )
    source = options.pop("source", None) or DrawnSource(seed=2, batch_size=2, side=32)
    return FamilyTrainer(pipe, source, settings, **options)


def run_script(code, *, processes=1, **options):
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*launcher, *code], env=environment, **options)


def tensors_of(folder):
    return load_checkpoint(find_checkpoint(folder))[1]


def test__run__killed_and_resumed__bit_equal(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        _TINY
        + "trainer.run(sys.argv[1], checkpoint_every=2, picture_every=0,\n"
        + "    listener=lambda step, loss: print(step, loss, flush=True))\n"
    )
    killed = run_script(
        [str(script), str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    for line in killed.stdout:
        if line.startswith(b"3 "):
            killed.send_signal(signal.SIGKILL)
            break
    killed.stdout.close()
    assert killed.wait() == -signal.SIGKILL
    assert find_checkpoint(tmp_path / "run").name == "checkpoint-2"
    tiny().run(tmp_path / "run", checkpoint_every=4, picture_every=0)
    tiny().run(tmp_path / "whole", checkpoint_every=4, picture_every=0)
    resumed, whole = tensors_of(tmp_path / "run"), tensors_of(tmp_path / "whole")
    assert set(resumed) == set(whole)
    assert len(whole) > 500
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test__run__two_processes__equal_one_on_the_same_batches(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(_TINY + "trainer.run(sys.argv[1], until=2, picture_every=0)\n")
    done = run_script(
        [str(script), str(tmp_path / "two")],
        processes=2,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, complaint = done.communicate(timeout=240)
    assert done.returncode == 0, complaint.decode()[-2000:]
    trainer = tiny()
    before = {name: value.detach().clone() for name, value in trainer.parameters.items()}
    trainer.run(tmp_path / "one", until=2, picture_every=0)
    one, two = tensors_of(tmp_path / "one"), tensors_of(tmp_path / "two")
    moved = max(
        float((one[f"weight.{name}"] - value).abs().max()) for name, value in before.items()
    )
    assert moved > 1e-4
    worst = max(
        float((one[f"weight.{name}"] - two[f"weight.{name}"]).abs().max()) for name in before
    )
    assert worst <= 1e-5


def test__run__some_steps__loss_falls_and_pictures_appear(tmp_path):
    settings = TrainingSettings(
        steps=50, networks=TRAINABLE, rate=3e-3, warmup=2, drop_both=0.0, average=0.9
    )
    trainer = tiny(settings=settings)
    fixed = [sum(float(trainer.loss(n).detach()) for n in range(900, 908))]
    trainer.run(tmp_path, checkpoint_every=50, picture_every=50)
    fixed.append(sum(float(trainer.loss(n).detach()) for n in range(900, 908)))
    assert fixed[1] < 0.6 * fixed[0]
    with Image.open(tmp_path / "loss.png") as curve:
        assert curve.size == (640, 400)
    with Image.open(tmp_path / "samples-0000050.png") as sheet:
        assert np.asarray(sheet).std() > 10
    assert [step for step, _ in trainer.history] == [50]


def test__averaged__context__ends_with_the_weights_of_before():
    trainer = tiny()
    trainer.advance()
    kept = {name: value.detach().clone() for name, value in trainer.parameters.items()}
    with trainer.averaged() as pipe:
        inside = pipe.unet.conv_in.weight.detach().clone()
        assert not pipe.unet.training
    assert trainer.pipe.unet.training
    assert torch.equal(inside, trainer.average["unet.conv_in.weight"])
    assert not torch.equal(inside, kept["unet.conv_in.weight"])
    assert all(torch.equal(v, kept[n]) for n, v in trainer.parameters.items())


def test__restore__another_training__one_sentence(tmp_path):
    tiny().run(tmp_path, until=1, picture_every=0)
    other = tiny(settings=TrainingSettings(steps=6, accumulation=2, networks=TRAINABLE, warmup=1))
    with pytest.raises(FormatError, match=r"must have the identity_weight of this training, 0\.0"):
        other.run(tmp_path)
    elsewhere = tiny(source=DrawnSource(seed=3, batch_size=2, side=32))
    with pytest.raises(FormatError, match="must be of the same training data"):
        elsewhere.run(tmp_path)
    file = find_checkpoint(tmp_path) / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(FormatError, match="must be the one recorded"):
        tiny().run(tmp_path)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test__restore__other_number_of_steps__only_before_the_rate_falls(tmp_path, before):
    options = {"networks": ("id_projector",), "rate": 1e-3, "warmup": 0, "decay": 0.5}
    tiny(settings=TrainingSettings(steps=4, **options)).run(
        tmp_path, until=2 if before else 3, picture_every=0
    )
    longer = tiny(settings=TrainingSettings(steps=8, **options))
    if before:
        longer.restore(find_checkpoint(tmp_path))
        assert longer.step == 2
    else:
        with pytest.raises(FormatError, match="from before the learning rate falls for steps"):
            longer.restore(find_checkpoint(tmp_path))


@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test__diffusion_loss__perfect_prediction__is_zero_and_gives_the_latents(kind):
    g = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 3, 4, 4, 4, generator=g)
    alphas = torch.tensor([0.9, 0.2, 0.5])[:, None, None, None]
    noisy = alphas.sqrt() * clean + (1 - alphas).sqrt() * noise
    scheduler = DDIMScheduler()
    scheduler.alphas_cumprod = alphas.flatten()
    velocity = scheduler.get_velocity(clean, noise, torch.arange(3))
    target = {"sample": clean, "epsilon": noise, "v_prediction": velocity}[kind]
    options = {"kind": kind, "faces": torch.ones(3, 4, 4), "face_weight": 3.0}
    loss = diffusion_loss(target, clean, noise, alphas, largest_weight=12.5, **options)
    assert float(loss) < 1e-10
    found = predicted_latents(target, noisy, alphas, kind=kind)
    torch.testing.assert_close(found, clean, atol=1e-5, rtol=1e-5)


def test__diffusion_loss__of_the_picture__is_that_of_velocity_until_the_limit():
    g = torch.Generator().manual_seed(0)
    clean, noise, guess = torch.randn(3, 1, 4, 4, 4, generator=g)
    alphas = torch.full((1, 1, 1, 1), 0.6)
    noisy = alphas.sqrt() * clean + (1 - alphas).sqrt() * noise
    velocity = (alphas.sqrt() * noisy - guess) / (1 - alphas).sqrt()
    options = {"faces": torch.zeros(1, 4, 4), "face_weight": 3.0}
    one, two = (
        diffusion_loss(value, clean, noise, alphas, kind=kind, largest_weight=limit, **options)
        for value, kind, limit in ((guess, "sample", 12.5), (velocity, "v_prediction", 12.5))
    )
    torch.testing.assert_close(one, two)
    limited = diffusion_loss(
        guess, clean, noise, alphas, kind="sample", largest_weight=1.0, **options
    )
    torch.testing.assert_close(limited, 0.4 * one)
    with pytest.raises(ValueError, match="must be one of sample, epsilon, v_prediction"):
        diffusion_loss(guess, clean, noise, alphas, kind="x", largest_weight=1.0, **options)


def test__diffusion_loss__faces__count_more():
    clean = torch.zeros(1, 1, 2, 2)
    guess = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    alphas = torch.full((1, 1, 1, 1), 0.5)
    losses = [
        float(
            diffusion_loss(
                guess, clean, clean, alphas, kind="epsilon", faces=faces, face_weight=3.0,
                largest_weight=1.0,
            )
        )
        for faces in (guess[0], 1 - guess[0])
    ]  # fmt: skip
    assert losses == pytest.approx([3 / 6, 1 / 10])


def test__identity_loss__right_faces__less_than_swapped_ones():
    from zoo_instantfamily.encoders import load_encoder

    encoder, faces = load_encoder(), DrawnFaces(4)
    people = faces.identities(4).view(2, 2, -1)
    scenes = faces.scenes(people, size=(64, 64))
    vectors = encoder(faces.portraits(people.flatten(0, 1), size=48)).unflatten(0, (2, 2))
    images = scenes.images.clone().requires_grad_()
    ones = torch.ones(2, 2)
    right = identity_loss(images, scenes.boxes, ones, vectors, encoder)
    swapped = identity_loss(images, scenes.boxes, ones, vectors.flip(1), encoder)
    right.backward()
    assert right.item() < 0.2 < 2.0 < swapped.item()
    assert float(images.grad.abs().sum()) > 0
    nobody = identity_loss(images, scenes.boxes, 0 * ones, vectors, encoder)
    assert nobody.item() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps of a training must be an int of at least 1"),
        ({"rate": 0.0}, "rate of a training must be positive"),
        ({"average": 1.5}, "average of a training must be 0 to 1"),
        ({"drop_both": 0.6, "drop_text": 0.6}, r"must add up to 1 at most\. Got 1\.24"),
        ({"networks": ("vae",)}, "networks of a training must be some of unet"),
        ({"networks": ()}, "Got none"),
        ({"mixed_precision": "int8"}, "must be one of no, bf16, fp16"),
        ({"identity_weight": -1.0}, "identity_weight of a training must be at least 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test__settings__out_of_bounds__one_sentence(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**{"steps": 10, **change})


def test__settings__rate__rises_stays_and_falls():
    settings = TrainingSettings(steps=100, rate=1.0, warmup=9, decay=0.2)
    assert settings.rate_at(0) == pytest.approx(0.1)
    assert settings.rate_at(9) == settings.rate_at(80) == 1.0
    assert settings.rate_at(90) == pytest.approx(0.5)
    assert settings.rate_at(99) == pytest.approx(0.05)


def test__trainer__accumulation_or_pipeline_that_does_not_fit__one_sentence(make_pipe):
    with pytest.raises(ValueError, match=r"attention 'stack'. Got ControlNetModel and 'decoupled'"):
        FamilyNetwork(make_pipe(decoupled=True), ("unet",))
    settings = TrainingSettings(steps=1)
    with pytest.raises(ValueError, match="must have a face_encoder"):
        FamilyTrainer(make_pipe(), DrawnSource(), settings)


def test__drawn_source__number__decides_the_batch():
    source = DrawnSource(seed=1, batch_size=4, side=32)
    one, two, other = source.batch(5), source.batch(5), source.batch(6)
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.references, two.references)
    assert one.captions == two.captions
    assert one.images.shape != other.images.shape or not torch.equal(one.images, other.images)
    sizes, counts, strangers = set(), set(), 0
    for number in range(60):
        batch = source.batch(number)
        sizes.add(tuple(batch.images.shape[2:]))
        counts.add(batch.present.shape[1])
        strangers += int(not batch.present.all())
        assert batch.references.shape[:2] == batch.boxes.shape[:2] == batch.present.shape
    assert (32, 32) in sizes
    assert (32, 48) in sizes
    assert {1, 2, 3, 4} <= counts
    assert 0 < strangers < 20


def test__tokenizer__words_of_the_captions__one_token_each():
    tokenizer = build_tokenizer()
    for code in ([1, 0, 1, 2, 0], [15, 2, 0, 8, 1], [0, 1, 4, 0, 1]):
        sentence = caption(torch.tensor(code))
        tokens = tokenizer.tokenize(sentence)
        assert tokens == [part + "</w>" for part in sentence.replace(",", " ,").split()]
    assert len(tokenizer("unheard-of words").input_ids) > 4


def test__space_to_depth__there_and_back__exact():
    codec = SpaceToDepth(block_out_channels=(3, 12, 48))
    images = torch.rand(2, 3, 8, 12) * 2 - 1
    latents = codec.encode(images).latent_dist.mode()
    assert latents.shape == (2, 48, 2, 3)
    assert torch.equal(codec.decode(latents).sample, images)
    assert torch.equal(latents[0, :16, 1, 2].view(4, 4), images[0, 0, 4:8, 8:12])
    with pytest.raises(ValueError, match=r"must grow fourfold at each step\. Got \(3, 8\)"):
        SpaceToDepth(block_out_channels=(3, 8))


def test__pipeline__of_drawn_faces__saved_and_loaded_draws_the_same(tmp_path):
    pipe = tiny().pipe
    faces = DrawnFaces(0)
    people = list(faces.portraits(faces.identities(2), size=48))

    def draw(pipe):
        pipe.set_progress_bar_config(disable=True)
        return pipe(
            "two happy people in red clothes, blue plain background",
            people,
            [(2, 4, 14, 20), (17, 4, 30, 20)],
            num_inference_steps=3,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        ).images

    image = draw(pipe)
    assert image.shape == (1, 32, 32, 3)
    pipe.save_pretrained(tmp_path / "pipe")
    assert np.array_equal(image, draw(InstantFamilyPipeline.from_pretrained(tmp_path / "pipe")))


def picture(name, size=(60, 40), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return name, data.getvalue()


def description(name, **content):
    found = {"caption": "two men", "boxes": [[5, 5, 20, 25], [30, 10, 50, 30]], **content}
    return name, json.dumps(found).encode()


def write(folder, *files):
    folder.mkdir(exist_ok=True)
    for name, data in files:
        (folder / name).write_bytes(data)
    return folder


def pack(path, *files):
    with tarfile.open(path, "w") as shard:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
    return path


def test__folder_source__shards_and_plain_folders__give_the_same(tmp_path):
    files = [
        picture("a.png", seed=1), description("a.json", identities=["ann", None]),
        picture("b.png", seed=2), description("b.json", identities=[None, "ann"], caption="b"),
        picture("b.pose.png", seed=3),
    ]  # fmt: skip
    options = {"size": (32, 48), "batch_size": 2, "reference_size": 24, "seed": 4}
    plain = FolderSource(write(tmp_path / "plain", *files), **options)
    sharded = FolderSource(pack(tmp_path / "shard.tar", *files), **options)
    inside = FolderSource(
        write(tmp_path / "both", ("x.tar", (tmp_path / "shard.tar").read_bytes()))
    )
    assert len(plain.records) == len(sharded.records) == len(inside.records) == 2
    one, two = plain.batch(3), sharded.batch(3)
    assert one.images.shape == (2, 3, 32, 48)
    assert sorted(one.captions) == ["b", "two men"]
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.control, two.control)
    assert torch.equal(one.references, two.references)
    assert plain.describe() == sharded.describe()


def test__folder_source__epochs__hold_each_picture_once(tmp_path):
    files = []
    for k in range(5):
        files += [picture(f"{k}.png", seed=k), description(f"{k}.json", caption=str(k))]
    source = FolderSource(write(tmp_path / "in", *files), size=(32, 32), batch_size=5)
    orders = [source.batch(k).captions for k in range(3)]
    assert all(sorted(order) == list("01234") for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test__folder_source__same_identity__reference_from_the_other_picture(tmp_path):
    red, blue = (Image.new("RGB", (40, 40), colour) for colour in ("red", "blue"))
    files = []
    for name, image in (("r", red), ("b", blue)):
        data = io.BytesIO()
        image.save(data, "PNG")
        about = {"caption": name, "boxes": [[10, 10, 30, 30]], "identities": ["ann"]}
        files += [(f"{name}.png", data.getvalue()), (f"{name}.json", json.dumps(about).encode())]
    source = FolderSource(
        write(tmp_path / "in", *files), size=(40, 40), batch_size=2, circles=False
    )
    batch = source.batch(0)
    for image, reference in zip(batch.images, batch.references, strict=True):
        assert torch.allclose(image.mean((1, 2)), reference[0].mean((1, 2)).flip(0), atol=1e-5)


def test__folder_source__more_faces_than_people__others_keep_no_disc(tmp_path):
    boxes = [[0, 0, 20, 20], [20, 0, 40, 20], [0, 20, 20, 40]]
    files = [picture("a.png", (40, 40)), description("a.json", boxes=boxes)]
    source = FolderSource(write(tmp_path / "in", *files), size=(40, 40), people=2)
    orders = set()
    for number in range(12):
        batch = source.batch(number)
        assert batch.present.shape == (1, 2)
        lit = {
            k
            for k, (x, y) in enumerate([(10, 10), (30, 10), (10, 30)])
            if batch.control[0, :, y, x].max() > 0.5
        }
        corners = [(int(left), int(top)) for left, top, _, _ in batch.boxes[0]]
        assert lit == {boxes.index([x, y, x + 20, y + 20]) for x, y in corners}
        orders.add(tuple(corners))
    assert len(orders) > 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([picture("a.png")], r"must have its a\.json beside it"),
        ([picture("a.png"), ("a.json", b"{")], "must be JSON"),
        ([picture("a.png"), ("a.json", b"[]")], "must be an object with a caption"),
        (
            [picture("a.png"), description("a.json", boxes=[[5, 5, 4, 9]])],
            r"must be lists of left, top, right and bottom .* Got \[\[5, 5, 4, 9\]\]",
        ),
        (
            [picture("a.png"), description("a.json", identities=["ann"])],
            "must be a string or null for each of its 2 boxes",
        ),
        ([("readme.txt", b"")], "None were found"),
        ([("x.tar", b"not a tar file at all")], "must be a tar file without compression"),
    ],
    ids=["alone", "json", "object", "boxes", "identities", "empty", "tar"],
)
def test__folder_source__bad_files__one_sentence(tmp_path, files, message):
    with pytest.raises(FormatError, match=message):
        FolderSource(write(tmp_path / "in", *files))


def test__folder_source__nothing_there_or_no_picture__one_sentence(tmp_path):
    with pytest.raises(SourceError, match="nothing is there"):
        FolderSource(tmp_path / "gone")
    source = FolderSource(write(tmp_path / "in", ("a.png", b"no"), description("a.json")))
    with pytest.raises(FormatError, match=r"a\.png cannot be read"):
        source.batch(0)
    with pytest.raises(ValueError, match=r"people of a FolderSource must be 1 to 16\. Got 17"):
        FolderSource(tmp_path / "in", people=17)


def test__command__base_and_folder__trains_and_saves(tmp_path):
    from typer.testing import CliRunner

    from zoo_instantfamily.commands import app

    tiny().pipe.save_pretrained(tmp_path / "base")
    data = write(
        tmp_path / "data", picture("a.png", (48, 48)), description("a.json", caption="one person")
    )
    arguments = ["train", tmp_path / "out", "--base", tmp_path / "base", "--data", data]
    arguments += ["--steps", 2, "--batch-size", 1, "--accumulation", 1, "--picture-every", 2]
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    assert "2 steps" in done.output
    assert (tmp_path / "out" / "samples-0000002.png").is_file()
    saved = load_file(
        tmp_path / "out" / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors"
    )
    start = load_file(tmp_path / "base" / "unet" / "diffusion_pytorch_model.safetensors")
    moved = max(float((saved[name] - value).abs().max()) for name, value in start.items())
    assert 0 < moved < 1e-3
    assert all(math.isfinite(float(value.sum())) for value in saved.values())
