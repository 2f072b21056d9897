"""Write numbered frames as a video of any codec and container that PyAV knows."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from etholoop.simulation.numbered import numbered_frame

AUDIO_RATE = 48_000


@dataclass(frozen=True)
class Recipe:
    """How a video of numbered frames is coded.

    ``times`` are presentation times in units of ``1 / clock`` s, one per frame; without them frames follow each other at ``rate``.
    ``before`` and ``after`` name other streams that the file holds before and after the video: audio, video, cover.
    """

    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    size: tuple[int, int] = (160, 120)
    rate: Fraction = Fraction(25)
    times: Sequence[int] | None = None
    clock: int = 1000
    rotation: int = 0
    container: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def but(self, **changes: Any) -> "Recipe":
        return replace(self, **changes)


def can_encode(codec: str) -> bool:
    """Whether this build of PyAV has the encoder."""
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def encode(path: Path, numbers: Sequence[int], recipe: Recipe) -> None:
    """Write one frame per number. The same arguments give the same bytes."""
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder would print its settings
    with av.open(str(path), "w", format=recipe.format, options={"fflags": "bitexact", **recipe.container}) as container:
        first = [_extra_stream(container, kind) for kind in recipe.before]
        stream = _video_stream(container, recipe)
        last = [_extra_stream(container, kind) for kind in recipe.after]
        seconds = float(len(numbers) / recipe.rate)
        for extra, kind in [*zip(first, recipe.before, strict=True), *zip(last, recipe.after, strict=True)]:
            for packet in _extra_packets(extra, kind, seconds):
                container.mux(packet)
        for frame in _frames(numbers, recipe):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _video_stream(container: Any, recipe: Recipe) -> Any:
    stream = container.add_stream(recipe.codec, rate=recipe.rate)
    (stream.width, stream.height), stream.pix_fmt = recipe.size, recipe.pix_fmt
    # one thread: the same bytes on every machine
    stream.options = {"threads": "1", **recipe.options}
    if recipe.times is not None:
        stream.codec_context.time_base = Fraction(1, recipe.clock)
    if recipe.rotation:
        stream.set_display_rotation(recipe.rotation)
    return stream


def _frames(numbers: Sequence[int], recipe: Recipe) -> Iterator[av.VideoFrame]:
    for place, number in enumerate(numbers):
        frame = av.VideoFrame.from_ndarray(numbered_frame(number, *recipe.size), format="rgb24")
        if recipe.times is not None:
            frame.pts, frame.time_base = recipe.times[place], Fraction(1, recipe.clock)
        yield frame


def _extra_stream(container: Any, kind: str) -> Any:
    if kind == "audio":
        return container.add_stream("pcm_s16le" if container.format.name == "avi" else "aac", rate=AUDIO_RATE)
    stream = container.add_stream("mjpeg", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    if kind == "cover":
        stream.disposition = av.stream.Disposition.attached_pic
    return stream


def _extra_packets(stream: Any, kind: str, seconds: float) -> Iterator[Any]:
    if kind == "audio":
        for place in range(int(seconds * AUDIO_RATE / 1024)):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1024), np.int16), format="s16", layout="stereo")
            sound.sample_rate, sound.pts, sound.time_base = AUDIO_RATE, place * 1024, Fraction(1, AUDIO_RATE)
            yield from stream.encode(sound)
    else:
        for _ in range(1 if kind == "cover" else int(seconds * 25)):
            yield from stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24"))
    yield from stream.encode()
