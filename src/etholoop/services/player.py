"""A web player for one computer: exact source frames as pictures, with what is known about them.

Pictures are decoded here and sent as JPEG with their frame number, so that what the page shows as frame N is frame N of the source,
whatever the codec and the browser. The server listens on 127.0.0.1 only and answers only requests that were addressed to it.
"""

import json
import re
import struct
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from etholoop.errors import EthoLoopError

HOST = "127.0.0.1"

MOST_PICTURES = 64
"""Pictures of one answer; the page asks for the next ones while it shows these."""

MOST_FRAMES = 20_000
"""Frames of one window of tables."""

JSON, HTML, BINARY = "application/json", "text/html; charset=utf-8", "application/octet-stream"


class Show(Protocol):
    """What there is to see. Unknown videos raise :class:`KeyError`."""

    def about(self) -> dict[str, Any]:
        """``title`` and ``videos``: a list of ``id``, ``n_frames``, ``fps``."""

    def video(self, video_id: str) -> dict[str, Any]:
        """What does not depend on the frame: size, rate, tracks, bouts, ``looks`` of behaviours (``core.behaviour_looks``), risks."""

    def window(self, video_id: str, start: int, stop: int) -> dict[str, Any]:
        """Boxes and points of the frames ``[start, stop)``."""

    def pictures(self, video_id: str, frames: range, width: int, track: int | None) -> Iterator[tuple[int, bytes]]:
        """``(frame, JPEG)`` in ascending order; empty bytes where there is nothing to show (a damaged frame, a track that is not there)."""


class Player:
    """The running server.

    Args:
        port: 0 = any that is free.

    Raises:
        EthoLoopError: the port is taken.
    """

    def __init__(self, show: Show, port: int = 0):
        try:
            self.server = ThreadingHTTPServer((HOST, port), _handler(show))
        except OSError as error:
            raise EthoLoopError(f"port {port} on {HOST} cannot be used: {error.strerror}. Choose another with --port.") from error
        self.server.daemon_threads = True
        self.url = f"http://{HOST}:{self.server.server_port}/"

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self) -> None:
        """Serve until Ctrl-C."""
        try:
            self.server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            self.server.server_close()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def page() -> bytes:
    """The page; it loads nothing from anywhere else."""
    return resources.files("etholoop.services").joinpath("player.html").read_bytes()


def packed(pictures: Iterator[tuple[int, bytes]]) -> bytes:
    """Pictures in one answer: for each its frame (uint32), its length (uint32), its bytes; little-endian."""
    return b"".join(struct.pack("<II", frame, len(content)) + content for frame, content in pictures)


class _RefusedError(Exception):
    """A request that cannot be answered."""

    def __init__(self, status: HTTPStatus, text: str):
        super().__init__(text)
        self.status = status


def _handler(show: Show) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "EthoLoop"

        def do_GET(self) -> None:
            try:
                self._refuse_strangers()
                kind, content = _answer(show, self.path)
            except _RefusedError as refusal:
                self._send(refusal.status, JSON, json.dumps({"error": str(refusal)}).encode())
            except EthoLoopError as error:
                self._send(HTTPStatus.INTERNAL_SERVER_ERROR, JSON, json.dumps({"error": str(error)}).encode())
            else:
                self._send(HTTPStatus.OK, kind, content)

        def _refuse_strangers(self) -> None:
            """A page of another site may point a name of its own at this address; its requests carry that name."""
            host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
            if host not in (HOST, "localhost"):
                raise _RefusedError(HTTPStatus.FORBIDDEN, f"this player answers to {HOST} only")

        def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: faults are answered to the page, which shows them."""

    return Handler


def _answer(show: Show, path: str) -> tuple[str, bytes]:
    parts = urlsplit(path)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.path == "/":
        return HTML, page()
    if parts.path == "/api/about":
        return JSON, _json(show.about())
    match = re.fullmatch(r"/api/(video|window|frames)/([^/]+)", parts.path)
    if match is None:
        raise _RefusedError(HTTPStatus.NOT_FOUND, f"no such address: {parts.path}")
    what, video_id = match.groups()
    try:
        if what == "video":
            return JSON, _json(show.video(video_id))
        if what == "window":
            start, stop = _number(query, "start"), _number(query, "stop")
            return JSON, _json(show.window(video_id, start, min(stop, start + MOST_FRAMES)))
        return BINARY, packed(_pictures(show, video_id, query))
    except KeyError as error:
        raise _RefusedError(HTTPStatus.NOT_FOUND, f"no video {error}") from error


def _pictures(show: Show, video_id: str, query: dict[str, str]) -> Iterator[tuple[int, bytes]]:
    start, count = _number(query, "start"), min(_number(query, "count"), MOST_PICTURES)
    step, width = max(1, _number(query, "step", 1)), min(max(_number(query, "width", 960), 64), 3840)
    track = _number(query, "track") if "track" in query else None
    return show.pictures(video_id, range(start, start + count * step, step), width, track)


def _number(query: dict[str, str], name: str, default: int | None = None) -> int:
    text = query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"\d{1,9}", text):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number of at least 0, found {text!r}")
    return int(text)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
