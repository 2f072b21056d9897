"""serial: one item after another in this process. A crash of a library ends the program; nothing is started."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from etholoop.engines._settings import Settings
from etholoop.engines._shared import Outcome, outcome_of


class SerialEngine:
    """This process."""

    workers = 1

    def __enter__(self) -> "SerialEngine":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], *, cost: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Outcome]]:
        for place, item in enumerate(items):
            yield place, outcome_of(function, item)


def open_engine(settings: Settings, scratch: Path) -> SerialEngine:
    """Nothing is started; neither argument is used."""
    return SerialEngine()
