"""What does drawing tracks cost beside decoding and encoding?

    python benchmarks/draw_speed.py [--sizes 640x480 1280x720] [--frames 300] [--animals 5] [--repeats 3]

The same rendered video is read and written again as it is, and with boxes, skeletons, trails and names drawn as `etholoop tracks draw`
does. Processor and wall seconds, best of the repeats, in turns; "streamed at encode speed" means a ratio near 1.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import inference_speed as films

N_KEYPOINTS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["640x480", "1280x720"])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--animals", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print("| size | plain wall s | plain CPU s | drawn wall s | drawn CPU s | ratio wall | ratio CPU |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="etholoop-draw-") as name:
        for size in arguments.sizes:
            width, height = map(int, size.split("x"))
            compare(Path(name), width, height, arguments)


def compare(folder: Path, width: int, height: int, arguments: argparse.Namespace) -> None:
    from etholoop.io.video import write_video

    source = folder / f"{width}.mp4"
    write_video(source, films.film(width, height, arguments.frames), Fraction(25), crf=23)
    rounds = [[copied(source, n) for n in (0, arguments.animals)] for _ in range(arguments.repeats)]
    (plain_wall, plain_cpu), (wall, cpu) = np.min(rounds, axis=0)
    cells = [f"{width}x{height}", *(f"{value:.2f}" for value in (plain_wall, plain_cpu, wall, cpu, wall / plain_wall, cpu / plain_cpu))]
    print(f"| {' | '.join(cells)} |", flush=True)


def copied(source: Path, n_animals: int) -> tuple[float, float]:
    """Wall and processor seconds of reading, drawing so many animals and writing."""
    from etholoop.io.video import VideoReader, write_video

    with VideoReader(source) as reader:
        begin = time.monotonic(), cpu_s()
        pictures = (image for _, image in reader.stream())
        shown = drawn(pictures, n_animals, reader.width, reader.height) if n_animals else pictures
        write_video(source.with_suffix(".out.mp4"), shown, Fraction(25))
        return time.monotonic() - begin[0], cpu_s() - begin[1]


def drawn(pictures: Iterator[np.ndarray], n_animals: int, width: int, height: int) -> Iterator[np.ndarray]:
    from etholoop.io.track_drawing import Shown, TrackPen

    pen = TrackPen([(number, number + 1) for number in range(N_KEYPOINTS - 1)])
    for frame, picture in enumerate(pictures):
        animals = []
        for animal in range(n_animals):
            centre, direction, length = films.pose(animal, frame, width, height)
            tail, nose = films.ends(centre, direction, length)[::-1]
            points = tail + (nose - tail) * np.linspace(0, 1, N_KEYPOINTS)[:, None]
            animals.append(Shown(animal, films.box(centre, direction, length), f"mouse {animal}", keypoints=points))
        yield pen.draw(picture, frame, animals)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
