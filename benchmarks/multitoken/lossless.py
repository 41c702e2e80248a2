"""Speculative against plain decoding on held-out sources: equal, and how much faster.

Prompts are pieces of ``*.py`` files of the running interpreter's standard library that training
held out (MD5 of the path below ``sysconfig.get_paths()["stdlib"]`` modulo 100 below 4). Every
continuation is made twice by the same backend in the same run, plainly and speculatively, one after
the other; tokens are compared one by one. Tokens per forward leave out continuations that end in a
loop (a period of at most 64 tokens, three times over), which flatter every draft, and with them
the rest of their batch: read it at ``--rows 1``; seconds are of all. Where a configuration needs
``lossless="strict"`` both strategies run in it.

For comparison: arXiv 2404.19737, table S2, 7B and 4 heads on code: 3.50 tokens per forward, 3.05
times faster; table S3, bytes and 8 heads: 7.04 and 6.39.

    python benchmarks/multitoken/lossless.py MODEL [--tokens 100000] [--new 192] [--prompt 256]
        [--rows 1 8] [--configurations torch onnx torch-bf16 onnx-int8] [--draft hybrid heads]

``MODEL`` is what ``zoo.load`` takes: a name such as ``multitoken:stdlib``, or a saved folder.
"""

import argparse
import copy
import hashlib
import itertools
import json
import sysconfig
import time
from pathlib import Path

import numpy as np
import torch

import zoo
from zoo_multitoken.decoding import Backend, Decoding, Options, Statistics, decode
from zoo_multitoken.export import export_model
from zoo_multitoken.onnx_backend import OnnxBackend
from zoo_multitoken.torch_backend import TorchBackend

CONFIGURATIONS = ("torch", "onnx", "torch-bf16", "onnx-int8")
LONGEST_PERIOD = 64


def read_prompts(length, count, *, seed=0):
    """Pieces of held-out files, as tokens."""
    root = Path(sysconfig.get_paths()["stdlib"])
    texts = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if "site-packages" in name or int(hashlib.md5(name.encode()).hexdigest(), 16) % 100 >= 4:
            continue
        if len(content := path.read_bytes()) > 2 * length:
            texts.append(content)
    draw = np.random.default_rng(seed)
    prompts = []
    for number in range(count):
        text = texts[number % len(texts)]
        start = int(draw.integers(len(text) - length))
        prompts.append(np.frombuffer(text[start : start + length], np.uint8).astype(np.int64))
    return prompts


def loops(tokens):
    """Whether a continuation ends in a loop."""
    text = np.array(tokens)
    return any(
        len(text) >= 3 * period and (text[-2 * period :] == text[-3 * period : -period]).all()
        for period in range(1, LONGEST_PERIOD + 1)
    )


def make_backend(name, model) -> tuple[Backend, str]:
    """A backend, and whether it needs strict decoding."""
    if name == "torch":
        return TorchBackend(model), "standard"
    if name == "torch-bf16":
        return TorchBackend(copy.deepcopy(model).to(torch.bfloat16)), "strict"
    dtype = "int8" if name == "onnx-int8" else "float32"
    done = export_model(model, dtype=dtype)
    backend = OnnxBackend(
        done.graphs["model"],
        model.config,
        positions=done.metadata["positions"],
        device="cpu",
        threads=torch.get_num_threads(),
    )
    return backend, "strict" if dtype == "int8" else "standard"


def timed(backend, prompts, options) -> tuple[Decoding, float]:
    """A decoding, and the seconds of this process that it took."""
    clock = time.process_time()
    done = decode(backend, prompts, options).run()
    return done, time.process_time() - clock


def measure(backend, lossless, prompts, rows, draft, new, n_draft):
    """Both strategies over all prompts, batch by batch."""
    options = {"max_new_tokens": new, "draft": draft, "n_draft": n_draft, "lossless": lossless}
    slow_options = Options(strategy="autoregressive", **options)
    seconds = {"plain": 0.0, "speculative": 0.0, "plain_wall": 0.0, "speculative_wall": 0.0}
    tokens = different = left_out = 0
    counted = Statistics()
    for first in range(0, len(prompts), rows):
        batch = prompts[first : first + rows]
        slow, slow_seconds = timed(backend, batch, slow_options)
        fast, fast_seconds = timed(backend, batch, Options(**options))
        seconds["plain"] += slow_seconds
        seconds["speculative"] += fast_seconds
        for name, done in (("plain_wall", slow), ("speculative_wall", fast)):
            seconds[name] += done.statistics.prefill_seconds + done.statistics.decode_seconds
        for one, other in zip(fast.rows, slow.rows, strict=True):
            tokens += len(other.tokens)
            different += sum(a != b for a, b in itertools.zip_longest(one.tokens, other.tokens))
        if any(loops(row.tokens) for row in slow.rows):
            left_out += 1
        else:
            counted.add(fast.statistics)
    return {
        "tokens": tokens,
        "different": different,
        "tokens_per_forward": round(counted.tokens_per_forward, 3) if counted.steps else None,
        "batches_that_loop": left_out,
        "speedup_cpu": round(seconds["plain"] / seconds["speculative"], 3),
        "speedup_wall": round(seconds["plain_wall"] / seconds["speculative_wall"], 3),
        "plain_tokens_per_cpu_second": round(tokens / seconds["plain"], 1),
        "acceptance_heads": [round(each, 3) for each in counted.acceptance("heads")],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=192)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--configurations", nargs="+", default=["torch", "onnx"])
    parser.add_argument("--draft", nargs="+", default=["hybrid", "heads"])
    parser.add_argument("--n-draft", nargs="+", default=["auto", "3", "7"])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = zoo.load(arguments.model).model_.eval()
    prompts = read_prompts(arguments.prompt, -(-arguments.tokens // arguments.new))
    results = []
    for name in arguments.configurations:
        if name not in CONFIGURATIONS:
            parser.error(f"--configurations must be among {CONFIGURATIONS}. Got {name!r}.")
        backend, lossless = make_backend(name, model)
        for rows, draft, n_draft in itertools.product(
            arguments.rows, arguments.draft, arguments.n_draft
        ):
            length = n_draft if n_draft == "auto" else int(n_draft)
            found = measure(backend, lossless, prompts, rows, draft, arguments.new, length)
            results.append(
                {"backend": name, "rows": rows, "draft": draft, "n_draft": n_draft, **found}
            )
            print(*(f"{key}={value}" for key, value in results[-1].items()), flush=True)
    print(json.dumps({"benchmark": "multitoken/lossless", "results": results}))


if __name__ == "__main__":
    main()
