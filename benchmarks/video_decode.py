"""How fast videos are read, as ratios measured in one run against ffmpeg and OpenCV on the same file with the same number of threads.

    python benchmarks/video_decode.py [--threads 2] [--repeats 5] [--gop 250] [--only sequential scattered features]

The videos are rendered by ffmpeg (which must be installed) into a temporary folder: two dark animals on a floor, seen by a camera that
stands still, 1920x1080, 25 frames per second, x264 with B-frames. The contestants take turns, every measurement is a process of its own
that times itself without its imports, and medians are compared. CPU seconds stand beside wall seconds: on a machine that does other work,
compare those.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PARTS = ("sequential", "scattered", "features")
N_SCATTERED = 200
SIZE = "1920x1080"


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(CONTESTANTS[arguments.child](Path(arguments.path), arguments.threads)))
        return
    if shutil.which("ffmpeg") is None:
        sys.exit("ffmpeg is needed to render the videos and to compare with.")
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(arguments.folder or Path(name), arguments)
        for part in arguments.only:
            getattr(bench, part)()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gop", type=int, default=250, help="longest distance of keyframes (x264 takes 250 unless told otherwise)")
    parser.add_argument("--seconds", type=int, default=40, help="length of the video that is read as a whole")
    parser.add_argument("--minutes", type=int, default=10, help="length of the video that is jumped about in")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--folder", type=Path, help="use the videos in this folder, or render them there, and keep them")
    parser.add_argument("--child", choices=sorted(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    return parser.parse_args()


class Bench:
    """The measurements; each prints its lines."""

    def __init__(self, folder: Path, arguments: argparse.Namespace):
        self.folder, self.arguments = folder, arguments

    def sequential(self) -> None:
        """All frames as RGB arrays."""
        path = self._indexed(self._render("sequential.mp4", self.arguments.seconds))
        found = self._take_turns(path, "ours", "ours_batches", "ffmpeg_null", "ffmpeg_pipe", "opencv", "plain")
        _ratio("sequential RGB against ffmpeg -f rawvideo to /dev/null (bar 0.9)", found["ffmpeg_null"], found["ours"])
        _ratio("sequential RGB against ffmpeg -f rawvideo through a pipe", found["ffmpeg_pipe"], found["ours"])
        _ratio("sequential RGB against OpenCV VideoCapture.read (bar 1.5)", found["opencv"], found["ours"])
        _ratio("the most that is possible: OpenCV against decoding without any conversion", found["opencv"], found["plain"])

    def scattered(self) -> None:
        """200 frames in random places, given in ascending order and unsorted."""
        short = self._render("minute.mp4", 60)
        path = self.folder / "long.mp4"
        if not path.exists():
            loops = ["-stream_loop", str(self.arguments.minutes - 1)]
            _run("ffmpeg", "-v", "error", "-y", *loops, "-i", str(short), "-c", "copy", str(path))
        found = self._take_turns(self._indexed(path), "ours_scattered", "ours_unsorted", "opencv_scattered")
        _ratio("200 scattered frames against OpenCV seek and read (bar 5)", found["opencv_scattered"], found["ours_scattered"])
        _ratio("the same, asked for unsorted", found["opencv_scattered"], found["ours_unsorted"])

    def features(self) -> None:
        """Histogram features of every 50th frame against decoding all frames without looking at them."""
        path = self._indexed(self._render("sequential.mp4", self.arguments.seconds))
        found = self._take_turns(path, "ours_features", "plain")
        _ratio("features of every 50th frame against plain decoding (bar 0.8)", found["plain"], found["ours_features"])

    def _render(self, name: str, seconds: int) -> Path:
        """Two dark animals that run about on a floor that stays as it is, under a camera with a little noise."""
        path = self.folder / name
        if not path.exists():
            floor = self.folder / "floor.png"
            texture = "geq=lum='128+40*sin(X/37)*cos(Y/23)+random(1)*30':cb=128:cr=128"
            _run("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"nullsrc=size={SIZE},{texture}", "-frames:v", "1", str(floor))
            animals = "[1]split[a][b];[0][a]overlay=x='860+800*sin(0.9*t)':y='480+420*cos(1.3*t)'[c];"
            animals += "[c][b]overlay=x='860+700*cos(0.5*t)':y='480+400*sin(1.7*t)',noise=alls=4:allf=t,format=yuv420p"
            sources = ["-loop", "1", "-framerate", "25", "-i", str(floor), "-f", "lavfi", "-i", "color=c=0x302820:size=160x90:rate=25"]
            code = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-g", str(self.arguments.gop)]
            _run("ffmpeg", "-v", "error", "-y", *sources, "-filter_complex", animals, "-t", str(seconds), *code, str(path))
        return path

    def _indexed(self, path: Path) -> Path:
        """The same path, with its index beside it: an index is made once, when a video is added."""
        from etholoop.io import video

        if not path.with_suffix(".npz").exists():
            video.probe(path, decode=False)[1].save(path.with_suffix(".npz"))
        return path

    def _take_turns(self, path: Path, *names: str) -> dict[str, list[dict]]:
        found: dict[str, list[dict]] = {name: [] for name in names}
        for turn in range(self.arguments.repeats + 1):
            for name in names:
                run = _child(name, path, self.arguments.threads)
                if turn:  # the first turn warms up
                    found[name].append(run)
        for name, runs in found.items():
            wall, cpu = (statistics.median(run[key] for run in runs) for key in ("wall", "cpu"))
            walls, n_frames = sorted(run["wall"] for run in runs), runs[0]["n"]
            times = f"wall {wall:7.2f} s ({walls[0]:.2f}-{walls[-1]:.2f})  CPU {cpu:7.2f} s"
            print(f"  {name:18s} {n_frames:6d} frames  {times}  {n_frames / wall:7.1f} frames/s", flush=True)
        return found


def _ratio(words: str, theirs: list[dict], ours: list[dict]) -> None:
    wall, cpu = (statistics.median(run[key] for run in theirs) / statistics.median(run[key] for run in ours) for key in ("wall", "cpu"))
    print(f"{words}: {wall:.2f} by wall time, {cpu:.2f} by CPU time")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _child(name: str, path: Path, threads: int) -> dict:
    command = [sys.executable, __file__, "--child", name, "--path", str(path), "--threads", str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# contestants: each runs in a process of its own -------------------------------------------------------------------------


def _timed(work: Callable[[], int]) -> dict:
    before, start = _cpu(), time.perf_counter()
    n_frames = work()
    return {"n": n_frames, "wall": time.perf_counter() - start, "cpu": _cpu() - before}


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _reader(path: Path, threads: int):
    from etholoop.io import video

    return video.VideoReader(path, video.VideoIndex.load(path.with_suffix(".npz")), threads=threads)


def ours(path: Path, threads: int) -> dict:
    reader = _reader(path, threads)
    return _timed(lambda: sum(1 for _ in reader.stream()))


def ours_batches(path: Path, threads: int) -> dict:
    reader = _reader(path, threads)
    return _timed(lambda: sum(len(batch) for batch in reader.batches(range(reader.n_frames), 16)))


def plain(path: Path, threads: int) -> dict:
    """Decoding alone: no colours, no arrays."""
    import av

    def work() -> int:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            return sum(1 for _ in container.decode(stream))

    return _timed(work)


def ffmpeg_null(path: Path, threads: int) -> dict:
    return _timed(lambda: _ffmpeg(path, threads, "/dev/null"))


def ffmpeg_pipe(path: Path, threads: int) -> dict:
    return _timed(lambda: _ffmpeg(path, threads, "-"))


def _ffmpeg(path: Path, threads: int, target: str) -> int:
    command = ["ffmpeg", "-v", "error", "-y", "-threads", str(threads), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", target]
    n_bytes = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        frame = bytearray(1920 * 1080 * 3)
        while n := process.stdout.readinto(frame):  # type: ignore[attr-defined]
            n_bytes += n
    return n_bytes // len(frame) if n_bytes else _n_frames(path)


def _n_frames(path: Path) -> int:
    from etholoop.io.video import VideoIndex

    return VideoIndex.load(path.with_suffix(".npz")).info.n_frames


def opencv(path: Path, threads: int) -> dict:
    import cv2

    def work() -> int:
        capture, n_frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads]), 0
        while capture.read()[0]:
            n_frames += 1
        return n_frames

    return _timed(work)


def _places(path: Path) -> list[int]:
    import random

    return random.Random(0).sample(range(_n_frames(path)), N_SCATTERED)


def ours_scattered(path: Path, threads: int) -> dict:
    reader, places = _reader(path, threads), sorted(_places(path))
    return _timed(lambda: sum(1 for _ in reader.read(places)))


def ours_unsorted(path: Path, threads: int) -> dict:
    reader, places = _reader(path, threads), _places(path)
    return _timed(lambda: sum(1 for _ in reader.read(places)))


def opencv_scattered(path: Path, threads: int) -> dict:
    import cv2

    places = sorted(_places(path))

    def work() -> int:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        n_frames = 0
        for place in places:
            capture.set(cv2.CAP_PROP_POS_FRAMES, place)
            n_frames += capture.read()[0]
        return n_frames

    return _timed(work)


def ours_features(path: Path, threads: int) -> dict:
    from etholoop.core.sampling import histogram_kmeans

    reader = _reader(path, threads)

    def work() -> int:
        histogram_kmeans.features(image for _, image in reader.stream(0, None, 50))
        return reader.n_frames

    return _timed(work)


CONTESTANTS: dict[str, Callable[[Path, int], dict]] = {
    work.__name__: work
    for work in (
        *(ours, ours_batches, ours_scattered, ours_unsorted, ours_features),
        *(plain, ffmpeg_null, ffmpeg_pipe, opencv, opencv_scattered),
    )
}


if __name__ == "__main__":
    main()
