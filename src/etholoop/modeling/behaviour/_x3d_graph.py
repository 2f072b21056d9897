"""X3D as an OpenVINO graph, in which clips that share pictures share the first layers.

The graph is made layer by layer from the network's weights (tracing the network takes a hundred times longer), with normalisations folded
into the convolutions. It computes the network's sums in another order, in float32; no layer is left out.

**What is shared.** Clip k of a unit sees pictures k·step … k·step + n − 1. Up to the first squeeze-and-excitation, which looks at a whole
clip, a value leans on three pictures to either side at most, and at the ends of a clip on the zeros that stand for what lies outside it.
So values of inner places are computed once for all clips, and only those of the outer places of either end, two in the stem and three in
the first block, for each clip: there, taps on pictures outside the clip are left out.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import nn

from etholoop.modeling.behaviour._clip_pixels import PixelRule
from etholoop.modeling.behaviour._x3d_layers import Bottleneck, Head, ResidualBlock, SqueezeExcitation
from etholoop.modeling.behaviour.x3d import X3D

Node = Any
DEPTH = 2
"""Axis of time in (clips, channels, time, height, width)."""

LEAST_FRAMES, MOST_STEP = 8, 8
"""Sharing needs clips of some length that overlap much; all others are taken apart behind the look at single pictures."""


def graph(network: X3D, rule: PixelRule, height: int, width: int, *, n_clips: int, step: int) -> Any:
    """The OpenVINO model for units of ``n_clips`` clips, ``step`` pictures apart: (p, height, width, 3) uint8 → (n_clips, classes)."""
    import openvino

    made = _Graph(network, n_clips, step)
    n_pictures = step * (n_clips - 1) + network.config.n_frames
    pictures = made.ops.parameter([n_pictures, height, width, 3], np.uint8)
    return openvino.Model([made.probabilities(pictures, rule)], [pictures], "x3d")


def look_graph(network: X3D, rule: PixelRule, height: int, width: int, n: int) -> Any:
    """The OpenVINO model of the look at ``n`` single pictures: (n, height, width, 3) uint8 → (n, height / 2, width / 2, channels)."""
    import openvino

    made = _Graph(network, 1, 1)
    pictures = made.ops.parameter([n, height, width, 3], np.uint8)
    # as pictures and not as a clip, which is quicker
    x = made.ops.transpose(made.values(pictures, rule), whole([0, 3, 1, 2]))
    x = made.ops.convolution(x, weight_of(network.s1["pathway0_stem"].conv_xy)[:, :, 0], [2, 2], [1, 1], [1, 1], [1, 1])
    return openvino.Model([made.ops.transpose(x, whole([0, 2, 3, 1]))], [pictures], "x3d")


def clip_graph(network: X3D, shape: tuple[int, ...]) -> Any:
    """The OpenVINO model of everything behind that look, of one clip: (n_frames, *shape) → (1, classes)."""
    import openvino

    made = _Graph(network, 1, 1)
    looks = made.ops.parameter([network.config.n_frames, *shape], np.float32)
    x = made.ops.transpose(made.ops.unsqueeze(looks, whole([0])), whole([0, 4, 1, 2, 3]))
    return openvino.Model([made.behind_looks(x)], [looks], "x3d")


class _Graph:
    """Puts nodes together. Tensors are (clips, channels, time, height, width)."""

    def __init__(self, network: X3D, n_clips: int, step: int):
        from openvino import opset13

        self.ops: Any = opset13
        self.network, self.n_clips, self.step = network, n_clips, step
        self.n_frames = network.config.n_frames

    def probabilities(self, pictures: Node, rule: PixelRule) -> Node:
        looks = self.looks(pictures, rule)
        blocks = self.blocks()
        if self.n_frames >= LEAST_FRAMES and self.step <= MOST_STEP and self.n_clips > 1:
            return self.behind(self.shared(looks, blocks[0]), blocks[1:])
        return self.behind_looks(self.ops.concat([self.cut(looks, self.step * clip, self.n_frames) for clip in range(self.n_clips)], 0))

    def looks(self, pictures: Node, rule: PixelRule) -> Node:
        """The look at single pictures: (1, channels, p, h, w)."""
        stem = self.network.s1["pathway0_stem"]
        return self.conv(self.normalised(pictures, rule), weight_of(stem.conv_xy), None, (1, 2, 2), (0, 1, 1))

    def blocks(self) -> list[ResidualBlock]:
        return [block for _, blocks in list(self.network.parts())[1:] for block in blocks]

    def behind_looks(self, clips: Node) -> Node:
        """Probabilities from the looks of clips, side by side."""
        stem = self.network.s1["pathway0_stem"]
        return self.behind(self.ops.relu(self.conv(clips, *folded(stem.conv, stem.bn), padding=(2, 0, 0))), self.blocks())

    def behind(self, x: Node, blocks: list[ResidualBlock]) -> Node:
        for block in blocks:
            x = self.block(x, block)
        return self.head(x, self.network.head)

    def normalised(self, pictures: Node, rule: PixelRule) -> Node:
        """uint8 (p, h, w, 3) → float32 (1, 3, p, h, w)."""
        return self.ops.transpose(self.ops.unsqueeze(self.values(pictures, rule), whole([0])), whole([0, 4, 1, 2, 3]))

    def values(self, pictures: Node, rule: PixelRule) -> Node:
        """uint8 (p, h, w, 3) → float32 of the same shape."""
        x = self.ops.divide(self.ops.convert(pictures, "f32"), np.float32(255))
        return self.ops.divide(self.ops.subtract(x, np.array(rule.mean, np.float32)), np.array(rule.std, np.float32))

    def shared(self, looks: Node, block: ResidualBlock) -> Node:
        """The rest of the stem and the first block, from the looks at all pictures of the unit (1, channels, p, h, w)."""
        weight, bias = folded(self.network.s1["pathway0_stem"].conv, self.network.s1["pathway0_stem"].bn)
        last = self.n_frames - 1
        # places of a clip: all inner ones at once, then 0, 1, n - 2, n - 1 of each clip
        parts = [self.conv(looks, weight, bias)]
        for first, taps in ((0, slice(2, 5)), (0, slice(1, 5)), (last - 3, slice(0, 4)), (last - 2, slice(0, 3))):
            parts.append(self.of_each_clip(looks, weight[:, :, taps], bias, first=first))
        stem = [self.ops.relu(part) for part in parts]
        shortcut, wide = folded(block.branch1, block.branch1_bn), folded(block.branch2.a, block.branch2.a_bn)
        shortcuts = self.clips_of([self.conv(part, *shortcut, stride=(1, 2, 2)) for part in stem])
        places = [self.ops.relu(self.conv(part, *wide)) for part in stem]
        return self.rest_of(self.seen_around(places, *folded(block.branch2.b, block.branch2.b_bn)), block.branch2, shortcuts)

    def seen_around(self, places: list[Node], weight: np.ndarray, bias: np.ndarray) -> Node:
        """The 3 × 3 × 3 look of the first block, clips side by side (clips, channels, n, h, w).

        Args:
            places: values of the inner places, then of the places 0, 1, n - 2, n - 1 of each clip.
        """
        n = self.n_frames
        inner, first, second, last_but_one, last = places

        def tap(x: Node, *which: int, at: int | None = None) -> Node:
            """Taps of the look on values of each clip, or on inner values ``at`` so many pictures behind a clip's first inner one."""
            part = weight[:, :, list(which)]
            constant = bias if 1 in which else None  # each place has one middle tap
            if at is None:
                return self.conv(x, part, constant, (1, 2, 2), (0, 1, 1))
            return self.of_each_clip(x, part, constant, first=at, stride=(2, 2), padding=(0, 1, 1))

        edges = [
            self.sum(tap(first, 1), tap(second, 2)),
            self.sum(tap(first, 0), tap(second, 1), tap(inner, 2, at=0)),
            self.sum(tap(second, 0), tap(inner, 1, 2, at=0)),
            self.sum(tap(inner, 0, 1, at=n - 6), tap(last_but_one, 2)),
            self.sum(tap(inner, 0, at=n - 5), tap(last_but_one, 1), tap(last, 2)),
            self.sum(tap(last_but_one, 0), tap(last, 1)),
        ]
        middle = self.conv(inner, weight, bias, (1, 2, 2), (0, 1, 1))
        return self.clips_of([middle, *edges])

    def clips_of(self, places: list[Node]) -> Node:
        """Values of inner places and then of outer places, as clips (clips, channels, n, h, w)."""
        inner, half = places[0], len(places) // 2
        before, after = places[1 : half + 1], places[half + 1 :]
        clips = []
        for clip in range(self.n_clips):
            ends = [[self.cut(place, clip, 1) for place in some] for some in (before, after)]
            clips.append(self.ops.concat([*ends[0], self.cut(inner, self.step * clip, self.n_frames - 2 * half), *ends[1]], DEPTH))
        return self.ops.concat(clips, 0)

    def block(self, x: Node, block: ResidualBlock) -> Node:
        branch = block.branch2
        shortcut = self.conv(x, *folded(block.branch1, block.branch1_bn), stride=(1, 2, 2)) if block.projects else x
        x = self.ops.relu(self.conv(x, *folded(branch.a, branch.a_bn)))
        stride = (1, 2, 2) if block.projects else (1, 1, 1)
        x = self.conv(x, *folded(branch.b, branch.b_bn), stride=stride, padding=(1, 1, 1))
        return self.rest_of(x, branch, shortcut)

    def rest_of(self, x: Node, branch: Bottleneck, shortcut: Node) -> Node:
        """From behind the 3 × 3 × 3 look to the end of a block."""
        if branch.se is not None:
            x = self.ops.multiply(x, self.weights_of_channels(x, branch.se))
        x = self.conv(self.ops.swish(x), *folded(branch.c, branch.c_bn))
        return self.ops.relu(self.ops.add(shortcut, x))

    def weights_of_channels(self, x: Node, se: SqueezeExcitation) -> Node:
        mean = self.ops.reduce_mean(x, whole([2, 3, 4]), keep_dims=True)
        squeezed = self.ops.relu(self.conv(mean, weight_of(se.fc1), bias_of(se.fc1)))
        return self.ops.sigmoid(self.conv(squeezed, weight_of(se.fc2), bias_of(se.fc2)))

    def head(self, x: Node, head: Head) -> Node:
        config = self.network.config
        x = self.ops.relu(self.conv(x, *folded(head.conv_5, head.conv_5_bn)))
        x = self.ops.avg_pool(x, [1, 1, 1], [0, 0, 0], [0, 0, 0], list(config.pool_kernel), True)
        weight, bias = folded(head.lin_5, head.lin_5_bn) if head.lin_5_bn is not None else (weight_of(head.lin_5), None)
        x = self.ops.relu(self.conv(x, weight, bias))
        x = self.conv(x, weight_of(head.projection)[:, :, None, None, None], bias_of(head.projection))
        x = self.ops.softmax(x, 1) if config.head_act == "softmax" else self.ops.sigmoid(x)
        return self.ops.reduce_mean(x, whole([2, 3, 4]), keep_dims=False)

    def of_each_clip(
        self,
        x: Node,
        weight: np.ndarray,
        bias: np.ndarray | None,
        *,
        first: int,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, ...] = (0, 0, 0),
    ) -> Node:
        """A convolution along time whose first tap lies ``first`` pictures behind the beginning of each clip (1, channels, clips, h, w)."""
        x = self.cut(x, first, self.step * (self.n_clips - 1) + weight.shape[2])
        return self.conv(x, weight, bias, (self.step, *stride), padding)

    def conv(
        self,
        x: Node,
        weight: np.ndarray,
        bias: np.ndarray | None,
        stride: tuple[int, ...] = (1, 1, 1),
        padding: tuple[int, ...] = (0, 0, 0),
    ) -> Node:
        """A convolution with weights as torch keeps them; one input channel per output channel means that each has its own."""
        own, channels = weight.shape[1] == 1, x.output(0).get_partial_shape()[1].get_length()
        if own and channels > 1:
            x = self.ops.group_convolution(x, weight[:, None], list(stride), list(padding), list(padding), [1, 1, 1])
        else:
            x = self.ops.convolution(x, weight, list(stride), list(padding), list(padding), [1, 1, 1])
        return x if bias is None else self.ops.add(x, bias.reshape(1, -1, 1, 1, 1))

    def sum(self, first: Node, *others: Node) -> Node:
        return functools.reduce(self.ops.add, others, first)

    def cut(self, x: Node, start: int, length: int) -> Node:
        """``length`` places along time from ``start`` on."""
        return self.ops.slice(x, *(whole([value]) for value in (start, start + length, 1, DEPTH)))


def whole(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


def weight_of(layer: nn.Module) -> np.ndarray:
    return layer.weight.detach().cpu().float().numpy()


def bias_of(layer: nn.Module) -> np.ndarray:
    return layer.bias.detach().cpu().float().numpy()


def folded(layer: nn.Module, norm: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a convolution without bias and the normalisation behind it, as it is in evaluation."""
    with torch.no_grad():
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = layer.weight.double() * scale.reshape(-1, 1, 1, 1, 1)
        bias = norm.bias.double() - norm.running_mean.double() * scale
    return weight.float().cpu().numpy(), bias.float().cpu().numpy()
