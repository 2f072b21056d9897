"""The recorded X3D cases: reader, comparer and networks built from what the cases say."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch

from etholoop.modeling.behaviour import x3d


def open_kit(folder: Path, **settings: Any) -> Any:
    """The folder's own reader and comparer."""
    modules = {}
    for name in ("recipe", "kit"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        modules[name] = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(name, modules[name])
        spec.loader.exec_module(modules[name])
    return modules["kit"].Kit(folder, **settings)


def network_of(case: dict, kit: Any) -> x3d.X3D:
    """The network of an x3d case with the recorded weights."""
    given = case["settings"]
    values = {f"X3D.{name}": given[name] for name in ("WIDTH_FACTOR", "DEPTH_FACTOR", "BOTTLENECK_FACTOR", "DIM_C1", "DIM_C5")}
    values |= {"MODEL.NUM_CLASSES": given["NUM_CLASSES"], "MODEL.HEAD_ACT": given.get("HEAD_ACT", "softmax")}
    values |= {"DATA.NUM_FRAMES": given["NUM_FRAMES"], "DATA.TRAIN_CROP_SIZE": given["TRAIN_CROP_SIZE"]}
    values |= {"MODEL.DROPOUT_RATE": given.get("DROPOUT_RATE", 0.5)}
    network = x3d.X3D(x3d.config_from_slowfast(values, case["id"]))
    assert x3d.load_weights(network, {name: torch.from_numpy(value) for name, value in kit.weights(case).items()}, case["id"]) == []
    return network


def outputs(network: x3d.X3D, clips: torch.Tensor) -> dict[str, Any]:
    """What the cases record of one pass: every stage, the head's steps, features, logits and the output."""
    found: dict[str, Any] = {}
    handles = [blocks[-1].register_forward_hook(_recorder(found, name)) for name, blocks in network.parts()]
    handles.append(network.head.conv_5_bn.register_forward_hook(_recorder(found, "conv5")))
    handles.append(network.head.avg_pool.register_forward_hook(_recorder(found, "pool")))
    handles.append(network.head.register_forward_hook(lambda _, __, out: found.update(logits=out[0].detach(), feat=out[1].detach())))
    found["output"] = network(clips)
    for handle in handles:
        handle.remove()
    return found


def _recorder(found: dict[str, Any], name: str) -> Any:
    def record(_: Any, __: Any, x: torch.Tensor) -> None:
        x = x.detach().double().relu()  # conv5 is recorded behind its relu, all others are above 0 already
        flat = x.flatten()
        found[f"{name}.moments"] = torch.stack([x.mean(), x.std(correction=0), x.min(), x.max()])
        found[f"{name}.channel_mean"] = x.mean((2, 3, 4))
        found[f"{name}.sample"] = flat[torch.arange(64) * len(flat) // 64]

    return record
