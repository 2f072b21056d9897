"""A network in 8 bits, by NNCF's quantisation after training: ranges are taken from answers to the project's own pictures."""

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from etholoop.modeling.backends import BackendError

# it would otherwise report to its makers; read when the library is imported
os.environ.setdefault("NNCF_CI", "1")


def quantize(source: Path, batches: Sequence[np.ndarray], target: Path, exact: Sequence[str]) -> None:
    """Write ``target`` (.xml, and beside it .bin) from an ONNX file.

    Args:
        batches: what the network is shown to find the ranges, in this order.
        exact: patterns of names of operations that keep 32 bits: the last ones, which turn answers into coordinates.

    Raises:
        BackendError: nothing to calibrate with, or a network that cannot be quantised.
    """
    import logging

    import nncf
    import openvino

    if not len(batches):
        raise BackendError(
            "no frames to calibrate 8 bits with: sample frames of train videos first, or set pose_predict.backend: openvino."
        )
    logging.getLogger("nncf").setLevel(logging.ERROR)
    try:
        model = openvino.Core().read_model(source)
        ignored = nncf.IgnoredScope(patterns=list(exact), validate=False)
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars would stand between what pipes
            small = nncf.quantize(
                model, nncf.Dataset(batches), subset_size=len(batches), preset=nncf.QuantizationPreset.MIXED, ignored_scope=ignored
            )
        openvino.save_model(small, target, compress_to_fp16=False)
    except (RuntimeError, nncf.ValidationError, nncf.InternalError) as error:
        raise BackendError(f"{source}: NNCF cannot quantise this network ({error}). Set pose_predict.backend: openvino.") from error
