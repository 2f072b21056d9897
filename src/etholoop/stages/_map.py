"""The map over videos: memo + engine + progress.

A unit is a piece of work whose result has a key: a whole small file, or at most 500 frames of a video. Units that the memo has are
not done again, so a kill costs the units in hand and adding a video costs that video. Which engine does the work, and with how many
workers, changes nothing in the results.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from etholoop.engines import open_engine
from etholoop.engines._settings import Settings, read_settings
from etholoop.engines._shared import Engine, Outcome
from etholoop.errors import FaultsError
from etholoop.io import atomic
from etholoop.io.memo import Memo
from etholoop.project import Project

Make = Callable[..., None]

WORTH_S = 2.0
"""Starting workers costs about so many seconds; less work than this is done here."""

SLOW_DISK_S = 60
"""So long a network disk may take to show what another computer wrote."""

MOST_BARS = 6
"""Bars of single videos that are shown at the same time."""


@dataclass(frozen=True)
class Unit:
    """One piece of work.

    ``key``: its place in the memo, a digest of everything that decides the result. ``label``: for people. ``args``: what ``make``
    gets, small and picklable. ``cost``: rough seconds on one core. ``source``: whose bar it moves. ``run``: units of one run are
    done one after another by one worker, which lets them share an open video; '' = it stands alone.
    """

    key: str
    label: str
    args: tuple[Any, ...] = ()
    cost: float = 1.0
    source: str = ""
    run: str = ""


@dataclass(frozen=True)
class Failure:
    """A unit that has no result: ``kind`` failed or died (its worker crashed), ``log`` below the project.

    ``after``: it was not reached, because another unit of its run failed before it.
    """

    unit: Unit
    kind: str
    message: str
    log: str
    after: bool = False

    def __str__(self) -> str:
        return f"{self.unit.label}: {self.message} ({self.log})"


def map_memo(memo: Memo, units: Sequence[Unit], make: Make, project: Project, **options: Any) -> dict[str, Path]:
    """Folder of every unit's result, by key; see :func:`try_map_memo` for the arguments.

    Raises:
        FaultsError: naming every unit that failed, after all others were done; what is done stays in the memo.
    """
    done, failures = try_map_memo(memo, units, make, project, **options)
    if failures:
        named = [str(failure) for failure in failures if not failure.after]
        rest = len(failures) - len(named)
        remedy = "Everything else was done and is kept; put right what is named above and run the same again."
        if rest:
            remedy = f"{rest} units behind these in the same videos were not reached. {remedy}"
        raise FaultsError(options.get("what") or memo.step, named, remedy)
    return done


def try_map_memo(
    memo: Memo,
    units: Sequence[Unit],
    make: Make,
    project: Project,
    *,
    what: str = "",
    begin: Callable[[list[tuple[Any, ...]]], Any] | None = None,
    isolate: bool = False,
    gpu: bool = False,
) -> tuple[dict[str, Path], list[Failure]]:
    """Do the units that the memo does not have.

    Args:
        make: ``make(folder, *args)`` writes a result into ``folder``; defined at the top of a module.
        what: the work in words, for the bar.
        begin: ``begin(list of args) -> context`` is called once for each run with what is left of it, and ``make`` gets the context
            after the folder: an open video, a model. A context with ``close`` is closed.
        isolate: never in this process, if there is a choice: the files may crash a decoder.
        gpu: the work is done on GPUs where there are any; then one worker has one GPU.

    Returns:
        Folders of results by key, and the units without one in the order of ``units``.
    """
    # two files of the same content are one piece of work
    different = {unit.key: unit for unit in units}.values()
    missing = [unit for unit in different if not memo.has(unit.key)]
    failures: dict[str, Failure] = {}
    if missing:
        runs = _runs(missing)
        settings = _settings(project, len(runs), sum(unit.cost for unit in missing), isolate, gpu)
        tasks = [Task(memo, make, begin, tuple((unit.key, unit.args) for unit in run)) for run in runs]
        with _engine(project, settings) as engine, Bars(what or memo.step, missing) as bars:
            failures = _do(engine, tasks, runs, bars, project)
    done = {unit.key: memo.folder(unit.key) for unit in units if unit.key not in failures}
    return done, [replace(failures[unit.key], unit=unit) for unit in units if unit.key in failures]


def _do(engine: Engine, tasks: list["Task"], runs: list[list[Unit]], bars: "Bars", project: Project) -> dict[str, Failure]:
    memo = tasks[0].memo
    failures: dict[str, Failure] = {}
    try:
        for place, outcome in engine.map(work, tasks, cost=[sum(unit.cost for unit in run) for run in runs]):
            failures |= {failure.unit.key: failure for failure in _judge(memo, runs[place], outcome, project)}
            bars.advance(runs[place])
            if outcome.ok and outcome.log:
                bars.say(outcome.log)
    finally:
        # workers that were killed leave their unfinished folders
        atomic.sweep(memo.root / memo.step)
    return failures


@dataclass(frozen=True)
class Task:
    """What travels to a worker: the units of one run by key and arguments."""

    memo: Memo
    make: Make
    begin: Callable[[list[tuple[Any, ...]]], Any] | None
    units: tuple[tuple[str, tuple[Any, ...]], ...]


def work(task: Task) -> None:
    """Do a run, in a worker or here. What an earlier attempt has finished is not done again."""
    left = [(key, args) for key, args in task.units if not task.memo.has(key)]
    if not left:
        return
    context = () if task.begin is None else (task.begin([args for _, args in left]),)
    try:
        for key, args in left:
            # bound now, called at once
            task.memo.result(key, lambda folder, args=args: task.make(folder, *context, *args))  # type: ignore[misc]
    finally:
        close = getattr(context[0], "close", None) if context else None
        if close:
            close()


def _judge(memo: Memo, run: list[Unit], outcome: Outcome, project: Project) -> list[Failure]:
    """Failures of a run: the first unit without a result is to blame, those after it were not reached."""
    left = [unit for unit in run if not memo.has(unit.key)]
    if outcome.ok and left and not _appears(memo, left[-1].key):
        unseen = "it was done, but the result is not to be seen here: workers must share the project's folder"
        outcome = Outcome("failed", message=unseen)
    if outcome.ok:
        return []
    if not left:
        return []
    path = project.memo / "log" / memo.step / f"{left[0].key}.log"
    atomic.write_text(path, f"{left[0].label}\n{outcome.message}\n\n{outcome.log}")
    log = path.relative_to(project.root).as_posix()
    blamed = Failure(left[0], outcome.kind, outcome.message, log)
    why = f"not reached, because {left[0].label} failed before it"
    return [blamed, *(Failure(unit, "failed", why, log, after=True) for unit in left[1:])]


def _appears(memo: Memo, key: str) -> bool:
    """Wait for a result that another computer wrote: a network disk may remember for a while that it was not there."""
    for _ in range(SLOW_DISK_S):
        list((memo.root / memo.step).iterdir())  # looking at the folder makes it ask the server again
        if memo.has(key):
            return True
        time.sleep(1)
    return False


def _runs(units: list[Unit]) -> list[list[Unit]]:
    runs: dict[str, list[Unit]] = {}
    for unit in units:
        runs.setdefault(unit.run or unit.key, []).append(unit)
    return list(runs.values())


def _settings(project: Project, n_runs: int, cost_s: float, isolate: bool, gpu: bool) -> Settings:
    """The engine for this much work: this process where starting workers costs more than it gains."""
    settings = read_settings(project.root)
    if not settings.is_local or settings.engine == "serial":
        return settings
    n_gpus = _n_gpus() if gpu else 0
    if n_gpus == 1 or (not isolate and not n_gpus and (settings.n_workers == 1 or cost_s < WORTH_S)):
        return settings.model_copy(update={"engine": "serial", "workers": 1})
    if n_gpus:
        return settings.model_copy(update={"engine": "processes", "workers": min(n_gpus, n_runs), "gpus": n_gpus})
    if settings.engine == "processes":
        worth = max(1, min(settings.n_workers, n_runs, round(cost_s / WORTH_S)))
        return settings.model_copy(update={"workers": worth})
    return settings


def _n_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


_kept: ContextVar["Kept | None"] = ContextVar("kept engine", default=None)


class Kept:
    """The engine that stays for all maps of one stage: jobs of a batch system should queue once."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._settings: Settings | None = None
        self._engine: Engine | None = None

    def engine(self, project: Project, settings: Settings) -> Engine:
        """The engine that runs already, or a new one in its place if other settings are asked for."""
        if self._engine is None or self._settings != settings:
            self.close()
            self._engine, self._settings = self._stack.enter_context(_started(project, settings)), settings
        return self._engine

    def close(self) -> None:
        """Stop it."""
        self._stack.close()
        self._engine = None


@contextmanager
def keep_engines() -> Iterator[None]:
    """Inside, the engine that was started stays for the maps that follow; at the end it is stopped."""
    kept = Kept()
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        kept.close()


@contextmanager
def _engine(project: Project, settings: Settings) -> Iterator[Engine]:
    kept = _kept.get()
    if kept is not None:
        yield kept.engine(project, settings)
    else:
        with _started(project, settings) as engine:
            yield engine


@contextmanager
def _started(project: Project, settings: Settings) -> Iterator[Engine]:
    with atomic.scratch_folder(project.memo / "engine") as scratch, open_engine(settings, scratch) as engine:
        yield engine


class Bars:
    """One bar for all the work and one for each video that is in hand; quiet when not on a terminal."""

    def __init__(self, what: str, units: list[Unit]):
        self.what = what
        self.sizes = Counter(unit.source for unit in units)
        self.done: Counter[str] = Counter()
        self.n_units = len(units)

    def __enter__(self) -> "Bars":
        from tqdm import tqdm

        self.total = tqdm(total=self.n_units, desc=self.what, unit="part", disable=None)
        self.bars: dict[str, Any] = {}
        return self

    def __exit__(self, *_: object) -> None:
        for bar in [*self.bars.values(), self.total]:
            bar.close()

    def advance(self, run: list[Unit]) -> None:
        """These units are finished."""
        self.total.update(len(run))
        for source, n in Counter(unit.source for unit in run).items():
            self.done[source] += n
            self._advance_source(source, n)

    def _advance_source(self, source: str, n: int) -> None:
        from tqdm import tqdm

        if self.done[source] == self.sizes[source]:
            if source in self.bars:
                self.bars.pop(source).close()
        elif source in self.bars:
            self.bars[source].update(n)
        elif source and len(self.bars) < MOST_BARS and not self.total.disable:
            self.bars[source] = tqdm(total=self.sizes[source], initial=n, desc=f"  {source}", unit="part", leave=False)

    def say(self, text: str) -> None:
        """Print between the bars what a worker said."""
        self.total.write(text.rstrip("\n"), file=sys.stderr)
