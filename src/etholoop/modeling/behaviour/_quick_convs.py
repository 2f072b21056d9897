"""The three kinds of 3-D convolution of X3D, computed by what a CPU does fast: matrix products and 2-D convolutions.

PyTorch's own 3-D convolutions copy their input many times on a CPU, and more so backwards. The parameters stay as and where they are, so
weights, names of weights and (but for the last bits) results are the same.
"""

import torch
from torch import nn
from torch.nn import functional


class Pointwise(nn.Conv3d):
    """1x1x1, any stride: a matrix product, channels last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        strides = [slice(None, None, step) for step in self.stride]
        x = x[:, :, strides[0], strides[1], strides[2]].permute(0, 2, 3, 4, 1)
        return functional.linear(x, self.weight.flatten(1), self.bias).permute(0, 4, 1, 2, 3)


class Depthwise(nn.Conv3d):
    """3x3x3 on each channel by itself, stride in space only: one 2-D convolution for each of the three moments, added up."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = _frames(x)
        before, now, after = (
            functional.conv2d(frames, self.weight[:, :, tap], stride=self.stride[1:], padding=1, groups=self.groups) for tap in range(3)
        )
        n, t = x.shape[0], x.shape[2]
        before, now, after = (seen.unflatten(0, (n, t)) for seen in (before, now, after))
        # tap 0 looks at the picture before, tap 2 at the one behind; beyond the ends there is nothing
        edge = torch.zeros_like(now[:, :1])
        y = now + torch.cat([edge, before[:, :-1]], 1) + torch.cat([after[:, 1:], edge], 1)
        return y.transpose(1, 2)


class Spatial(nn.Conv3d):
    """1x3x3: a 2-D convolution of each picture."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.conv2d(_frames(x), self.weight[:, :, 0], self.bias, self.stride[1:], self.padding[1:], groups=self.groups)
        return y.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


def _frames(x: torch.Tensor) -> torch.Tensor:
    """Clips (n, c, t, h, w) as pictures (n t, c, h, w), channels last: a view where they are so already."""
    return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def quicken(network: nn.Module) -> nn.Module:
    """Let the convolutions of a network on a CPU compute in the fast way; the network itself is changed."""
    for module in network.modules():
        kind = _kind(module) if type(module) is nn.Conv3d else None
        if kind is not None:
            module.__class__ = kind
    return network


def _kind(module: nn.Conv3d) -> type[nn.Conv3d] | None:
    if module.kernel_size == (1, 1, 1) and module.groups == 1 and not any(module.padding):
        return Pointwise
    deep = module.groups == module.in_channels == module.out_channels and module.bias is None
    if module.kernel_size == (3, 3, 3) and deep and module.stride[0] == 1 and tuple(module.padding) == (1, 1, 1):
        return Depthwise
    if module.kernel_size[0] == 1 and module.stride[0] == 1 and module.padding[0] == 0:
        return Spatial
    return None
