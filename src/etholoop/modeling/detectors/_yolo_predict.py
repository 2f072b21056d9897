"""A YOLO checkpoint run by torch, and its export for other backends."""

from pathlib import Path

import torch

from etholoop.modeling.detectors import _yolo_checkpoint as checkpoint
from etholoop.modeling.detectors import _yolo_network as network
from etholoop.modeling.detectors._yolo_exported import Facts, Finder


class Predictor(Finder):
    """A trained model, ready to look at images."""

    def __init__(self, model: torch.nn.Module, imgsz: int, flip_index: list[int] | None, device: str):
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self._module = network.YoloNetwork(self.model).eval()
        self.head = model.model[-1]
        n_keypoints, values = getattr(self.head, "kpt_shape", (0, 0))
        facts = Facts(
            species=tuple(str(model.names[number]) for number in sorted(model.names)),
            n_keypoints=int(n_keypoints),
            keypoint_values=int(values),
            imgsz=imgsz,
            flip_index=None if flip_index is None else tuple(flip_index),
            stride=max(int(model.stride.max()), 32),
        )
        super().__init__(facts, network.TorchNetwork(self._module, self.device))

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> "Predictor":
        """Load a checkpoint safely, ours or Ultralytics'.

        Raises:
            EthoLoopError: not a YOLO detect or pose checkpoint.
        """
        content = checkpoint.load_safely(path)
        model = content["model"]
        head = model.model[-1]
        if hasattr(head, "end2end"):
            # the one-to-many branch: only there each box has the probabilities of all classes
            head.end2end = False
        model = model.fuse(verbose=False)
        facts = content.get("etholoop") or {}
        imgsz = facts.get("imgsz") or (content.get("train_args") or {}).get("imgsz") or 640
        return cls(model, int(imgsz), facts.get("flip_index"), device)

    def export(self, path: Path) -> None:
        """Write the network as ONNX, for pictures of any size."""
        network.export(self._module, path)

    def exact_operations(self) -> list[str]:
        """Patterns of names of operations that keep 32 bits where the network gets 8."""
        return network.exact_operations(self._module)
