"""The split stage: tables in, table out, same bytes every time."""

import pandas as pd
import pytest

from etholoop.core import splits
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import tables
from etholoop.params import section_from
from etholoop.project import Project
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Images, Videos
from etholoop.stages import split


def video_row(video_id: str, session: str, n_frames: int = 300, kind: str = "video") -> dict:
    rate = {"fps_num": 0 if kind == "images" else 30, "fps_den": 1, "duration_s": None, "n_frames": n_frames, "n_frames_header": None}
    shape = {"width": 64, "height": 48, "codec": "h264", "pix_fmt": "yuv420p", "rotation": 0, "variable_rate": False}
    who = {"session": session, "subject": None, "camera": None, "start_time": None}
    return {"video_id": video_id, "kind": kind, "path": f"videos/{video_id}.mp4", "sha256": "0" * 64, **rate, **shape, **who}


@pytest.fixture
def project(tmp_path) -> Project:
    """Six recordings of three days, and a folder of ten images numbered 0, 30, …, 270."""
    project = Project(tmp_path)
    rows = [video_row(f"cage{i}", f"day{i // 2}") for i in range(6)] + [video_row("stills", "stills", 271, "images")]
    write_manifest(project, rows)
    project.fixed_splits.parent.mkdir(parents=True)
    return project


def write_manifest(project: Project, rows: list[dict]) -> None:
    images = [{"video_id": "stills", "frame": 30 * i, "path": f"images/stills/{i}.png", "sha256": str(i)} for i in range(10)]
    tables.write(tables.from_rows(rows, Videos), Videos, project.manifest / "videos.parquet")
    tables.write(tables.from_rows(images if rows else [], Images), Images, project.manifest / "images.parquet")


def run(project: Project, **params: object) -> pd.DataFrame:
    split.run(project, split.Params(**params))
    return tables.read(project.splits, Splits)


def test_group_mode(project):
    table = run(project)
    assert len(table) == 7 and (table.groupby("group")["split"].nunique() == 1).all()
    assert table["mode"].unique().tolist() == ["group"]


def test_same_bytes(project):
    run(project)
    first = project.splits.read_bytes()
    run(project)
    assert project.splits.read_bytes() == first


def test_an_added_video_moves_nothing(project):
    before = run(project)
    rows = [video_row("aaa", "day9"), *tables.read(project.manifest / "videos.parquet", Videos).to_dict("records")]
    write_manifest(project, rows)
    after = run(project)
    pd.testing.assert_frame_equal(after[after["video_id"] != "aaa"].reset_index(drop=True), before)


@pytest.mark.parametrize("mode", ["group", "blocks", "fixed"])
def test_no_sources(tmp_path, mode):
    project = Project(tmp_path)
    write_manifest(project, [])
    project.fixed_splits.parent.mkdir(parents=True)
    project.fixed_splits.write_text("video_id,start_frame,stop_frame,split\n")
    assert len(run(project, mode=mode)) == 0


def test_blocks_mode(project):
    table = run(project, mode="blocks", blocks=5, gap_s=0.5, gap_frames=1)
    assert set(table["split"]) == {"train", "val", "test", "gap"}
    assert set(splits.split_of(table, ["stills"] * 10, range(0, 300, 30))) >= {"train", "test"}
    assert table["group"].str.contains("#").all()


def test_a_table_that_cannot_serve_is_written_and_reported(project, capsys):
    table = run(project, assign={"day0": "train", "day1": "train", "day2": "train", "stills": "val"})
    assert len(table) == 7
    assert "no test group" in capsys.readouterr().err


def test_fixed_mode(project):
    lines = [f"cage{i},0,300,train" for i in range(5)] + ["cage5, 0, 100, test", "stills,0,271,val"]
    project.fixed_splits.write_text("\n".join(["video_id,start_frame,stop_frame,split", *lines]) + "\n")
    table = run(project, mode="fixed")
    assert splits.split_of(table, ["cage5", "cage5", "stills"], [99, 100, 5]).tolist() == ["test", "gap", "val"]


def test_fixed_mode_without_its_file(project):
    with pytest.raises(EthoLoopError, match=r"splits\.csv: file not found"):
        run(project, mode="fixed")


@pytest.mark.parametrize("content", [b"", b'video_id,start_frame\n"a,1\n', b"\xff\xfe\x00video"])
def test_fixed_mode_with_a_file_that_is_no_list(project, content):
    project.fixed_splits.write_bytes(content)
    with pytest.raises(EthoLoopError, match=r"splits\.csv"):
        run(project, mode="fixed")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"groop": "session"}, "did you mean 'group'"),
        ({"group": "cage"}, "split.group"),
        ({"test": 0.6, "val": 0.5}, "below 1"),
        ({"mode": "fixed", "assign": {"a": "test"}}, "no meaning in mode fixed"),
        ({"assign": {"a": "testing"}}, "split.assign.a"),
        ({"blocks": 0}, "split.blocks"),
    ],
)
def test_bad_sections_stop_before_any_work(section, message):
    with pytest.raises(FaultsError, match=message):
        section_from({"split": section}, "split", split.Params, "params.yaml")
