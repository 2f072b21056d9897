"""Which moments of an animal must be judged by a network, and which can be filled in between: a stride that adapts itself.

A fixed stride wastes clips where nothing happens and loses labels where much does. Here every ``first``-th moment is judged. Curves
through the judged moments tell the others, and how sure that is (:mod:`etholoop.core._kriging`). Then, level by level, moments are judged
where the curve may give another label than the network would: where two behaviours are about equally probable, or known moments are far.
How far curves are wrong is measured at every moment that comes to be judged, and from then on counted with. What is left is
checked: a random share of the filled moments is judged too, and where too few had the right label the refinement goes on.

The check that ends it was passed, so its figure is a little too good where few moments were tried; the interval says how little few
moments tell.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import betaincinv, stdtr
from threadpoolctl import ThreadpoolController

from etholoop.core._kriging import Curves, Drawn
from etholoop.errors import EthoLoopError

TINY = 1e-3
"""Curves run through logarithms of probabilities; smaller ones count as this."""

LONGEST = 256
"""Moments of a stretch that curves are drawn through; longer ones are divided, because the work grows with the cube."""

DOF = 4.0
"""Errors of curves have long tails: Student's distribution with so many degrees of freedom."""

HOPE = 0.8
"""Expected disagreement at which a check is tried, as a share of what is allowed."""

SPENT = 0.7
"""A level ends when what it leaves is expected to make up this share of the disagreement that is allowed."""

GROWTH, LEAST_ASKED = 0.35, 8
"""A level asks for so many more moments at most, as a share of those judged: the next one knows better where to look."""

TUNED_LEVELS = 6
"""Reaches of the curves are chosen anew in so many levels."""

BELIEF = 8.0
"""The curves' own opinion of their errors weighs as much as so many measured ones."""


@dataclass(frozen=True)
class Wish:
    """What a refinement aims at.

    ``agreement``: share of all moments whose most probable class is to be the one that judging every moment gives. ``first``: frames from
    one moment judged at the start to the next. ``check``: share of the filled moments that is judged to measure the agreement, at least
    ``check_least`` of them.
    """

    agreement: float = 0.98
    first: int = 12
    check: float = 0.05
    check_least: int = 8

    def __post_init__(self) -> None:
        if not 0.5 <= self.agreement < 1:
            raise EthoLoopError(f"agreement {self.agreement}: expected 0.5 to below 1; for every moment use a stride of 1.")
        if self.first < 1 or not 0 < self.check <= 1 or self.check_least < 1:
            raise EthoLoopError(f"{self}: expected first and check_least of 1 or more, check above 0 to 1.")


@dataclass(frozen=True)
class Check:
    """What is known of the agreement: of ``n`` moments so many were ``judged`` by the network; of the filled ones so many were ``tried`` at
    random (and are among the judged ones now), of which so many had been filled with the ``same`` label."""

    n: int = 0
    judged: int = 0
    tried: int = 0
    same: int = 0

    def __add__(self, other: "Check") -> "Check":
        return Check(self.n + other.n, self.judged + other.judged, self.tried + other.tried, self.same + other.same)

    @property
    def agreement(self) -> float:
        """Estimated share of all moments with the label that judging each gives: judged ones have it, filled ones as often as those
        tried."""
        return self._of_all(self.same / self.tried if self.tried else 1.0)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of it, after Clopper and Pearson (1934)."""
        if not self.tried:
            return self._of_all(1.0 if self.judged == self.n else 0.0), 1.0
        low = float(betaincinv(self.same, self.tried - self.same + 1, 0.025)) if self.same else 0.0
        high = float(betaincinv(self.same + 1, self.tried - self.same, 0.975)) if self.same < self.tried else 1.0
        return self._of_all(low), self._of_all(high)

    def _of_all(self, of_filled: float) -> float:
        return (self.judged + of_filled * (self.n - self.judged)) / self.n if self.n else 1.0


class Refinement:
    """Asks for moments to be judged until the others can be filled in.

    Use: ``while len(moments := refinement.ask()): refinement.tell(judge(moments))``; then ``probabilities``, ``judged``, ``check``.

    Args:
        lengths: moments, one frame apart, of each stretch; their numbers count through all stretches. Stretches know nothing of each other.
        rate: frames from one picture of a clip to the next.
        wish: what is wanted.
        seed: of the random choices.
        exclusive: the probabilities of a moment add up to 1.

    Raises:
        EthoLoopError: a stretch without moments.
    """

    def __init__(self, lengths: Sequence[int], rate: int, wish: Wish, *, seed: int | Sequence[int], exclusive: bool = True):
        if any(length < 1 for length in lengths):
            raise EthoLoopError(f"stretches of {list(lengths)} moments: expected 1 or more.")
        self.wish, self.exclusive = wish, exclusive
        self.n = sum(lengths)
        self.judged = np.zeros(self.n, bool)
        self.probabilities = np.zeros((self.n, 0), np.float32)
        """(n, K); of moments that are not judged, what the curves say."""
        self.check = Check(self.n)
        self._curves = Curves(_divided(lengths), rate)
        self._random = np.random.default_rng(seed)
        self._allowed = HOPE * (1 - wish.agreement) * self.n
        self._errors: list[float] = []
        self._drawn: Drawn | None = None
        self._variance = np.zeros(0)
        self._asked = np.zeros(0, np.int64)
        self._level, self._trying, self._ended = 0, False, self.n == 0

    def ask(self) -> np.ndarray:
        """Moments to be judged next, ascending; none when all is done."""
        if self._ended:
            self._asked = np.zeros(0, np.int64)
        elif self._drawn is None:
            self._asked = self._start()
        else:
            self._asked = self._next(self._drawn)
        return self._asked

    def tell(self, probabilities: np.ndarray) -> None:
        """Probabilities (m, K) of the moments asked for, in their order."""
        if self._drawn is None:
            self.probabilities = np.zeros((self.n, probabilities.shape[1]), np.float32)
        else:
            self._compare(probabilities, self._drawn)
        self.probabilities[self._asked], self.judged[self._asked] = probabilities, True
        self._level += 1
        if self.judged.all():
            self.check, self._ended = Check(self.n, self.n), True
        else:
            self._draw()

    def _start(self) -> np.ndarray:
        """Evenly over each stretch, with its last moment; the pictures of clips change from one to the next."""
        step = next(step for step in range(self.wish.first, 2 * self.wish.first + 1) if math.gcd(step, self._curves.rate) == 1)
        starts, lengths = self._curves.starts, self._curves.lengths
        return np.concatenate([start + np.unique(np.r_[np.arange(0, n, step), n - 1]) for start, n in zip(starts, lengths, strict=True)])

    def _draw(self) -> None:
        """Let curves through the judged moments tell the others."""
        with _one_thread():
            self._draw_curves()

    def _draw_curves(self) -> None:
        logs = np.log(np.maximum(self.probabilities, TINY)).astype(np.float64)
        if self._level <= TUNED_LEVELS:
            self._curves.tune(logs, self.judged)
        self._drawn = self._curves.drawn(logs, self.judged)
        self._variance = self._drawn.variance()  # of now: it is changed while moments are chosen
        values = np.exp(np.minimum(self._drawn.mean[~self.judged], 0))
        self.probabilities[~self.judged] = values / values.sum(1, keepdims=True) if self.exclusive else values

    def _compare(self, probabilities: np.ndarray, drawn: Drawn) -> None:
        """Learn from what the curves had said of moments that are judged now."""
        asked, rows = self._asked, np.arange(len(self._asked))
        two, lead, unit = (part[asked] for part in drawn.best_two())
        logs = np.log(np.maximum(probabilities, TINY))
        found = logs[rows, two[:, 0]] - logs[rows, two[:, -1]]
        self._errors += ((found - lead) / np.sqrt(self._variance[asked] * unit)).tolist()
        if self._trying:
            same = int((self.probabilities[asked].argmax(1) == np.asarray(probabilities).argmax(1)).sum())
            self.check = Check(self.n, int(self.judged.sum()) + len(asked), len(asked), same)
            self._ended = self.check.agreement >= self.wish.agreement
            self._allowed /= 2  # if it goes on, what was expected was too hopeful
        self._trying = False

    def _next(self, drawn: Drawn) -> np.ndarray:
        """The moments that make the labels of the others sure enough, or some at random where they are."""
        _, lead, unit = drawn.best_two()
        if self.probabilities.shape[1] < 2:
            lead = np.full(self.n, np.inf)
        wrong = math.sqrt((float(np.square(self._errors).sum()) + BELIEF) / (len(self._errors) + BELIEF))
        scale = wrong * np.sqrt(unit * (DOF - 2) / DOF)
        known = self.judged.copy()

        def risk(rows: slice, variance: np.ndarray) -> np.ndarray:
            """Chances that the curves give another label than the network."""
            return np.where(known[rows], 0.0, stdtr(DOF, -lead[rows] / (scale[rows] * np.sqrt(variance))))

        found: list[int] = []
        risks = risk(slice(None), drawn.variance())
        if risks.sum() <= self._allowed:
            return self._try()
        most = max(LEAST_ASKED, int(GROWTH * known.sum()))
        while risks.sum() > SPENT * self._allowed and len(found) < most:
            row = int(risks.argmax())
            found.append(row)
            known[row] = True
            stretch = drawn.know(row)
            rows = slice(drawn.starts[stretch], drawn.starts[stretch] + len(drawn.left[stretch]))
            risks[rows] = risk(rows, drawn.variance(stretch))
        return np.sort(np.array(found, np.int64))

    def _try(self) -> np.ndarray:
        self._trying = True
        filled = np.flatnonzero(~self.judged)
        n_tried = min(len(filled), max(self.wish.check_least, math.ceil(self.wish.check * len(filled))))
        return np.sort(self._random.choice(filled, n_tried, replace=False))


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    """For matrices of this size several threads mostly wait for each other."""
    return _libraries().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]


def _divided(lengths: Sequence[int]) -> list[int]:
    """Lengths of at most LONGEST, about equal where one is divided."""
    parts = []
    for length in lengths:
        n_parts = math.ceil(length / LONGEST)
        parts += [length * (place + 1) // n_parts - length * place // n_parts for place in range(n_parts)]
    return parts
