"""What goes into and comes out of every behaviour model, whatever the network behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

MULTICLASS, MULTILABEL = "multiclass", "multilabel"
PICTURES, BODIES = "pictures", "bodies"
"""What a family looks at: windows cut from the frames, or numbers that say where the animals are (``_bodies.py``)."""

NONE = "(none)"
"""The class that stands for none of the behaviours; it has no column in tables of scores."""


@dataclass(frozen=True)
class View:
    """How the window around an animal becomes a picture.

    ``crop``: the largest square in its middle. ``pad``: the smallest square around it, nothing is lost. ``keep``: its own shape, the
    shorter side ``crop_px`` long. Nothing is stretched (but for the rounding of ``keep``).
    """

    crop_px: int
    fit: Literal["crop", "pad", "keep"] = "pad"


class Pictures(Protocol):
    """An array (n, h, w, 3) uint8 RGB, or something on disk that gives parts of one: ``pictures[[3, 4, 4]]``."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, places: Any, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Strip:
    """Pictures of one animal in neighbouring frames, of one split.

    ``labels`` (n, K) int8: 1, 0, and -1 = not known. Clips never reach beyond a strip: at its ends the first or last picture is repeated.
    ``name`` is another one where pictures are others. ``windows`` (n, 4): what of the frame each picture shows, in pixels of the frame; for
    families that want to know how the animal moves against the ground. For families that look at no pictures ``images`` are bodies
    (n, 1 + M, 5 + 3 K) float32, see ``_bodies.py``. ``group``: strips of one group are of one recording, or otherwise not independent.
    """

    name: str
    images: Pictures
    labels: np.ndarray
    windows: np.ndarray | None = None
    group: str = ""


@dataclass(frozen=True)
class Task:
    """What is to be learnt. ``exclusive`` (K,): name of each behaviour's group, None = it may overlap with all others.

    ``keypoints`` of the skeleton, and ``mirror``: for each the number of the one that it becomes in a mirror.
    """

    behaviours: tuple[str, ...]
    exclusive: tuple[str | None, ...]
    keypoints: tuple[str, ...] = ()
    mirror: tuple[int, ...] = ()


@dataclass(frozen=True)
class Init:
    """Tensors to start from, where they come from, and the configuration and the behaviours of their network if the file knows them."""

    state: Mapping[str, Any]
    where: str
    sha256: str
    config: Mapping[str, Any] | None = None
    behaviours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """Outcome of a training: figures, one dictionary per epoch, sentences for people, and what was said of validation clips.

    ``confusion``: rows ``truth, said, n``; empty without validation clips.
    """

    metrics: dict[str, float]
    curves: list[dict[str, float]]
    notes: list[str] = field(default_factory=list)
    confusion: list[dict[str, Any]] = field(default_factory=list)


def head_of(wanted: str, task: Task, labels: Sequence[np.ndarray]) -> str:
    """``multiclass`` or ``multilabel``; ``auto`` is multiclass where all behaviours are of one exclusive group and never overlap."""
    if wanted != "auto":
        return wanted
    one_group = len(set(task.exclusive)) == 1 and task.exclusive[0] is not None
    overlap = any(((part == 1).sum(axis=1) > 1).any() for part in labels)
    return MULTICLASS if one_group and not overlap else MULTILABEL
