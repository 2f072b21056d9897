"""Training with half of the bits: bfloat16 keeps the range of float32 and the networks we train do not mind its few digits.

Weights, their averages, normalisation, losses and the optimizer stay in float32; only convolutions and products are rounded (mixed
precision, Micikevicius et al. 2018; bfloat16, Kalamkar et al. 2019). It pays where the processor multiplies such numbers itself.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch.utils._pytree import tree_map_only

Precision = Literal["float32", "bfloat16", "auto"]

IN_HARDWARE = ("amx_bf16", "avx512_bf16")
"""Abilities of processors that multiply bfloat16 faster than float32."""


def resolved(precision: Precision, device: str = "cpu") -> str:
    """``float32`` or ``bfloat16``; ``auto`` is bfloat16 where the device multiplies it in hardware."""
    if precision != "auto":
        return precision
    return "bfloat16" if _in_hardware(torch.device(device)) else "float32"


def _in_hardware(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(able.get(name, False) for name in IN_HARDWARE)


def casting(precision: str, device: str = "cpu") -> AbstractContextManager[Any]:
    """The context in which a network runs forward at a resolved precision."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def cast(forward: Callable[..., Any], precision: str, device: str = "cpu") -> Callable[..., Any]:
    """A forward pass at a resolved precision whose answers are float32, as losses want them."""

    def run(*arguments: Any, **options: Any) -> Any:
        with casting(precision, device):
            answer = forward(*arguments, **options)
        return tree_map_only(torch.Tensor, lambda tensor: tensor.float() if tensor.dtype is torch.bfloat16 else tensor, answer)

    return run if precision == "bfloat16" else forward
