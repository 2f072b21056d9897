"""What people see: numbers, trails and windows on the whole picture, and a timeline of who is in view when."""

from collections import deque
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

Colour = tuple[int, int, int]

# kabr-tools' colours for track numbers 0, 1, … as RGB; after nineteen they begin again
KABR_COLOURS: tuple[Colour, ...] = (
    (63, 105, 170),
    (189, 61, 58),
    (107, 91, 149),
    (127, 65, 69),
    (213, 174, 65),
    (118, 111, 87),
    (228, 122, 46),
    (190, 158, 201),
    (241, 234, 127),
    (0, 110, 109),
    (87, 140, 169),
    (246, 209, 85),
    (0, 75, 141),
    (242, 85, 44),
    (149, 222, 227),
    (237, 205, 194),
    (206, 49, 117),
    (90, 114, 71),
    (207, 176, 149),
)
MAIN_COLOUR: Colour = (127, 127, 127)

TRAIL_FRAMES = 20
WIDE_PX, ROW_PX = 1000, 100
GROUND = 255


def colour_of(track: int) -> Colour:
    """RGB colour of a track number."""
    return KABR_COLOURS[track % len(KABR_COLOURS)]


class Overview:
    """Draws on copies of the frames of one video, one after the other; it remembers where each animal came from."""

    def __init__(self) -> None:
        self.trails: dict[int, deque[tuple[int, int]]] = {}
        self.seen: dict[int, int] = {}

    def draw(self, frame: int, image: np.ndarray, tracks: Sequence[int], boxes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """The frame with every animal's trail, window and number; ``boxes`` and ``windows`` (k, 4) in its pixels."""
        canvas = image.copy()
        pen = max(1, round(image.shape[1] / 640))
        for track, box, window in zip(tracks, boxes, windows, strict=True):
            trail = self._trail(frame, track, box)
            colour = colour_of(track)
            if len(trail) > 1:
                cv2.polylines(canvas, [np.array(trail, np.int32)], False, colour, pen, cv2.LINE_AA)
            left, top, right, bottom = (round(float(value)) for value in window)
            cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), colour, pen)
            # beside the animal: windows overlap, and their corners may lie outside of the picture
            x, y = (round(float(value)) for value in box[:2])
            write(canvas, f"#{track}", (max(2, x), max(30 * pen, y - 4 * pen)), colour, pen)
        write(canvas, f"Frame: {frame}", (6 * pen, 14 * pen), (255, 255, 255), pen)
        return canvas

    def _trail(self, frame: int, track: int, box: np.ndarray) -> "deque[tuple[int, int]]":
        if self.seen.get(track) != frame - 1:  # lost in between: no line across the gap
            self.trails[track] = deque(maxlen=TRAIL_FRAMES)
        self.seen[track] = frame
        self.trails[track].append((round(float(box[0] + box[2]) / 2), round(float(box[1] + box[3]) / 2)))
        return self.trails[track]


def write(image: np.ndarray, text: str, place: tuple[int, int], colour: Colour, pen: int) -> None:
    """Letters with a dark rim."""
    for shade, thickness in (((20, 20, 20), 3 * pen), (colour, pen)):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * pen, shade, thickness, cv2.LINE_AA)


def timeline(tracks: Mapping[str, Sequence[int]]) -> np.ndarray:
    """A row for the whole video ("main") and one for each track, coloured in the frames with a mini-scene; uint8 RGB, 1000 px wide.

    Args:
        tracks: by name, for each source frame the number of the mini-scene's frame or -1.
    """
    picture = np.full((ROW_PX * len(tracks), WIDE_PX, 3), GROUND, np.uint8)
    for row, (name, places) in enumerate(tracks.items()):
        there = np.asarray(places) >= 0
        colour = MAIN_COLOUR if name == "main" else colour_of(int(name))
        # a frame shorter than a column still shows: each column looks at all frames that fall into it
        edges = np.linspace(0, len(there), WIDE_PX + 1)
        first, last = np.floor(edges[:-1]).astype(int), np.maximum(np.ceil(edges[1:]).astype(int), np.floor(edges[:-1]).astype(int) + 1)
        filled = np.append(0, np.cumsum(there))
        columns = filled[np.minimum(last, len(there))] > filled[first]
        picture[row * ROW_PX + 10 : (row + 1) * ROW_PX - 10, columns] = colour
        write(picture, name if name == "main" else f"#{name}", (8, row * ROW_PX + 60), (255, 255, 255), 1)
    return picture
