"""What all engines share: outcomes, the environment of workers, and running one item."""

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from etholoop.errors import EthoLoopError

THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    *("OPENCV_FOR_THREADS_NUM", "ETHOLOOP_DECODER_THREADS"),
)
"""What libraries read to know how many threads they may start."""

LONGEST_LOG = 64_000
"""Characters kept of what a worker said during one item."""


@dataclass(frozen=True)
class Outcome:
    """What became of one item. ``kind``: done, failed (an exception), died (the worker, more often than is tried again).

    ``message`` is one sentence or the text of a fault meant for people; ``log`` is what the worker said, with the traceback.
    """

    kind: str
    value: Any = None
    message: str = ""
    log: str = ""

    @property
    def ok(self) -> bool:
        return self.kind == "done"


class Engine(Protocol, AbstractContextManager):
    """Workers that are running. ``workers``: how many items may be in hand at the same time."""

    workers: int

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], *, cost: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Outcome]]:
        """``(place in items, outcome)`` of every item, in the order they are finished.

        Args:
            function: defined at the top of a module, so that workers find it.
            items: small and picklable: they travel.
            cost: of each item; the dearest are begun first.
        """


def order_of(n_items: int, cost: Sequence[float] | None) -> list[int]:
    """Places of items, the dearest first; equal ones as they come."""
    return list(range(n_items)) if cost is None else sorted(range(n_items), key=lambda place: (-cost[place], place))


def outcome_of(function: Callable[[Any], Any], item: Any) -> Outcome:
    """Run one item; an exception becomes a failure."""
    try:
        return Outcome("done", function(item))
    except EthoLoopError as error:
        return Outcome("failed", message=str(error), log=traceback.format_exc())
    except Exception as error:  # a fault in our code or a library: it concerns this item only, and is reported with all others
        return Outcome("failed", message=f"{type(error).__name__}: {error}", log=traceback.format_exc())


def died(how: str, attempts: int, log: str) -> Outcome:
    """The outcome of an item that took its workers with it."""
    times = "" if attempts == 1 else f" each of {attempts} times"
    return Outcome("died", message=f"the worker died{times} ({how})", log=log)


def how_it_ended(status: int | None) -> str:
    """A child's exit status in words; negative ones are signals."""
    if status is None:
        return "it is gone without a word"
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
    hint = ", often sent when memory runs out" if name == "SIGKILL" else ""
    return f"signal {name}{hint}"


def child_environment(threads: int) -> dict[str, str]:
    """The present environment with so many threads for every library, and with the code that is running now."""
    import etholoop

    own = str(Path(etholoop.__file__).resolve().parents[1])
    others = [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    path = os.pathsep.join(dict.fromkeys([own, *others]))
    return {**os.environ, "PYTHONPATH": path, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def with_log(outcome: Outcome, said: str) -> Outcome:
    """The outcome with what the worker said before the traceback, if there is one."""
    return replace(outcome, log=said + outcome.log)


@contextmanager
def said_into(path: Path) -> Iterator[None]:
    """Everything that this process and its libraries print goes into a file, the place of a crash included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = os.dup(1), os.dup(2)
    with path.open("ab", buffering=0) as log:
        _print_into(log.fileno(), log.fileno())
        faulthandler.enable(log, all_threads=False)
        try:
            yield
        finally:
            faulthandler.disable()
            _print_into(*kept)
    for copy in kept:
        os.close(copy)


def _print_into(out: int, err: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(out, 1)
    os.dup2(err, 2)


def read_log(path: Path) -> str:
    """What was said since the last time, or the end of it; the file is emptied."""
    try:
        text = path.read_bytes()[-LONGEST_LOG:].decode("utf-8", "replace")
        if text:
            os.truncate(path, 0)
    except FileNotFoundError:
        return ""
    return text
