"""The manifest lists every source with its true count and puts everything else aside by name."""

import dataclasses
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.core.naming import source_id
from etholoop.errors import FaultsError
from etholoop.io import images, metadata, sources, tables, video
from etholoop.project import Project
from etholoop.schema.columns import VIDEO_ID_PATTERN
from etholoop.schema.videos import Gaps, Images, Quarantine, Videos
from etholoop.stages import manifest


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def add_video(project: Project, name: str, level: int = 0, n_frames: int = 10) -> Path:
    """A video below data/raw/videos whose content differs by ``level``."""
    path = project.raw_videos / name
    frames = (np.full((32, 48, 3), (level + 9 * k) % 256, np.uint8) for k in range(n_frames))
    video.write_video(path.with_suffix(".mp4"), frames, Fraction(25))
    return path.with_suffix(".mp4").rename(path)


def add_image(project: Project, name: str, level: int = 0, size: tuple[int, int] = (32, 48)) -> None:
    images.write_rgb(project.raw_images / name, np.full((*size, 3), level, np.uint8))


def run(project: Project, **params) -> None:
    manifest.run(project, manifest.Params(**params))


def videos_of(project: Project) -> dict[str, dict]:
    table = tables.read(project.manifest / "videos.parquet", Videos)
    return {row["video_id"]: row for row in table.to_dict("records")}


def quarantine_of(project: Project) -> dict[str, str]:
    table = tables.read(project.manifest / "quarantine.parquet", Quarantine)
    return dict(zip(table["path"], table["reason"], strict=True))


def detail_of(project: Project, path: str) -> str:
    return tables.read(project.manifest / "quarantine.parquet", Quarantine).set_index("path")["detail"][path]


def write_csv(project: Project, text: str) -> None:
    project.metadata.parent.mkdir(parents=True, exist_ok=True)
    project.metadata.write_text(text, encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_videos_and_images_become_rows(project):
    add_video(project, "Cage 1.mp4", n_frames=12)
    for number in (4, 20):
        add_image(project, f"Set A/img{number:03}.png", number)
    run(project)
    found = videos_of(project)
    assert list(found) == ["cage-1", "set-a"]
    clip, folder = found["cage-1"], found["set-a"]
    assert (clip["kind"], clip["path"], clip["n_frames"], clip["n_frames_header"]) == ("video", "videos/Cage 1.mp4", 12, 12)
    assert (clip["fps_num"], clip["fps_den"], clip["width"], clip["height"], clip["session"]) == (25, 1, 48, 32, "cage-1")
    assert clip["duration_s"] == pytest.approx(12 / 25)
    assert (folder["kind"], folder["path"], folder["n_frames"], folder["fps_num"], folder["codec"]) == (
        "images",
        "images/Set A",
        21,
        0,
        "png",
    )
    assert tables.read(project.manifest / "images.parquet", Images)["frame"].tolist() == [4, 20]
    assert quarantine_of(project) == {}
    opened = sources.open_sources(
        project.root, tables.read(project.manifest / "videos.parquet", Videos), tables.read(project.manifest / "images.parquet", Images)
    )
    assert [frame for frame, _ in opened["cage-1"].read([0, 11])] == [0, 11]
    assert [int(image.mean()) for _, image in opened["set-a"].read([4, 20])] == [4, 20]


def test_no_source_at_all_is_not_an_error(project):
    run(project)
    assert videos_of(project) == {} and quarantine_of(project) == {}
    assert len(tables.read(project.manifest / "images.parquet", Images)) == 0


def test_same_inputs_same_bytes_and_the_second_run_probes_nothing(project, monkeypatch):
    add_video(project, "a.mp4", 1)
    add_video(project, "b.avi.mp4", 2)
    (project.raw_videos / "text.mp4").write_text("words")
    calls = []
    probe = video.probe
    monkeypatch.setattr(video, "probe", lambda path, **options: calls.append(path.name) or probe(path, **options))
    run(project)
    first = contents(project.manifest)
    assert calls == ["a.mp4", "b.avi.mp4", "text.mp4"]
    run(project)
    assert contents(project.manifest) == first
    add_video(project, "c.mp4", 3)
    (project.raw_videos / "a.mp4").rename(project.raw_videos / "renamed.mp4")
    run(project)
    assert calls == ["a.mp4", "b.avi.mp4", "text.mp4", "c.mp4"], "only what is new is probed"
    assert set(contents(project.manifest)) == {
        *("videos.parquet", "images.parquet", "gaps.parquet", "quarantine.parquet"),
        *("index/b-avi.npz", "index/c.npz", "index/renamed.npz"),
    }
    shutil.rmtree(project.memo)
    run(project)
    renewed = contents(project.manifest)
    shutil.rmtree(project.memo)
    run(project)
    assert contents(project.manifest) == renewed


def test_bad_files_are_put_aside_with_the_reason(project):
    good = add_video(project, "good.mp4", n_frames=60)
    (project.raw_videos / "cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size * 7 // 10])
    (project.raw_videos / "empty.mp4").touch()
    (project.raw_videos / "text.mp4").write_text("words")
    (project.raw_videos / "list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    (project.raw_videos / "notes.txt").write_text("hello")
    (project.raw_videos / "gone.mp4").symlink_to("nowhere.mp4")
    (project.raw_videos / ".hidden.mp4").write_text("x")
    (project.raw_videos / ".DS_Store").write_text("x")
    run(project)
    assert list(videos_of(project)) == ["cut", "good"]
    assert quarantine_of(project) == {
        "videos/empty.mp4": "empty",
        "videos/gone.mp4": "unreadable",
        "videos/list.mp4": "forbidden_container",
        "videos/notes.txt": "not_a_video",
        "videos/text.mp4": "not_a_video",
    }
    assert videos_of(project)["cut"]["n_frames"] == 60, "frames that were cut off keep their numbers"
    gaps = tables.read(project.manifest / "gaps.parquet", Gaps)
    assert set(gaps["video_id"]) == {"cut"} and gaps["stop_frame"].max() == 60 and gaps["reason"].iloc[-1] == "missing"


def with_gap(monkeypatch) -> None:
    """Every probe finds frames 3 and 4 damaged."""
    probe = video.probe

    def damaged(path, **options):
        info, index = probe(path, **options)
        return info, dataclasses.replace(index, gaps=(video.Gap(3, 5, "damaged"),))

    monkeypatch.setattr(video, "probe", damaged)


def test_a_damaged_video_is_kept_for_its_good_frames(project, monkeypatch, capsys):
    with_gap(monkeypatch)
    add_video(project, "cage.mp4", n_frames=7)
    run(project)
    gaps = tables.read(project.manifest / "gaps.parquet", Gaps)
    assert gaps.to_dict("records") == [{"video_id": "cage", "start_frame": 3, "stop_frame": 5, "reason": "damaged"}]
    assert "videos/cage.mp4: 2 frames cannot be used, in 1 gap (damaged); see data/manifest/gaps.parquet." in capsys.readouterr().err
    opened = sources.open_sources(
        project.root, tables.read(project.manifest / "videos.parquet", Videos), tables.read(project.manifest / "images.parquet", Images)
    )
    assert videos_of(project)["cage"]["n_frames"] == 7
    assert opened["cage"].frames.tolist() == [0, 1, 2, 5, 6]


def test_a_damaged_video_is_put_aside_where_that_is_wanted(project, monkeypatch):
    with_gap(monkeypatch)
    add_video(project, "cage.mp4", n_frames=7)
    run(project, damaged="put_aside")
    assert videos_of(project) == {} and quarantine_of(project) == {"videos/cage.mp4": "damaged"}
    assert detail_of(project, "videos/cage.mp4").startswith("2 frames cannot be used, in 1 gap (damaged).")
    assert len(tables.read(project.manifest / "gaps.parquet", Gaps)) == 0
    assert not list((project.manifest / "index").iterdir())


def test_limits_put_videos_aside_and_are_asked_again_when_they_change(project):
    add_video(project, "cage.mp4", n_frames=7)
    for limits, reason in (
        ({"max_hours": 0.2 / 3600}, "too_long"),
        ({"max_megapixels": 0.001}, "too_large"),
        ({"max_frames": 6}, "too_long"),
    ):
        run(project, limits=limits)
        assert quarantine_of(project) == {"videos/cage.mp4": reason}
    run(project)
    assert list(videos_of(project)) == ["cage"] and quarantine_of(project) == {}


def test_every_frame_is_decoded_where_that_is_wanted(project, monkeypatch):
    from etholoop.io import _video_probe

    add_video(project, "cage.mp4", n_frames=7)
    monkeypatch.setattr(_video_probe, "DECODE_ALL_PIXELS", 0)
    for decode_all in (False, True):
        run(project, decode_all=decode_all)
        assert video.VideoIndex.load(project.manifest / "index/cage.npz").info.decoded == decode_all


def test_names_that_give_one_id(project):
    add_video(project, "a b.mp4", 1)
    add_video(project, "A-B.mp4", 2)
    add_video(project, "other.mp4", 3)
    run(project)
    assert list(videos_of(project)) == ["other"]
    assert quarantine_of(project) == {"videos/A-B.mp4": "same_id", "videos/a b.mp4": "same_id"}
    assert "videos/A-B.mp4" in detail_of(project, "videos/a b.mp4")


def test_same_content_twice_keeps_the_first_path(project):
    path = add_video(project, "b.mp4")
    shutil.copy(path, project.raw_videos / "a.mp4")
    (project.raw_videos / "z").mkdir()
    shutil.copy(path, project.raw_videos / "z/c.mp4")
    run(project)
    assert list(videos_of(project)) == ["a"]
    assert quarantine_of(project) == {"videos/b.mp4": "duplicate", "videos/z/c.mp4": "duplicate"}
    assert "videos/a.mp4" in detail_of(project, "videos/b.mp4")


def test_images_that_do_not_belong(project):
    for number in (1, 2, 3):
        add_image(project, f"cage/{number}.png", number)
    add_image(project, "cage/4.png", 4, size=(16, 16))
    (project.raw_images / "cage/5.png").write_bytes(b"broken")
    (project.raw_images / "cage/labels.csv").write_text("x")
    add_image(project, "loose.png", 9)
    (project.raw_images / "bad").mkdir()
    (project.raw_images / "bad/1.jpg").touch()
    run(project)
    assert list(videos_of(project)) == ["cage"]
    assert videos_of(project)["cage"]["n_frames"] == 4
    assert quarantine_of(project) == {
        "images/bad": "empty",
        "images/bad/1.jpg": "empty",
        "images/cage/4.png": "other_size",
        "images/cage/5.png": "not_an_image",
        "images/cage/labels.csv": "not_an_image",
        "images/loose.png": "no_folder",
    }


def test_metadata_wins_over_the_pattern_and_the_pattern_over_the_id(project):
    add_video(project, "day1_m7_top.mp4", 1)
    add_video(project, "day2_m8_top.mp4", 2)
    add_image(project, "day3_m9_side/1.png", 3)
    write_csv(project, "path,session,subject,camera,start_time\nvideos/day2_m8_top.mp4,special,,,2026-05-01 09:30\n")
    run(project, pattern="{session}_{subject}_{camera}")
    found = {name: (row["session"], row["subject"], row["camera"], row["start_time"]) for name, row in videos_of(project).items()}
    assert found["day1_m7_top"][:3] == ("day1", "m7", "top")
    assert found["day2_m8_top"] == ("special", "m8", "top", "2026-05-01T09:30:00")
    assert found["day3_m9_side"][:3] == ("day3", "m9", "side")


def test_times_in_names(project):
    add_video(project, "cam1-20260501T093000.mp4")
    run(project, pattern="{camera}-{start_time}")
    row = next(iter(videos_of(project).values()))
    assert (row["camera"], row["start_time"], row["session"]) == ("cam1", "2026-05-01T09:30:00", "cam1-20260501t093000")


def test_names_that_do_not_fit_the_pattern_are_told_together(project):
    for level, name in enumerate(("a_b.mp4", "one.mp4", "two.mp4", "three.mp4")):
        add_video(project, name, level)
    write_csv(project, "path,session\nvideos/two.mp4,s2\n")
    with pytest.raises(FaultsError) as caught:
        run(project, pattern="{session}_{camera}")
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["videos/one.mp4", "videos/three.mp4"]
    assert not project.manifest.exists()


def test_impossible_patterns_are_refused_before_anything_runs():
    for pattern, words in (("{sesion}_x", "did you mean 'session'"), ("plain", "at least one"), ("{session}{camera}", "between them")):
        with pytest.raises(ValueError, match=words):
            manifest.Params(pattern=pattern)


def test_faulty_rows_are_told_together_with_their_numbers(project):
    add_video(project, "a.mp4")
    write_csv(
        project,
        "path,session,start_time\nvideos/a.mp4,s1,\nvideos/a.mp4,s2,\n,s3,\nvideos/b.mp4,s4,yesterday\nvideos/c.mp4,s,2026-01-01,9\n",
    )
    with pytest.raises(FaultsError) as caught:
        run(project)
    faults = "\n".join(caught.value.faults)
    assert "row 3: 'videos/a.mp4' stands already in row 2" in faults
    assert "row 4: no path" in faults
    assert "row 5: start_time 'yesterday'" in faults
    assert "row 6: 4 values for 3 columns" in faults


def test_rows_and_columns_that_fit_nothing(project):
    add_video(project, "cage_one.mp4")
    write_csv(project, "path,session\nvideos/cage_won.mp4,s1\n")
    with pytest.raises(FaultsError, match=r"row 2: nothing lies at 'videos/cage_won.mp4'; did you mean 'videos/cage_one.mp4'"):
        run(project)
    write_csv(project, "path,sesion\nvideos/cage_one.mp4,s1\n")
    with pytest.raises(FaultsError, match="unknown column 'sesion'; did you mean 'session'"):
        run(project)
    write_csv(project, "name,session\nvideos/cage_one.mp4,s1\n")
    with pytest.raises(FaultsError, match="no column 'path'"):
        run(project)
    write_csv(project, "path,session,subject,camera,start_time\n")
    run(project)
    assert videos_of(project)["cage_one"]["session"] == "cage_one"


def test_a_row_for_a_file_put_aside_is_no_fault(project):
    (project.raw_videos).mkdir(parents=True)
    (project.raw_videos / "text.mp4").write_text("words")
    write_csv(project, "\ufeffpath,session\r\nvideos/text.mp4,s1\r\n")
    run(project)
    assert quarantine_of(project) == {"videos/text.mp4": "not_a_video"}


def test_metadata_round_trip(tmp_path):
    rows = [metadata.Row("videos/b.mp4", {"session": 's,"1"', "camera": "top"}, 2), metadata.Row("images/ä", {"subject": "m"}, 3)]
    metadata.write(rows, tmp_path / "m.csv")
    read = metadata.read(tmp_path / "m.csv")
    assert {row.path: row.fields for row in read} == {row.path: row.fields for row in rows}
    assert [row.path for row in read] == ["images/ä", "videos/b.mp4"]


def test_unicode_paths_match_in_either_form(project):
    add_video(project, "Ka\u0308fig.mp4")  # as macOS writes it
    write_csv(project, "path,session\nvideos/K\u00e4fig.mp4,s1\n")
    run(project)
    assert videos_of(project)["kafig"]["session"] == "s1"


@pytest.mark.parametrize(
    "path, expected",
    [
        ("cage1.mp4", "cage1"),
        ("Day 1/Cam_A.AVI", "day-1-cam_a"),
        ("a; rm -rf $HOME.mp4", "a-rm-rf-home"),
        ("Käfig.mp4", "kafig"),
        ("../up.mp4", "up"),
        ("no_extension", "no_extension"),
    ],
)
def test_ids_from_paths(path, expected):
    assert source_id(path) == expected


def test_ids_in_other_scripts_stay_apart():
    ids = {source_id(name) for name in ("老鼠1.mp4", "猫1.mp4", "!!!.mp4", "???.mp4")}
    assert len(ids) == 4
    assert source_id("v1.2", is_folder=True) == "v1-2"
    assert len(source_id("x" * 400 + ".mp4")) < 140


@given(st.text(min_size=1, max_size=200))
def test_ids_are_always_safe(text):
    import re

    assert re.fullmatch(VIDEO_ID_PATTERN, source_id(text))
    assert re.fullmatch(VIDEO_ID_PATTERN, source_id(text, is_folder=True))
