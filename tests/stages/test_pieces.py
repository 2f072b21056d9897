"""Long videos in pieces: the same answers as in one piece, with every engine."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from etholoop import registry
from etholoop.engines import _settings
from etholoop.io import video
from etholoop.project import Project
from etholoop.stages import _map, _pieces, frames, manifest, normalise
from etholoop.stages._pieces import Strip, run_names
from etholoop.stages._sources import project_sources, source_of

N_FRAMES = 1130


@pytest.fixture(scope="module")
def footage(tmp_path_factory) -> Project:
    """Two videos of more than two pieces each."""
    project = Project(tmp_path_factory.mktemp("long"))
    project.raw_videos.mkdir(parents=True)
    for number, name in enumerate(("a", "b")):
        rng = np.random.default_rng(number)
        images = (rng.integers(0, 255, (4, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(N_FRAMES))
        video.write_video(project.raw_videos / f"{name}.mp4", images, Fraction(25), crf=30)
    manifest.run(project, manifest.Params())
    normalise.run(project, normalise.Params())
    return project


def features(project: Project, strategy: str, step: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    sources = project_sources(project)
    wanted = {name: source.frames[::step] for name, source in sources.items()}
    identities = {name: source.sha256 for name, source in sources.items()}
    return frames.all_features(project, sources, identities, wanted, frames.Params(strategy=strategy))


@pytest.mark.parametrize(
    "strategy", [name for name in registry.names(frames.STRATEGIES) if registry.load(frames.STRATEGIES, name).FEATURES]
)
@pytest.mark.parametrize("step", [3, 50])
def test_features_of_pieces_are_those_of_the_whole(footage, strategy, step, tmp_path):
    found = features(apart(footage, tmp_path), strategy, step)
    for name, source in project_sources(footage).items():
        looked_at = source.frames[::step]
        whole = registry.load(frames.STRATEGIES, strategy).features(image for _, image in source.read(looked_at.tolist()))
        np.testing.assert_array_equal(found[name][0], looked_at)
        np.testing.assert_array_equal(found[name][1], whole)


def apart(project: Project, folder: Path) -> Project:
    """The same project with a memo of its own."""
    (folder / "data").symlink_to(project / "data")
    return Project(folder)


def test_frames_are_the_same_bytes_with_every_number_of_workers(footage, tmp_path, monkeypatch):
    monkeypatch.setattr(_map, "WORTH_S", 1e-6)
    seen = []
    for engine in ("serial", "processes:2", "processes:3"):
        monkeypatch.setenv(_settings.ENGINE, engine)
        project = Project(tmp_path / engine.replace(":", ""))
        for name in ("data/manifest", "data/normalised", "data/raw"):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).symlink_to(footage / name)
        frames.run(project, frames.Params(strategy="motion", n_frames=30, settings={"frame_skip": 4}))
        seen.append(
            {str(path.relative_to(project.frames)): path.read_bytes() for path in sorted(project.frames.rglob("*")) if path.is_file()}
        )
    assert len(seen[0]) == 31
    assert seen[0] == seen[1] == seen[2]


def test_a_kill_costs_a_piece_and_not_the_video(footage, tmp_path, monkeypatch):
    """After a fault in the second piece the first is in the memo and is not looked at again."""
    project = apart(footage, tmp_path)
    strategy = registry.load(frames.STRATEGIES, "motion")
    looked, true_features = [], strategy.features

    def breaks(images):
        looked.append(1)
        if len(looked) == 2:
            raise KeyboardInterrupt
        return true_features(images)

    monkeypatch.setattr(strategy, "features", breaks)
    with pytest.raises(KeyboardInterrupt):
        features(project, "motion", 10)
    assert len(list((project.memo / "frame_features").iterdir())) == 1
    features(project, "motion", 10)
    assert len(looked) == 2 + 5 + 1, "five of six pieces were left, and no images at all are asked for the shape"


def test_adding_a_video_looks_at_that_video_only(footage, tmp_path):
    project = apart(footage, tmp_path)
    sources = project_sources(project)
    identities = {name: source.sha256 for name, source in sources.items()}
    wanted = {name: source.frames[::10] for name, source in sources.items()}
    params = frames.Params(strategy="motion")
    frames.all_features(project, {"a": sources["a"]}, identities, {"a": wanted["a"]}, params)
    before = {path.name for path in (project.memo / "frame_features").iterdir()}
    frames.all_features(project, sources, identities, wanted, params)
    after = {path.name for path in (project.memo / "frame_features").iterdir()}
    assert before < after
    assert len(after) == 2 * len(before)


def test_each_pick_is_extracted_once_and_kept_when_others_are_picked(footage, tmp_path):
    project = apart(footage, tmp_path)
    sources = project_sources(project)
    identities = {name: source.sha256 for name, source in sources.items()}
    first = pd.DataFrame({"video_id": ["a", "a", "b"], "frame": [3, 700, 5]})
    paths = frames.extract(project, sources, identities, first, "png")
    times = {path: path.stat().st_mtime_ns for path in paths.values()}
    more = pd.DataFrame({"video_id": ["a", "a", "a", "b"], "frame": [3, 400, 700, 5]})
    again = frames.extract(project, sources, identities, more, "png")
    assert len(set(again.values())) == 4
    assert {path: path.stat().st_mtime_ns for path in again.values() if path in times} == times


def test_a_strip_gives_the_last_images_again(footage):
    source = project_sources(footage)["a"]
    strip = Strip(source, [1, 2, 3, 9], again=2)
    assert [frame for frame, _ in strip.take([1, 2, 3])] == [1, 2, 3]
    assert [frame for frame, _ in strip.take([2, 3, 9])] == [2, 3, 9]
    with pytest.raises(ValueError, match="frame 1 is not on this strip"):
        list(strip.take([1]))
    strip.close()


def test_runs_keep_all_workers_busy(footage, monkeypatch):
    monkeypatch.setenv(_settings.ENGINE, "processes:2")
    monkeypatch.setattr(_pieces, "_keyframes", lambda source: np.arange(4000))
    sources = project_sources(footage)
    pieces = {name: [np.arange(k * 500, (k + 1) * 500) for k in range(8)] for name in sources}
    names = run_names(footage, sources, pieces)
    assert names["a"] == [f"a:{k // 2}" for k in range(8)]
    assert len({run for own in names.values() for run in own}) == 8


def test_a_worker_reads_the_manifest_again_when_it_changed(footage, tmp_path):
    source = source_of(footage.root, "a")
    assert source_of(footage.root, "a") is source
    manifest.run(footage, manifest.Params())
    assert source_of(footage.root, "a") is not source
