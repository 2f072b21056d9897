"""What the tests of the map do in workers; in a module of its own, so that workers can import it."""

import os
import sys
import time
from pathlib import Path


def write(folder: Path, number: int) -> None:
    (folder / "number").write_text(str(number))
    (folder / "sub").mkdir()
    (folder / "sub/again").write_text(str(number) * 3)


def write_or_fail(folder: Path, number: int, how: str) -> None:
    (folder / "number").write_text(str(number))
    if how == "fail":
        raise ValueError(f"{number} is bad")
    if how == "die":
        print("so long", file=sys.stderr, flush=True)
        os._exit(5)


class Shelf:
    """A context that counts what was taken from it and says when it is closed."""

    def __init__(self, root: Path, n_units: int):
        self.root, self.n_units, self.taken = root, n_units, 0

    def close(self) -> None:
        (self.root / f"closed-after-{self.taken}-of-{self.n_units}").touch()


def open_shelf(every_args: list[tuple[Path, int]]) -> Shelf:
    return Shelf(every_args[0][0], len(every_args))


def take(folder: Path, shelf: Shelf, root: Path, number: int) -> None:
    shelf.taken += 1
    (folder / "number").write_text(f"{number} process {os.getpid()}")


def warn(folder: Path, number: int) -> None:
    print(f"unit {number} looks odd", file=sys.stderr)
    (folder / "number").write_text(str(number))


def slow(folder: Path, number: int, marks: Path) -> None:
    (folder / "half").write_text("half")
    (marks / str(number)).touch()
    time.sleep(300)


def die_on_bad(folder: Path, path: Path, stamp: object, how: object) -> None:
    """Stands in for the probe: a file called ``bad`` crashes the reader."""
    from etholoop.stages import _manifest_look

    if "bad" in path.name:
        print("the decoder's last words", file=sys.stderr, flush=True)
        os._exit(11)
    _manifest_look.probe_into(folder, path, stamp)  # type: ignore[arg-type]


def die_on_white(folder: Path, paths: list[Path], stamps: list) -> None:
    """Stands in for the look at images: one called ``white`` crashes the reader."""
    from etholoop.stages import _manifest_look

    if any("white" in path.name for path in paths):
        os._exit(11)
    _manifest_look.look_into(folder, paths, stamps)


def hang_on_bad(folder: Path, path: Path, stamp: object, how: object) -> None:
    """Stands in for the probe: a file called ``bad`` makes the decoder hang."""
    from etholoop import runtime
    from etholoop.stages import _manifest_look

    if "bad" in path.name:
        with runtime.end_worker_after(0.3):
            time.sleep(300)
    _manifest_look.probe_into(folder, path, stamp, how)
