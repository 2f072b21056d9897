"""Backends: libraries that run a trained network. All answer as torch does, within :mod:`~etholoop.modeling.backends.tolerances`.

A network is exported once as ONNX; ONNX Runtime and OpenVINO read that file. Every backend uses one thread: with more, the last bits
of an answer depend on their number; workers share the cores of a computer instead.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from etholoop.errors import EthoLoopError


class BackendError(EthoLoopError):
    """A backend that cannot do what torch can: not installed, or a network that it cannot export, read or run."""


Network = Callable[[np.ndarray], Sequence[np.ndarray]]
"""From one array to the arrays that the network answers with; the first axis of all of them counts images."""

BACKENDS = ("torch", "onnx", "openvino", "openvino_int8")

LIBRARIES = {"torch": ("torch",), "onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
LIBRARIES["openvino_int8"] = (*LIBRARIES["openvino"], "nncf")
"""Which packages each backend needs."""

VERSION = 3
"""Raise it when an exported network would be another one; it is part of the memo key."""


def missing(backend: str) -> list[str]:
    """Packages that this backend needs and this installation lacks."""
    return [name for name in LIBRARIES[backend] if find_spec(name) is None]


def versions(backend: str) -> dict[str, str]:
    """Versions of the libraries that decide the last bits of an answer."""
    from importlib.metadata import version

    return {name: version(name) for name in LIBRARIES[backend]}


def open_network(backend: str, path: Path) -> Network:
    """The network in an exported file, ready to answer.

    Raises:
        BackendError: the library is not installed, or cannot read the file or run the network.
    """
    lacking = missing(backend)
    if lacking:
        raise BackendError(
            f"the backend {backend} needs {', '.join(lacking)}, not found in this installation. Install it, or set pose_predict.backend "
            "to torch or auto."
        )
    if backend == "onnx":
        from etholoop.modeling.backends._onnx import OnnxNetwork

        return OnnxNetwork(path)
    from etholoop.modeling.backends._openvino import OpenVinoNetwork

    return OpenVinoNetwork(path)
