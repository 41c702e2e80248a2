"""Several processes that share the rows of every batch, each with the whole model.

The process group of ``torch.distributed`` is used where there is one; `join_processes`
makes it where ``accelerate launch`` or ``torchrun`` started the program. All know the whole batch
and read their own rows of it; the gradients are divided by the counts of the whole batch before
they are added up, so that a step is that of one process on the same batch.
"""

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed

__all__ = ["Processes", "join_processes"]


def join_processes() -> None:
    """Join the other processes of the program, where a launcher started several.

    ``accelerate launch`` and ``torchrun`` say so in the environment (``WORLD_SIZE`` and others).
    Each process of a machine takes the GPU of its number. Without a launcher, and where there is a
    process group already, nothing happens.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
    if not several or not distributed.is_available() or distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


class Processes:
    """The processes of a training, or the only one.

    Attributes
    ----------
    rank, size : int
        Which this is, and of how many.
    """

    def __init__(self) -> None:
        several = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if several else 0
        self.size = distributed.get_world_size() if several else 1

    def rows(self, ids: Tensor) -> Tensor:
        """The rows of a batch that belong to the calling process.

        Parameters
        ----------
        ids : Tensor of shape (batch, length)

        Returns
        -------
        Tensor of shape (own rows, length)
        """
        return ids[self.rank :: self.size]

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their sums over the processes, in one message.

        Parameters
        ----------
        tensors : iterable of Tensor
            Of one dtype and device, the same shapes in the same order everywhere.
        """
        parts = list(tensors)
        if self.size == 1 or not parts:
            return
        flat = torch.cat([part.reshape(-1) for part in parts])
        distributed.all_reduce(flat)
        for part, total in zip(parts, flat.split([p.numel() for p in parts]), strict=True):
            part.copy_(total.view_as(part))

    def agree(self, decision: object, device: torch.device) -> bool:
        """What the first process decides.

        Parameters
        ----------
        decision : object
            Of this process; true or false.
        device : torch.device

        Returns
        -------
        bool
        """
        if self.size == 1:
            return bool(decision)
        flag = torch.tensor([int(bool(decision))], device=device)
        distributed.broadcast(flag, 0)
        return bool(flag.item())

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            distributed.barrier()
