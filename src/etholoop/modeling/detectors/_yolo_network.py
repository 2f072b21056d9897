"""The network of a YOLO model as every backend sees it: a picture in, rows and an embedding out."""

from pathlib import Path

import numpy as np
import torch

from etholoop.modeling.backends._export import to_onnx

EXAMPLE = (256, 320)
"""Height and width of the picture that the export is traced with; any multiple of the stride serves."""

FREE = {"images": {0: "n", 1: "height", 2: "width"}, "rows": {0: "n", 1: "anchors"}, "embedding": {0: "n"}}


class YoloNetwork(torch.nn.Module):
    """uint8 RGB pictures (n, h, w, 3), bordered → rows (n, anchors, 4 + classes + keypoint values) and embeddings (n, D).

    A row holds centre and size of a box in pixels of the picture, a probability of each class, and keypoints.
    """

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raw, parts = self.model(pictures.permute(0, 3, 1, 2).float() / 255)
        features = parts.get("one2many", parts)["feats"]
        embedding = torch.cat([level.float().mean(dim=(2, 3)) for level in features], dim=1)
        return raw.float().transpose(1, 2), embedding


class TorchNetwork:
    """The network run by torch."""

    def __init__(self, module: YoloNetwork, device: torch.device):
        self.module, self.device = module, device

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            answers = self.module(torch.from_numpy(batch).to(self.device))
        return [answer.cpu().numpy() for answer in answers]


def export(module: YoloNetwork, path: Path) -> None:
    """Write the network as ONNX for pictures of any size."""
    head = module.model.model[-1]
    # otherwise the places of the anchors are constants that only fit the example
    before, head.dynamic = head.dynamic, True
    try:
        to_onnx(module, torch.zeros(1, *EXAMPLE, 3, dtype=torch.uint8), path, ("rows", "embedding"), FREE)
    finally:
        head.dynamic = before


def exact_operations(module: YoloNetwork) -> list[str]:
    """Patterns of the names, in the exported network, of operations that stay exact where the network gets 8 bits.

    They are the branch that finds the sides of boxes (``cv2``), where a small error moves a box, and all that turns the last layers'
    answers into boxes, probabilities and keypoints.
    """
    head = rf"/model/model\.{len(module.model.model) - 1}"
    return [rf"{head}/[^/]*$", rf"{head}/dfl/.*", rf"{head}/cv2\..*"]
