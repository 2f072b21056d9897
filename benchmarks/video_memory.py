"""Does reading a video need more memory when the video is longer?

A short clip of numbered frames is repeated by copying its packets to 1 minute and to 60 minutes. A child process opens each with its
stored index, reads in one way and reports the most memory it ever held (resident set, VmHWM of /proc/self/status). A synthetic index of
24 hours at 25 frames per second is opened the same way. The first way reads one frame with PyAV alone: FFmpeg keeps the table of an MP4
file's frames in memory, about 50 bytes for each, whoever reads it.

    python benchmarks/video_memory.py
    python benchmarks/video_memory.py --size 320x240 --repeats 3
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from _repeated import repeat

CLIP_FRAMES, RATE = 250, 25
MINUTES = (1, 60)
WAYS = (
    "plain PyAV, 1 frame",
    "1 frame",
    "probe",
    "stream all",
    "stream every 50th",
    "batches of 32",
    "scattered, sorted",
    "scattered, unsorted",
)
N_SCATTERED = 300
BAR = 0.05


def peak_mb() -> float:
    """The most memory that this process held, in MB of 10^6 bytes; a parent's memory does not count."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("/proc/self/status has no VmHWM; this benchmark needs Linux")


def child(way: str, video_path: Path, index_path: Path) -> dict[str, float]:
    """Read in one way; the number on every frame is checked."""
    from etholoop.io import video
    from etholoop.simulation.numbered import read_number

    start, count = time.monotonic(), 0

    def check(frame: int, image) -> None:
        nonlocal count
        count += 1
        # reading a number costs more than decoding the frame: a part of them is enough here
        if count % 20 == 0 and read_number(image) != frame % CLIP_FRAMES:
            raise SystemExit(f"{video_path}: asked for frame {frame}, got {read_number(image)}")

    if way == "plain PyAV, 1 frame":
        import av

        with av.open(str(video_path)) as container:
            next(container.decode(video=0))
        return {"mb": peak_mb(), "s": time.monotonic() - start, "frames": 1}
    if way == "probe":
        video.probe(video_path)
        return {"mb": peak_mb(), "s": time.monotonic() - start, "frames": 0}
    reader = video.VideoReader(video_path, video.VideoIndex.load(index_path))
    chance = random.Random(0)
    wanted = chance.sample(range(reader.n_frames), N_SCATTERED)
    if way in ("1 frame", "open only"):
        reader[0]
    elif way.startswith("stream"):
        for frame, image in reader.stream(step=50 if "50" in way else 1):
            check(frame, image)
    elif way.startswith("batches"):
        place = 0
        for batch in reader.batches(range(reader.n_frames), 32):
            for image in batch:
                check(place, image)
                place += 1
    else:
        for frame, image in reader.read(sorted(wanted) if way.endswith(" sorted") else wanted):
            check(frame, image)
    return {"mb": peak_mb(), "s": time.monotonic() - start, "frames": count}


def child_index(path: Path) -> dict[str, float]:
    """Open an index and ask it what a reader asks; memory is what is added to that of the imported program."""
    from etholoop.io import video

    before, start = peak_mb(), time.monotonic()
    index = video.VideoIndex.load(path)
    n_usable = int(index.usable.sum())
    index.start_for(n_usable // 2)
    return {"mb": peak_mb() - before, "s": time.monotonic() - start, "frames": n_usable}


def in_child(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--child", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{arguments} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def make_videos(folder: Path, size: tuple[int, int]) -> dict[int, tuple[Path, Path]]:
    """Video and stored index for each length in minutes."""
    from etholoop.io import video
    from etholoop.simulation.corpus_encode import Recipe, encode

    clip = folder / "clip.mp4"
    encode(clip, range(CLIP_FRAMES), Recipe(options={"preset": "veryfast", "g": "50", "bf": "2"}, size=size))
    made = {}
    for minutes in MINUTES:
        path, index_path = folder / f"{minutes}.mp4", folder / f"{minutes}.npz"
        repeat(clip, path, minutes * 60 * RATE // CLIP_FRAMES)
        info, index = video.probe(path)
        if info.n_frames != minutes * 60 * RATE:
            sys.exit(f"{path} holds {info.n_frames} frames, expected {minutes * 60 * RATE}")
        index.save(index_path)
        made[minutes] = (path, index_path)
    return made


def make_index(path: Path) -> None:
    """24 hours at 25 frames per second on the usual clock of 1/12800 s, a keyframe every 10 s."""
    import numpy as np

    from etholoop.io import video

    n_frames = 24 * 3600 * 25
    info = video.VideoInfo(
        n_frames=n_frames, n_frames_header=n_frames, fps=Fraction(25), duration_s=86400.0, width=1920, height=1080, codec="h264",
        pix_fmt="yuv420p", container="mov,mp4", rotation=0, variable_rate=False, decoded=False,
    )  # fmt: skip
    keyframes = np.arange(0, n_frames, 250)
    pts = np.arange(n_frames) * 512
    index = video.VideoIndex(
        info, pts, keyframes, Fraction(1, 12800), True, seeks=pts[keyframes] - 1024, late=np.full(n_frames, 2, np.uint8)
    )
    index.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each way; the table has their median")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="only these ways")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, *paths = arguments.child
        found = child_index(Path(paths[0])) if way == "index" else child(way, *map(Path, paths))
        print(json.dumps(found))
        return
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="etholoop-memory-") as temporary:
        folder = Path(temporary)
        videos = make_videos(folder, (width, height))
        head = ["way", *(f"{minutes} min: MB" for minutes in MINUTES), "ratio", *(f"{minutes} min: s" for minutes in MINUTES), "bar"]
        print(f"H.264, {arguments.size}, median of {arguments.repeats} runs\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
        for way in arguments.ways:
            runs = {minutes: [in_child(way, *map(str, videos[minutes])) for _ in range(arguments.repeats)] for minutes in MINUTES}
            mb, seconds = ({minutes: statistics.median(run[key] for run in runs[minutes]) for minutes in MINUTES} for key in ("mb", "s"))
            ratio = mb[MINUTES[1]] / mb[MINUTES[0]]
            verdict = "met" if abs(ratio - 1) <= BAR else "**missed**"
            cells = [way, *(f"{mb[minutes]:.0f}" for minutes in MINUTES), f"{ratio:.3f}"]
            print(f"| {' | '.join([*cells, *(f'{seconds[minutes]:.1f}' for minutes in MINUTES), verdict])} |", flush=True)
        make_index(folder / "day.npz")
        days = [in_child("index", str(folder / "day.npz")) for _ in range(arguments.repeats)]
        mb, seconds = (statistics.median(day[key] for day in days) for key in ("mb", "s"))
        size_kb = (folder / "day.npz").stat().st_size / 1000
        what = f"Index of 24 h at 25 frames per second, {days[0]['frames']:.0f} frames"
        print(f"\n{what}: opens in {seconds:.2f} s, {mb:.0f} MB, file {size_kb:.0f} kB (bar: 1 s, 100 MB)")


if __name__ == "__main__":
    main()
