"""Opening a video file that may be hostile: only local files that hold their own frames, in known containers and codecs."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import Discard, Disposition

from etholoop.errors import EthoLoopError

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,mjpeg,ogg,asf,flv,dv,m4v,h264,hevc,ivf,obu,mxf,nut,yuv4mpegpipe"
)
"""Containers that hold their own frames. Playlists and lists of files are not among them: they would open other files or hosts."""

# fmt: off
CODECS = frozenset((
    "h264", "hevc", "vvc", "av1", "libdav1d", "libaom-av1", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg1video", "mpeg2video",
    "mpegvideo", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2", "wmv3", "vc1", "h261", "h263", "h263i", "h263p", "flv",
    "svq1", "svq3", "theora", "mjpeg", "mjpegb", "jpeg2000", "libopenjpeg", "dvvideo", "prores", "dnxhd", "cfhd", "ffv1", "ffvhuff",
    "huffyuv", "utvideo", "magicyuv", "lagarith", "rawvideo", "v210", "r210", "v308", "v408", "v410", "yuv4", "png", "bmp", "tiff",
    "qtrle", "msrle", "msvideo1", "cinepak", "indeo3", "indeo4", "indeo5", "rv10", "rv20", "rv30", "rv40", "snow", "dirac",
))
# fmt: on
"""Decoders that turn packets into pictures and nothing else; text screens and the like (ansi, xbin, tmv) are not video of animals."""

PLAYLISTS = (b"#extm3u", b"ffconcat", b"<?xml", b"<mpd", b"<smoothstreamingmedia", b"[playlist]", b"[reference]", b"<asx", b"v=0")
"""How files begin that only name other files."""

STRICT = {"mjpeg": "crccheck+bitstream+buffer+explode", "mjpegb": "crccheck+bitstream+buffer+explode"}
"""Decoders that say nothing of damage unless they are told to stop at it. The others flag the picture, and stopping them would lose it."""


class VideoFault(EthoLoopError):  # noqa: N818 - a fault of the file, not of the program
    """A file, or a frame of it, that cannot be used.

    ``reason`` is one of empty, not_a_video, no_video_stream, undecodable, forbidden_container, forbidden_codec, too_large, too_long,
    too_slow, crashed, unreadable, gap; ``detail`` is a sentence for people.
    """

    def __init__(self, reason: str, detail: str, path: Path | None = None):
        self.reason = reason
        self.detail = detail
        super().__init__(f"{path}: {detail}" if path else detail)


@dataclass(frozen=True)
class VideoLimits:
    """What a file may cost. Beyond any of them it is refused with the limit named.

    ``probe_s``: seconds that a probe may take, and one more for each ``probe_bytes_per_s`` bytes of the file, so that long recordings
    have the time they need and a small file cannot take hours.
    """

    max_bytes: int = 2 * 1024**4
    max_pixels: int = 8192 * 8192
    max_frames: int = 100_000_000
    max_duration_s: float = 31 * 24 * 3600.0
    probe_s: float = 300.0
    probe_bytes_per_s: float = 100_000.0

    def deadline(self, path: Path) -> "Deadline":
        allowed = self.probe_s + path.stat().st_size / self.probe_bytes_per_s
        return Deadline(path, time.monotonic() + allowed, allowed)


@dataclass(frozen=True)
class Deadline:
    """When the work on a file must be done."""

    path: Path
    ends: float
    allowed_s: float

    def check(self) -> None:
        """Raises:
        VideoFault: the time is over.
        """
        if time.monotonic() > self.ends:
            sentence = f"Looking at the file took longer than {self.allowed_s:.0f} s, which is the limit for a file of its size."
            raise VideoFault("too_slow", sentence, self.path)


LIMITS = VideoLimits()


def open_video(path: Path, *, threads: int | None = None, limits: VideoLimits = LIMITS, file: Any = None) -> tuple[Any, Any]:
    """Open a local file: ``(container, video stream)``. Network, playlists and references to other files are refused.

    Args:
        path: the file.
        threads: of the decoder; None leaves the choice to it (one per core).
        limits: what the file may cost.
        file: an open file to be read in its place.

    Raises:
        VideoFault: the file is no video, or is refused.
    """
    container = _open_container(path, limits, file)
    try:
        stream = _video_stream(container, path, limits)
        _set_up(container, stream, threads)
        return container, stream
    except BaseException:
        container.close()
        raise


def _open_container(path: Path, limits: VideoLimits, file: Any) -> Any:
    _refuse_by_content(path, limits)
    # external data references of QuickTime files stay closed, and only decoders of the list are tried
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    options |= {"codec_whitelist": ",".join(sorted(CODECS)), "enable_drefs": "0"}
    try:
        # "file:" keeps a name such as "concat:a|b" from being read as an address
        address = file or f"file:{path.absolute()}"
        return av.open(address, options={"max_pixels": str(limits.max_pixels)}, container_options=options)
    except av.error.ArgumentError as error:
        sentence = "The file's container is not one that EthoLoop opens. Convert it to mp4, mkv or avi."
        raise VideoFault("forbidden_container", sentence, path) from error
    except av.error.FFmpegError as error:
        sentence = f"The file is not a readable video, or is cut off before its index ({error.strerror})."
        raise VideoFault("not_a_video", sentence, path) from error


def _refuse_by_content(path: Path, limits: VideoLimits) -> None:
    try:
        if not path.is_file():
            because = "it is not a file" if path.exists() else "there is none"
            raise VideoFault("unreadable", f"The file cannot be read: {because}.", path)
        n_bytes = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise VideoFault("unreadable", f"The file cannot be read: {error.strerror}.", path) from error
    if not head:
        raise VideoFault("empty", "The file is empty (0 bytes).", path)
    if n_bytes > limits.max_bytes:
        raise VideoFault("too_large", f"The file has {n_bytes} bytes, beyond the limit of {limits.max_bytes}.", path)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PLAYLISTS):
        sentence = "The file is a playlist: it names other files or addresses. Add the videos themselves."
        raise VideoFault("forbidden_container", sentence, path)


def _video_stream(container: Any, path: Path, limits: VideoLimits) -> Any:
    streams = [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]
    if not streams:
        raise VideoFault("no_video_stream", "The file holds no video stream.", path)
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoFault("undecodable", "No decoder is known for the file's video stream.", path)
    name = stream.codec_context.name
    if name not in CODECS:
        raise VideoFault("forbidden_codec", f"The codec '{name}' is not one that EthoLoop decodes. Convert the file to H.264.", path)
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > limits.max_pixels:
        raise VideoFault("too_large", f"Frames of {width}x{height} pixels are beyond the limit of {limits.max_pixels} pixels.", path)
    return stream


def _set_up(container: Any, stream: Any, threads: int | None) -> None:
    context = stream.codec_context
    stream.thread_type = "AUTO"
    if threads is not None:
        context.thread_count = threads
    if context.name in STRICT:
        context.options = {"err_detect": STRICT[context.name]}
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all  # sound and second cameras are not even read
