"""Weights of the heatmap refiner on disk: plain tensors and plain words, the same training gives the same bytes."""

import hashlib
import io
import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from etholoop.errors import EthoLoopError

FORMAT = "etholoop.refiner.heatmap/1"

State = dict[str, torch.Tensor]


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a dictionary of tensors and plain values, all or nothing."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(buffer.getvalue())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def canonical(network: nn.Module) -> State:
    """Tensors by sorted name, on the CPU, each with memory of its own."""
    state = network.state_dict()
    return {name: state[name].detach().cpu().contiguous().clone() for name in sorted(state)}


def load(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read what :func:`save` wrote; nothing but tensors and plain values is ever built from a file.

    Raises:
        EthoLoopError: no such file, a damaged one, or weights of something else.
    """
    if not path.is_file():
        raise EthoLoopError(f"{path}: refiner weights not found. `etholoop repro` trains them.")
    content = _plain(path, device)
    if content is None or content.get("format") != FORMAT:
        raise EthoLoopError(f"{path}: expected weights of the refiner 'heatmap', found something else. Train it again: `etholoop repro`.")
    return content


def transfer(network: nn.Module, path: Path) -> list[str]:
    """Start from the tensors of a file that fit by name and shape: an earlier refiner, or a YOLOv8n detector or pose model.

    Returns:
        Sentences that say what was and what was not loaded.

    Raises:
        EthoLoopError: the file is missing, unsafe or damaged, or less than half of the network's body fits.
    """
    if not path.is_file():
        raise EthoLoopError(f"{path}: weights to start from not found. Put the file there, or set init: scratch.")
    own = _plain(path, "cpu")
    source = own["weights"] if own is not None and own.get("format") == FORMAT else _yolo_tensors(path)
    target = network.state_dict()
    fitting = {name: source[name].to(target[name].dtype) for name in target if name in source and source[name].shape == target[name].shape}
    body = [name for name in target if name.startswith("model.")]
    n_body = sum(name in fitting for name in body)
    if n_body < len(body) / 2:
        raise EthoLoopError(
            f"{path}: only {n_body} of {len(body)} tensors of the refiner's body fit by name and shape. "
            "Its body is that of YOLOv8n: start from a yolov8n or yolov8n-pose file or an earlier refiner, or set init: scratch."
        )
    network.load_state_dict(fitting, strict=False)
    missing = sorted({name.split(".")[0] for name in target if name not in fitting})
    rest = f"; at random: the rest of {', '.join(missing)}" if missing else ""
    return [f"Started from {path.name}: {len(fitting)} of {len(target)} tensors loaded{rest}."]


def file_digest(path: Path | None) -> str | None:
    """SHA-256 of a file; None for no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else None


def saved_state(path: Path, key: str) -> dict[str, Any] | None:
    """State of a training that was stopped; None if there is none or if it was of another training."""
    content = _plain(path, "cpu")  # None too when damaged: the training starts over and comes to the same end
    return content if content is not None and content.get("key") == key else None


def _plain(path: Path, device: str) -> dict[str, Any] | None:
    """A dictionary of tensors and plain values; None if the file is missing, damaged or holds anything else."""
    if not zipfile.is_zipfile(path):
        return None
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError):
        return None
    return content if isinstance(content, dict) else None


def _yolo_tensors(path: Path) -> State:
    # imported here: a trained refiner is used without ultralytics
    from etholoop.modeling.detectors._yolo_checkpoint import load_safely

    return load_safely(path)["model"].state_dict()
