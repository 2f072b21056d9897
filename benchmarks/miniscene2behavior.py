"""How fast `etholoop kabr miniscene2behavior` is, as ratios against a plain loop that does for each row what the original is known to do.

    ETHOLOOP_DATA=/somewhere python benchmarks/miniscene2behavior.py [--repeats 3] [--threads 2] [--only reading whole stride auto long]

The plain loop is ours, written from a description: for each row 16 seeks by OpenCV, each frame turned to RGB, scaled, normalised, then one
forward pass of one clip with gradients recorded. Both sides read the recorded mini-scenes and the recorded checkpoint (docs/datasets.md),
take turns, and run as processes of their own that time themselves without imports and without loading the checkpoint; compiling the graph
counts. Medians are compared. CPU seconds stand beside wall seconds: on a machine that does other work, compare those.
The long mini-scene repeats the packets of a recorded one for 10 minutes; the plain loop reads 60 rows of it, spread evenly.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PARTS = ("reading", "whole", "stride", "auto", "long")
FOLDER = "miniscene/mini-scenes/source_session_DJI_0101"
CHECKPOINT = "checkpoint/checkpoint_epoch_00030.pyth"
STRIDE = 5
LONG_ROWS, LONG_FRAMES = 60, 18_000


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(CONTESTANTS[arguments.child](arguments)))
        return
    with tempfile.TemporaryDirectory() as name:
        arguments.long_scene = str(Path(name) / "long.mp4")
        for part in arguments.only:
            globals()[f"_{part}"](arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--child", choices=sorted(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--long-scene", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _reading(arguments: argparse.Namespace) -> None:
    found = _take_turns(arguments, "plain_reading", "our_reading")
    _ratio("reading clips of the recorded mini-scenes (bar 100)", found["plain_reading"], found["our_reading"])


def _whole(arguments: argparse.Namespace) -> None:
    found = _take_turns(arguments, "plain_whole", "our_whole")
    same = sum(map(int.__eq__, found["plain_whole"][0]["labels"], found["our_whole"][0]["labels"]))
    print(f"labels equal in {same} of {len(found['our_whole'][0]['labels'])} rows")
    _ratio("the whole, same labels (bar 8)", found["plain_whole"], found["our_whole"])


def _stride(arguments: argparse.Namespace) -> None:
    found = _take_turns(arguments, "plain_whole", "our_stride")
    theirs, ours = found["plain_whole"][0]["labels"], found["our_stride"][0]["labels"]
    agreement = sum(map(int.__eq__, theirs, ours)) / len(ours)
    print(f"stride {STRIDE}: labels agree in {agreement:.2%} of rows (bar 98 %)")
    _ratio(f"the whole with stride {STRIDE} (bar 20 at 98 % agreement)", found["plain_whole"], found["our_stride"])


def _auto(arguments: argparse.Namespace) -> None:
    found = _take_turns(arguments, "plain_whole", "our_auto")
    theirs, ours = found["plain_whole"][0]["labels"], found["our_auto"][0]["labels"]
    agreement = sum(map(int.__eq__, theirs, ours)) / len(ours)
    print(f"stride auto: labels agree in {agreement:.2%} of rows (bar 98 %); {found['our_auto'][0]['said']}")
    _ratio("the whole with stride auto (bar 20 at 98 % agreement)", found["plain_whole"], found["our_auto"])


def _long(arguments: argparse.Namespace) -> None:
    _repeat_packets(_data() / FOLDER / "0.mp4", Path(arguments.long_scene), LONG_FRAMES)
    found = _take_turns(arguments, "plain_long", "our_long")
    _ratio("reading clips of a 10-minute mini-scene (bar 500)", found["plain_long"], found["our_long"])


def _take_turns(arguments: argparse.Namespace, *names: str) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(arguments.repeats):
        for name in names:
            command = [sys.executable, __file__, "--child", name, "--threads", str(arguments.threads), "--backend", arguments.backend]
            command += ["--long-scene", arguments.long_scene]
            environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "ETHOLOOP_DECODER_THREADS": str(arguments.threads)}
            answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            found[name].append(json.loads(answer.splitlines()[-1]))
    return found


def _ratio(what: str, theirs: list[dict], ours: list[dict]) -> None:
    print(what)
    for kind in ("wall", "cpu"):
        a, b = ([one[kind] / one["rows"] * 1000 for one in side] for side in (theirs, ours))
        print(f"  {kind}: {statistics.median(a) / statistics.median(b):7.1f} x   plain {_figures(a)}   ours {_figures(b)} ms per row")
    print(f"  memory at most: plain {theirs[0]['peak_mib']} MiB, ours {ours[0]['peak_mib']} MiB")


def _figures(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _data() -> Path:
    folder = os.environ.get("ETHOLOOP_DATA")
    if not folder:
        sys.exit("set ETHOLOOP_DATA to the folder of the public data (docs/datasets.md)")
    return Path(folder) / "parity"


class _Clock:
    """Wall and CPU seconds of this process since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def said(self, rows: int, **more: object) -> dict:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return {"wall": wall, "cpu": cpu, "rows": rows, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, **more}


def _plain_rows(scene: Path, rows: list[int], model: object, forward: Callable | None) -> list[int]:
    """The plain loop over rows of one mini-scene; without ``forward`` it only reads."""
    import cv2
    import numpy as np
    import torch

    capture, labels = cv2.VideoCapture(str(scene)), []
    n_frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    for row in rows:
        pictures = []
        for frame in range(row - 40, row + 40, 5):
            capture.set(cv2.CAP_PROP_POS_FRAMES, min(max(frame, 0), n_frames - 1))
            there, picture = capture.read()
            assert there, frame
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            height, width = picture.shape[:2]
            short = model.pixels.short_px  # type: ignore[attr-defined]
            pictures.append(cv2.resize(picture, (int(width / height * short), short), interpolation=cv2.INTER_LINEAR))
        clip = (torch.from_numpy(np.stack(pictures)).float() / 255 - 0.45) / 0.225
        if forward is not None:
            labels.append(int(forward(clip.permute(3, 0, 1, 2)[None]).argmax()))
    return labels


def _prepared(arguments: argparse.Namespace) -> tuple:
    """Everything but the work: imports, checkpoint, mini-scenes."""
    import cv2
    import torch

    from etholoop import runtime
    from etholoop.commands import kabr_miniscene2behavior as command

    runtime.prepare()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    from etholoop.io import _video_forward, _video_promise, video  # noqa: F401 - imported before the clock starts
    from etholoop.modeling.behaviour import _x3d_predict  # noqa: F401

    if arguments.backend != "torch":
        import openvino  # noqa: F401
    model = command.load_model(None, None, str(_data() / CHECKPOINT), "compat")
    return command, command.find_scenes(_data() / FOLDER, None), model


def plain_reading(arguments: argparse.Namespace) -> dict:
    _, scenes, model = _prepared(arguments)
    clock = _Clock()
    for scene in scenes.scenes:
        _plain_rows(scene.path, list(range(len(scene.frames))), model, None)
    return clock.said(sum(len(scene.frames) for scene in scenes.scenes))


def plain_whole(arguments: argparse.Namespace) -> dict:
    _, scenes, model = _prepared(arguments)
    clock, labels = _Clock(), []
    for scene in scenes.scenes:
        labels += _plain_rows(scene.path, list(range(len(scene.frames))), model, model.network)
    return clock.said(len(labels), labels=labels)


def plain_long(arguments: argparse.Namespace) -> dict:
    _, _, model = _prepared(arguments)
    clock = _Clock()
    _plain_rows(Path(arguments.long_scene), list(range(150, LONG_FRAMES, LONG_FRAMES // LONG_ROWS)), model, None)
    return clock.said(LONG_ROWS)


def _read_ours(path: Path, n_rows: int, model: object, threads: int) -> None:
    import numpy as np

    from etholoop.core import clips
    from etholoop.io._video_forward import forward
    from etholoop.io._video_promise import promised_index
    from etholoop.modeling.behaviour._clip_pixels import scaled

    index, rule = promised_index(path), clips.ClipRule(16, 5)
    plan = clips.units(np.arange(n_rows), index.info.n_frames, rule, 8)
    images = forward(path, index, clips.frames_needed(plan).tolist(), lambda image: scaled(image, model.pixels), threads)  # type: ignore[attr-defined]
    n_clips = sum(len(unit.moments) for unit, _ in clips.windows(plan, images))
    assert n_clips == n_rows


def our_reading(arguments: argparse.Namespace) -> dict:
    _, scenes, model = _prepared(arguments)
    clock = _Clock()
    for scene in scenes.scenes:
        _read_ours(scene.path, len(scene.frames), model, arguments.threads)
    return clock.said(sum(len(scene.frames) for scene in scenes.scenes))


def our_long(arguments: argparse.Namespace) -> dict:
    _, _, model = _prepared(arguments)
    clock = _Clock()
    _read_ours(Path(arguments.long_scene), LONG_FRAMES, model, arguments.threads)
    return clock.said(LONG_FRAMES)


def our_whole(arguments: argparse.Namespace, stride: int = 1) -> dict:
    command, scenes, model = _prepared(arguments)
    with tempfile.TemporaryDirectory() as name:
        clock = _Clock()
        labelled = command.label(scenes, model, Path(name) / "a.csv", stride=stride, batch=8, backend=arguments.backend, devices=["cpu"])
        command.write(scenes, labelled, [], Path(name) / "a.csv", None)
        labels = [label for part in labelled for label in part.argmax(1).tolist()]
        return clock.said(len(labels), labels=labels)


def our_stride(arguments: argparse.Namespace) -> dict:
    return our_whole(arguments, STRIDE)


def our_auto(arguments: argparse.Namespace) -> dict:
    from etholoop.commands import _miniscene_stride
    from etholoop.core.refinement import Wish
    from etholoop.stages import _adaptive_scores  # noqa: F401 - imported before the clock starts

    command, scenes, model = _prepared(arguments)
    with tempfile.TemporaryDirectory() as name:
        output, settings = Path(name) / "a.csv", {"batch": 8, "backend": arguments.backend, "devices": ["cpu"]}
        clock = _Clock()
        found = _miniscene_stride.label_adaptively(scenes, model, output, wish=Wish(), **settings)
        command.write(scenes, found.labelled, [], output, None, found)
        labels = [label for part in found.labelled for label in part.argmax(1).tolist()]
        return clock.said(len(labels), labels=labels, said=_miniscene_stride.sentence(found.check))


CONTESTANTS = {
    contestant.__name__: contestant
    for contestant in (plain_reading, plain_whole, plain_long, our_reading, our_long, our_whole, our_stride, our_auto)
}


def _repeat_packets(source: Path, target: Path, n_frames: int) -> None:
    """A video that shows ``source`` again and again; packets are copied, nothing is encoded."""
    import av

    with av.open(str(target), "w") as new:
        made, shown = None, 0
        while shown < n_frames:
            with av.open(str(source)) as old:
                stream = old.streams.video[0]
                made = made or new.add_stream_from_template(stream)
                length = stream.duration // stream.frames
                for packet in old.demux(stream):
                    if packet.size and shown < n_frames:
                        packet.pts = packet.dts = shown * length
                        packet.stream = made
                        new.mux(packet)
                        shown += 1


if __name__ == "__main__":
    main()
