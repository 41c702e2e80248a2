"""Training: losses, optimisers, loop, checkpoints."""

from zoo_multitoken.training.corpus import Batches, TokenStream, split_documents
from zoo_multitoken.training.loss import joint_losses, losses_with_gradients
from zoo_multitoken.training.processes import Processes, join_processes
from zoo_multitoken.training.settings import TrainingSettings
from zoo_multitoken.training.trainer import Trainer

__all__ = [
    "Batches",
    "Processes",
    "TokenStream",
    "Trainer",
    "TrainingSettings",
    "join_processes",
    "joint_losses",
    "losses_with_gradients",
    "split_documents",
]
