"""The parts of X3D, with the parameter names of SlowFast."""

import torch
from torch import nn

from etholoop.modeling.behaviour._x3d_config import Stage, X3DConfig

EPS, MOMENTUM = 1e-5, 0.1
"""Of every batch normalisation."""


def norm(channels: int) -> nn.BatchNorm3d:
    return nn.BatchNorm3d(channels, eps=EPS, momentum=MOMENTUM)


def pointwise(n_in: int, n_out: int, stride: int = 1, bias: bool = False) -> nn.Conv3d:
    """1 × 1 × 1 convolution; ``stride`` in space only."""
    return nn.Conv3d(n_in, n_out, 1, (1, stride, stride), bias=bias)


class Stem(nn.Module):
    """A 3 × 3 look at each picture, then a 5-picture look of each channel along time."""

    def __init__(self, n_in: int, width: int):
        super().__init__()
        self.conv_xy = nn.Conv3d(n_in, width, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.conv = nn.Conv3d(width, width, (5, 1, 1), padding=(2, 0, 0), groups=width, bias=False)
        self.bn = norm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(self.conv_xy(x))).relu_()


class SqueezeExcitation(nn.Module):
    """Each channel is weighed by what the whole clip shows."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.fc1 = pointwise(channels, squeezed, bias=True)
        self.fc2 = pointwise(squeezed, channels, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.fc2(self.fc1(x.mean((2, 3, 4), keepdim=True)).relu()).sigmoid()


class Bottleneck(nn.Module):
    """Widen, look 3 × 3 × 3 in each channel, weigh the channels in every second block, narrow."""

    def __init__(self, n_in: int, stage: Stage, stride: int, weighs: bool):
        super().__init__()
        self.a = pointwise(n_in, stage.inner)
        self.a_bn = norm(stage.inner)
        self.b = nn.Conv3d(stage.inner, stage.inner, 3, (1, stride, stride), 1, groups=stage.inner, bias=False)
        self.b_bn = norm(stage.inner)
        self.se = SqueezeExcitation(stage.inner, stage.squeezed) if weighs else None
        self.c = pointwise(stage.inner, stage.width)
        self.c_bn = norm(stage.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.b_bn(self.b(self.a_bn(self.a(x)).relu_()))
        if self.se is not None:
            x = self.se(x)
        return self.c_bn(self.c(nn.functional.silu(x)))


class ResidualBlock(nn.Module):
    """A bottleneck added to its input; where the picture gets smaller, the input goes through a projection."""

    def __init__(self, n_in: int, stage: Stage, place: int):
        super().__init__()
        if place == 0:
            self.branch1 = pointwise(n_in, stage.width, stride=2)
            self.branch1_bn = norm(stage.width)
        self.branch2 = Bottleneck(n_in, stage, stride=2 if place == 0 else 1, weighs=place % 2 == 0)
        self.projects = place == 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self.branch1_bn(self.branch1(x)) if self.projects else x
        return (shortcut + self.branch2(x)).relu_()


class Head(nn.Module):
    """One answer for each place of the pooling window."""

    def __init__(self, config: X3DConfig):
        super().__init__()
        last = config.stages[-1]
        inner = int(config.bottleneck_factor * last.width)
        self.conv_5 = pointwise(last.width, inner)
        self.conv_5_bn = norm(inner)
        self.avg_pool = nn.AvgPool3d(config.pool_kernel, stride=1)
        self.lin_5 = pointwise(inner, config.dim_c5)
        self.lin_5_bn = norm(config.dim_c5) if config.bn_lin5 else None
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Linear(config.dim_c5, config.n_classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, t, h, w, classes) and the features (n, t, h, w, dim_c5) that they are made from."""
        x = self.avg_pool(self.conv_5_bn(self.conv_5(x)).relu_())
        x = self.lin_5(x)
        if self.lin_5_bn is not None:
            x = self.lin_5_bn(x)
        features = x.relu_().permute(0, 2, 3, 4, 1)
        return self.projection(self.dropout(features)), features
