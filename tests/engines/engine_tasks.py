"""What workers do in the tests of engines; in a module of its own, so that they can import it."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path


def square(number: int) -> int:
    return number * number


def slower_first(number: int) -> int:
    """Later items are faster, so that they overtake."""
    time.sleep(0.02 * (4 - number % 5))
    return number


def fails_on_three(number: int) -> int:
    if number == 3:
        print("about to fail", file=sys.stderr)
        raise ValueError("three is too many")
    return number


def dies_on(args: tuple[int, str]) -> int:
    number, how = args
    if number != 2:
        return number
    print("last words", file=sys.stderr, flush=True)
    if how == "exit":
        os._exit(9)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    ctypes.string_at(0)
    return -1


def dies_once(args: tuple[int, str]) -> int:
    number, folder = args
    mark = Path(folder) / f"been-here-{number}"
    if number == 2 and not mark.exists():
        mark.touch()
        os._exit(1)
    return number


def environment(name: str) -> str:
    return os.environ[name]


def is_set(name: str) -> bool:
    return name in os.environ


def slow_environment(name: str) -> str:
    time.sleep(2)
    return os.environ[name]


def process(_: int) -> int:
    return os.getpid()


def sleeps(args: tuple[int, str]) -> int:
    """Leave word that it has begun, then take longer than anybody waits."""
    number, folder = args
    (Path(folder) / f"{os.getpid()}-{number}").touch()
    time.sleep(300)
    return number


def unsendable(_: int) -> object:
    return lambda: None


def says(number: int) -> int:
    print(f"this is {number}", file=sys.stderr)
    return number


def imports_torchvision(_: int) -> str:
    import torchvision

    return str(torchvision.ops.nms.__name__)


def hold(folder: str, name: str) -> None:
    """A program that maps for ever, to be interrupted: ``python -c`` calls it."""
    from etholoop.engines import open_engine
    from etholoop.engines._settings import Settings

    with open_engine(Settings(engine=name, workers=2), Path(folder) / "scratch") as engine:
        list(engine.map(sleeps, [(number, folder) for number in range(4)]))
