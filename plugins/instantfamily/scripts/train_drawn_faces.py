"""Train the model ``drawn-faces``: several drawn people in a picture of 64 pixels and more.

Run ``python plugins/instantfamily/scripts/train_drawn_faces.py --folder run``; killed and started
again with the same command it goes on from its last checkpoint. ``loss.png`` and sheets of samples
(faces given, picture to be drawn, picture drawn) appear in the folder on the way. ``--steps`` may
be changed as long as the learning rate has not begun to fall, which it does in the last fifth.
``--export model`` writes the pipeline with the averaged weights of the last checkpoint, in half
precision, and trains nothing. ``accelerate launch`` shares the work between processes.
"""

import argparse
import json
import os
from pathlib import Path


def main() -> None:
    """Train, or export what is trained."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="checkpoints and pictures")
    parser.add_argument("--steps", type=int, default=24_000)
    parser.add_argument("--until", type=int, help="stop after this step")
    parser.add_argument("--batch", type=int, default=8, help="pictures in a batch")
    parser.add_argument("--accumulation", type=int, default=2, help="batches in a step")
    parser.add_argument("--rate", type=float, default=6e-4, help="peak learning rate")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", default="no", help="no, bf16 or fp16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint-every", type=int, default=200)
    parser.add_argument("--picture-every", type=int, default=1000)
    parser.add_argument("--export", type=Path, help="write the pipeline into this folder")
    options = parser.parse_args()

    import torch
    from accelerate import Accelerator

    from zoo_instantfamily.drawn_model import build_drawn_faces
    from zoo_instantfamily.training import DrawnSource, FamilyTrainer, TrainingSettings
    from zoo_instantfamily.training.checkpoint import find_checkpoint

    torch.set_num_threads(options.threads)
    settings = TrainingSettings(
        steps=options.steps,
        accumulation=options.accumulation,
        networks=("unet", "controlnet", "id_projector", "text_encoder"),
        rate=options.rate,
        warmup=200,
        average=0.9995,
        identity_weight=0.02,
        mixed_precision=options.precision,
        seed=5,
    )
    source = DrawnSource(seed=1005, batch_size=options.batch, device=options.device)
    trainer = FamilyTrainer(
        build_drawn_faces(seed=5),
        source,
        settings,
        accelerator=Accelerator(
            cpu=options.device == "cpu", mixed_precision=settings.mixed_precision
        ),
    )
    if options.export is not None:
        found = find_checkpoint(options.folder)
        if found is None:
            parser.error(f"there is no checkpoint in {options.folder}")
        trainer.restore(found)
        with trainer.averaged() as pipe:
            pipe.to(dtype=torch.float16).save_pretrained(options.export, overwrite=True)
        print(json.dumps({"step": trainer.step, "folder": os.fspath(options.export)}))
        return
    trainer.run(
        options.folder,
        checkpoint_every=options.checkpoint_every,
        picture_every=options.picture_every,
        until=options.until,
    )
    loss = trainer.history[-1][1] if trainer.history else None
    print(json.dumps({"step": trainer.step, "loss": loss}))


if __name__ == "__main__":
    main()
