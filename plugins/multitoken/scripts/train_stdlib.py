"""Train a byte-level model on the sources of the running interpreter's standard library.

Run again with the same folder, the training goes on from its last checkpoint, bit for bit as if it
had never been interrupted (also by SIGKILL)::

    python plugins/multitoken/scripts/train_stdlib.py --out runs/stdlib --threads 1

The texts are the ``*.py`` files below ``sysconfig.get_paths()["stdlib"]``, without installed
packages unless ``--site-packages`` is given, equal files once. A file is held out when the MD5 of
its path relative to that folder leaves a remainder below 4 by 100; ``held_out.txt`` lists them.
``log.jsonl`` gets a line per evaluation: bytes read, CPU seconds of this process, and of the
held-out files bits per byte and accuracy of every head. ``--stop-after SECONDS`` ends a sitting.
``--steps`` may be changed for as long as less than 70 % of the smaller number are done.

``--export FOLDER`` trains no further, but writes the last checkpoint as a model for ``zoo.load``,
its weights rounded to half precision, and prints what it makes of the held-out files.
"""

import argparse
import hashlib
import json
import math
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo_multitoken import MultiTokenLM
from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.tokens import ByteTokenizer
from zoo_multitoken.training import TokenStream, Trainer, TrainingSettings
from zoo_multitoken.training.checkpoint import latest

CONFIG = ModelConfig(
    n_heads=8,
    head="causal",
    d_model=256,
    n_layers=5,
    attention_heads=4,
    kv_heads=2,
    d_ff=640,
    d_head=96,
    context=512,
)


def read_corpus(*, site_packages: bool) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Sources by path, those to train on and those held out."""
    root = Path(sysconfig.get_paths()["stdlib"])
    folders = [root]
    if site_packages:
        folders.append(Path(sysconfig.get_paths()["purelib"]))
    training: dict[str, bytes] = {}
    held_out: dict[str, bytes] = {}
    seen: set[bytes] = set()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder).as_posix()
            if folder is root and {"site-packages", "dist-packages"} & set(path.parts[:-1]):
                continue
            content = path.read_bytes()
            digest = hashlib.md5(content).digest()
            if not content or digest in seen:
                continue
            seen.add(digest)
            held = int(hashlib.md5(name.encode()).hexdigest(), 16) % 100 < 4
            (held_out if held else training)[name] = content
    return training, held_out


def export(trainer: Trainer, arguments: argparse.Namespace, held_out: list[bytes]) -> None:
    """Write the last checkpoint as a model, and print its scores as one line of JSON."""
    found = latest(arguments.out / "checkpoints")
    if found is None:
        sys.exit(f"There is no checkpoint in {arguments.out / 'checkpoints'}.")
    trainer.load(found)
    lm = MultiTokenLM.from_model(trainer.model, ByteTokenizer(), random_state=0)
    lm.n_steps_, lm.history_ = trainer.step, trainer.history
    lm.n_bytes_seen_ = trainer.step * trainer.tokens_per_batch
    lm.round_weights().save_pretrained(arguments.export, overwrite=True)
    scores = lm.evaluate(held_out)
    size = (arguments.export / "model.safetensors").stat().st_size
    line = {name: values.round(4).tolist() for name, values in scores.items()}
    print(json.dumps({"step": trainer.step, "tensor_file_bytes": size, **line}))


def main() -> None:
    """Train, or go on with a training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--evaluate-every", type=int, default=500)
    parser.add_argument("--checkpoint-seconds", type=float, default=240.0)
    parser.add_argument("--stop-after", type=float, default=None, metavar="SECONDS")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--site-packages", action="store_true")
    parser.add_argument("--export", type=Path, default=None, metavar="FOLDER")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    training, held_out = read_corpus(site_packages=arguments.site_packages)
    arguments.out.mkdir(parents=True, exist_ok=True)
    names = "".join(f"{name}\n" for name in held_out)
    (arguments.out / "held_out.txt").write_text(names, encoding="utf-8")
    tokenizer = ByteTokenizer()
    streams = [TokenStream.of(part.values(), tokenizer) for part in (training, held_out)]
    settings = TrainingSettings(
        steps=arguments.steps,
        length=CONFIG.context,
        batch_size=arguments.batch_size,
        schedule="plateau",
        mixed=True,
        evaluate_every=arguments.evaluate_every,
    )
    model = MultiTokenModel(CONFIG, generator=torch.Generator().manual_seed(settings.seed))
    model.to(arguments.device)
    print(
        f"{model.n_parameters:,} parameters; {len(training)} files of {streams[0].n_bytes:,} bytes "
        f"to train on, {len(held_out)} files of {streams[1].n_bytes:,} bytes held out"
    )
    per_step = settings.batch_size * settings.length
    begun = time.process_time()

    def listen(event: Mapping[str, Any]) -> None:
        if "held_out" not in event:
            return
        entry = {
            "step": event["step"],
            "steps": settings.steps,
            "bytes": event["step"] * per_step,
            "cpu_seconds": round(time.process_time() - begun, 1),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "rate": round(event["rate"], 4),
            "training_bits": [round(value / math.log(2), 4) for value in event["training"]],
            "bits_per_byte": [round(value / math.log(2), 4) for value in event["held_out"]],
            "accuracy": [round(value, 4) for value in event["accuracy"]],
        }
        with open(arguments.out / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)

    trainer = Trainer(model, settings, *streams, listener=listen)
    if arguments.export is not None:
        export(trainer, arguments, list(held_out.values()))
        return
    finished = trainer.run(
        folder=arguments.out / "checkpoints",
        checkpoint_seconds=arguments.checkpoint_seconds,
        seconds=arguments.stop_after,
    )
    print(f"{trainer.step} of {settings.steps} steps are done")
    sys.exit(0 if finished else 3)


if __name__ == "__main__":
    main()
