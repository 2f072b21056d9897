"""A place in one open video that finds the picture with a given number, by decoding on or by starting again at a keyframe.

Every picture is recognised by its time stamp in the index, so a seek can never give a neighbouring frame. What does not come is decoded
again from further back, and what cannot be decoded is a fault that names the frame.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import av.error

from etholoop.io._video_index import VideoIndex
from etholoop.io._video_open import VideoFault, open_video
from etholoop.io._video_packets import decoded, packets_of

SEEK_GAIN = 8
"""A jump ahead is a seek only when it saves more frames than this; a seek costs the decoder's delay."""

FAST_TRIES = 3
"""After so many failures the search goes on with one decoder thread."""

SKIPPABLE = ("h264",)
"""Codecs whose packets say that no other picture is made from them: such a picture is not decoded unless it is wanted."""

Found = tuple[av.VideoFrame | None, str]
"""A picture, and a fault in words or ''. Without picture: the decoder refused something, or reading stopped."""


class Cursor:
    """Pictures of one file by number."""

    def __init__(self, path: Path, index: VideoIndex, threads: int | None = None):
        self.path, self.index, self._threads = path, index, threads
        self._wanted: set[int] | None = None
        self._stamps: set[int] = set()
        self._keys_back = 0
        self._careful: Cursor | None = None
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if self._careful is not None:
            self._careful.close()

    def want(self, frames: Iterable[int] | None) -> None:
        """Say which frames will be taken, so that others need not be kept, nor decoded where nothing is made from them; None = any."""
        self._wanted = set(frames) if frames is not None else None
        self._stamps = {int(self.index.pts[frame]) for frame in self._wanted or ()} if self.index.stamped else set()

    def take(self, frame: int) -> av.VideoFrame:
        """The picture with this number; tries where it stands, then from ever earlier keyframes, at last from the start.

        Raises:
            VideoFault: the frame cannot be decoded, or something that it may be made from cannot.
        """
        for n_tried, keys_back in enumerate(self._attempts(frame)):
            if n_tried >= FAST_TRIES and self._threads != 1:
                break
            if keys_back is not None:
                self._start(frame, keys_back)
            picture = self._search(frame)
            if picture is not None:
                self._keys_back = keys_back or 0 if n_tried else self._keys_back
                return picture
            self._lost = True
            if self._fault and n_tried > 1:
                break  # damage stays damage wherever one starts
        if self._threads != 1:
            return self._carefully(frame)
        raise VideoFault("undecodable", f"frame {frame} cannot be decoded ({self._fault or 'it is missing'}).", self.path)

    def _attempts(self, frame: int) -> Iterator[int | None]:
        """How many keyframes before the nearest to start; None = decode on from here."""
        place = self.index.key_place(frame)
        key = self.index.start_for(frame)
        if not self._lost and (frame in self._held or (frame > self._reached and key - self._reached <= SEEK_GAIN + 1)):
            yield None
        back = self._keys_back
        while place - back > 0:
            yield back
            back = max(2 * back, 1) if back < 2 else 8 * back
        yield place + 1

    def _carefully(self, frame: int) -> av.VideoFrame:
        """With one decoder thread: with several, a refusal next to the frame can take it along."""
        self._careful = self._careful or Cursor(self.path, self.index, 1)
        return self._careful.take(frame)

    def _start(self, frame: int, keys_back: int) -> None:
        place = self.index.key_place(frame) - keys_back
        if place < 0 or self.index.keyframes[place] == 0:
            self._container.close()
            self._open()
            return
        self._stand_at(int(self.index.keyframes[place]))
        target = self.index.seeks[place] if len(self.index.seeks) else self.index.pts[self._wait_for]
        try:
            self._container.seek(int(target), stream=self._stream, backward=True, any_frame=False)
            self._found = self._pictures()
        except av.error.FFmpegError as error:
            self._found, self._fault = iter(()), f"seeking: {error.strerror}"

    def _open(self) -> None:
        """Open anew: the only way to the start that holds for every container."""
        self._container, self._stream = open_video(self.path, threads=self._threads)
        self._stand_at(-1)
        self._found = self._pictures()

    def _stand_at(self, wait_for: int) -> None:
        """Forget what was decoded. Nothing counts before the keyframe ``wait_for``; -1 = everything counts."""
        self._wait_for, self._from, self._reached = wait_for, max(wait_for, 0), max(wait_for, 0) - 1
        self._held: dict[int, av.VideoFrame] = {}
        self._fault, self._lost = "", False

    def _search(self, frame: int) -> av.VideoFrame | None:
        """Decode on to ``frame``; None if it does not come, or if what it may be made from is damaged.

        Pictures that are stored before it and shown after it are waited for: one of them may be damaged, and it is made from them.
        """
        until = frame + int(self.index.late[frame]) if len(self.index.late) else frame
        for number in [number for number in self._held if number < frame]:
            del self._held[number]
        while self._reached < until and (found := next(self._found, None)) is not None:
            picture, fault = found
            number = self._number(picture)
            if number < 0 and picture is not None:
                continue
            if self._wait_for >= 0 and not self._arrived(number):
                if self._wait_for > frame:
                    return None
                continue
            if fault and not self._known(number, until):
                self._fault = fault
                return None
            if picture is None:
                continue
            self._reached = number
            if number == frame or self._wanted is None or number in self._wanted:
                self._held[number] = picture
            if number > frame and frame not in self._held:
                return None
        return self._held.pop(frame, None)

    def _arrived(self, number: int) -> bool:
        """Whether this picture is the keyframe from which pictures count. Where a decoder drops it (it recovers bit by bit), or a
        seek lands behind it, they count from the next one on."""
        if number > self._wait_for:
            place = self.index.keyframes.searchsorted(number)
            self._wait_for = int(self.index.keyframes[place]) if place < len(self.index.keyframes) else self.index.info.n_frames
        if number != self._wait_for:
            return False
        self._from, self._wait_for = number, -1
        return True

    def _known(self, number: int, until: int) -> bool:
        """Whether a fault is one of those that the index lists as gaps. A refusal of the decoder may come some packets late."""
        if not self.index.info.decoded:
            return False
        if number >= 0:
            return not self.index.usable[number]
        return not self.index.usable[self._from : max(until, self._reached) + 64].all()

    def _number(self, picture: av.VideoFrame | None) -> int:
        """Number of a decoded picture; -1 where its stamp is unknown."""
        if picture is None:
            return -1
        return self.index.number_of(picture.pts) if self.index.stamped else self._reached + 1

    def _pictures(self) -> Iterator[Found]:
        """All pictures in output order from where the container stands."""
        context = self._stream.codec_context
        skips = self.index.stamped and context.name in SKIPPABLE
        for packet, trouble in packets_of(self._container, self._stream):
            if skips and packet is not None:
                context.skip_frame = "DEFAULT" if self._wanted is None or packet.pts in self._stamps else "NONREF"
            pictures, fault = decoded(self._stream, packet) if not trouble else ([], trouble)
            if fault:
                yield None, fault
            for picture in pictures:
                yield picture, "damaged picture" if picture.is_corrupt else ""
