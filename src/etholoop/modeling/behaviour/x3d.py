"""X3D (XS, S, M, L) with SlowFast's parameter names: clips of an animal → probabilities of its behaviours.

Weights of SlowFast and of pytorchvideo load as they are (:func:`load_weights`). Source of the network: Feichtenhofer, CVPR 2020.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.modeling.behaviour import _x3d_pytorchvideo
from etholoop.modeling.behaviour._x3d_config import SIZES, X3DConfig, config_from_slowfast, config_of_size
from etholoop.modeling.behaviour._x3d_layers import Head, ResidualBlock, Stem

__all__ = ["SIZES", "X3D", "X3DConfig", "config_from_slowfast", "config_of_size", "load_weights", "new_network"]

State = Mapping[str, torch.Tensor]


class X3D(nn.Module):
    """Clips (n, 3, t, h, w) float32 → in evaluation probabilities (n, classes), in training logits of all windows side by side.

    In evaluation the activation is applied in each place of the pooling window, then the mean over places is taken: pictures may be
    larger than the crop and need not be square. In training with the crop's own size there is one place, so logits are (n, classes).

    Raises:
        EthoLoopError: a clip that is smaller than the pooling window.
    """

    def __init__(self, config: X3DConfig):
        super().__init__()
        self.config = config
        width = config.stem_width
        self.s1 = nn.ModuleDict({"pathway0_stem": Stem(config.n_channels, width)})
        for number, stage in enumerate(config.stages, 2):
            blocks = {}
            for place in range(stage.n_blocks):
                blocks[f"pathway0_res{place}"] = ResidualBlock(width, stage, place)
                width = stage.width
            setattr(self, f"s{number}", nn.ModuleDict(blocks))
        self.head = Head(config)

    def parts(self) -> Iterator[tuple[str, list[nn.Module]]]:
        """The stages before the head in order, each with its blocks."""
        for name in ("s1", "s2", "s3", "s4", "s5"):
            yield name, list(getattr(self, name).values())

    def logits(self, clips: torch.Tensor) -> torch.Tensor:
        """Logits (n, t, h, w, classes) of every place of the pooling window."""
        check_size(self.config, tuple(clips.shape[-3:]))
        for _, blocks in self.parts():
            for block in blocks:
                clips = block(clips)
        return self.head(clips)[0]

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        logits = self.logits(clips)
        return logits.flatten(1) if self.training else probabilities(logits, self.config.head_act)


def probabilities(logits: torch.Tensor, head_act: str) -> torch.Tensor:
    """Logits (n, t, h, w, classes) → probabilities (n, classes): the mean of what each place says."""
    activated = logits.softmax(-1) if head_act == "softmax" else logits.sigmoid()
    return activated.mean((1, 2, 3))


def check_size(config: X3DConfig, size: tuple[int, ...]) -> None:
    """Refuse a clip (t, h, w) on whose last map the pooling window does not fit."""
    frames, height, width = size
    last = (frames, shrunk(height), shrunk(width))
    if any(have < needed for have, needed in zip(last, config.pool_kernel, strict=True)):
        raise EthoLoopError(
            f"clips of {frames} frames, {width}x{height} px: the last map is {last[0]}x{last[1]}x{last[2]} (frames, height, width), "
            f"the network's pooling window is {'x'.join(map(str, config.pool_kernel))}. Give clips of at least {config.n_frames} frames "
            f"whose shorter side is {config.crop_px} px, as the configuration says."
        )


def shrunk(length: int) -> int:
    """What five halvings, each rounded up, leave of a side."""
    for _ in range(5):
        length = (length + 1) // 2
    return length


def new_network(config: X3DConfig, seed: int) -> X3D:
    """A network with random weights that follow from the seed; the global random state is left as it was.

    Convolutions are drawn after He et al. (fan out); the last normalisation of each block starts at 0, so that blocks start as
    identities (Goyal et al. 2017).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = X3D(config)
        for module in network.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in network.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.branch2.c_bn.weight)
        nn.init.normal_(network.head.projection.weight, std=0.01)
        nn.init.zeros_(network.head.projection.bias)
    return network


def load_weights(network: X3D, state: State, where: str) -> list[str]:
    """Put the tensors of a file into a network, all of them and nothing else.

    Args:
        state: SlowFast's layout, with or without a prefix ``module.``, or pytorchvideo's.
        where: the file, for messages.

    Returns:
        Sentences about what was not as expected and how it was handled.

    Raises:
        FaultsError: missing or unknown tensors, or tensors of other shapes; all of them are named.
    """
    state, said = _in_our_layout(network, state, where)
    own = network.state_dict()
    state = {**{name: own[name] for name in own if name.endswith("num_batches_tracked")}, **state}  # old files lack the counters
    faults = [f"{name} is missing" for name in own if name not in state]
    faults += [f"{name} is not part of this network" for name in state if name not in own]
    faults += [
        f"{name} is {_shape(state[name])}, this network has {_shape(own[name])}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if faults:
        raise FaultsError(
            where, faults, "The configuration describes another network than the weights: give the one they were trained with."
        )
    network.load_state_dict(state, strict=True)
    return said


def _in_our_layout(network: X3D, state: State, where: str) -> tuple[dict[str, torch.Tensor], list[str]]:
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    if _x3d_pytorchvideo.is_layout(state):
        return _x3d_pytorchvideo.translated(state, network.state_dict(), where)
    return state, []


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
