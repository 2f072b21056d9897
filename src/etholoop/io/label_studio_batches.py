"""What people were asked: ``label_studio/batches/<cycle>.json``, kept by Git, one task per line.

The batch is a fact, not a computation: once it is frozen, a later ``select`` cannot rewrite it, and a push that was killed goes on
with exactly the same questions.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etholoop.errors import EthoLoopError
from etholoop.io import atomic

FORMAT = "etholoop-batch/1"
Question = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Questions of one cycle, in the order in which they were frozen; each has ``uid``, ``kind`` and ``purpose``."""

    cycle: str
    questions: list[Question] = field(default_factory=list)

    def of(self, purpose: str) -> list[Question]:
        return [question for question in self.questions if question["purpose"] == purpose]


def read(path: Path, cycle: str) -> Batch:
    """The frozen batch, or an empty one.

    Raises:
        EthoLoopError: not a batch file, or one of another cycle.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Batch(cycle)
    except ValueError as error:
        raise EthoLoopError(f"{path}: not JSON ({error}). Bring it back with `git checkout -- {path.name}`.") from None
    if content.get("format") != FORMAT or content.get("cycle") != cycle:
        raise EthoLoopError(f"{path}: expected a batch of cycle {cycle}, found {content.get('format')!r} of {content.get('cycle')!r}.")
    return Batch(cycle, content["questions"])


def write(batch: Batch, path: Path) -> None:
    """Freeze a batch; the same questions give the same bytes."""
    lines = ",\n".join(json.dumps(question, sort_keys=True, ensure_ascii=False, separators=(",", ":")) for question in batch.questions)
    head = json.dumps({"format": FORMAT, "cycle": batch.cycle}, separators=(",", ":"))
    atomic.write_text(path, f'{head[:-1]},"questions":[\n{lines}\n]}}\n')


def assigned(uids: Sequence[str], annotators: Sequence[str], double: float) -> dict[str, list[str]]:
    """Who is asked what: annotators in turn; a share of the tasks goes to two people, for agreement.

    Which tasks are asked twice depends on their uid only. Without annotators the lists are empty, or ``["", ""]`` for a task that any
    two people should answer.
    """
    n_double = round(double * len(uids))
    twice = set(sorted(uids, key=lambda uid: hashlib.sha256(uid.encode()).hexdigest())[:n_double])
    if not annotators:
        return {uid: ["", ""] if uid in twice else [] for uid in uids}
    people = {uid: [annotators[place % len(annotators)]] for place, uid in enumerate(uids)}
    for place, uid in enumerate(sorted(twice)):
        others = [name for name in annotators if name != people[uid][0]]
        if others:
            people[uid].append(others[place % len(others)])
    return people
