"""What the attention processors of one pipeline share during one call."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from zoo_instantfamily.stack import FamilyStack, Gains

__all__ = ["FamilyState", "caching"]

T = TypeVar("T")
KeyValue = tuple[Tensor, Tensor]


def caching() -> bool:
    """Whether values may be kept from one step to the next: not in training, nor when tracing."""
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling())


class FamilyState:
    """Holds the stack of the call, the step, and what is computed once for all steps.

    The loop of a diffusers pipeline passes ``cross_attention_kwargs`` to the UNet and not to the
    ControlNet; the processors of both hold this object instead. It belongs to one pipeline: two
    pipelines in two threads do not see each other.

    Attributes
    ----------
    stack : FamilyStack or None
        ``None`` outside a call; the processors then compute plain attention.
    isolated : bool
        Whether regions are kept apart in self-attention.
    keys_values : mapping of str to (Tensor, Tensor)
        For layers with keys and values of their own (`zoo_instantfamily.adapter`), by layer.
    gains : tuple of tuple of float, or None
        Strengths at the current step.
    """

    def __init__(self) -> None:
        self.stack: FamilyStack | None = None
        self.isolated = False
        self.keys_values: Mapping[str, KeyValue] = {}
        self.gains: Gains | None = None
        self._total: Callable[[], int] = lambda: 1
        self._step: int | None = None
        self._kept: dict[Hashable, Any] = {}
        self._projected: dict[str, tuple[Hashable, tuple[Any, ...], KeyValue]] = {}

    def start(
        self,
        stack: FamilyStack,
        *,
        isolated: bool = False,
        keys_values: Mapping[str, KeyValue] | None = None,
        total: Callable[[], int] | None = None,
    ) -> None:
        """Begin a call.

        Parameters
        ----------
        stack : FamilyStack
            The identities.
        isolated : bool, default=False
            Keep regions apart in self-attention.
        keys_values : mapping of str to (Tensor, Tensor), or None
            Keys and values of the layers that have their own.
        total : callable or None, default=None
            Returns the number of steps, known only once the loop has begun; needed for windows.
        """
        self.stop()
        self.stack = stack
        self.isolated = isolated
        self.keys_values = keys_values or {}
        self._total = total or (lambda: 1)
        self._step = 0 if stack.window is not None else None
        self.gains = stack.gains(0, 1) if stack.window is None else None

    def advance(self, step: int) -> None:
        """Go on to a step, counted from 0; before the loop has set its steps the first is open."""
        self._step = step

    def settle(self) -> None:
        """Bring `gains` up to the current step; the processors call it first."""
        if self._step is not None and self.stack is not None:
            total = max(self._total(), 1)
            self.gains = self.stack.gains(min(self._step, total - 1), total)
            self._step = None

    def stop(self) -> None:
        """End the call and let go of everything kept for it."""
        self.stack = None
        self.isolated = False
        self.keys_values = {}
        self.gains = None
        self._step = None
        self._kept.clear()
        self._projected.clear()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """A value of this call, computed at its first use.

        Parameters
        ----------
        key : hashable
            Everything it depends on besides the stack.
        make : callable
            Computes it.

        Returns
        -------
        object
        """
        if not caching():
            return make()
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def project(
        self,
        name: str,
        layers: tuple[nn.Module, ...],
        inputs: tuple[Tensor, ...],
        make: Callable[[], KeyValue],
    ) -> KeyValue:
        """Keys and values of one layer, computed once as long as inputs and weights stay.

        Inputs and weights are compared by address and version counter and are held on to, so that
        an address cannot come back as another tensor. Where a change could go unseen (a layer that
        is not a plain `torch.nn.Linear`, as under LoRA; inference tensors, which have no version)
        nothing is kept.

        Parameters
        ----------
        name : str
            The layer.
        layers : tuple of Module
            Whose weights are used.
        inputs : tuple of Tensor
            What they are applied to.
        make : callable
            Computes the pair.

        Returns
        -------
        tuple of (Tensor, Tensor)
        """
        if not caching():
            return make()
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        held = (*inputs, *(layer.weight for layer in linear))
        if len(linear) < len(layers) or any(tensor.is_inference() for tensor in held):
            return make()
        key = tuple(_signature(tensor) for tensor in held)
        known = self._projected.get(name)
        if known is None or known[0] != key:
            known = (key, held, make())
            self._projected[name] = known
        return known[2]


def _signature(tensor: Tensor) -> Hashable:
    return (
        tensor.data_ptr(),
        tensor._version,
        tensor.shape,
        tensor.stride(),
        tensor.dtype,
        tensor.device,
    )
