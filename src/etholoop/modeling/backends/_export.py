"""A torch network to an ONNX file: the same weights give the same bytes."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from etholoop.modeling.backends import BackendError

OPSET = 17


def to_onnx(
    network: torch.nn.Module, example: torch.Tensor, path: Path, outputs: Sequence[str], free: Mapping[str, Mapping[int, str]]
) -> None:
    """Write a network as ONNX.

    Args:
        example: an input; the axes that ``free`` does not name keep its size.
        free: for ``images`` and each output, names of the axes that may have any size.

    Raises:
        BackendError: torch cannot put this network into ONNX.
    """
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about constants that are constant, and the age of this way of exporting
            torch.onnx.export(
                network,
                (example,),
                str(path),
                input_names=["images"],
                output_names=list(outputs),
                dynamic_axes={name: dict(axes) for name, axes in free.items()},
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise BackendError(f"this network cannot be exported to ONNX ({error}). Set pose_predict.backend: torch.") from error
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
