"""Does a kill at any moment leave the work in order?

Manifest → normalise → frames on small videos, killed at random moments until it has been killed often enough, then left to finish. Every
second kill is of the whole family (SIGKILL to the program and all its workers at the same moment), the others of the program only. A
watcher looks all the time at everything that stands under a final name: each result in the memo against its own list of files, each
output of a stage against that of an undisturbed run.

    python benchmarks/kills.py --kills 100 --seed 1

Bars: the finished outputs are byte-equal to those of the undisturbed run; the watcher never sees anything half-written.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil

STAGES = ("manifest", "normalise", "frames")
OUTPUTS = {"manifest": "data/manifest", "normalise": "data/normalised", "frames": "data/frames"}
LIST = ".complete.json"

PARAMS = """
normalise: {gamma: 1.2, fps: 20}
frames: {strategy: motion, n_frames: 40, settings: {frame_skip: 3}}
"""

Contents = dict[str, bytes]


@dataclass
class Report:
    """What was seen."""

    kills: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    faults: list[str] = field(default_factory=list)
    equal: bool = False
    seconds_undisturbed: float = 0.0
    seconds_disturbed: float = 0.0

    @property
    def good(self) -> bool:
        return self.equal and not self.faults


def make_project(root: Path, n_videos: int, n_frames: int) -> None:
    """Videos whose frames all differ, and an empty project around them."""
    from etholoop.io.video import write_video

    (root / "data/raw/videos").mkdir(parents=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(PARAMS)
    for number in range(n_videos):
        rng = np.random.default_rng(number)
        floor = rng.integers(0, 255, (160 + 64, 224 + 64, 3), np.uint8)
        frames = (floor[k % 64 : k % 64 + 160, (k * 7) % 64 : (k * 7) % 64 + 224] for k in range(n_frames))
        write_video(root / f"data/raw/videos/cage{number}.mp4", frames, Fraction(25), crf=30)


def contents(folder: Path) -> Contents:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def outputs(root: Path) -> Contents:
    """Every file of the three stages."""
    return {f"{place}/{name}": data for place in OUTPUTS.values() for name, data in contents(root / place).items()}


def start(root: Path, engine: str) -> subprocess.Popen:
    """The three stages one after another, as DVC would call them, in a process group of their own."""
    code = (
        "import sys; from pathlib import Path; from etholoop.project import Project; from etholoop.commands.stage import run_stage\n"
        f"[run_stage(name, Project(Path(sys.argv[1]))) for name in {STAGES!r}]"
    )
    environment = {**os.environ, "ETHOLOOP_ENGINE": engine, "OMP_NUM_THREADS": "1"}
    with (root / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(root)],
            env=environment,
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def finish(root: Path, engine: str) -> float:
    """Run undisturbed; the seconds it took."""
    begin = time.monotonic()
    if start(root, engine).wait() != 0:
        raise SystemExit(f"the stages failed:\n{(root / 'said.txt').read_text()[-3000:]}")
    return time.monotonic() - begin


def kill(program: subprocess.Popen, whole_family: bool) -> None:
    """SIGKILL; all workers in the same moment, or left to notice that their parent is gone."""
    try:
        main = psutil.Process(program.pid)
        family = main.children(recursive=True) if whole_family else []
    except psutil.NoSuchProcess:
        family = []
    program.kill()
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    program.wait()


class Watcher(threading.Thread):
    """Looks at everything under a final name, as fast as it can."""

    def __init__(self, root: Path, expected: Contents, report: Report):
        super().__init__(daemon=True)
        self.root, self.report = root, report
        self.sizes = {name: len(data) for name, data in expected.items()}
        self.over = threading.Event()
        self.sound: set[tuple[int, int]] = set()

    def run(self) -> None:
        while not self.over.is_set():
            for place in OUTPUTS.values():
                self.look(
                    self.root / place, {name[len(place) + 1 :]: size for name, size in self.sizes.items() if name.startswith(f"{place}/")}
                )
            for step in _folders(self.root / ".memo"):
                if step.name not in ("log", "engine"):
                    for result in _folders(step):
                        self.look(result, None)
            self.report.looks += 1
            time.sleep(0.005)

    def look(self, folder: Path, expected: dict[str, int] | None) -> None:
        """Compare what a folder holds with what it should; what is replaced while we look is not judged."""
        try:
            handle = os.open(folder, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            state = os.fstat(handle)
            if (state.st_ino, state.st_ctime_ns) in self.sound:
                return
            found = _sizes(handle)
            listed = expected if expected is not None else _listed(handle)
            if not _is_still(folder, state):
                return
            if found == listed:
                self.sound.add((state.st_ino, state.st_ctime_ns))
            else:
                self.report.faults.append(f"{folder.relative_to(self.root)}: {found} instead of {listed}")
        except FileNotFoundError:
            if _is_still(folder, state):
                self.report.faults.append(f"{folder.relative_to(self.root)}: lost a file while it stood there")
        finally:
            os.close(handle)


def _folders(place: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(place) if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []


def _sizes(handle: int, above: str = "") -> dict[str, int]:
    """Sizes of the files below an open folder, whatever its name is by now; the list of a result is left out."""
    sizes: dict[str, int] = {}
    for entry in os.scandir(handle):
        if entry.is_dir(follow_symlinks=False):
            inner = os.open(entry.name, os.O_RDONLY, dir_fd=handle)
            try:
                sizes |= _sizes(inner, f"{above}{entry.name}/")
            finally:
                os.close(inner)
        elif entry.name != LIST:
            sizes[above + entry.name] = os.stat(entry.name, dir_fd=handle).st_size
    return sizes


def _listed(handle: int) -> dict[str, int]:
    with os.fdopen(os.open(LIST, os.O_RDONLY, dir_fd=handle)) as stream:
        return json.load(stream)


def _is_still(folder: Path, state: os.stat_result) -> bool:
    try:
        return folder.stat().st_ino == state.st_ino
    except FileNotFoundError:
        return False


def clear(root: Path) -> None:
    """Back to the videos alone; everything is moved out of the watcher's sight before it is removed."""
    for place in (*OUTPUTS.values(), ".memo"):
        if (root / place).exists():
            aside = root.with_name("aside")
            (root / place).rename(aside)
            shutil.rmtree(aside)


def experiment(root: Path, n_kills: int, seed: int, *, engine: str, n_videos: int = 3, n_frames: int = 260) -> Report:
    """The whole of it in a new folder."""
    report, rng = Report(), random.Random(seed)
    make_project(root, n_videos, n_frames)
    report.seconds_undisturbed = finish(root, engine)
    expected = outputs(root)
    clear(root)
    watcher = Watcher(root, expected, report)
    watcher.start()
    begin = time.monotonic()
    while report.kills.total() < n_kills:
        program, family = start(root, engine), bool(report.kills.total() % 2)
        try:
            program.wait(rng.uniform(0, 1.2 * report.seconds_undisturbed))
        except subprocess.TimeoutExpired:
            kill(program, family)
            report.kills["family" if family else "program"] += 1
            print(f"kill {report.kills.total()}, {len(report.faults)} faults", file=sys.stderr, flush=True)
        if program.returncode == 0:  # it came to the end before it was killed: begin anew
            _compare(root, expected, report)
            clear(root)
        elif program.returncode > 0:
            report.faults.append(f"the stages failed after {report.kills.total()} kills:\n{(root / 'said.txt').read_text()[-2000:]}")
            break
    finish(root, engine)
    watcher.over.set()
    watcher.join()
    report.seconds_disturbed = time.monotonic() - begin
    report.equal = _compare(root, expected, report)
    return report


def _compare(root: Path, expected: Contents, report: Report) -> bool:
    """Whether the outputs are those of the undisturbed run, and nothing else lies beside them."""
    found = outputs(root)
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    report.faults += [f"differs from the undisturbed run: {name}" for name in wrong]
    beside = [
        path.name for path in (root / "data").iterdir() if path.name not in {"raw", *(Path(place).name for place in OUTPUTS.values())}
    ]
    report.faults += [f"left behind in data: {name}" for name in beside]
    return not wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", default="processes:2")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="etholoop-kills-") as temporary:
        report = experiment(Path(temporary) / "project", arguments.kills, arguments.seed, engine=arguments.engine)
    print(f"kills: {report.kills['program']} of the program, {report.kills['family']} of the whole family; engine {arguments.engine}")
    took = f"undisturbed {report.seconds_undisturbed:.1f} s, with kills {report.seconds_disturbed:.1f} s"
    print(f"{took}; the watcher looked {report.looks} times")
    print(f"{'met' if report.equal else 'MISSED'}: outputs byte-equal to the undisturbed run")
    print(f"{'met' if not report.faults else 'MISSED'}: nothing half-written seen, nothing left behind")
    print("\n".join(report.faults[:20]))
    sys.exit(not report.good)


if __name__ == "__main__":
    main()
