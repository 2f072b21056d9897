"""What fixes an X3D network: the few numbers of a SlowFast configuration that it is built from, and the sizes of the published ones.

Source: Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition" (CVPR 2020), tables 3 and 4.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.params import nearest_of

STAGE_REPEATS = (1, 2, 5, 3)
"""Blocks of the four residual stages before the depth factor."""

DIVISOR = 8
"""Numbers of channels are multiples of this."""

SE_RATIO = 0.0625


@dataclass(frozen=True)
class X3DConfig:
    """The numbers an X3D network follows from; names are those of SlowFast, in lower case.

    ``n_frames`` and ``crop_px`` set the head's pooling window (n_frames, ⌈crop / 32⌉, ⌈crop / 32⌉), which moves in steps of 1.
    """

    n_classes: int
    n_frames: int
    crop_px: int
    width_factor: float = 2.0
    depth_factor: float = 2.2
    bottleneck_factor: float = 2.25
    dim_c1: int = 12
    dim_c5: int = 2048
    scale_res2: bool = False
    bn_lin5: bool = False
    head_act: str = "softmax"
    dropout: float = 0.5
    n_channels: int = 3

    def __post_init__(self) -> None:
        faults = [
            f"{name} = {value!r}: expected a number above 0"
            for name, value in vars(self).items()
            if name not in ("scale_res2", "bn_lin5", "head_act", "dropout") and not value > 0
        ]
        if self.head_act not in ("softmax", "sigmoid"):
            faults.append(f"head_act = {self.head_act!r}: expected softmax (one behaviour at a time) or sigmoid (several)")
        if not 0 <= self.dropout < 1:
            faults.append(f"dropout = {self.dropout!r}: expected 0 to below 1")
        if faults:
            raise FaultsError("X3D configuration", faults)

    @property
    def pool_kernel(self) -> tuple[int, int, int]:
        side = math.ceil(self.crop_px / 32)
        return self.n_frames, side, side

    @property
    def stem_width(self) -> int:
        return round_width(self.dim_c1, self.width_factor)

    @property
    def stages(self) -> tuple["Stage", ...]:
        """The four residual stages s2 … s5."""
        basis = round_width(self.dim_c1, 2.0) if self.scale_res2 else self.dim_c1
        stages = []
        for repeats in STAGE_REPEATS:
            width = round_width(basis, self.width_factor)
            inner = int(self.bottleneck_factor * width)
            stages.append(Stage(math.ceil(self.depth_factor * repeats), width, inner, round_width(inner, SE_RATIO)))
            basis = round_width(basis, 2.0)
        return tuple(stages)


@dataclass(frozen=True)
class Stage:
    """One residual stage: number of blocks, channels between blocks, inside them, and inside squeeze-and-excitation."""

    n_blocks: int
    width: int
    inner: int
    squeezed: int


def round_width(width: float, factor: float) -> int:
    """``width · factor`` as a multiple of 8, at least 8 and never less than 0.9 of it."""
    wanted = width * factor
    rounded = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * wanted else rounded


SIZES = {
    "xs": {"n_frames": 4, "crop_px": 160, "depth_factor": 2.2},
    "s": {"n_frames": 13, "crop_px": 160, "depth_factor": 2.2},
    "m": {"n_frames": 16, "crop_px": 224, "depth_factor": 2.2},
    "l": {"n_frames": 16, "crop_px": 312, "depth_factor": 5.0},
}
"""Published sizes; XS, S and M are one network that sees clips of different lengths and sizes."""


def config_of_size(size: str, n_classes: int, **changes: Any) -> X3DConfig:
    """The configuration of X3D-XS, -S, -M or -L; ``changes`` replaces single values.

    Raises:
        EthoLoopError: no such size.
    """
    if size.lower() not in SIZES:
        raise EthoLoopError(f"X3D size '{size}': {nearest_of(size, list(SIZES))}")
    return X3DConfig(**{"n_classes": n_classes, **SIZES[size.lower()], **changes})


FROM_SLOWFAST = {
    "n_classes": "MODEL.NUM_CLASSES",
    "n_frames": "DATA.NUM_FRAMES",
    "crop_px": "DATA.TRAIN_CROP_SIZE",
    "width_factor": "X3D.WIDTH_FACTOR",
    "depth_factor": "X3D.DEPTH_FACTOR",
    "bottleneck_factor": "X3D.BOTTLENECK_FACTOR",
    "dim_c1": "X3D.DIM_C1",
    "dim_c5": "X3D.DIM_C5",
    "scale_res2": "X3D.SCALE_RES2",
    "bn_lin5": "X3D.BN_LIN5",
    "head_act": "MODEL.HEAD_ACT",
    "dropout": "MODEL.DROPOUT_RATE",
}
"""Where each value stands in a SlowFast configuration."""

DEFAULTS: dict[str, Any] = {
    "X3D.WIDTH_FACTOR": 1.0,
    "X3D.DEPTH_FACTOR": 1.0,
    "X3D.BOTTLENECK_FACTOR": 1.0,
    "X3D.DIM_C1": 12,
    "X3D.DIM_C5": 2048,
    "X3D.SCALE_RES2": False,
    "X3D.BN_LIN5": False,
    "MODEL.HEAD_ACT": "softmax",
    "MODEL.DROPOUT_RATE": 0.5,
}
"""SlowFast's own values for keys that a configuration may leave out."""

REQUIRED = {
    "MODEL.ARCH": ("x3d",),
    "RESNET.TRANS_FUNC": ("x3d_transform",),
    "RESNET.STRIDE_1X1": (False,),
    "X3D.CHANNELWISE_3x3x3": (True,),
    "BN.NORM_TYPE": ("batchnorm", "sync_batchnorm", "sub_batchnorm"),
}
"""Values for which our network is the same as SlowFast's; a key that is left out is taken to have one of them."""


def config_from_slowfast(values: Mapping[str, Any], where: str) -> X3DConfig:
    """The network that a SlowFast configuration describes.

    Args:
        values: the configuration with dotted keys, ``{"X3D.WIDTH_FACTOR": 2.0, …}``.
        where: the file, for messages.

    Raises:
        FaultsError: missing keys, or another network than X3D; all of them are named.
    """
    faults = [
        f"{key} is {values[key]!r}; only {' or '.join(map(repr, known))} can be built"
        for key, known in REQUIRED.items()
        if key in values and values[key] not in known
    ]
    found = {name: values.get(key, DEFAULTS.get(key)) for name, key in FROM_SLOWFAST.items()}
    faults += [f"{FROM_SLOWFAST[name]} is missing" for name, value in found.items() if value is None]
    channels = values.get("DATA.INPUT_CHANNEL_NUM", [3])
    if list(channels)[:1] != [3]:
        faults.append(f"DATA.INPUT_CHANNEL_NUM is {channels!r}; expected [3]: X3D sees colour pictures")
    if faults:
        raise FaultsError(where, faults, "Give the configuration that the weights were trained with.")
    return X3DConfig(**found)
