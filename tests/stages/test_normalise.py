"""normalise: nothing by default; otherwise every derived frame shows what the map says, in the pixels the affine says."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from etholoop import params as parameters
from etholoop.errors import FaultsError
from etholoop.io import frame_maps, images, tables, video
from etholoop.io.sources import open_sources
from etholoop.project import Project
from etholoop.schema.normalised import Normalised
from etholoop.schema.videos import Images, Videos
from etholoop.simulation.numbered import numbered_frame, read_number
from etholoop.stages import manifest, normalise
from etholoop.stages._normalise_chunks import pieces

SIZES = {"long": (160, 120, 30, 130), "wide": (200, 96, 25, 60)}
"""Width, height, frames per second, frames."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos and a folder of three images, with their manifest."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.metadata.parent.mkdir(parents=True)
    project.metadata.write_text("path,session,subject,camera,start_time\n")
    for name, (width, height, fps, n) in SIZES.items():
        pictures = (numbered_frame(number, width, height) for number in range(n))
        video.write_video(project.raw_videos / f"{name}.mp4", pictures, Fraction(fps), crf=10)
    for number in (3, 7, 20):
        images.write_rgb(project.raw_images / "stills" / f"img{number}.png", numbered_frame(number, 96, 72))
    manifest.run(project, manifest.Params())
    return project.root


@pytest.fixture
def project(raw: Path, tmp_path: Path) -> Project:
    """The same sources, with nothing normalised yet."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "data").mkdir()
    for name in ("raw", "manifest"):
        (root / "data" / name).symlink_to(raw / "data" / name)
    return Project(root)


def run(project: Project, **section):
    normalise.run(project, parameters.section_from({"normalise": section}, "normalise", normalise.Params, "params.yaml"))
    table = tables.read(project.normalised / "normalised.parquet", Normalised).set_index("video_id")
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    sources = open_sources(project.root, videos, tables.read(project.manifest / "images.parquet", Images), table.reset_index())
    return table, sources


def shown(source):
    return [(frame, read_number(image)) for frame, image in source.read(source.frames.tolist())]


def files(project: Project) -> dict[str, str]:
    found = (path for path in sorted(project.normalised.rglob("*")) if path.is_file())
    return {path.relative_to(project.normalised).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_by_default_there_is_only_the_table(project):
    table, sources = run(project)
    assert list(files(project)) == ["normalised.parquet"]
    assert (table["path"] == "").all() and table["n_frames"].tolist() == [130, 3, 60]
    assert not project.memo.exists()
    raw = open_sources(
        project.root, tables.read(project.manifest / "videos.parquet", Videos), tables.read(project.manifest / "images.parquet", Images)
    )
    for video_id, source in sources.items():
        assert source.path == raw[video_id].path and source.affine.is_identity and source.derived is None


@pytest.mark.parametrize(
    "section",
    [{"fps": 25, "rules": [{"match": "long", "fps": None}]}, {"width": 200, "height": 120}, {"seconds": 60}, {"crf": 30, "codec": "hevc"}],
)
def test_what_changes_nothing_writes_nothing(project, section):
    table, _ = run(project, **section)
    assert (table["path"] == "").all()


def test_half_the_rate_and_half_the_size(project):
    table, sources = run(project, fps=15, width=80, grey=True)
    assert table.loc["long", ["n_frames", "width", "height", "fps_num"]].tolist() == [65, 80, 60, 15]
    assert sources["long"].frames.tolist() == list(range(0, 130, 2))
    assert sources["long"].fps == 30  # a frame number is one of the source, so its rate is the source's
    for source in sources.values():
        assert all(frame == number for frame, number in shown(source))
        _, image = next(source.read(source.frames[:1].tolist()))
        assert np.ptp(image.astype(int), axis=2).max() == 0


def test_a_frame_that_was_left_out_is_said(project):
    _, sources = run(project, fps=15)
    with pytest.raises(Exception, match="1 of the frames asked for are not in its derived video"):
        list(sources["long"].read([2, 3, 4]))


def test_the_preset_does_what_behavtrack_does(project):
    table, sources = run(project, preset="behavtrack", rules=[{"match": "stills", "width": None, "height": None}])
    # the least rate, width and height of all sources, each by itself: the folder of images has the least of both sides
    assert table.loc["long", ["width", "height", "fps_num", "n_frames"]].tolist() == [96, 72, 25, 109]
    assert table.loc["long", "a"] == 96 / 160 and table.loc["wide", "e"] == 72 / 96
    assert table.loc["stills", ["width", "height"]].tolist() == [96, 72]
    assert all(frame == number for source in sources.values() for frame, number in shown(source))


def test_the_preset_gives_way_to_what_is_given():
    from etholoop.stages._normalise_plan import settings_of

    params = normalise.Params(preset="behavtrack", gamma=1.0, rules=[normalise.Rule(match="aria*", seconds=None, fps=None)])
    assert settings_of("cage1", params)["seconds"] == 900
    assert settings_of("cage1", params)["gamma"] == 1.0
    assert settings_of("cage1", params)["contrast"] == 1.3
    assert settings_of("aria-3", params)["seconds"] is None


def test_the_first_seconds_only(project):
    table, sources = run(project, seconds=1)
    assert table["n_frames"].tolist() == [30, 3, 25]
    assert sources["wide"].frames.tolist() == list(range(25))


def test_the_same_bytes_again_and_from_the_memo(project, tmp_path):
    section = {"fps": 20, "width": 96, "denoise": "temporal"}
    run(project, **section)
    first = files(project)
    run(project, **section)
    assert files(project) == first
    (project.root / ".memo").rename(tmp_path / "aside")
    run(project, **section)
    assert files(project) == first


def test_maps_and_index_lie_beside_the_video(project):
    run(project, fps=60, width=80)
    assert {"long.mp4", "long.map.npz", "index/long.npz", "stills.mp4", "wide.mp4"} <= set(files(project))
    frame_map, affine, _ = frame_maps.load(project.normalised / "long.map.npz")
    assert frame_map.source.tolist() == [n // 2 for n in range(260)]
    assert affine.a == 0.5
    found = [read_number(image) for _, image in video.VideoReader(project.normalised / "long.mp4").stream()]
    assert found == frame_map.source.tolist()


def test_images_keep_their_numbers(project):
    _, sources = run(project, width=64, rules=[{"match": "[lw]*", "width": None}])
    assert shown(sources["stills"]) == [(3, 3), (7, 7), (20, 20)]
    assert sources["stills"].fps is None


@pytest.mark.parametrize(
    "section, words",
    [
        ({"rules": [{"match": "nobody*", "grey": True}]}, "fits no source"),
        ({"crop": {"x": 150, "y": 0, "width": 20, "height": 20}}, "does not lie inside"),
        ({"fit": "pad", "width": 64}, "needs width and height"),
        ({"fps": "quick"}, "expected a rate"),
        ({"deflicker": 1}, "at least 2 frames"),
        ({"hide": [[[0, 0], [1, 1]]]}, "at least 3 points"),
        ({"width": 8}, "16 to 8192"),
        ({"gray": True}, "did you mean 'grey'"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(project, section, words):
    with pytest.raises(FaultsError, match=words):
        run(project, **section)
    assert not project.normalised.exists() and not project.memo.exists()


def test_hardware_given_up_half_way(project, monkeypatch, capsys):
    """An encoder that passes the trial and fails at work must not stop `auto`."""
    from etholoop.io import transcode

    monkeypatch.setattr(transcode, "working_encoder", lambda codec, wanted, *_: "libx264" if wanted == "cpu" else "h264_nvenc")
    table, sources = run(project, fps=15, encoder="auto")
    assert "given up" in capsys.readouterr().err
    assert all(frame == number for frame, number in shown(sources["wide"]))
    assert table["path"].tolist() == ["long.mp4", "", "wide.mp4"]


def test_pieces_are_cut_at_fixed_source_frames():
    assert pieces(np.arange(1100)) == [(0, 500), (500, 1000), (1000, 1100)]
    assert pieces(np.arange(0, 1100, 2)) == [(0, 250), (250, 500), (500, 550)]
    assert pieces(np.repeat(np.arange(300), 3)) == [(0, 500), (500, 900)]
    assert pieces(np.array([499, 500])) == [(0, 1), (1, 2)]


CHILD = """
import sys
from etholoop.project import Project
from etholoop.stages import normalise
from pathlib import Path
normalise.run(Project(Path(sys.argv[1])), normalise.Params(fps=20, width=96))
"""


def test_kills_leave_nothing_half_written(project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    run(project, fps=20, width=96)
    undisturbed = files(project)
    for path in sorted(project.normalised.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    project.normalised.rmdir()
    (project.root / ".memo").rename(project.root.parent / "aside")
    rng = np.random.default_rng(0)
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(project.root)], stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(rng.uniform(0.5, 2.5))
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if project.normalised.exists():
            assert files(project) == undisturbed
    run(project, fps=20, width=96)
    assert files(project) == undisturbed
