"""``--stride`` of ``etholoop kabr miniscene2behavior``: how it is written, and labelling with one that adapts itself."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from etholoop.commands.kabr_miniscene2behavior import Model, Scenes
    from etholoop.core.refinement import Check, Wish
    from etholoop.io.video import VideoIndex
    from etholoop.modeling.behaviour._clip_pixels import PixelRule
    from etholoop.modeling.behaviour._x3d_predict import SinglePredictor
    from etholoop.stages._adaptive_scores import Film, Found, Part

AUTO = "auto"

HELP = (
    "Look at every n-th frame only; the others get the label of the nearest one. auto: look where it matters and fill in the rest, so that "
    "--agreement of all labels are those of --stride 1; the agreement is measured at random frames, printed, and stored beside the CSV."
)


@dataclass(frozen=True)
class Adapted:
    """For each scene probabilities (frames, classes) float32 and which frames were ``judged`` (frames,); what is known of the agreement,
    and what was ``wanted``."""

    labelled: "list[np.ndarray]"
    judged: "list[np.ndarray]"
    check: "Check"
    wanted: float


def stride_of(text: str) -> int | None:
    """A number of frames, or None for ``auto``.

    Raises:
        EthoLoopError: neither of the two.
    """
    from etholoop.errors import EthoLoopError

    if text == AUTO:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise EthoLoopError(f"--stride {text}: expected a number of frames from 1 on, or {AUTO}.")
    return int(text)


def label_adaptively(
    scenes: "Scenes", model: "Model", output: Path, *, wish: "Wish", batch: int, backend: str, devices: list[str]
) -> Adapted:
    """Probabilities of each scene, of a part of the frames by the network and of the others by curves between them.

    What is done is kept beside the output until everything is. Several devices share groups of scenes out.

    Raises:
        FaultsError: mini-scenes with fewer frames than boxes.
    """
    from tqdm import tqdm

    from etholoop.commands.kabr_miniscene2behavior import digest_of, indices_of, model_key, partial_folder, share_out
    from etholoop.core.clips import ClipRule
    from etholoop.modeling.behaviour._x3d_predict import single_predictor
    from etholoop.stages._adaptive_scores import Film, judge_group

    exclusive = model.network.config.head_act == "softmax"
    rule = ClipRule(model.network.config.n_frames, model.rate)
    indices = indices_of(scenes)
    films = [
        Film(len(scene.frames), index.info.n_frames, _scaled_images(scene.path, index, model.pixels))
        for scene, index in zip(scenes.scenes, indices, strict=True)
    ]
    jobs = _groups(indices, films, model, rule)
    predictors = [single_predictor(model.network, model.pixels, batch=batch, backend=backend, device=device) for device in devices]
    key = f"{model_key(model)} {wish} {type(predictors[0]).__module__}"
    digests = [digest_of(scene.path.read_bytes()) for scene in scenes.scenes]
    with tqdm(total=sum(film.n_moments for film in films), unit="frame", disable=None) as progress:

        def work(number: int, predict: "SinglePredictor") -> "Found":
            parts, looks = jobs[number]
            own = [f"{digests[part.film]} {part.start} {part.stop} {films[part.film].n_moments}" for part in parts]
            keep = partial_folder(output) / f"{digest_of(key, *own)[:32]}.npz"
            return judge_group(
                films, parts, rule, predict, wish=wish, looks=looks, seed=number, exclusive=exclusive, keep=keep, seen=progress.update
            )

        found = share_out(work, len(jobs), predictors)
    return _adapted([parts for parts, _ in jobs], found, len(films), wish)


def _adapted(groups: "list[list[Part]]", found: "list[Found]", n_scenes: int, wish: "Wish") -> Adapted:
    """What was found of groups of parts, by scene."""
    import numpy as np

    from etholoop.core.refinement import Check

    labelled: list[list[Any]] = [[] for _ in range(n_scenes)]
    judged: list[list[Any]] = [[] for _ in range(n_scenes)]
    for parts, one in zip(groups, found, strict=True):
        start = 0
        for part in parts:
            stop = start + part.stop - part.start
            labelled[part.film].append(one.probabilities[start:stop])
            judged[part.film].append(one.judged[start:stop])
            start = stop
    check = sum((one.check for one in found), Check())
    return Adapted([np.concatenate(part) for part in labelled], [np.concatenate(part) for part in judged], check, wish.agreement)


def report(adapted: Adapted) -> dict[str, Any]:
    """What is stored beside the CSV."""
    check, (low, high) = adapted.check, adapted.check.interval
    return {
        "wanted": adapted.wanted,
        "agreement": round(check.agreement, 6),
        "low": round(low, 6),
        "high": round(high, 6),
        "rows": check.n,
        "computed": check.judged,
        "checked": check.tried,
        "same": check.same,
    }


def report_path(output: Path) -> Path:
    """``annotation_data.csv`` → ``annotation_data.stride.json``."""
    return output.with_suffix(".stride.json")


def report_text(adapted: Adapted) -> str:
    """The file's content."""
    return json.dumps(report(adapted), indent=2) + "\n"


def sentence(check: "Check") -> str:
    """For people."""
    low, high = check.interval
    if check.judged == check.n:
        return f"stride auto: all {check.n} rows were computed"
    return (
        f"stride auto: {check.judged} of {check.n} rows were computed and the others filled in; about {check.agreement:.1%} of all labels "
        f"are those of --stride 1 (95 % interval {low:.1%} to {high:.1%}: {check.same} of {check.tried} filled rows that were computed "
        f"too had the same label)"
    )


def _scaled_images(path: Path, index: "VideoIndex", pixels: "PixelRule") -> "Callable[[list[int]], Iterable[tuple[int, np.ndarray]]]":
    from etholoop.io._video_forward import forward
    from etholoop.modeling.behaviour._clip_pixels import scaled

    return lambda frames: forward(path, index, frames, lambda image: scaled(image, pixels))


def _groups(indices: "list[VideoIndex]", films: "list[Film]", model: "Model", rule: Any) -> "list[tuple[list[Part], bool]]":
    """Parts of scenes that are judged together, and whether their pictures are kept as the first layer sees them; scenes of one size
    together."""
    from etholoop.modeling.behaviour._clip_pixels import scaled_size
    from etholoop.modeling.behaviour._x3d_predict import look_bytes
    from etholoop.stages._adaptive_scores import Part, groups_of, room_for

    by_size: dict[tuple[int, int], list[int]] = {}
    for place, index in enumerate(indices):
        by_size.setdefault(scaled_size(index.info.width, index.info.height, model.pixels.short_px), []).append(place)
    jobs = []
    for (width, height), places in by_size.items():
        room = room_for(3 * width * height, look_bytes(model.network, height, width))
        groups = groups_of([films[place].n_moments for place in places], rule, room)
        jobs += [([Part(places[part.film], part.start, part.stop) for part in group], room.looks) for group in groups]
    return jobs
