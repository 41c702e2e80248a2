"""Steps in numpy against diffusers' own, and noise against torch's."""

import diffusers
import numpy as np
import pytest
import torch

from zoo.errors import FormatError
from zoo_instantfamily.noise import seeded_noise
from zoo_instantfamily.schedulers import SCHEDULERS, make_scheduler

# Of diffusers' own use of numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPE = (2, 4, 5, 6)


def walk(name, steps, **options):
    """Latents of both along a fixed network, largest first difference over the scale."""
    theirs = getattr(diffusers, name)(**options)
    theirs.set_timesteps(steps)
    ours = make_scheduler({**theirs.config, "_class_name": name}, steps)
    assert np.allclose(ours.timesteps, theirs.timesteps.numpy(), atol=1e-4)
    assert ours.initial_scale == pytest.approx(float(theirs.init_noise_sigma), rel=1e-6)
    start = seeded_noise(1, SHAPE) * np.float32(ours.initial_scale)
    one, two = start, torch.from_numpy(start)
    worst = 0.0
    for step, moment in enumerate(theirs.timesteps):
        given = theirs.scale_model_input(two, moment)
        scale = max(1.0, float(two.abs().max()))
        worst = max(worst, np.abs(ours.scale(one, step) - given.numpy()).max() / scale)
        output = torch.tanh(given.roll(1, -1)) * 0.7 + 0.1
        two = theirs.step(output, moment, two).prev_sample
        one = ours.step(output.numpy(), one, step)
        scale = max(1.0, float(two.abs().max()))
        worst = max(worst, np.abs(one - two.numpy()).max() / scale)
        # Each step is judged by itself: both go on from the same latents.
        one = two.numpy()
    return worst


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("name", list(SCHEDULERS))
def test__scheduler__every_spacing_and_prediction__equals_diffusers(name, spacing, prediction):
    options = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "timestep_spacing": spacing,
        "prediction_type": prediction,
        "steps_offset": 1,
    }
    if name == "DDIMScheduler":
        options |= {"clip_sample": False, "set_alpha_to_one": False}
    assert walk(name, 9, **options) < 1e-6


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DDIMScheduler", {"clip_sample_range": 0.8}),
        ("DDIMScheduler", {"beta_schedule": "squaredcos_cap_v2"}),
        ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
        ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
        ("DPMSolverMultistepScheduler", {"solver_order": 1}),
        ("DPMSolverMultistepScheduler", {"solver_type": "heun"}),
        ("DPMSolverMultistepScheduler", {"final_sigmas_type": "sigma_min"}),
        ("DPMSolverMultistepScheduler", {"euler_at_final": True, "lower_order_final": False}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
@pytest.mark.parametrize("steps", [4, 20])
def test__scheduler__options__equals_diffusers(name, options, steps):
    assert walk(name, steps, **options) < 1e-6


def test__scheduler__option_not_computed__is_refused():
    config = {"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3}
    with pytest.raises(FormatError, match=r"'solver_order' .* must be 1 or 2\. Got 3"):
        make_scheduler(config, 5)


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (3, 5, 7), (16,), (2, 4, 8, 13)])
@pytest.mark.parametrize("seed", [0, 7, 2**31 + 5, 2**40 + 3])
def test__seeded_noise__any_shape__equals_torch(seed, shape):
    wanted = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    assert np.abs(seeded_noise(seed, shape) - wanted.numpy()).max() < 2e-6
