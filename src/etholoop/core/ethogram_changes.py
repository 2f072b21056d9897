"""What became of the words of an ethogram: labels made with an old word go on under the new one, and none is lost.

A change is one step of the ethogram's history. Labels come from everywhere and from any time (the server, the snapshot, a frozen
batch), so a word is always followed through all steps; following a word that is in use today changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from etholoop.core.labels import outside

Record = dict[str, Any]
ADD, RENAME, REMOVE = "add", "rename", "remove"


@dataclass(frozen=True)
class WordChange:
    """One step.

    Args:
        old: the word before ('' for a new one).
        new: the word after ('' for a removed one).
        control: of the labelling screen that held the old word; labels on a server keep hanging on it.
    """

    kind: str
    old: str
    new: str
    control: str = ""


def today(word: str, history: Iterable[WordChange]) -> str | None:
    """The word that stands for ``word`` today; None when it was removed and not added again."""
    now: str | None = word
    for change in history:
        if change.kind == RENAME and now == change.old:
            now = change.new
        elif change.kind == REMOVE and now == change.old:
            now = None
        elif change.kind == ADD and change.new == word:
            now = word
    return now


def retired(history: Sequence[WordChange]) -> dict[str, str]:
    """Words that labels made earlier may hold and that are not used today, and their controls, in the order in which they went."""
    words = {change.old: change.control for change in history if change.kind in (RENAME, REMOVE)}
    return {word: control for word, control in words.items() if today(word, history) != word}


def followed(record: Record, history: Sequence[WordChange]) -> tuple[Record, list[Record]]:
    """A behaviour record in the words of today, and its bouts whose word was removed."""
    kept, gone = [], []
    for bout in record["bouts"]:
        word = today(bout["behaviour"], history)
        if word is None:
            gone.append(bout)
        else:
            kept.append({**bout, "behaviour": word})
    return {**record, "bouts": kept}, gone


def with_bouts(record: Record, bouts: Iterable[Record]) -> Record:
    """A behaviour record with bouts put back, as far as it still looks at their time and does not tell the same thing already."""
    added = []
    for bout in bouts:
        told = sorted((other["start"], other["stop"]) for other in record["bouts"] if other["behaviour"] == bout["behaviour"])
        whole = [(bout["start"], bout["stop"])]
        unseen = outside(whole, [(start, stop) for start, stop in record["looked_at"]])
        added += [{**bout, "start": start, "stop": stop} for start, stop in outside(whole, sorted([*unseen, *told]))]
    return {**record, "bouts": [*record["bouts"], *added]}
