"""`etholoop videos proxy|stats|copy|rename|compress`: what they print, write, refuse and leave alone."""

import csv
import io
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import videos_compress, videos_proxy, videos_rename
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import frame_maps, images, metadata, snapshot, video
from etholoop.project import Project
from etholoop.services import dvc
from etholoop.simulation.corpus import kinds
from etholoop.simulation.numbered import numbered_frame, read_number
from etholoop.stages import manifest

KINDS = {kind.name: kind for kind in kinds()}
ODDITIES = [
    name
    for name in (
        *("h264_vfr.mp4", "h264_turned_90.mp4", "h264_turned_270.mp4", "h264_starts_late.mkv", "h264_odd_size.mp4", "h264_raw.h264"),
        *("h264_10_bit.mkv", "h264_open_gop.mkv", "mjpeg_odd_size.mov", "h264_long_gop.mp4"),
    )
    if name in KINDS
]


def make_project(root: Path) -> Project:
    project = Project(root)
    project.metadata.parent.mkdir(parents=True)
    project.metadata.write_text("path,session,subject,camera,start_time\n")
    project.raw_images.mkdir()
    project.raw_videos.mkdir()
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text("")
    return project


def record(path: Path, n: int = 6, first: int = 0) -> Path:
    video.write_video(path, (numbered_frame(number) for number in range(first, first + n)), Fraction(25), crf=8)
    return path


def etholoop(*words: str | Path):
    return CliRunner().invoke(build_app("videos"), [str(word) for word in words])


# --- proxy -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def oddities(tmp_path_factory: pytest.TempPathFactory):
    """A project of odd videos with their proxies at most 96 high, and the number each source frame shows."""
    project = make_project(tmp_path_factory.mktemp("oddities"))
    for name in ODDITIES:
        (project.raw_videos / name.replace(".", "-")).mkdir()
    samples = {name.replace(".", "-"): KINDS[name].write(project.raw_videos / name.replace(".", "-")) for name in ODDITIES}
    manifest.run(project, manifest.Params())
    made = videos_proxy.proxies(project, [], 96)
    return project, {f"{name}-{sample.path.stem}".replace(".", "-"): sample.shown for name, sample in samples.items()}, made


def shown_by(path: Path) -> list[int]:
    return [read_number(image) for _, image in video.VideoReader(path).stream()]


def test_every_frame_of_a_proxy_shows_what_the_map_says(oddities):
    _, shown, made = oddities
    assert len(made) == len(ODDITIES)
    for path, new in made:
        frame_map, _, _ = frame_maps.load(path.with_suffix(".map.npz"))
        numbers = shown[path.stem]
        assert new and shown_by(path) == [numbers[frame] for frame in frame_map.source]
        back = frame_map.to_derived(frame_map.frames)
        assert np.array_equal(frame_map.to_source(back), frame_map.frames)


def test_proxies_play_in_browsers(oddities):
    for path, _ in oddities[2]:
        info, index = video.probe(path)
        assert (info.codec, info.pix_fmt, info.rotation, info.variable_rate) == ("h264", "yuv420p", 0, False)
        assert info.height <= 96 and info.width % 2 == info.height % 2 == 0
        assert np.diff([*index.keyframes, info.n_frames]).max() <= videos_proxy.GOP
        content = path.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")  # plays while it loads
        assert b"elst" not in content or index.pts[0] == 0


def test_a_proxy_up_to_date_is_left_alone(oddities):
    project, _, made = oddities
    before = {path: path.stat().st_mtime_ns for path, _ in made}
    assert [new for _, new in videos_proxy.proxies(project, [], 96)] == [False] * len(made)
    assert {path: path.stat().st_mtime_ns for path, _ in made} == before
    name = made[0][0].stem
    assert videos_proxy.proxies(project, [name], 64)[0][1] is True
    assert videos_proxy.proxies(project, [name], 96)[0][1] is True
    assert made[0][0].with_suffix(".map.npz").unlink() is None
    assert videos_proxy.proxies(project, [name], 96)[0][1] is True


def test_another_rate(oddities):
    project, shown, _ = oddities
    ((path, _),) = videos_proxy.proxies(project, ["h264_vfr-mp4-h264_vfr"], 96, "10")
    frame_map, _, facts = frame_maps.load(path.with_suffix(".map.npz"))
    assert facts["tick"] == "1/10"
    assert shown_by(path) == [shown[path.stem][frame] for frame in frame_map.source]
    videos_proxy.proxies(project, ["h264_vfr-mp4-h264_vfr"], 96)


def test_unknown_sources_and_rates(oddities):
    with pytest.raises(EthoLoopError, match="no source in the manifest"):
        videos_proxy.proxies(oddities[0], ["nobody"])
    with pytest.raises(EthoLoopError, match="expected a rate"):
        videos_proxy.proxies(oddities[0], [], 96, "fast")


# --- stats -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Recordings of two days."""
    for name, n in (("day1/aria_1.mp4", 5), ("day1/D6-eCig-pre.mp4", 6), ("day2/D6-eCig-post.mp4", 7), ("day2/deep/aria_1.mp4", 8)):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        record(tmp_path / "tree" / name, n, first=n)
    (tmp_path / "tree/day1/notes.txt").write_text("x")
    return tmp_path / "tree"


def test_stats_of_a_folder(tree):
    table = etholoop("videos", "stats", tree)
    assert table.exit_code == 0 and table.output.splitlines()[-1].split()[:4] == ["total", "4", "26", "0:00:01.0"]
    rows = list(csv.DictReader(io.StringIO(etholoop("videos", "stats", tree, "--csv").stdout)))
    assert [(Path(row["source"]).name, row["frames"], row["fps"]) for row in rows][:2] == [
        ("D6-eCig-pre.mp4", "6", "25.0"),
        ("aria_1.mp4", "5", "25.0"),
    ]
    content = json.loads(etholoop("videos", "stats", tree, "--json").stdout)
    assert content["total"]["frames"] == 26 and content["sessions"][str(tree / "day1")]["frames"] == 11


def test_stats_of_the_manifest_and_of_what_is_no_video(tree, tmp_path, monkeypatch):
    project = make_project(tmp_path / "project")
    record(project.raw_videos / "a.mp4", 5)
    images.write_rgb(project.raw_images / "stills/img8.png", numbered_frame(8))
    project.metadata.write_text("path,session,subject,camera,start_time\nvideos/a.mp4,monday,,,\n")
    manifest.run(project, manifest.Params())
    monkeypatch.chdir(project.root)
    content = json.loads(etholoop("videos", "stats", "--json").stdout)
    assert [(one["source"], one["session"], one["frames"], one["duration_s"]) for one in content["sources"]] == [
        ("a", "monday", 5, 0.2),
        ("stills", "stills", 1, None),
    ]
    assert content["total"]["untimed"] == 1
    (tree / "broken.mp4").write_bytes(b"nothing")
    bad = etholoop("videos", "stats", tree / "broken.mp4", "--csv")
    assert bad.exit_code == 1 and "not_a_video" in bad.stderr and bad.stdout.count("\n") == 1


# --- copy --------------------------------------------------------------------------------------------------------------------------


def test_copy_by_rule(tree, tmp_path):
    rule = ["--match", "aria", "--match", "pre+ecig"]
    dry = etholoop("videos", "copy", tree, *rule, "--to", tmp_path / "out", "--dry-run")
    assert dry.stdout.splitlines() == ["day1/D6-eCig-pre.mp4", "day1/aria_1.mp4", "day2/deep/aria_1.mp4"]
    assert not (tmp_path / "out").exists()
    assert "3 copied, 0 already there" in etholoop("videos", "copy", tree, *rule, "--to", tmp_path / "out").output
    assert (tmp_path / "out/day2/deep/aria_1.mp4").read_bytes() == (tree / "day2/deep/aria_1.mp4").read_bytes()
    assert "0 copied, 3 already there" in etholoop("videos", "copy", tree, *rule, "--to", tmp_path / "out").output


def test_nothing_is_copied_onto_other_content(tree, tmp_path):
    (tmp_path / "out/day2").mkdir(parents=True)
    (tmp_path / "out/day2/D6-eCig-post.mp4").write_bytes(b"mine")
    refused = etholoop("videos", "copy", tree, "--to", tmp_path / "out")
    assert refused.exit_code == 1
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [tmp_path / "out/day2/D6-eCig-post.mp4"]
    assert (tmp_path / "out/day2/D6-eCig-post.mp4").read_bytes() == b"mine"
    assert etholoop("videos", "copy", tree, "--match", "nobody").exit_code == 1


def test_copy_into_the_project(tree, tmp_path, monkeypatch):
    project = make_project(tmp_path / "project")
    added = []
    monkeypatch.setattr(dvc, "add", lambda _, *paths: added.extend(paths))
    monkeypatch.chdir(project.root)
    assert "2 copied" in etholoop("videos", "copy", tree, "--match", "aria", "--as", "pilot").output
    found = sorted(path.relative_to(project.raw_videos).as_posix() for path in project.raw_videos.rglob("*.mp4"))
    assert found == ["pilot/day1/aria_1.mp4", "pilot/day2/deep/aria_1.mp4"] and added == [project.raw_videos]
    assert "0 copied, 2 already there" in etholoop("videos", "copy", tree, "--match", "aria", "--as", "pilot").output


# --- rename ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def named(tmp_path, monkeypatch) -> Project:
    """Two videos with labels of the first."""
    project = make_project(tmp_path / "named")
    record(project.raw_videos / "a.mp4")
    record(project.raw_videos / "b.mp4", 7)
    project.metadata.write_text("path,session,subject,camera,start_time\nvideos/a.mp4,s1,,top,\nvideos/b.mp4,s2,,side,\n")
    frame = {"uid": "a:00000003", "annotator": "anna", "status": "no_animal", "note": "", "instances": []}
    project.snapshot.parent.mkdir(parents=True)
    snapshot.write(snapshot.Snapshot([frame], []), project.snapshot)
    monkeypatch.setattr(dvc, "add", lambda *_: None)
    monkeypatch.chdir(project.root)
    return project


def names(project: Project) -> list[str]:
    return sorted(path.name for path in project.raw_videos.iterdir())


def test_labels_stop_a_rename_or_go_along(named):
    before = named.snapshot.read_bytes()
    refused = etholoop("videos", "rename", "{session}-{camera}")
    assert refused.exit_code == 1 and "has labels of 'a'" in str(refused.exception)
    assert names(named) == ["a.mp4", "b.mp4"] and named.snapshot.read_bytes() == before
    assert etholoop("videos", "rename", "{session}-{camera}", "--match", "b").exit_code == 0
    done = etholoop("videos", "rename", "{session}-{camera}", "--carry-labels")
    assert done.exit_code == 0 and names(named) == ["s1-top.mp4", "s2-side.mp4"]
    assert [record["uid"] for record in snapshot.read(named.snapshot).frames] == ["s1-top:00000003"]
    assert [(row.path, row.fields["session"]) for row in metadata.read(named.metadata)] == [
        ("videos/s1-top.mp4", "s1"),
        ("videos/s2-side.mp4", "s2"),
    ]


def test_names_can_be_swapped_and_a_kill_is_made_good(named, monkeypatch):
    before = {path.name: path.read_bytes() for path in named.raw_videos.iterdir()}
    plan = videos_rename.Plan({"a.mp4": "b.mp4", "b.mp4": "a.mp4"})
    honest = Path.rename

    def dying_at(n: int):
        calls = []

        def rename(self, target):
            calls.append(target)
            if len(calls) == n:
                raise KeyboardInterrupt
            return honest(self, target)

        return rename

    for n in range(1, 5):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "rename", dying_at(n))
            videos_rename.carry_out(named.raw_videos, plan, named)
        assert videos_rename.finished(named.raw_videos, named)
        swapped = {path.name: path.read_bytes() for path in named.raw_videos.iterdir()}
        assert swapped == {"a.mp4": before["b.mp4"], "b.mp4": before["a.mp4"]}
        before = swapped
    assert not videos_rename.finished(named.raw_videos, named)


def test_dry_run_and_clashes(named):
    listed = etholoop("videos", "rename", "x_{n:2}", "--dry-run", "--carry-labels")
    assert listed.stdout.splitlines() == ["a.mp4 → x_01.mp4", "b.mp4 → x_02.mp4"] and names(named) == ["a.mp4", "b.mp4"]
    for words in (["same"], ["B", "--match", "a"], ["{subject}"], ["{nobody}"], ["a/../b"]):
        assert etholoop("videos", "rename", *words, "--carry-labels").exit_code == 1
    assert names(named) == ["a.mp4", "b.mp4"]


def test_rename_in_any_folder(tree):
    assert etholoop("videos", "rename", "{parent}-{stem}", "--in", tree).exit_code == 0
    assert (tree / "day2/deep/deep-aria_1.mp4").is_file() and (tree / "day1/notes.txt").is_file()


# --- compress ----------------------------------------------------------------------------------------------------------------------


def test_a_copy_has_the_same_frames_and_is_checked(tree, tmp_path):
    done = etholoop("videos", "compress", tree / "day2", "--to", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    copies = json.loads(done.stdout)
    assert [one["frames"] for one in copies] == [7, 8] and all(one["worst_psnr"] > 35 for one in copies)
    assert shown_by(tmp_path / "out/deep/aria_1.mp4") == list(range(8, 16))


def test_a_bad_copy_is_not_kept(tree, tmp_path):
    bad = etholoop("videos", "compress", tree / "day1", "--to", tmp_path / "out", "--crf", "51")
    assert bad.exit_code == 1 and "not kept" in bad.output
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_odd_sizes_times_and_turns_survive(tmp_path):
    for name in ("h264_vfr.mp4", "h264_odd_size.mp4", "h264_turned_90.mp4"):
        sample = KINDS[name].write(tmp_path)
        copy = videos_compress.compressed(sample.path, tmp_path / f"out-{name}", 16, "h264", "cpu", 30.0, Fraction(25))
        assert copy.kept, copy
        before, after = (video.probe(path)[1] for path in (sample.path, Path(copy.path)))
        assert np.allclose(before.times_s(), after.times_s(), atol=1e-6)


def test_images_become_a_video(tmp_path):
    for number in (2, 10):
        images.write_rgb(tmp_path / f"pictures/f{number:02}.png", numbered_frame(number))
    etholoop("videos", "compress", tmp_path / "pictures", "--to", tmp_path, "--fps", "29.97", "--crf", "10")
    info, _ = video.probe(tmp_path / "pictures.mp4")
    assert info.fps == Fraction("29.97") and shown_by(tmp_path / "pictures.mp4") == [2, 10]


def test_existing_copies_are_never_touched(tree, tmp_path):
    with pytest.raises(FaultsError, match="is there already"):
        videos_compress.plan([tree / "day1"], tree / "day1")
