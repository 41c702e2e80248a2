"""The memory that features are written to."""

import copy
import pickle

import numpy as np
import pytest
import torch

from zoo_kan.kernels import Work
from zoo_kan.layer import KANLayer
from zoo_kan.network import EdgeLayer

LIKE = torch.zeros(1, dtype=torch.float64)


def test__lent__again_with_the_number_of_its_content__the_content_is_still_there():
    work = Work()
    with work.lent((2, 3, 4), LIKE) as (block, content):
        block.fill_(5.0)
    with work.lent((2, 3, 4), LIKE, content) as (again, number):
        assert number == content
        assert bool((again == 5.0).all())
        assert again.data_ptr() == block.data_ptr()


@pytest.mark.parametrize("event", ["another loan", "a larger one", "another dtype", "forgotten"])
def test__lent__after_the_memory_was_used__another_number(event):
    work = Work()
    with work.lent((2, 3, 4), LIKE) as (block, content):
        block.fill_(5.0)
        if event == "forgotten":
            work.forget()
    if event != "forgotten":
        shape = (9, 9, 9) if event == "a larger one" else (1, 2, 3)
        like = LIKE.float() if event == "another dtype" else LIKE
        with work.lent(shape, like) as (other, _):
            assert (other.shape, other.dtype) == (shape, like.dtype)
    with work.lent((2, 3, 4), LIKE, content) as (_, number):
        assert number != content


def test__lent__while_it_is_lent__other_memory_without_a_number():
    work = Work()
    with work.lent((2, 3, 4), LIKE) as (block, _), work.lent((2, 3, 4), LIKE) as (other, number):
        assert number is None
        assert other.data_ptr() != block.data_ptr()


def test__lent__inference_mode__leaves_no_inference_tensor_behind():
    work = Work()
    with torch.inference_mode(), work.lent((2, 3, 4), LIKE) as (_, number):
        assert number is None
    assert work.nbytes == 0


def test__nbytes__after_smaller_loans__is_that_of_the_largest():
    work = Work()
    for shape in ((2, 3, 4), (1, 3, 4), (2, 1, 4)):
        with work.lent(shape, LIKE):
            pass
    assert work.nbytes == 24 * 8


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test__copy__of_a_work_that_holds_memory__holds_none(way):
    work = Work()
    with work.lent((2, 3, 4), LIKE):
        pass
    again = copy.deepcopy(work) if way == "deepcopy" else pickle.loads(pickle.dumps(work))
    assert again.nbytes == 0


def test__layer__inference_mode_between_forward_and_backward__gradients_stay_the_same():
    rng = np.random.default_rng(0)
    layer = KANLayer(
        EdgeLayer(
            lower=-np.ones(3),
            upper=np.ones(3),
            coef=rng.normal(size=(2, 3, 8)),
            base_weight=rng.normal(size=(2, 3)),
            bias=np.zeros(2),
            mask=np.ones((2, 3), dtype=bool),
        )
    )
    x = torch.tensor(rng.uniform(-1.0, 1.0, (20, 3)), requires_grad=True)
    expected = torch.autograd.grad(layer(x).sum(), [x, layer.weight])
    out = layer(x)
    with torch.inference_mode():
        layer(x.detach() * 0.5)
    with torch.no_grad():
        layer(x[:7] * 0.5)
    for ours, theirs in zip(
        torch.autograd.grad(out.sum(), [x, layer.weight]), expected, strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
