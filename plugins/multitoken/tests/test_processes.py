"""Training by several processes, started as accelerate and torchrun start them."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import zoo
from zoo_multitoken import MultiTokenLM

TEXTS = ["the cat sat on the mat. " * 6, "the dog sat on the log. " * 6]
GIVEN = {
    "n_heads": 3,
    "d_model": 16,
    "n_layers": 2,
    "attention_heads": 2,
    "context": 16,
    "batch_size": 5,
    "accumulation": 2,
    "max_steps": 6,
    "evaluate_every": 3,
    "device": "cpu",
    "random_state": 0,
    # Muon turns rounding of tiny gradients into whole steps.
    "optimizer": "adamw",
}
SCRIPT = """
import sys
import torch
from zoo_multitoken import MultiTokenLM
lm = MultiTokenLM(**{given!r}).fit({texts!r})
assert torch.distributed.get_world_size() == 2
lm.save_pretrained(sys.argv[1] + str(torch.distributed.get_rank()))
torch.distributed.destroy_process_group()
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test__fit__by_two_processes__is_one_process_on_the_same_batches(tmp_path):
    code = SCRIPT.format(given=GIVEN, texts=TEXTS)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "lm")],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            | shared
            | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    one, other = (zoo.load(tmp_path / f"lm{rank}") for rank in (0, 1))
    alone = MultiTokenLM(**GIVEN).fit(TEXTS)
    assert one.n_steps_ == alone.n_steps_ == 6
    assert one.n_bytes_seen_ == alone.n_bytes_seen_
    for mine, theirs in zip(one.history_, alone.history_, strict=True):
        assert mine["training"] == pytest.approx(theirs["training"], rel=1e-5)
    assert np.array_equal(one.predict_proba(TEXTS), other.predict_proba(TEXTS))
    np.testing.assert_allclose(one.predict_proba(TEXTS), alone.predict_proba(TEXTS), rtol=1e-3)


def test__fit__without_a_launcher__starts_no_process_group(monkeypatch):
    import torch

    monkeypatch.setenv("WORLD_SIZE", "1")
    MultiTokenLM(**GIVEN).fit(TEXTS)
    assert not torch.distributed.is_initialized()
