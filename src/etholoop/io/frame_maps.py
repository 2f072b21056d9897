"""Frame maps on disk, ``<video_id>.map.npz``, beside the derived video they belong to."""

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from etholoop.core.affine import Affine
from etholoop.core.frame_map import FrameMap
from etholoop.errors import EthoLoopError
from etholoop.io import atomic


def save(path: Path, frame_map: FrameMap, affine: Affine, **facts: Any) -> None:
    """Write a map, the affine from source to derived pixels, and further JSON-able facts; the same input gives the same bytes."""
    meta = json.dumps({"affine": astuple(affine), **facts}, sort_keys=True)
    with atomic.new_file(path) as temporary, temporary.open("wb") as stream:
        # differences of frame numbers compress to almost nothing
        np.savez_compressed(stream, meta=np.array(meta), steps=np.diff(frame_map.source, prepend=0))


def load(path: Path) -> tuple[FrameMap, Affine, dict[str, Any]]:
    """What :func:`save` wrote: the map, the affine, the other facts.

    Raises:
        EthoLoopError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            meta = json.loads(str(arrays["meta"]))
            frame_map = FrameMap(np.cumsum(arrays["steps"], dtype=np.int64))
        affine = Affine(*meta.pop("affine"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop repro` makes it again.") from None
    except Exception as error:  # numpy, zipfile and json raise several unrelated types for a damaged file
        raise EthoLoopError(f"{path}: not readable as a frame map ({error}). Remove it; it is made again.") from error
    return frame_map, affine, meta
