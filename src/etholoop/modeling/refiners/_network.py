"""A small network for heatmaps: the body of YOLOv8n, whose COCO weights can be had, and two finer layers on top.

The body follows the layer numbers of YOLOv8n (``model.0`` … ``model.15``), so that its tensors are found by name.
"""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDE = 2
"""Crop pixels per heatmap pixel."""


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, SiLU."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 1, stride: int = 1):
        super().__init__()
        self.conv: nn.Conv2d = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.03)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.silu(self.bn(self.conv(x)))


class Residual(nn.Module):
    """Two 3 × 3 convolutions, added to their input where ``shortcut``."""

    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.cv1 = ConvBlock(channels, channels, 3)
        self.cv2 = ConvBlock(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class CrossStage(nn.Module):
    """YOLOv8's C2f: half of the channels go through a chain of residual blocks, and all steps of the chain are joined."""

    def __init__(self, n_in: int, n_out: int, n_blocks: int = 1, shortcut: bool = False):
        super().__init__()
        half = n_out // 2
        self.cv1 = ConvBlock(n_in, 2 * half)
        self.cv2 = ConvBlock((2 + n_blocks) * half, n_out)
        self.m = nn.ModuleList(Residual(half, shortcut) for _ in range(n_blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            steps.append(block(steps[-1]))
        return self.cv2(torch.cat(steps, 1))


class PooledPyramid(nn.Module):
    """YOLOv8's SPPF: three poolings in a row give three wider looks."""

    def __init__(self, channels: int):
        super().__init__()
        self.cv1 = ConvBlock(channels, channels // 2)
        self.cv2 = ConvBlock(channels * 2, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        looks = [self.cv1(x)]
        for _ in range(3):
            looks.append(functional.max_pool2d(looks[-1], 5, 1, 2))
        return self.cv2(torch.cat(looks, 1))


class HeatmapNetwork(nn.Module):
    """Crops (n, 3, s, s) in 0 … 1 → logits (n, K, s / 2, s / 2)."""

    def __init__(self, n_keypoints: int, width: int):
        super().__init__()
        self.model = nn.ModuleDict(
            {
                "0": ConvBlock(3, 16, 3, 2),
                "1": ConvBlock(16, 32, 3, 2),
                "2": CrossStage(32, 32, 1, True),
                "3": ConvBlock(32, 64, 3, 2),
                "4": CrossStage(64, 64, 2, True),
                "5": ConvBlock(64, 128, 3, 2),
                "6": CrossStage(128, 128, 2, True),
                "7": ConvBlock(128, 256, 3, 2),
                "8": CrossStage(256, 256, 1, True),
                "9": PooledPyramid(256),
                "12": CrossStage(384, 128),
                "15": CrossStage(192, 64),
            }
        )
        self.fine = CrossStage(64 + 32, width)
        self.finest = nn.Sequential(ConvBlock(width + 16, width, 3), ConvBlock(width, width, 3))
        self.out = nn.Conv2d(width, n_keypoints, 1)
        nn.init.normal_(self.out.weight, std=0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        m = self.model
        half = m["0"](x)
        quarter = m["2"](m["1"](half))
        eighth = m["4"](m["3"](quarter))
        sixteenth = m["6"](m["5"](eighth))
        deepest = m["9"](m["8"](m["7"](sixteenth)))
        y = m["12"](torch.cat([_double(deepest), sixteenth], 1))
        y = m["15"](torch.cat([_double(y), eighth], 1))
        y = self.fine(torch.cat([_double(y), quarter], 1))
        return self.out(self.finest(torch.cat([_double(y), half], 1)))


def new_network(n_keypoints: int, width: int, seed: int) -> HeatmapNetwork:
    """A network with random weights that follow from the seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HeatmapNetwork(n_keypoints, width)


def fused(network: HeatmapNetwork) -> HeatmapNetwork:
    """The network in use: normalisations are worked into the convolutions before them. The network itself is changed."""
    for block in network.eval().modules():
        if isinstance(block, ConvBlock):
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
    return network


def _double(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")
