"""YOLO checkpoints: foreign ones read safely, our own written so that the same training gives the same bytes."""

import hashlib
import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import ultralytics
from torch import nn
from ultralytics.nn.tasks import DetectionModel, torch_safe_load

from etholoop.errors import EthoLoopError

FIXED_DATE = "1970-01-01T00:00:00+00:00"
"""A real date would make two equal trainings differ."""

STRUCTURE = ("yaml", "model", "save", "inplace", "stride", "names", "nc", "kpt_shape", "kpt_names", "kpt_oks_sigmas", "task")
"""Attributes of a YOLO model that describe it; all others are traces of the training."""


def load_safely(path: Path) -> dict[str, Any]:
    """Read a YOLO checkpoint without running code from it.

    Only known Ultralytics and torch classes are rebuilt (``weights_only``); the model comes back in float32.

    Raises:
        EthoLoopError: no such file, not a YOLO checkpoint, cut short, or it holds anything that would run code.
    """
    if not path.is_file():
        raise EthoLoopError(f"{path}: weights not found. Put a YOLO .pt file there, or name another one.")
    try:
        checkpoint, _ = torch_safe_load(str(path), safe_only=True)
    except Exception as error:  # the safe unpickler raises whatever a damaged file leads it to
        reason = (str(error).splitlines() or ["no reason given"])[0][:300]
        raise EthoLoopError(
            f"{path}: expected a YOLO checkpoint (.pt of YOLOv8, YOLO11 or YOLO26), found a file that cannot be loaded safely "
            f"({type(error).__name__}: {reason}). Nothing from it was run. Use a checkpoint of Ultralytics or of EthoLoop."
        ) from error
    model = (checkpoint.get("ema") or checkpoint.get("model")) if isinstance(checkpoint, dict) else None
    if not isinstance(model, DetectionModel):
        kind = type(model).__name__ if model is not None else "no model"
        raise EthoLoopError(f"{path}: expected a YOLO detection or pose model, found {kind}. Use a detect or pose checkpoint.")
    return {**checkpoint, "ema": None, "model": model.float()}


def transfer(model: nn.Module, path: Path) -> list[str]:
    """Load from a checkpoint every tensor that fits by name and shape; a detector may start a pose model.

    Returns:
        Sentences that say what was and what was not loaded.

    Raises:
        EthoLoopError: the checkpoint is of another architecture, so that less than half of the backbone and neck fits.
    """
    source = load_safely(path)["model"]
    body = _tensors(model, head=False)
    fitting = {name for name, tensor in _tensors(source, head=False).items() if name in body and body[name].shape == tensor.shape}
    if len(fitting) < len(body) / 2:
        raise EthoLoopError(
            f"{path}: holds {_arch(source)}, expected weights for {_arch(model)}: only {len(fitting)} of {len(body)} backbone and neck "
            "tensors fit. Choose the architecture of the weights in pose_train.settings.arch, or other weights."
        )
    model.load(source, verbose=False)
    target, given = model.state_dict(), source.state_dict()
    loaded = [name for name, tensor in target.items() if name in given and given[name].shape == tensor.shape]
    fresh = sorted({_module_name(name) for name in target if name not in set(loaded)})
    notes = [f"Started from {path.name} ({_arch(source)}): {len(loaded)} of {len(target)} tensors loaded by name and shape."]
    notes.append(f"Not loaded, started at random: {', '.join(fresh)}." if fresh else "Everything was loaded.")
    return notes


def canonical(ema: nn.Module, state: dict[str, torch.Tensor], arch: str, train_args: dict[str, Any], facts: dict[str, Any]) -> bytes:
    """Bytes of a checkpoint that Ultralytics' ``YOLO()`` loads, without dates, paths or results.

    Args:
        ema: a model of the right structure; it is copied.
        state: the weights to store, in half precision.
        arch: architecture name, kept in place of the path of its description.
        train_args: settings that decided the weights; they are sorted.
        facts: what the skeleton says (species, keypoints, flip index) and the image size, kept under ``etholoop``.
    """
    # the same layout wherever it was trained: a GPU keeps channels last, and older versions of Ultralytics cannot read that
    model = deepcopy(ema).cpu().to(memory_format=torch.contiguous_format)
    model.load_state_dict(state)
    _strip(model, arch)
    model.half().eval().requires_grad_(False)
    content = {
        "date": FIXED_DATE,
        "version": ultralytics.__version__,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
        "epoch": -1,
        "best_fitness": None,
        "model": model,
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": dict(sorted(train_args.items())),
        "train_metrics": None,
        "train_results": None,
        "git": None,
        "etholoop": facts,
    }
    # through a buffer: torch.save writes the file's name into the archive
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    """Write a checkpoint, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def state_digest(state: dict[str, torch.Tensor]) -> str:
    """SHA-256 of the tensors in order of their names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _strip(model: nn.Module, arch: str) -> None:
    """Remove what training hung on the model: losses, arguments with paths, grids of the last image size."""
    keep = {*vars(nn.Module()), *STRUCTURE}
    for name in [name for name in vars(model) if name not in keep]:
        delattr(model, name)
    model.yaml = {**model.yaml, "yaml_file": f"{arch}.yaml"}
    head = model.model[-1]
    for name in ("anchors", "strides", "shape"):
        vars(head).pop(name, None)


def _tensors(model: nn.Module, head: bool) -> dict[str, torch.Tensor]:
    """Tensors of a model, with or without its last module, the head."""
    last = f"model.{len(model.model) - 1}."
    return {name: tensor for name, tensor in model.state_dict().items() if head or not name.startswith(last)}


def _arch(model: nn.Module) -> str:
    return Path(str(model.yaml.get("yaml_file", "an unnamed architecture"))).stem


def _module_name(tensor: str) -> str:
    """``model.22.cv4.0.1.conv.weight`` → ``model.22.cv4``."""
    return ".".join(tensor.split(".")[:3])
