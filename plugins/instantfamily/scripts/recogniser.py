"""What the two training scripts share: command line, log, weights, figures."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from zoo_instantfamily.encoders import RecogniserTraining, save_weights, verify
from zoo_instantfamily.encoders.shipped import WEIGHTS

__all__ = ["main"]


def main(name: str, build: Callable[[], Any], training: RecogniserTraining) -> None:
    """Train ``build()`` and write ``name``.safetensors and ``name``.log.json."""
    parser = argparse.ArgumentParser(description=f"Train the {name} of drawn faces.")
    parser.add_argument("--steps", type=int, default=training.steps)
    parser.add_argument("--checkpoint", type=Path, default=Path(f"{name}.checkpoint.safetensors"))
    parser.add_argument("--folder", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(training.seed)
    training = replace(training, steps=options.steps)
    model = build()
    lines: list[str] = []

    def report(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    training.run(model, image_size=model.image_size, checkpoint=options.checkpoint, report=report)
    options.folder.mkdir(parents=True, exist_ok=True)
    save_weights(model, options.folder / f"{name}.safetensors")
    model.load_state_dict({k: v.half().to(v.dtype) for k, v in model.state_dict().items()})
    figures = asdict(verify(model, size=model.image_size))
    log = {
        "training": asdict(training),
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "progress": lines,
        "unseen people": figures,
    }
    (options.folder / f"{name}.log.json").write_text(json.dumps(log, indent=2) + "\n")
    print(json.dumps(figures))
