"""`etholoop splits`: what it prints and writes, on tables of a few rows."""

import json

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from etholoop.commands import repro
from etholoop.commands import splits as command
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import tables
from etholoop.project import Project
from etholoop.schema.frames import Frames
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Images, Videos
from etholoop.stages import split

N_VIDEOS, N_FRAMES = 5, 4000


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    """Five recordings of 4,000 frames, every 50th sampled: 400 frames in 4 clusters."""
    project = Project(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    project.params.write_text("split: {seed: 7, test: 0.2, val: 0.2}\n")
    tables.write(tables.from_rows([video_row(f"v{i}") for i in range(N_VIDEOS)], Videos), Videos, project.manifest / "videos.parquet")
    tables.write(tables.empty(Images), Images, project.manifest / "images.parquet")
    write_frames(project, range(0, N_FRAMES, 50))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "repro", lambda project, targets, **_: (tmp_path / "rebuilt").write_text(" ".join(targets)))
    return project


def video_row(video_id: str) -> dict:
    rate = {"fps_num": 30, "fps_den": 1, "duration_s": None, "n_frames": N_FRAMES, "n_frames_header": None}
    shape = {"width": 64, "height": 48, "codec": "h264", "pix_fmt": "yuv420p", "rotation": 0, "variable_rate": False}
    who = {"session": video_id, "subject": None, "camera": None, "start_time": None}
    return {"video_id": video_id, "kind": "video", "path": f"videos/{video_id}.mp4", "sha256": "0" * 64, **rate, **shape, **who}


def write_frames(project: Project, numbers: range, clusters: bool = True) -> None:
    rows = [
        {"video_id": f"v{i}", "frame": frame, "path": f"v{i}/{frame:08d}.png", "width": 64, "height": 48, "strategy": "histogram_kmeans"}
        | {"reason": "a test", "cluster": (frame // 50 + i) % 4 if clusters else None, "score": None}
        for i in range(N_VIDEOS)
        for frame in numbers
    ]
    tables.write(tables.from_rows(rows, Frames), Frames, project.frames / "frames.parquet")


def call(*arguments: str) -> str:
    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["splits", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def make_fixed(project: Project) -> pd.DataFrame:
    split.run(project, split.Params(mode="fixed"))
    return tables.read(project.splits, Splits)


def test_suggested_seed_does_what_it_says(project):
    output = call("suggest")
    seed = int(output.split("`seed: ")[1].split("`")[0])
    split.run(project, split.Params(seed=seed, test=0.2, val=0.2))
    table = tables.read(project.splits, Splits)
    assert table["split"].value_counts().to_dict() == {"train": 3, "test": 1, "val": 1}
    assert "60.0%" in output and "20.0%" in output


def test_suggest_asks_for_an_up_to_date_manifest(project):
    """Videos added after the last `repro` count, too."""
    call("suggest")
    assert (project / "rebuilt").read_text() == "manifest"


def test_without_any_source_no_split_is_suggested(project):
    tables.write(tables.empty(Videos), Videos, project.manifest / "videos.parquet")
    output = call("suggest")
    assert "videos add" in output
    assert "blocks" not in output


def test_show_before_the_first_split(project):
    assert "no splits yet; `etholoop repro split`" in call("show")


def test_suggest_only_in_group_mode(project):
    project.params.write_text("split: {mode: blocks}\n")
    with pytest.raises(EthoLoopError, match=r"split\.mode is blocks"):
        call("suggest")


def test_show(project):
    split.run(project, split.Params(assign={"v0": "test", "v1": "val", "v2": "train", "v3": "train", "v4": "train"}))
    output = call("show")
    assert output.splitlines()[1].split() == ["train", "3", "3", "12000", "60.0%"]
    assert "test: v0" in output and "fault" not in output


def test_show_without_sources(project):
    tables.write(tables.empty(Splits), Splits, project.splits)
    assert "no sources yet" in call("show")


def test_compat_writes_a_split_the_stage_accepts_and_says_that_it_leaks(project):
    output = call("compat")
    assert "THIS SPLIT LEAKS" in output
    table = make_fixed(project)
    single = table[table["split"] != "gap"]
    assert (single["stop_frame"] - single["start_frame"] == 1).all()
    # 15 % of 400; round(100 / 340, 3) = .294 of the pool; 15 % of those
    assert single["split"].value_counts().to_dict() == {"train": 85, "test": 60, "val": 15}
    assert set(single["start_frame"] % 50) == {0}
    assert set(table["group"]) == {f"v{i}" for i in range(N_VIDEOS)}  # so that the leak gate sees it


def test_growth_keeps_the_test_set_and_the_frozen_frames(project):
    call("compat")
    first = json.loads((project / command.GROWTH_FILE).read_text())
    write_frames(project, range(0, N_FRAMES, 1000))  # sampling anew must move nothing
    call("compat", "--grow")
    second = json.loads((project / command.GROWTH_FILE).read_text())
    assert second["cycle"] == 2 and second["test"] == first["test"]
    assert sorted(second["train"] + second["val"]) == sorted(first["train"] + first["val"] + first["predict"])
    table = make_fixed(project)
    assert (table["split"] == "test").sum() == 60 and table["split"].isin(["train", "val"]).sum() == 130


def test_compat_twice_is_the_same_and_grows_for_ever(project):
    call("compat")
    files = [project.fixed_splits.read_bytes(), (project / command.GROWTH_FILE).read_bytes()]
    call("compat")
    assert [project.fixed_splits.read_bytes(), (project / command.GROWTH_FILE).read_bytes()] == files
    sizes = [len(command.write_compat(project, grow=True).annotated) for _ in range(8)]
    assert sizes == sorted(sizes) and sizes[-1] == 340 and sizes[-2] == 340


def test_compat_needs_clusters(project):
    write_frames(project, range(0, N_FRAMES, 50), clusters=False)
    with pytest.raises(EthoLoopError, match="400 of 400 frames have no cluster"):
        call("compat")
    assert not project.fixed_splits.exists()


def test_grow_needs_a_first_cycle(project):
    with pytest.raises(EthoLoopError, match="no cycle to go on from"):
        call("compat", "--grow")


def test_lost_sources_stop_the_growth(project):
    call("compat")
    kept = tables.read(project.manifest / "videos.parquet", Videos)
    tables.write(kept[kept["video_id"] != "v3"], Videos, project.manifest / "videos.parquet")
    before = project.fixed_splits.read_bytes()
    with pytest.raises(FaultsError, match="v3 is no longer in the manifest"):
        call("compat", "--grow")
    assert project.fixed_splits.read_bytes() == before
    assert json.loads((project / command.GROWTH_FILE).read_text())["cycle"] == 1
