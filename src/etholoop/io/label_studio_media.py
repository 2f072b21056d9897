"""Pictures and videos as the labelling server gives them out: own copies, so that `dvc repro` can remake its folders meanwhile."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import numpy as np

from etholoop.errors import EthoLoopError
from etholoop.io import atomic

LOCAL_FILES = "/data/local-files/?d="
PROXY_SIDE_PX = 960
"""Longer side of a proxy: sharp enough to tell behaviours, small enough to move through without waiting."""

PROXY_VERSION = 1
"""Raised when proxies are made in another way; old ones are then made anew."""


def frame_address(image: str) -> str:
    """Address of a picture on the own server, from its place below ``data/frames``."""
    return LOCAL_FILES + quote(f"frames/{image}")


def proxy_address(name: str) -> str:
    return LOCAL_FILES + quote(f"proxies/{name}")


def lend_frame(source: Path, target: Path) -> None:
    """Put a picture into the media folder, as a link where the file system can; it stays when the source is remade.

    Raises:
        EthoLoopError: the picture is not there.
    """
    if not source.is_file():
        raise EthoLoopError(f"{source}: this picture is asked for and not there. Run `etholoop repro` (or `dvc checkout`).")
    if target.is_file() and target.stat().st_size == source.stat().st_size and target.stat().st_mtime_ns == source.stat().st_mtime_ns:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source.resolve(), temporary)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, temporary)
    temporary.replace(target)


def proxy_name(uid: str, sha256: str, shown: list[list[int]]) -> str:
    """File name of a proxy; it depends on everything the proxy is made of."""
    content = f"{uid}|{sha256}|{shown}|{PROXY_SIDE_PX}|{PROXY_VERSION}"
    return f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.mp4"


def write_proxy(path: Path, images: Iterable[np.ndarray], fps: Fraction) -> int:
    """Write uint8 RGB images (h, w, 3) as a video that a browser can move through frame by frame; the number of frames.

    H.264, yuv420p, constant rate from time 0, a key frame every half second, no B-frames, no sound, index at the front.

    Raises:
        EthoLoopError: there are no images, or the file holds another number of frames than was written.
    """
    n_written = 0
    with atomic.new_file(path) as temporary:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream: Any = None
            for image in images:
                small = _fitted(image)
                if stream is None:
                    stream = _stream(container, small, fps)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
                n_written += 1
            if stream is None:
                raise EthoLoopError(f"{path}: no frames were given, so there is no video to show.")
            container.mux(stream.encode())
        n_found = _count(temporary)
        if n_found != n_written:
            raise EthoLoopError(f"{path}: {n_written} frames were written, but the file holds {n_found}. Is the disk full?")
    return n_written


def _fitted(image: np.ndarray) -> np.ndarray:
    """At most PROXY_SIDE_PX long, sides even."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, PROXY_SIDE_PX / max(height, width))
    size = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
    return image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _stream(container: Any, image: np.ndarray, fps: Fraction) -> Any:
    stream = container.add_stream("libx264", rate=fps)
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.gop_size = max(1, round(fps / 2))
    stream.options = {"crf": "23", "preset": "veryfast", "bf": "0"}
    stream.codec_context.thread_count = 1
    return stream


def _count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)
