"""Recognisers: shapes, the loss against a slow sum, exact resume, what the shipped ones know."""

import math

import pytest
import torch

from zoo_instantfamily.drawing import DrawnFaces
from zoo_instantfamily.encoders import (
    DrawnFaceEncoder,
    DrawnFaceJudge,
    RecogniserTraining,
    contrastive_loss,
    degrade,
    load_encoder,
    load_judge,
    rank_one,
    save_weights,
    siblings,
    verify,
)
from zoo_instantfamily.encoders.shipped import WEIGHTS


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test__encoder__features__vector_and_map():
    torch.manual_seed(0)
    encoder = DrawnFaceEncoder(width=8, vector_dim=16, token_dim=12).eval()
    images = torch.rand(3, 3, 48, 48)
    features = encoder.features(images)
    assert features.tokens.shape == (3, 36, 12)
    torch.testing.assert_close(features.vector, encoder(images))
    torch.testing.assert_close(features.vector.norm(dim=1), torch.ones(3))


def test__encoder__one_corner_changed__only_tokens_near_it_change():
    torch.manual_seed(0)
    encoder = DrawnFaceEncoder(width=8).eval()
    images = torch.rand(1, 3, 48, 48)
    other = images.clone()
    other[..., :4, :4] = 0
    changed = (encoder.features(images).tokens - encoder.features(other).tokens).abs().amax(-1)
    grid = changed.view(6, 6) > 1e-6
    assert grid[0, 0]
    assert not grid[4:].any()
    assert not grid[:, 4:].any()


def test__contrastive_loss__three_people__equals_the_slow_sum():
    vectors = torch.nn.functional.normalize(torch.randn(6, 5, generator=_generator()), dim=1)
    total = 0.0
    for i in range(6):
        weights = [math.exp(7.0 * float(vectors[i] @ vectors[j])) for j in range(6)]
        total -= math.log(weights[(i + 3) % 6] / (sum(weights) - weights[i]))
    loss = contrastive_loss(vectors[:3], vectors[3:], scale=7.0)
    assert float(loss) == pytest.approx(total / 6, rel=1e-5)


def test__siblings__share__of_the_numbers_is_kept():
    people = DrawnFaces(0).identities(200)
    related = siblings(people, share=0.7, generator=_generator())
    assert float((related == people).float().mean()) == pytest.approx(0.7, abs=0.02)
    assert (related >= 0).all()
    assert (related <= 1).all()


def test__degrade__pictures__stay_pictures_of_the_same():
    faces = DrawnFaces(0)
    images = faces.portraits(faces.identities(16), size=40)
    worse = degrade(images, generator=_generator())
    assert worse.shape == images.shape
    assert worse.min() >= 0
    assert worse.max() <= 1
    difference = (worse - images).abs().mean((1, 2, 3))
    assert (difference > 0).all()
    assert difference.max() < 0.15
    assert torch.equal(worse, degrade(images, generator=_generator()))


def test__rank_one__known_vectors__counts_nearest():
    gallery = torch.eye(4)
    probes = torch.eye(4)[[0, 1, 3, 2]]
    assert rank_one(gallery, gallery) == 1
    assert rank_one(probes, gallery) == 0.5


def test__verify__a_recogniser_that_knows_nothing__is_at_chance():
    def blind(images):
        return torch.nn.functional.normalize(torch.randn(len(images), 32, generator=noise), dim=1)

    noise = _generator(3)
    figures = verify(blind, size=16, candidates=60, sides=(24,))
    assert figures.rank_one < 0.15
    assert figures.rank_one_scenes[24] < 0.15
    assert figures.pair_accuracy < 0.68
    assert abs(figures.same - figures.other) < 0.1


def _tiny():
    torch.manual_seed(0)
    return DrawnFaceJudge(width=4, vector_dim=8)


def test__training__stopped_and_resumed__ends_with_the_same_bits(tmp_path):
    training = RecogniserTraining(seed=3, steps=4, people=8)
    silent = {"image_size": 40, "report": lambda _: None}
    whole = training.run(_tiny(), checkpoint=tmp_path / "whole.safetensors", every=4, **silent)

    class Killed(Exception):
        pass

    def kill(_):
        raise Killed

    with pytest.raises(Killed, match=r"^$"):
        training.run(
            _tiny(), image_size=40, checkpoint=tmp_path / "part.safetensors", report=kill, every=2
        )
    resumed = training.run(_tiny(), checkpoint=tmp_path / "part.safetensors", every=2, **silent)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test__training__checkpoint_of_another_training__refused(tmp_path):
    path = tmp_path / "c.safetensors"
    silent = {"image_size": 40, "report": lambda _: None, "checkpoint": path}
    RecogniserTraining(seed=3, steps=1, people=8).run(_tiny(), **silent)
    with pytest.raises(ValueError, match="belongs to another training"):
        RecogniserTraining(seed=4, steps=1, people=8).run(_tiny(), **silent)


def test__save_weights__half_precision__reads_back(tmp_path):
    from safetensors.torch import load_file

    model = _tiny()
    save_weights(model, tmp_path / "w.safetensors")
    state = load_file(tmp_path / "w.safetensors")
    assert set(state) == set(model.state_dict())
    for name, value in model.state_dict().items():
        torch.testing.assert_close(state[name].to(value.dtype), value, rtol=1e-3, atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize(("load", "name"), [(load_encoder, "encoder"), (load_judge, "judge")])
def test__shipped__unseen_people__are_recognised(load, name):
    assert (WEIGHTS / f"{name}.safetensors").stat().st_size < 1_500_000
    model = load()
    assert not model.training
    figures = verify(model, size=model.image_size, candidates=100, seed=5, sides=(64,))
    assert figures.rank_one > 0.9
    assert figures.rank_one_scenes[64] > 0.85
    assert figures.pair_accuracy > 0.97


def test__shipped__encoder_and_judge__share_no_weights():
    encoder, judge = load_encoder().state_dict(), load_judge().state_dict()
    shapes = {tuple(v.shape) for v in encoder.values() if v.ndim > 1}
    for name, value in judge.items():
        if value.ndim > 1 and tuple(value.shape) in shapes:
            for other in encoder.values():
                assert other.shape != value.shape or not torch.allclose(other, value), name
