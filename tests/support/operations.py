"""Cost of a torch module, counted from the operators that it calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

EXPONENTIALS = {"sigmoid", "sigmoid_", "tanh", "tanh_", "silu", "silu_", "_softmax", "exp", "exp_", "log", "pow"}


class Exponentials(TorchDispatchMode):
    """Counts the values of exponential functions while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in EXPONENTIALS and not (name == "pow" and args[1] == 2):  # which is a product
            self.values += answer.numel()
        return answer


def count_operations(module: nn.Module, call: Callable[[], object]) -> tuple[int, int, int]:
    """Multiply-adds of products, values of exponential functions, and steps of recurrences in one call."""
    steps = 0

    def add_steps(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal steps
        steps += inputs[0].shape[0]

    hooks = [part.register_forward_pre_hook(add_steps) for part in module.modules() if isinstance(part, nn.GRU)]
    with torch.no_grad(), FlopCounterMode(display=False) as products, Exponentials() as exponentials:
        call()
    for hook in hooks:
        hook.remove()
    return products.get_total_flops() // 2, exponentials.values, steps
