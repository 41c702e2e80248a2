"""The training loop: the same bits whether it is killed or not, early stopping, frozen trunk."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from zoo.errors import FormatError
from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.tokens import ByteTokenizer
from zoo_multitoken.training import TokenStream, Trainer, TrainingSettings
from zoo_multitoken.training.checkpoint import latest, read_checkpoint, write_checkpoint

TEXTS = ["def f(x):\n    return x + 1\n" * 6, "for i in range(9):\n    print(i)\n" * 6]
SHAPE = {
    "n_heads": 3,
    "d_model": 16,
    "n_layers": 2,
    "attention_heads": 2,
    "kv_heads": 1,
    "d_ff": 32,
    "d_head": 8,
    "context": 24,
}


def trainer(steps=12, *, head="causal", listener=None, texts=TEXTS, **settings):
    chosen = {"length": 24, "batch_size": 3, "warmup": 2, "evaluate_every": 4, **settings}
    torch.set_num_threads(1)
    return Trainer(
        MultiTokenModel(ModelConfig(**SHAPE, head=head)),
        TrainingSettings(steps=steps, **chosen),
        TokenStream.of(texts, ByteTokenizer()),
        TokenStream.of(["def g(x):\n    return x\n"], ByteTokenizer()),
        listener=listener,
    )


def weights(one):
    return {name: value.detach().clone() for name, value in one.model.named_parameters()}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test__run__loss__falls_for_every_head():
    training = trainer(60)
    assert training.run()
    first, final = training.history[0], training.history[-1]
    assert [entry["step"] for entry in training.history] == list(range(4, 61, 4))
    assert all(np.array(final["training"]) < 0.7 * np.array(first["training"]))
    assert final["held_out"][0] < 0.8 * first["held_out"][0]


def test__run__global_generators__are_neither_read_nor_moved():
    states = []
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        states.append((torch.get_rng_state(), np.random.get_state()[1].copy()))  # noqa: NPY002
        training = trainer(3)
        training.run()
        found.append(weights(training))
        assert torch.equal(torch.get_rng_state(), states[-1][0])
        assert np.array_equal(np.random.get_state()[1], states[-1][1])  # noqa: NPY002
    assert same(*found)


def test__run__interrupted_anywhere__ends_with_the_same_bits_and_history(tmp_path):
    whole = trainer(patience=9)
    whole.run()
    for cut in (1, 4, 7):
        folder = tmp_path / str(cut)
        assert not trainer(patience=9).run(folder=folder, steps=cut)
        resumed = trainer(patience=9)
        assert resumed.run(folder=folder)
        assert same(weights(whole), weights(resumed))
        assert resumed.history == whole.history
        assert [path.name for path in sorted(folder.iterdir())][-1] == "step-000000012"


SCRIPT = """
import sys, time
sys.path[:0] = {path!r}
from test_trainer import trainer
listener = (lambda event: time.sleep(0.05)) if {slow} else None
trainer(40, listener=listener).run(folder={folder!r}, checkpoint_seconds=0.0)
"""


def test__run__killed_by_the_system__resumes_to_the_same_bits(tmp_path):
    import pathlib

    folder = tmp_path / "checkpoints"
    path = [str(pathlib.Path(__file__).parent), *sys.path]
    code = SCRIPT.format(path=path, slow=True, folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        deadline = time.monotonic() + 120
        while (latest(folder) or folder).name < "step-000000003":
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert read_checkpoint(latest(folder))[0]["step"] < 40
    resumed, whole = trainer(40), trainer(40)
    assert resumed.run(folder=folder)
    whole.run()
    assert same(weights(whole), weights(resumed))
    assert resumed.history == whole.history


def test__accumulation__of_two_halves__is_the_step_of_the_whole_batch():
    whole = trainer(1, batch_size=6, optimizer="adamw")
    halves = trainer(1, batch_size=3, accumulation=2, optimizer="adamw")
    whole.run()
    halves.run()
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(halves)[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("mixed", [False, True], ids=["single", "mixed"])
def test__memory_efficient__and_naive__learn_the_same(mixed):
    one = trainer(2, memory_efficient=True, mixed=mixed, optimizer="adamw")
    other = trainer(2, memory_efficient=False, mixed=mixed, optimizer="adamw")
    one.run()
    other.run()
    tolerance = 2e-2 if mixed else 1e-4
    torch.testing.assert_close(
        one.history[-1]["training"], other.history[-1]["training"], rtol=tolerance, atol=0.0
    )


@pytest.mark.parametrize("head", ["linear", "causal", "parallel", "sequential"])
def test__freeze_trunk__next_token__is_the_same_to_the_bit_and_the_others_learn(head):
    training = trainer(30, head=head, freeze_trunk=True)
    ids = torch.arange(24)[None] * 9 + 20
    with torch.no_grad():
        before = training.model(ids)
    kept = weights(training)
    training.run()
    with torch.no_grad():
        after = training.model(ids)
    assert torch.equal(before[:, :, 0], after[:, :, 0])
    moved = {
        name for name, value in weights(training).items() if not torch.equal(value, kept[name])
    }
    assert moved == {name for name in kept if name.startswith(("heads.1.", "heads.2."))}
    assert training.history[-1]["training"][1] < training.history[0]["training"][1]


def test__freeze_trunk__of_anticausal_heads__is_refused():
    with pytest.raises(ValueError, match="'anticausal' heads cannot be frozen"):
        Trainer(
            MultiTokenModel(ModelConfig(**{**SHAPE, "n_layers": 4}, head="anticausal")),
            TrainingSettings(steps=1, freeze_trunk=True),
            TokenStream.of(TEXTS, ByteTokenizer()),
        )


def test__patience__ends_the_training_with_the_best_weights():
    training = trainer(400, patience=2, evaluate_every=2, matrix_rate=0.2, texts=["zq" * 40])
    assert training.run()
    assert training.step < 400
    losses = [entry["held_out"][0] for entry in training.history]
    best = min(losses)
    assert losses[-3] == best
    assert training.evaluate()[0][0] == pytest.approx(best, rel=1e-6)


def test__curriculum__adds_one_head_after_another():
    seen = []
    training = trainer(6, loss_weights="curriculum", listener=seen.append)
    training.run()
    active = [sum(loss > 0 for loss in event["losses"]) for event in seen if "losses" in event]
    assert active == [1, 1, 2, 2, 3, 3]


def test__load__checkpoint_of_another_training__says_what_differs(tmp_path):
    trainer(2).run(folder=tmp_path)
    with pytest.raises(FormatError, match="of batch_size 3 rather than 4"):
        trainer(2, batch_size=4).run(folder=tmp_path)
    with pytest.raises(FormatError, match="of head 'causal' rather than 'linear'"):
        trainer(2, head="linear").run(folder=tmp_path)
    with pytest.raises(FormatError, match="of tokens "):
        trainer(2, texts=["other"]).run(folder=tmp_path)
    with pytest.raises(FormatError, match="of steps 2 rather than 9"):
        trainer(9).run(folder=tmp_path)


def test__plateau__before_it_falls__may_be_prolonged_and_is_the_longer_training(tmp_path):
    trainer(10, schedule="plateau").run(folder=tmp_path, steps=7)
    prolonged, whole = trainer(20, schedule="plateau"), trainer(20, schedule="plateau")
    assert prolonged.run(folder=tmp_path)
    whole.run()
    assert same(weights(whole), weights(prolonged))
    with pytest.raises(FormatError, match="of steps 20 rather than 30"):
        trainer(30, schedule="plateau").run(folder=tmp_path)


def test__read_checkpoint__damaged__is_refused(tmp_path):
    folder = write_checkpoint(tmp_path, 1, {"step": 1}, {"a": torch.arange(4.0)})
    state, tensors = read_checkpoint(folder)
    assert state == {"step": 1}
    assert tensors["a"].tolist() == [0, 1, 2, 3]
    path = folder / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(FormatError, match=r"sha256 of .* is not the one recorded"):
        read_checkpoint(folder)
    (folder / "state.json").write_text("{}")
    with pytest.raises(FormatError, match="must have the keys state and sha256"):
        read_checkpoint(folder)


def test__write_checkpoint__no_space_left__leaves_the_older_one(tmp_path, monkeypatch):
    import safetensors.torch

    write_checkpoint(tmp_path, 1, {}, {"a": torch.zeros(2)})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path, 2, {}, {"a": torch.zeros(2)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
    assert latest(tmp_path).name == "step-000000001"


def test__write_checkpoint__many__keeps_the_newest_two(tmp_path):
    for step in (1, 2, 30):
        write_checkpoint(tmp_path, step, {}, {"a": torch.zeros(1)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000002", "step-000000030"]
    assert latest(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, r"steps of a training must be an int of at least 1\. Got 0"),
        ({"warmup": -1}, r"warmup of a training must be an int of at least 0\. Got -1"),
        ({"patience": 0}, r"patience of a training must be an int of at least 1\. Got 0"),
        ({"clip": 0.0}, r"clip of a training must be a positive number\. Got 0\.0"),
        ({"final_rate": 2.0}, r"final_rate of a training must be 0 to 1\. Got 2\.0"),
        ({"optimizer": "sgd"}, r"optimizer .* one of muon, adamw\. Got 'sgd'"),
        ({"schedule": "step"}, r"schedule .* one of cosine, plateau, constant\. Got 'step'"),
        ({"loss_weights": "none"}, r"loss_weights must be a number.*Got 'none'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test__settings__impossible_value__is_named(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**{"steps": 3, **change})


WORKER = """
import sys
sys.path[:0] = {path!r}
import torch
from torch import distributed
distributed.init_process_group(
    "gloo", init_method="file://{rendezvous}", rank=int(sys.argv[1]), world_size=2
)
from test_trainer import trainer, weights
one = trainer(5, batch_size=3, accumulation=2, patience=3)
one.run(folder={folder!r}, seconds=600.0)
torch.save(weights(one), {folder!r} + f"/weights-{{sys.argv[1]}}.pt")
distributed.destroy_process_group()
"""


def test__run__in_two_processes__is_one_process_on_the_same_batch(tmp_path):
    import pathlib

    folder = tmp_path / "run"
    folder.mkdir()
    path = [str(pathlib.Path(__file__).parent), *sys.path]
    code = WORKER.format(path=path, folder=str(folder), rendezvous=tmp_path / "rendezvous")
    workers = [subprocess.Popen([sys.executable, "-c", code, str(rank)]) for rank in (0, 1)]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    first, second = (torch.load(folder / f"weights-{rank}.pt") for rank in (0, 1))
    assert same(first, second)
    alone = trainer(5, batch_size=3, accumulation=2, patience=3)
    alone.run()
    for name, value in weights(alone).items():
        torch.testing.assert_close(first[name], value, rtol=2e-2, atol=2e-3)
    state = read_checkpoint(latest(folder))[0]
    assert state["history"][0]["training"] == pytest.approx(alone.history[0]["training"], rel=1e-4)
