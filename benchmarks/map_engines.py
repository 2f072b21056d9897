"""How much faster are two workers than one, and is every byte the same?

Four videos are looked at as the frames stage does it (decode, shrink, compare): serial, `processes` with 2 workers, Dask with 2
workers, each in a new Python with one decoder thread and an empty memo, starting and stopping the workers included. The rounds go
in turn, so that what else the computer does hits all of them.

    python benchmarks/map_engines.py --rounds 3
    python benchmarks/map_engines.py --rounds 1 --frames 300 --times 14    a longer job: the packets of each video 14 times

A reader decodes a few images ahead in a thread of its own, so that `serial` uses somewhat more than one core; what it does on one core
is shown beside it.

Bars: processes ≥ 1.7 × serial; Dask within 15 % of processes; all results byte-equal.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from _repeated import repeat

ONE_CORE = "serial on one core"
ENGINES = ("serial", "processes:2", "dask:2", ONE_CORE)
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "ETHOLOOP_DECODER_THREADS"), "1"
)
BAR, DASK_SHARE = 1.7, 0.15


def make_project(root: Path, n_frames: int, size: tuple[int, int], times: int = 1) -> None:
    """Four different videos of noise that drifts, and their manifest."""
    from etholoop.io.video import write_video
    from etholoop.project import Project
    from etholoop.stages import manifest, normalise

    project = Project(root)
    for number in range(4):
        rng = np.random.default_rng(number)
        floor = rng.integers(60, 180, (size[1] + 64, size[0] + 64, 3), np.uint8)
        frames = (floor[k % 64 : k % 64 + size[1], (3 * k) % 64 : (3 * k) % 64 + size[0]] for k in range(n_frames))
        project.raw_videos.mkdir(parents=True, exist_ok=True)
        short = root / f"cage{number}.mp4"
        write_video(short, frames, Fraction(25), crf=28)
        repeat(short, project.raw_videos / short.name, times)
    manifest.run(project, manifest.Params())
    normalise.run(project, normalise.Params())


def look(root: Path, frame_skip: int) -> None:
    """One run in this process; prints the seconds it took."""
    from etholoop import runtime
    from etholoop.project import Project
    from etholoop.stages import frames
    from etholoop.stages._sources import project_sources

    runtime.prepare(root)
    project = Project(root)
    sources = project_sources(project)
    wanted = {name: source.frames[::frame_skip] for name, source in sources.items()}
    params = frames.Params(strategy="motion", settings={"frame_skip": frame_skip})
    start = time.perf_counter()
    frames.all_features(project, sources, {name: source.sha256 for name, source in sources.items()}, wanted, params)
    print(json.dumps({"seconds": time.perf_counter() - start}))


def run_apart(root: Path, engine: str, frame_skip: int) -> tuple[float, str]:
    """Seconds of one run in a new Python, and the digest of everything it left in the memo."""
    memo = root / ".memo/frame_features"
    shutil.rmtree(memo, ignore_errors=True)
    environment = {**os.environ, **ONE_THREAD, "ETHOLOOP_ENGINE": engine.split(maxsplit=1)[0]}
    pinned = ["taskset", "-c", "0"] if engine == ONE_CORE else []
    command = [*pinned, sys.executable, __file__, "--look", str(root), "--frame-skip", str(frame_skip)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{engine} failed:\n{done.stderr[-3000:]}")
    parts = [path.relative_to(memo).as_posix().encode() + path.read_bytes() for path in sorted(memo.rglob("*")) if path.is_file()]
    return json.loads(done.stdout.splitlines()[-1])["seconds"], hashlib.sha256(b"".join(parts)).hexdigest()


def report(seconds: dict[str, list[float]], digests: set[str], facts: dict[str, Any]) -> bool:
    """Print the table; whether the bars are met."""
    serial, processes, dask, _ = (statistics.median(seconds[engine]) for engine in ENGINES)
    print(f"load before: {facts['load']}; {facts['cores']} cores; {facts['what']}")
    print("| engine | median s | each round s | × serial |\n|---|---|---|---|")
    for engine in ENGINES:
        rounds = ", ".join(f"{value:.1f}" for value in seconds[engine])
        print(f"| {engine} | {statistics.median(seconds[engine]):.1f} | {rounds} | {serial / statistics.median(seconds[engine]):.2f} |")
    met = {
        f"processes ≥ {BAR} × serial": serial / processes >= BAR,
        f"Dask within {DASK_SHARE:.0%} of processes": dask <= (1 + DASK_SHARE) * processes,
        "byte-equal": len(digests) == 1,
    }
    print("\n".join(f"{'met' if good else 'MISSED'}: {bar}" for bar, good in met.items()))
    return all(met.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=1500, help="of each video")
    parser.add_argument("--times", type=int, default=1, help="how often each video is repeated")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720))
    parser.add_argument("--frame-skip", type=int, default=5)
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.look:
        look(arguments.look, arguments.frame_skip)
        return
    seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    digests = set()
    facts = {"load": os.getloadavg()[0], "cores": os.cpu_count()}
    n_frames, (width, height) = arguments.frames * arguments.times, arguments.size
    facts["what"] = f"4 videos of {n_frames} frames, {width}x{height} H.264, every {arguments.frame_skip}. looked at"
    with tempfile.TemporaryDirectory(prefix="etholoop-map-") as temporary:
        make_project(Path(temporary), arguments.frames, tuple(arguments.size), arguments.times)
        for _ in range(arguments.rounds):
            for engine in ENGINES:
                taken, digest = run_apart(Path(temporary), engine, arguments.frame_skip)
                seconds[engine].append(taken)
                digests.add(digest)
                print(f"{engine}: {taken:.1f} s", file=sys.stderr, flush=True)
    sys.exit(not report(seconds, digests, facts))


if __name__ == "__main__":
    main()
