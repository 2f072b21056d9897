"""X3D weights as pytorchvideo names them, put into SlowFast's names.

Both are one network but for one place: where the picture is halved and the number of channels stays (the first block of s2),
pytorchvideo's shortcut is not normalised. There the normalisation becomes one that changes nothing.
"""

import re
from collections.abc import Mapping

import torch

from etholoop.errors import FaultsError
from etholoop.modeling.behaviour._x3d_layers import EPS

State = Mapping[str, torch.Tensor]

STEM = {
    "blocks.0.conv.conv_t.": "s1.pathway0_stem.conv_xy.",  # named after its place in a class whose order of looks is turned round
    "blocks.0.conv.conv_xy.": "s1.pathway0_stem.conv.",
    "blocks.0.norm.": "s1.pathway0_stem.bn.",
}

HEAD = {
    "blocks.5.pool.pre_conv.": "head.conv_5.",
    "blocks.5.pool.pre_norm.": "head.conv_5_bn.",
    "blocks.5.pool.post_conv.": "head.lin_5.",
    "blocks.5.pool.post_norm.": "head.lin_5_bn.",
    "blocks.5.proj.": "head.projection.",
}

BLOCK = re.compile(r"^blocks\.([1-4])\.res_blocks\.(\d+)\.(.+)$")

IN_BLOCK = {
    "branch1_conv.": "branch1.",
    "branch1_norm.": "branch1_bn.",
    "branch2.conv_a.": "branch2.a.",
    "branch2.norm_a.": "branch2.a_bn.",
    "branch2.conv_b.": "branch2.b.",
    "branch2.norm_b.0.": "branch2.b_bn.",
    "branch2.norm_b.1.block.0.": "branch2.se.fc1.",
    "branch2.norm_b.1.block.2.": "branch2.se.fc2.",
    "branch2.conv_c.": "branch2.c.",
    "branch2.norm_c.": "branch2.c_bn.",
}


def is_layout(state: State) -> bool:
    """Whether names are pytorchvideo's."""
    return any(name.startswith("blocks.0.conv.") for name in state)


def translated(state: State, own: State, where: str) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The tensors by SlowFast's names, and a sentence about each shortcut that got a normalisation which changes nothing.

    Args:
        own: the tensors of the network that they are for.

    Raises:
        FaultsError: names that are not of pytorchvideo's X3D.
    """
    names = {name: _name(name) for name in state}
    unknown = [f"{name} is not a name of pytorchvideo's X3D" for name, ours in names.items() if ours is None]
    if unknown:
        raise FaultsError(where, unknown, "Give weights of X3D.")
    found = {ours: state[name] for name, ours in names.items() if ours is not None}
    said = []
    for shortcut in sorted(name.removesuffix(".weight") for name in own if name.endswith("branch1_bn.weight") and name not in found):
        found |= {name: _identity(name, tensor) for name, tensor in own.items() if name.startswith(f"{shortcut}.")}
        said.append(
            f"{where}: pytorchvideo's layout has no {shortcut}; a normalisation that changes nothing stands there. Weights that were "
            "converted from SlowFast's have lost theirs: use the original file."
        )
    return found, said


def _name(name: str) -> str | None:
    block = BLOCK.match(name)
    prefix, rest, table = ("", name, STEM | HEAD)
    if block:
        prefix, rest, table = f"s{int(block[1]) + 1}.pathway0_res{block[2]}.", block[3], IN_BLOCK
    return next((f"{prefix}{ours}{rest.removeprefix(theirs)}" for theirs, ours in table.items() if rest.startswith(theirs)), None)


def _identity(name: str, like: torch.Tensor) -> torch.Tensor:
    """Statistics and scale with which a batch normalisation gives back what it gets."""
    if name.endswith(".weight"):
        return torch.full_like(like, (1 + EPS) ** 0.5)
    return torch.ones_like(like) if name.endswith(".running_var") else torch.zeros_like(like)
