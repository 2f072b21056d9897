"""Is the frame that is asked for the frame that comes? EthoLoop's reader and OpenCV on the generated collection.

Every frame of the collection shows its own number, so what is right depends on no reader. EthoLoop is asked in every way it knows,
OpenCV by `set(CAP_PROP_POS_FRAMES, n)` and `read()` on one open file, for the same frames. OpenCV is asked only for frames that the
file really holds. Of a damaged file only frames are asked for that EthoLoop calls usable. One whose bytes are not those of the file
before the damage, though no decoder noticed, is counted as spoilt; one that shows another number, or other bytes than decoding from
the start gives, or that does not come, is counted as wrong. OpenCV's frame is wrong when it does not show its number. How many of
the usable frames it gives wrongly when it only reads on from the start, without seeking, is counted beside it.

    python benchmarks/exactness.py
    python benchmarks/exactness.py --requests 20 --only h264
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import av
import cv2
import numpy as np

from etholoop.io import exactness, video
from etholoop.simulation import corpus
from etholoop.simulation.numbered import NotNumbered, read_number

HEAD = (
    "file",
    "what",
    "frames",
    "in gaps",
    "requests",
    "compared",
    "wrong",
    "spoilt",
    "OpenCV counts",
    "wrong in sequence",
    "reads",
    "wrong",
)


@dataclass
class Count:
    """Frames of one file: how many were compared, were wrong, were spoilt."""

    compared: int = 0
    wrong: int = 0
    spoilt: int = 0

    def add(self, *, wrong: bool, spoilt: bool = False) -> None:
        self.compared += 1
        self.wrong += wrong
        self.spoilt += spoilt and not wrong


def number_on(image: np.ndarray) -> int | None:
    try:
        return read_number(image)
    except NotNumbered:
        return None


def ours(sample: corpus.Sample, index: video.VideoIndex, wanted: list[exactness.Request]) -> Count:
    count, reader = Count(), video.VideoReader(sample.path, index)
    sums = exactness.checksums(sample.path, index)
    whole = exactness.checksums(sample.intact, video.probe(sample.intact)[1]) if sample.intact else None
    for request in wanted:
        try:
            for asked, given, image in exactness.answers(request, sample.path, reader):
                number, found, expected = number_on(image), exactness.checksum(image), sample.shown[asked]
                wrong = given != asked or found != sums[asked] or number not in (None, expected)
                count.add(wrong=wrong, spoilt=number is None or (whole is not None and found != whole[expected]))
        except Exception as error:
            print(f"  {sample.path.name}: {request}: {type(error).__name__}: {error}")
            count.add(wrong=True)
    return count


def opencv(sample: corpus.Sample, wanted: list[exactness.Request]) -> tuple[str, Count]:
    """The number of frames that OpenCV claims, and what it gives for the same frames."""
    capture, count = cv2.VideoCapture(str(sample.path), cv2.CAP_FFMPEG), Count()
    if not capture.isOpened():
        return "does not open", count
    for frame in (frame for request in wanted for frame in request.frames):
        capture.set(cv2.CAP_PROP_POS_FRAMES, frame)
        came, image = capture.read()
        count.add(wrong=not came or number_on(image) != sample.shown[frame])
    claimed = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return str(claimed), count


def opencv_in_sequence(sample: corpus.Sample, index: video.VideoIndex) -> int:
    """Usable frames that OpenCV does not give in their place when it reads from the start to the end."""
    capture, found = cv2.VideoCapture(str(sample.path), cv2.CAP_FFMPEG), []
    while (answer := capture.read())[0]:
        found.append(number_on(answer[1]))
    capture.release()
    usable = np.flatnonzero(index.usable).tolist()
    return sum(frame >= len(found) or found[frame] != sample.shown[frame] for frame in usable)


def row(kind: corpus.Kind, folder: Path, requests: int, seed: int) -> tuple[list[str], Count, Count]:
    sample = kind.write(folder)
    try:
        info, index = video.probe(sample.path)
    except video.VideoFault as fault:
        return [kind.name, kind.words, f"**refused: {fault.reason}**", "", "0", "0", "1", "0", "", "0", "0", "0"], Count(wrong=1), Count()
    wanted = [request for request, _ in zip(exactness.requests(index, seed), range(requests), strict=False)]
    mine = ours(sample, index, wanted)
    claimed, theirs = opencv(sample, wanted)
    true = str(info.n_frames) + ("" if info.n_frames == len(sample.shown) else f" (**expected {len(sample.shown)}**)")
    gaps = str(info.n_frames - int(index.usable.sum()))
    cells = [kind.name, kind.words, true, gaps, str(len(wanted)), str(mine.compared), str(mine.wrong), str(mine.spoilt)]
    cells += [claimed, str(opencv_in_sequence(sample, index)), str(theirs.compared), str(theirs.wrong)]
    return cells, mine, theirs


def table(kinds: list[corpus.Kind], requests: int, seed: int) -> None:
    """Markdown, a row per file and one with the sums."""
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    sums = {"requests": 0, "mine": 0, "wrong": 0, "spoilt": 0, "theirs": 0, "theirs wrong": 0}
    files_wrong = 0
    for place, kind in enumerate(kinds):
        with tempfile.TemporaryDirectory(prefix="etholoop-exact-") as temporary:
            cells, mine, theirs = row(kind, Path(temporary), requests, seed + place)
        print(f"| {' | '.join(cells)} |", flush=True)
        found = (int(cells[4]), mine.compared, mine.wrong, mine.spoilt, theirs.compared, theirs.wrong)
        sums = {name: sums[name] + number for name, number in zip(sums, found, strict=True)}
        files_wrong += theirs.wrong > 0
    ours_sum = [str(sums[name]) for name in ("requests", "mine", "wrong", "spoilt")]
    failed = f"{sums['theirs wrong']} in {files_wrong} files"
    print(f"| {' | '.join(['**all**', f'{len(kinds)} files', '', '', *ours_sum, '', '', str(sums['theirs']), failed])} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100, help="per file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the names of files")
    arguments = parser.parse_args()
    start = time.monotonic()
    for heading, some in (("Healthy files", corpus.HEALTHY), ("Damaged files", corpus.DAMAGED)):
        kinds = [kind for kind in corpus.kinds() if kind in some and arguments.only in kind.name]
        print(f"\n### {heading}\n")
        table(kinds, arguments.requests, arguments.seed)
    missing = ", ".join(kind.name for kind in corpus.missing()) or "nothing"
    print(
        f"\n{time.monotonic() - start:.0f} s; PyAV {av.__version__}, OpenCV {cv2.__version__}. Left out for want of an encoder: {missing}."
    )


if __name__ == "__main__":
    main()
