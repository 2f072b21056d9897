"""How each behaviour looks wherever it is shown: in the report, in the player. One behaviour has one look in all of them.

Okabe and Ito's colours without black, which people with any common kind of colour vision can tell apart; where there are more behaviours
than colours, the colours come again with a hatching. A look belongs to the place in the ethogram, so that it does not change with what
happens to occur in a recording.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Orange, sky blue, bluish green, yellow, blue, vermillion, reddish purple."""

N_HATCHES = 4
"""None, diagonal lines, dots, crossed lines."""


class Look(NamedTuple):
    """``colour`` ``#rrggbb``; ``hatch`` 0 to 3: none, diagonal lines, dots, crossed lines."""

    colour: str
    hatch: int


def look_of(number: int) -> Look:
    """Look of a behaviour by its place in the ethogram; 28 are different."""
    return Look(COLOURS[number % len(COLOURS)], number // len(COLOURS) % N_HATCHES)


def looks_of(ethogram: Sequence[str], shown: Iterable[str]) -> dict[str, Look]:
    """Looks of the behaviours that are shown, in the order of the ethogram; those that it does not know come last, by name."""
    shown = set(shown)
    order = [*ethogram, *sorted(shown - set(ethogram))]
    return {name: look_of(number) for number, name in enumerate(order) if name in shown}
