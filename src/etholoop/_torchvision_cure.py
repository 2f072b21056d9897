"""Non-maximum suppression, and its registration where torchvision's own operators cannot be loaded.

Beside a CPU build of torch the torchvision wheel of another index is linked against CUDA: its extension does not load and
``import torchvision`` ends with ``operator torchvision::nms does not exist``. :func:`install` puts a finder in front of the
import system; when torchvision is first imported, and only if its extension really cannot be loaded, the two operators that
the import asks for are defined here. Where the real extension loads, nothing is done.

This file imports nothing at the top and stands alone: ``_children/sitecustomize.py`` runs it in every child process.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

_KEEP: list[Any] = []
"""The torch.library object; the operators vanish when it is collected."""


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Greedy non-maximum suppression: indices of the boxes kept, by falling score.

    Args:
        boxes: (n, 4) array of ``x_min, y_min, x_max, y_max``.
        scores: (n,) array; equal scores keep their order, as in torchvision.
        iou_threshold: a box is dropped when its IoU with a kept one is *greater*.
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    x1, y1, x2, y2 = (np.ascontiguousarray(boxes[order, column]) for column in range(4))
    area = (x2 - x1) * (y2 - y1)
    kept = []
    while order.size:
        kept.append(order[0])
        width = np.minimum(x2[0], x2[1:]) - np.maximum(x1[0], x1[1:])
        height = np.minimum(y2[0], y2[1:]) - np.maximum(y1[0], y1[1:])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        union = area[0] + area[1:] - overlap
        # two boxes without area overlap by 0 / 0; they stay, as in torchvision
        iou = np.divide(overlap, union, out=np.zeros_like(union), where=union != 0)
        stay = np.flatnonzero(~(iou > iou_threshold)) + 1
        order, x1, y1, x2, y2, area = order[stay], x1[stay], y1[stay], x2[stay], y2[stay], area[stay]
    return np.array(kept, dtype=np.int64)


def install() -> None:
    """Watch for the first import of torchvision. Calling it again changes nothing."""
    if "torchvision" not in sys.modules and not any(type(finder).__name__ == "TorchvisionFinder" for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionFinder())


class TorchvisionFinder:
    """Import finder that prepares torch just before torchvision is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None and not extension_loads(spec):
            define_operators()
            spec.loader = _CuredLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _CuredLoader:
    """Loads torchvision as usual, then tells it that its operators are there."""

    def __init__(self, real: Any):
        self.real = real

    def create_module(self, spec: ModuleSpec) -> Any:
        return self.real.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self.real.exec_module(module)
        # Asked before each operator call. During the import it must say no: the other operators are not defined.
        module.extension._has_ops = lambda: True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def extension_loads(spec: ModuleSpec) -> bool:
    """Whether torchvision's compiled operators fit this torch."""
    import torch

    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [file for folder in folders for pattern in ("_C*.so", "_C*.pyd") for file in sorted(folder.glob(pattern))]
    for file in files:
        try:
            torch.ops.load_library(str(file))
            return True
        except (ImportError, OSError):
            # the very fault this module is for: a missing CUDA library
            continue
    return False


def define_operators() -> None:
    """Define ``torchvision::nms`` and ``torchvision::qnms`` for every device, computed on the CPU."""
    import torch

    if _KEEP or hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", _nms_operator, "CompositeExplicitAutograd")
    for key in ("CPU", "QuantizedCPU"):
        library.impl("qnms", _nms_operator, key)
    _KEEP.append(library)


def _nms_operator(dets: Any, scores: Any, iou_threshold: float) -> Any:
    import torch

    def plain(tensor: Any) -> Any:
        tensor = tensor.detach().cpu()
        tensor = tensor.dequantize() if tensor.is_quantized else tensor
        return tensor.to(torch.promote_types(tensor.dtype, torch.float32)).numpy()

    return torch.from_numpy(nms(plain(dets), plain(scores), iou_threshold)).to(dets.device)
