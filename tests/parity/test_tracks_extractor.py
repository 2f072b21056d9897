"""tracks_extractor of kabr-tools: equal to what was recorded of it (docs/datasets.md), by `--compat`.

Equal to the last number: boxes, centres, what is cut and padded, which frame shows which, file names, and the pixels of a mini-scene before
it is encoded. Its videos are MPEG-4 Part 2 at 29.97 by OpenCV, ours are H.264 at the source's rate: frames, sizes and mean colours agree.
"""

import importlib.util
import json
import os
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from etholoop.commands import kabr_tracks_extractor as extractor
from etholoop.core import miniscene
from etholoop.io import cvat
from etholoop.io.miniscenes import pixels
from etholoop.io.video import VideoReader


@pytest.fixture(scope="module")
def kit(public_data: Path):
    """The recorded numbers with their reader and comparer."""
    folder = public_data / "parity"
    modules = {}
    for name in ("recipe", "kit"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        modules[name] = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(name, modules[name])
        spec.loader.exec_module(modules[name])
    return modules["kit"].Kit(folder)


def faults(results) -> list:
    return [result for result in results if not result.ok]


def cases(kit, output: str) -> list[dict]:
    """Recorded runs of which ``output`` is known."""
    found = [case for case in kit.cases("tracks_extractor/") if output in case["outputs"] and "command" in case]
    assert found
    return found


def inputs_of(case: dict) -> tuple[Path, Path]:
    """Video and annotation of a recorded command line, below the recorded folder."""
    words = shlex.split(case["command"])
    return Path(words[words.index("--video") + 1]), Path(words[words.index("--annotation") + 1])


def extract(kit, case: dict, output: Path, *, compat: bool) -> Path:
    """Run the recorded command line; the folder that it makes."""
    video, xml = inputs_of(case)
    os.chdir(kit.path(video.parts[0]))  # the original ran in there
    (job,) = extractor.plan(*(path.relative_to(video.parts[0]) for path in (video, xml)), output, compat=compat)
    extractor.extract(job, tracking="--tracking" in case["command"], compat=compat)
    return job.folder


def metadata_of(folder: Path, case: dict) -> str:
    return (folder / f"metadata/{inputs_of(case)[0].stem}_metadata.json").read_text()


@pytest.fixture
def anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # put back at the end of the test
    return tmp_path


def test_crop_geometry(kit):
    case = kit.case("tracks_extractor/crop_geometry")
    recorded = kit.expected(case)
    mine = {name: np.zeros_like(recorded[name]) for name in ("crop_x", "crop_y", "crop_w", "crop_h", "pad", "sample")}
    for width, height in np.unique(recorded["image"], axis=0).tolist():
        frame = kit.frame(f"geometry/{width}", 270, 480)
        image = frame[np.arange(height) * 270 // height][:, np.arange(width) * 480 // width]
        own = np.flatnonzero((recorded["image"] == [width, height]).all(axis=1))
        parts = miniscene.compat_cuts(recorded["box"][own], width, height, tuple(case["settings"]["scene"]))
        assert (miniscene.compat_centroids(recorded["box"][own]) == recorded["centroid"][own]).all()
        mine["crop_x"][own], mine["crop_y"][own] = parts.corner.T
        mine["crop_w"][own], mine["crop_h"][own] = parts.size.T
        mine["pad"][own] = parts.pad
        for place, row in enumerate(own):
            mine["sample"][row] = pixels(image, parts, place)[25::50, 25::50].reshape(48, 3)
    # the recorded left edge is kept in 12 bits: beyond 4095 it begins again at 0; the sampled pixels below tell where it was
    beyond = mine["crop_x"] >= 4096
    assert (recorded["crop_x"] < 4096).all()
    mine["crop_x"] = np.where(beyond & (mine["crop_x"] != recorded["crop_x"]), mine["crop_x"] - 4096, mine["crop_x"])
    assert faults(kit.compare(case, mine)) == []


def video_facts(path: Path, with_colours: bool) -> dict:
    reader = VideoReader(path)
    means = [[float(value) for value in image.reshape(-1, 3).mean(axis=0)[::-1]] for _, image in reader]
    facts = {"frames": len(means), "reported_frames": reader.n_frames, "fps": float(reader.fps or 0)}
    return facts | {"width": reader.width, "height": reader.height, "decoded_mean_bgr": means if with_colours else None}


def scene_facts(video: Path, xml: Path) -> list[dict]:
    """Every crop before it is encoded, frame by frame."""
    boxes = extractor.boxes_of(cvat.read(xml), compat=True)
    facts = []
    for frame, image in VideoReader(video):
        present = [track for track, own in boxes.items() if frame in own]
        own = np.array([boxes[track][frame] for track in present]).reshape(-1, 4)
        parts = miniscene.compat_cuts(own, image.shape[1], image.shape[0]) if present else ()
        for place, track in enumerate(present):
            mean = pixels(image, parts, place).reshape(-1, 3).mean(axis=0)[::-1]
            fact = {"track": track, "box": miniscene.compat_boxes(own)[place], "centroid": miniscene.compat_centroids(own)[place]}
            fact |= {"crop_size": parts.size[place], "pad_top_bottom_left_right": parts.pad[place]}
            facts.append({name: value.tolist() if hasattr(value, "tolist") else value for name, value in fact.items()})
            facts[-1]["mean_bgr"] = mean.tolist()
    return facts


def test_folders(kit, anywhere):
    for case in cases(kit, "scenes"):
        recorded = kit.expected(case)
        video, xml = (Path(kit.path(path)) for path in inputs_of(case))
        folder = extract(kit, case, anywhere, compat=True)
        assert folder.name == recorded["folder"]
        everything = sorted(folder.rglob("*"))
        videos = {key: video_facts(folder / key, one["decoded_mean_bgr"] is not None) for key, one in recorded["videos"].items()}
        scenes = scene_facts(video, xml)
        mine = {
            "files": [path.relative_to(folder).as_posix() for path in everything if path.is_file()],
            "directories": [path.relative_to(folder).as_posix() for path in everything if path.is_dir()],
            "videos": videos,
            "scenes": scenes,
            "metadata": metadata_of(folder, case),
        }
        assert set(mine) == set(case["outputs"])
        assert faults(kit.compare(case, mine)) == []
        # closer than asked: the pixels are equal, the recorded means have four decimals
        for ours, theirs in zip(scenes, recorded["scenes"], strict=True):
            assert ours["mean_bgr"] == pytest.approx(theirs["mean_bgr"], abs=1e-4)
        assert (folder / f"metadata/{video.stem}_tracks.xml").read_bytes() == xml.read_bytes()


def test_tracked_again(kit, anywhere):
    for case in cases(kit, "scene_videos"):
        folder = extract(kit, case, anywhere, compat=True)
        tracks = json.loads(metadata_of(folder, case))["tracks"]
        videos = sorted(path.name for path in folder.glob("*.mp4") if path.stem != inputs_of(case)[0].stem)
        assert faults(kit.compare(case, {"tracks": tracks, "scene_videos": videos})) == []


def test_where_the_original_ends_with_an_error_we_go_on(kit, anywhere):
    """It fails as soon as an animal is missed for one frame; that fault alone is not repeated, by --compat neither."""
    for case in cases(kit, "raises"):
        folder = extract(kit, case, anywhere, compat=False)
        metadata = json.loads(metadata_of(folder, case))
        saved = {track.id: track for track in cvat.read(folder / f"metadata/{inputs_of(case)[0].stem}_tracks.xml").tracks}
        assert set(metadata["tracks"]) == {"main", *map(str, saved)} and set(metadata["colors"]) == set(map(str, saved))
        for number, track in saved.items():
            shown = [frame for frame, place in enumerate(metadata["tracks"][str(number)]) if place >= 0]
            assert shown == [shape.frame for shape in track.shapes if not shape.outside]
            assert VideoReader(folder / f"{number}.mp4").n_frames == len(shown)


def test_by_default_hidden_boxes_are_not_shown(kit, anywhere):
    n_hidden = 0
    for case in cases(kit, "scenes"):
        recorded = kit.expected(case)["videos"]
        folder = extract(kit, case, anywhere, compat=False)
        for track in cvat.read(Path(kit.path(inputs_of(case)[1]))).tracks:
            hidden = sum(shape.outside for shape in track.shapes)
            assert VideoReader(folder / f"{track.id}.mp4").n_frames == recorded[f"{track.id}.mp4"]["frames"] - hidden
            n_hidden += hidden
    assert n_hidden > 0
