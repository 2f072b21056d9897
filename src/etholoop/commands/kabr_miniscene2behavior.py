"""``etholoop kabr miniscene2behavior``: mini-scenes and an X3D checkpoint → a behaviour for every frame of every animal."""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from etholoop.commands import _miniscene_stride
from etholoop.commands._help import examples
from etholoop.commands._kabr_group import kabr_group

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from etholoop.io.video import VideoIndex
    from etholoop.modeling.behaviour._clip_pixels import PixelRule
    from etholoop.modeling.behaviour.x3d import X3D

EXAMPLES = examples(
    "etholoop kabr miniscene2behavior --hub imageomics/x3d-kabr-kinetics --checkpoint checkpoint_epoch_00075.pyth.zip "
    "--miniscene mini-scenes/DJI_0068",
    "etholoop kabr miniscene2behavior --hub imageomics/x3d-kabr-kinetics --config config.yml "
    "--checkpoint checkpoint_epoch_00075.pyth.zip --miniscene mini-scenes/DJI_0068",
    "etholoop kabr miniscene2behavior --config config.yml --checkpoint weights.pyth --miniscene mini-scenes/DJI_0068",
    "etholoop kabr miniscene2behavior --checkpoint weights.pyth --miniscene mini-scenes/DJI_0068 --scores scores.parquet --stride auto",
    "",
    "The CSV is separated by blanks: video track frame label. frame is that of the source video, label the number of the class.",
    "Labels of a checkpoint trained by SlowFast count in the order of its classes.json; the KABR data set on the Hugging Face hub numbers",
    "the same names by alphabet. --classes checks the order and gives the columns of --scores their names.",
)

Tool = TypeVar("Tool")
Result = TypeVar("Result")

KABR = ("Walk", "Graze", "Browse", "Head Up", "Auto-Groom", "Trot", "Run", "Occluded")
"""Classes of the KABR checkpoint in the order of its outputs."""


def register(app: typer.Typer) -> None:
    kabr_group(app).command("miniscene2behavior", short_help="Name the behaviour in every frame of mini-scenes.", epilog=EXAMPLES)(command)


def command(  # noqa: PLR0917
    hub: str = typer.Option(None, "--hub", help="Hugging Face repository OWNER/NAME that holds the checkpoint and the configuration."),
    config: str = typer.Option(None, "--config", help="SlowFast's YAML configuration; left out, that inside the checkpoint is used."),
    checkpoint: str = typer.Option(..., "--checkpoint", help="Weights: .pyth, or a .zip with one in it; a file of --hub, or a path."),
    gpu_num: int = typer.Option(0, "--gpu_num", min=0, help="How many GPUs; 0 = the CPU."),
    miniscene: Path = typer.Option(..., "--miniscene", help="Folder of one video's mini-scenes, made by tracks_extractor."),
    video: str = typer.Option(None, "--video", help="Name of the video; left out, it is read from metadata/<video>_tracks.xml."),
    output: Path = typer.Option(Path("annotation_data.csv"), "--output", help="CSV to write, separated by blanks."),
    slowfast: bool = typer.Option(False, "--slowfast", help="Accepted and not needed: the network is SlowFast's either way."),
    classes: Path = typer.Option(None, "--classes", help="classes.json, {name: number}, to be checked against the checkpoint."),
    scores: Path = typer.Option(None, "--scores", help="Parquet file for the probabilities of all classes in every frame."),
    stride: str = typer.Option("1", "--stride", help=_miniscene_stride.HELP),
    agreement: float = typer.Option(0.98, "--agreement", help="With --stride auto: wanted share of labels that are those of --stride 1."),
    batch: int = typer.Option(8, "--batch", min=1, help="Clips at a time."),
    channel_order: str = typer.Option(
        "compat", "--channel-order", help="compat: as kabr-tools' miniscene2behavior; train: as SlowFast's training loader read pictures."
    ),
    backend: str = typer.Option("auto", "--backend", help="openvino, torch, or auto: openvino on the CPU where it is installed."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Check everything, say what would be done, write nothing."),
) -> None:
    """Name the behaviour of each animal in each frame of its mini-scene."""
    from etholoop import runtime
    from etholoop.core.refinement import Wish
    from etholoop.errors import EthoLoopError
    from etholoop.io.video import VideoFault

    runtime.prepare()
    every, wish = _miniscene_stride.stride_of(stride), Wish(agreement=agreement)
    scenes = find_scenes(miniscene, video)
    model = load_model(hub, config, checkpoint, channel_order)
    names = class_names(classes, model.network.config.n_classes)
    devices = devices_of(gpu_num)
    for sentence in [*scenes.said, *model.said]:
        typer.echo(sentence, err=True)
    if dry_run:
        rows = sum(len(scene.frames) for scene in scenes.scenes)
        typer.echo(f"{len(scenes.scenes)} mini-scenes of {scenes.video}, {rows} rows → {output}")
        return
    try:
        if every is None:
            found = _miniscene_stride.label_adaptively(scenes, model, output, wish=wish, batch=batch, backend=backend, devices=devices)
            write(scenes, found.labelled, names, output, scores, found)
            typer.echo(_miniscene_stride.sentence(found.check), err=True)
        else:
            labelled = label(scenes, model, output, stride=every, batch=batch, backend=backend, devices=devices)
            write(scenes, labelled, names, output, scores)
    except VideoFault as fault:
        raise EthoLoopError(f"{fault} Make the mini-scenes again with `etholoop kabr tracks_extractor`; no table was written.") from fault
    forget(output)


@dataclass(frozen=True)
class Scene:
    """One mini-scene: its file, the track, and the source frame that each of its frames shows."""

    path: Path
    track: int
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Scenes:
    """The mini-scenes of one video in the order of its tracks file, and sentences for the user."""

    video: str
    scenes: tuple[Scene, ...]
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A network, what its clips are and how pictures reach it."""

    network: "X3D"
    rate: int
    pixels: "PixelRule"
    said: tuple[str, ...] = ()


def find_scenes(folder: Path, video: str | None) -> Scenes:
    """The mini-scenes of a folder, each box of its tracks file one frame.

    Raises:
        EthoLoopError: no tracks file, or several and no name of a video.
        FaultsError: missing mini-scenes, or metadata that tell something else than the tracks file.
    """
    from etholoop.errors import FaultsError
    from etholoop.io import cvat

    video = video or _only_video(folder)
    said = [f"the name '{video}' holds a blank: it stands in quotation marks in the CSV"] if " " in video else []
    scenes, faults = [], []
    path = folder / f"metadata/{video}_tracks.xml"
    shown = _shown(folder / f"metadata/{video}_metadata.json")
    for track in cvat.read(path).tracks:
        boxes = [shape.frame for shape in track.shapes if shape.kind == cvat.BOX]
        frames = [frame for frame in boxes if shown is None or frame in shown.get(track.id, boxes)]
        if len(frames) < len(boxes):
            said.append(f"track {track.id}: {len(boxes) - len(frames)} boxes are not shown by its mini-scene and get no row")
        if shown is not None and track.id in shown and frames != shown[track.id]:
            faults.append(f"track {track.id}: its mini-scene shows other frames than {path.name} has boxes for")
        scene = Scene(folder / f"{track.id}.mp4", track.id, tuple(frames))
        if frames and not scene.path.is_file():
            faults.append(f"track {track.id}: {scene.path.name} is missing")
        scenes += [scene] * bool(frames)
    if faults:
        raise FaultsError(str(folder), faults, "Make the folder again with `etholoop kabr tracks_extractor`; nothing was written.")
    if not scenes:
        said.append(f"{path}: no boxes, so the table will be empty")
    return Scenes(video, tuple(scenes), tuple(said))


def _only_video(folder: Path) -> str:
    from etholoop.errors import EthoLoopError

    ending = "_tracks.xml"
    names = sorted(path.name.removesuffix(ending) for path in (folder / "metadata").glob(f"*{ending}"))
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise EthoLoopError(
            f"{folder}: expected one file metadata/<video>{ending}, found {found}. Give the folder of one video, or --video."
        )
    return names[0]


def _shown(path: Path) -> dict[int, list[int]] | None:
    """For each track the source frames that its mini-scene shows, in order; None without metadata: one frame for each box."""
    from etholoop.io.miniscenes import read_metadata

    if not path.is_file():
        return None
    metadata = read_metadata(path)
    return {int(track): metadata.frames_of(int(track)) for track in metadata.tracks if track.isdigit()}


def load_model(hub: str | None, config: str | None, checkpoint: str, channel_order: str) -> Model:
    """Network and weights from the hub or from local files; the configuration from its own file or from the checkpoint.

    Raises:
        EthoLoopError: files that are missing, damaged or unsafe, or no configuration.
        FaultsError: a configuration of another network than the weights.
    """
    from etholoop.errors import EthoLoopError
    from etholoop.io import slowfast_checkpoint as slowfast
    from etholoop.modeling.behaviour import x3d
    from etholoop.modeling.behaviour._clip_pixels import rule_from_slowfast

    found = slowfast.read_checkpoint(slowfast.hub_file(hub, checkpoint) if hub else Path(checkpoint))
    where = config or found.where
    values = slowfast.read_config(_config_path(hub, config)) if config else found.config
    if values is None:
        raise EthoLoopError(f"{found.where}: no configuration inside; give the YAML file that the weights were trained with by --config.")
    network = x3d.X3D(x3d.config_from_slowfast(values, where))
    said = x3d.load_weights(network, found.state, found.where)
    rate = values.get("DATA.SAMPLING_RATE", 8)
    if not isinstance(rate, int) or rate < 1:
        raise EthoLoopError(f"{where}: DATA.SAMPLING_RATE is {rate!r}; expected frames from 1 on, from one picture of a clip to the next.")
    if config and found.config is not None:
        said += other_settings(config, values, found.config)
    return Model(network.eval(), rate, rule_from_slowfast(values, where, channel_order), tuple(said))


SEEN = ("NUM_FRAMES", "SAMPLING_RATE", "TEST_CROP_SIZE", "TRAIN_CROP_SIZE", "MEAN", "STD", "REVERSE_INPUT_CHANNEL")
"""Settings of section DATA that decide what the network sees, and that fit any weights."""


def other_settings(config: str, given: dict[str, Any], inside: dict[str, Any]) -> list[str]:
    """Sentences about what a configuration file tells otherwise than the one inside the checkpoint, where the weights cannot tell."""
    keys = [f"DATA.{name}" for name in SEEN if f"DATA.{name}" in given and f"DATA.{name}" in inside]
    other = [f"{key} {given[key]} (checkpoint: {inside[key]})" for key in keys if given[key] != inside[key]]
    return [f"{config} was followed, although the checkpoint was trained with other settings: {', '.join(other)}"] if other else []


def _config_path(hub: str | None, config: str) -> Path:
    from etholoop.io.slowfast_checkpoint import hub_file

    return Path(config) if not hub or Path(config).is_file() else hub_file(hub, config)


def class_names(path: Path | None, n_classes: int) -> list[str]:
    """Names of the classes in the order of the outputs; their numbers where no file tells them.

    Raises:
        FaultsError: numbers that are not 0 … n − 1, or KABR's names in another order than that of the checkpoint.
    """
    from etholoop.errors import EthoLoopError, FaultsError

    if path is None:
        return [str(number) for number in range(n_classes)]
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found.") from None
    except ValueError as error:
        raise EthoLoopError(f"{path}: not readable as JSON ({error}).") from error
    if not isinstance(table, dict) or not all(isinstance(number, int) for number in table.values()):
        raise EthoLoopError(f'{path}: expected names and numbers, {{"Walk": 0, …}}.')
    names = sorted(table, key=lambda name: table[name])
    faults = []
    if sorted(table.values()) != list(range(n_classes)):
        faults.append(f"the checkpoint has classes 0 to {n_classes - 1}, the file has the numbers {sorted(table.values())}")
    elif set(names) == set(KABR) and tuple(names) != KABR:
        faults.append(f"KABR's checkpoint counts {', '.join(KABR)}; the file counts {', '.join(names)} (as the data set on the hub does)")
    if faults:
        raise FaultsError(str(path), faults, "Give the classes.json that the checkpoint was trained with; nothing was written.")
    return names


def devices_of(gpu_num: int) -> list[str]:
    """Names of the devices.

    Raises:
        EthoLoopError: fewer GPUs than were asked for.
    """
    import torch

    from etholoop.errors import EthoLoopError

    there = torch.cuda.device_count() if gpu_num else 0
    if gpu_num > there:
        raise EthoLoopError(f"--gpu_num {gpu_num}: {there} GPUs can be used here. Use --gpu_num 0 for the CPU.")
    return [f"cuda:{number}" for number in range(gpu_num)] or ["cpu"]


def label(scenes: Scenes, model: Model, output: Path, *, stride: int, batch: int, backend: str, devices: list[str]) -> "list[np.ndarray]":
    """Probabilities (frames, classes) float32 of each scene. What is done is kept beside the output until everything is.

    Several devices share the scenes out: each takes the next one as soon as it is free.

    Raises:
        FaultsError: mini-scenes with fewer frames than boxes.
    """
    from tqdm import tqdm

    indices = indices_of(scenes)
    key, longest = model_key(model), max((len(scene.frames) for scene in scenes.scenes), default=0)
    workers = [Worker(model, longest, stride, batch, backend, device, key) for device in devices]
    with tqdm(total=sum(len(range(0, len(scene.frames), stride)) for scene in scenes.scenes), unit="clip", disable=None) as progress:

        def one(place: int, worker: Worker) -> "np.ndarray":
            return worker.label(scenes.scenes[place], indices[place], partial_folder(output), progress.update)

        return share_out(one, len(scenes.scenes), workers)


def indices_of(scenes: Scenes) -> "list[VideoIndex]":
    """What the files hold.

    Raises:
        FaultsError: mini-scenes with fewer frames than boxes.
        VideoFault: a file that is no video.
    """
    from etholoop.errors import FaultsError
    from etholoop.io._video_promise import promised_index

    indices = [promised_index(scene.path) for scene in scenes.scenes]
    faults = [
        f"{scene.path.name}: {index.info.n_frames} frames, but track {scene.track} has {len(scene.frames)} boxes"
        for scene, index in zip(scenes.scenes, indices, strict=True)
        if index.info.n_frames < len(scene.frames)
    ]
    if faults:
        raise FaultsError(
            str(scenes.scenes[0].path.parent), faults, "Mini-scenes were cut off: make the folder again; nothing was written."
        )
    return indices


def share_out(work: Callable[[int, Tool], Result], n_jobs: int, tools: list[Tool]) -> list[Result]:
    """Results of jobs 0 … n − 1, each done with one of the tools as soon as it is free."""
    from concurrent.futures import ThreadPoolExecutor
    from queue import Queue

    free: Queue[Tool] = Queue()
    for tool in tools:
        free.put(tool)

    def one(job: int) -> Result:
        tool = free.get()
        try:
            return work(job, tool)
        finally:
            free.put(tool)

    if len(tools) == 1:
        return [one(job) for job in range(n_jobs)]  # in this thread, so that a stop is one at once
    with ThreadPoolExecutor(len(tools)) as pool:
        return list(pool.map(one, range(n_jobs)))


class Worker:
    """Labels scenes on one device, with one predictor for all of them."""

    def __init__(self, model: Model, longest: int, stride: int, batch: int, backend: str, device: str, key: str):  # noqa: PLR0917
        from etholoop.core import clips
        from etholoop.modeling.behaviour._x3d_predict import predictor
        from etholoop.stages._clip_scores import size_of_units

        self.model, self.stride = model, stride
        self.rule = clips.ClipRule(model.network.config.n_frames, model.rate)
        self.size = size_of_units(self.rule, len(range(0, longest, stride)), stride, batch)
        step = clips.step_of(self.rule, stride)
        self.predict = predictor(model.network, model.pixels, n_clips=self.size, step=step, backend=backend, device=device)
        self.key = f"{key} {stride} {type(self.predict).__module__}"

    def label(self, scene: Scene, index: "VideoIndex", folder: Path, seen: Callable[[int], object]) -> "np.ndarray":
        """Probabilities (frames of the scene, classes) float32; frames between moments have those of the nearest one.

        Raises:
            VideoFault: a frame that cannot be decoded.
        """
        import numpy as np

        from etholoop.core import clips
        from etholoop.io._video_forward import forward
        from etholoop.modeling.behaviour._clip_pixels import scaled
        from etholoop.stages._clip_scores import Keep, scores

        n = len(scene.frames)

        def images(frames: list[int]) -> "Iterator[tuple[int, np.ndarray]]":
            return forward(scene.path, index, frames, lambda image: scaled(image, self.model.pixels))

        moments = np.arange(0, n, self.stride)
        keep = Keep(folder, digest_of(self.key, scene.path.read_bytes(), str(n))[:32])
        found = scores(moments, index.info.n_frames, self.rule, size=self.size, images=images, predict=self.predict, keep=keep, seen=seen)
        return found[clips.nearest_moment(n, self.stride)]


def model_key(model: Model) -> str:
    """Digest of the weights and of how clips reach them."""
    state = model.network.state_dict()
    tensors = [state[name].cpu().numpy().tobytes() for name in sorted(state)]
    return digest_of(f"{model.network.config} {model.rate} {model.pixels}", *tensors)


def digest_of(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()


def partial_folder(output: Path) -> Path:
    """Where finished pieces of an unfinished output lie."""
    return output.with_name(f".{output.name}.partial")


def forget(output: Path) -> None:
    """Remove what was kept for the case of a stop."""
    shutil.rmtree(partial_folder(output), ignore_errors=True)


def write(  # noqa: PLR0917
    scenes: Scenes,
    labelled: "list[np.ndarray]",
    names: list[str],
    output: Path,
    scores: Path | None,
    adapted: "_miniscene_stride.Adapted | None" = None,
) -> None:
    """Write the CSV, the probabilities where they are asked for, and what is known of a stride that adapted itself; each all or nothing."""
    import numpy as np

    from etholoop.io import atomic, tables

    if scores is not None:
        table = score_table(scenes, labelled, names)
        if adapted is not None:
            table.insert(3, "computed", np.concatenate([np.zeros(0, bool), *adapted.judged]))
        tables.write(table, score_schema(names, adapted is not None), scores)
    if adapted is not None:
        atomic.write_text(_miniscene_stride.report_path(output), _miniscene_stride.report_text(adapted))
    atomic.write_text(output, csv_text(scenes, labelled))


def score_schema(names: list[str], adapted: bool = False) -> Any:
    """``video``, ``track``, ``frame`` and the probability of each class in float16, p_<class>.

    With a stride that adapted itself also whether the row was ``computed`` by the network; if not it was filled in between.
    """
    import pandera.pandas as pa

    columns = {"video": pa.Column(str), "track": pa.Column("int64", pa.Check.ge(0)), "frame": pa.Column("int64", pa.Check.ge(0))}
    columns |= {"computed": pa.Column(bool)} if adapted else {}
    columns |= {f"p_{name}": pa.Column("float16", pa.Check.in_range(0, 1)) for name in names}
    return pa.DataFrameSchema(columns, strict=True, ordered=True, unique=["track", "frame"])


def score_table(scenes: Scenes, labelled: "list[np.ndarray]", names: list[str]) -> "pd.DataFrame":
    """Rows in the order of the CSV."""
    import numpy as np
    import pandas as pd

    n = [len(scene.frames) for scene in scenes.scenes]
    probabilities = np.concatenate([np.zeros((0, len(names)), np.float32), *labelled]).astype(np.float16)
    table = pd.DataFrame({"video": pd.Series([scenes.video] * sum(n), dtype="str")})
    table["track"] = np.repeat(np.array([scene.track for scene in scenes.scenes], np.int64), n)
    table["frame"] = np.array([frame for scene in scenes.scenes for frame in scene.frames], np.int64)
    return table.assign(**{f"p_{name}": probabilities[:, place] for place, name in enumerate(names)})


def csv_text(scenes: Scenes, labelled: "list[np.ndarray]") -> str:
    """The table as kabr-tools writes it."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=" ", lineterminator="\n")
    writer.writerow(["video", "track", "frame", "label"])
    writer.writerows(_rows(scenes, labelled))
    return text.getvalue()


def _rows(scenes: Scenes, labelled: "list[np.ndarray]") -> Iterator[tuple[Any, ...]]:
    for scene, probabilities in zip(scenes.scenes, labelled, strict=True):
        for frame, label in zip(scene.frames, probabilities.argmax(1).tolist(), strict=True):
            yield scenes.video, scene.track, frame, label
