"""The frames stage on tiny videos whose pictures tell their frame number."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from untouched import write_untouched

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import images, tables, video
from etholoop.io.memo import file_digest
from etholoop.io.sources import Source, index_path
from etholoop.params import section_from
from etholoop.project import Project
from etholoop.schema.frames import Frames
from etholoop.schema.videos import Images, Videos
from etholoop.stages import frames

LEVELS = 4  # grey levels between neighbouring frames


def picture(frame: int) -> np.ndarray:
    """Plain grey that grows with the frame number, with a white corner that moves."""
    image = np.full((48, 64, 3), 10 + LEVELS * frame, np.uint8)
    image[:8, (frame * 4) % 56 : (frame * 4) % 56 + 8] = 255
    return image


def frame_of(image: np.ndarray) -> int:
    return round((float(image[24:].mean()) - 10) / LEVELS)


def add_video(project: Project, video_id: str, n: int = 40) -> dict:
    path = project.raw_videos / f"{video_id}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write_video(path, [picture(frame) for frame in range(n)], Fraction(10), crf=1)
    info, index = video.probe(path)
    index.save(index_path(project.manifest, video_id))
    return row(video_id, "video", f"videos/{video_id}.mp4", file_digest(path), info.n_frames)


def row(video_id: str, kind: str, path: str, sha256: str, n_frames: int) -> dict:
    fixed = {"n_frames_header": None, "fps_num": 10 if kind == "video" else 0, "fps_den": 1, "duration_s": None, "width": 64, "height": 48}
    fixed |= {"codec": "h264", "pix_fmt": "yuv420p", "rotation": 0, "variable_rate": False}
    who = {"session": video_id, "subject": None, "camera": None, "start_time": None}
    return {"video_id": video_id, "kind": kind, "path": path, "sha256": sha256, "n_frames": n_frames, **fixed, **who}


def add_folder(project: Project, numbers: list[int]) -> tuple[dict, list[dict]]:
    rows = []
    for number in numbers:
        path = project.raw_images / "stills" / f"img{number}.png"
        images.write_rgb(path, picture(number))
        rows.append({"video_id": "stills", "frame": number, "path": f"images/stills/{path.name}", "sha256": file_digest(path)})
    return row("stills", "images", "images/stills", "0" * 64, max(numbers) + 1), rows


def write_manifest(project: Project, videos: list[dict], image_rows: list[dict] | None = None) -> None:
    tables.write(tables.from_rows(videos, Videos), Videos, project.manifest / "videos.parquet")
    tables.write(tables.from_rows(image_rows or [], Images), Images, project.manifest / "images.parquet")
    write_untouched(project)


@pytest.fixture
def project(tmp_path) -> Project:
    """A video of 40 frames, one of 20, and four images."""
    project = Project(tmp_path)
    folder, image_rows = add_folder(project, [3, 7, 20, 21])
    write_manifest(project, [folder, add_video(project, "long"), add_video(project, "short", 20)], image_rows)
    return project


def run(project: Project, **params: object) -> pd.DataFrame:
    frames.run(project, frames.Params(**params))
    return tables.read(project.frames / "frames.parquet", Frames)


def reads(monkeypatch) -> list[tuple[str, list[int]]]:
    """Record which frames are decoded from now on."""
    seen, original = [], Source.read

    def read(self, numbers):
        seen.append((self.video_id, list(numbers)))
        return original(self, seen[-1][1])

    monkeypatch.setattr(Source, "read", read)
    return seen


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [("uniform", {}), ("random", {}), ("motion", {"frame_skip": 3}), ("histogram_kmeans", {"k": 3, "frame_skip": 3})],
)
def test_the_image_is_the_frame(project, strategy, settings):
    table = run(project, strategy=strategy, n_frames=12, settings=settings)
    assert 10 <= len(table) <= 12
    for item in table.itertuples(index=False):
        assert frame_of(images.read_rgb(project.frames / item.path)) == item.frame
        assert item.path == f"{item.video_id}/{item.frame:08d}.png" and item.reason
    assert set(table["strategy"]) == {strategy}
    files = {str(path.relative_to(project.frames)) for path in project.frames.rglob("*.png")}
    assert files == set(table["path"])


def test_images_of_a_folder_are_copied_without_loss(project):
    table = run(project, n_frames=64)
    stills = table[table["video_id"] == "stills"]
    assert stills["frame"].tolist() == [3, 7, 20, 21]
    np.testing.assert_array_equal(images.read_rgb(project.frames / "stills/00000020.png"), picture(20))


def test_every_image_of_a_folder_is_looked_at_whatever_the_skip(project):
    table = run(project, strategy="histogram_kmeans", n_frames=64, settings={"frame_skip": 20})
    assert table.groupby("video_id")["frame"].apply(list).to_dict() == {"long": [0, 20], "short": [0], "stills": [3, 7, 20, 21]}


@pytest.mark.parametrize("strategy", ["random", "histogram_kmeans"])
def test_same_bytes_with_and_without_memo(project, strategy):
    settings = {"frame_skip": 2, "k": 3} if strategy == "histogram_kmeans" else {}
    first = contents(project, strategy=strategy, settings=settings)
    assert contents(project, strategy=strategy, settings=settings) == first
    import shutil

    shutil.rmtree(project.memo)
    shutil.rmtree(project.frames)
    assert contents(project, strategy=strategy, settings=settings) == first


def contents(project: Project, **params: object) -> dict[str, bytes]:
    run(project, n_frames=9, **params)
    return {str(path.relative_to(project.frames)): path.read_bytes() for path in sorted(project.frames.rglob("*")) if path.is_file()}


def test_adding_a_video_reads_that_video_only(project, monkeypatch):
    run(project, strategy="histogram_kmeans", n_frames=200, settings={"frame_skip": 2})
    old = tables.read(project.manifest / "videos.parquet", Videos).to_dict("records")
    image_rows = tables.read(project.manifest / "images.parquet", Images).to_dict("records")
    write_manifest(project, [*old, add_video(project, "new", 6)], image_rows)
    seen = reads(monkeypatch)
    table = run(project, strategy="histogram_kmeans", n_frames=200, settings={"frame_skip": 2})
    assert {video_id for video_id, numbers in seen if numbers} == {"new"}
    assert "new" in set(table["video_id"])


def test_more_frames_decode_only_the_new_ones(project, monkeypatch):
    few = run(project, strategy="random", n_frames=10)
    seen = reads(monkeypatch)
    more = run(project, strategy="random", n_frames=14)
    assert len(more) == 14
    assert sum(len(numbers) for _, numbers in seen) == 14 - len(few.merge(more, on=["video_id", "frame"]))


def test_a_kill_keeps_what_was_done(project, monkeypatch):
    original = images.write_rgb
    written = []

    def write_and_fail(path, image):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(path.name)
        original(path, image)

    monkeypatch.setattr(images, "write_rgb", write_and_fail)
    with pytest.raises(KeyboardInterrupt):
        run(project, n_frames=12)
    assert not project.frames.exists()
    monkeypatch.setattr(images, "write_rgb", original)
    seen = reads(monkeypatch)
    assert len(run(project, n_frames=12)) == 12
    assert sum(len(numbers) for _, numbers in seen) == 12 - 5


def test_old_frames_are_removed(project):
    run(project, n_frames=30)
    table = run(project, n_frames=3)
    assert len(table) == 3 and len(list(project.frames.rglob("*.png"))) == 3


def test_no_sources_and_no_frames_wanted(tmp_path, project):
    empty = Project(tmp_path / "empty")
    write_manifest(empty, [])
    assert len(run(empty)) == 0 and empty.frames.is_dir()
    assert len(run(project, n_frames=0)) == 0


def test_quota_and_jpeg(project):
    table = run(project, n_frames=10, max_share=0.4, codec="jpg")
    assert table["video_id"].value_counts().max() <= 4
    assert table["path"].str.endswith(".jpg").all() and (project.frames / table["path"].iloc[0]).is_file()


@pytest.mark.parametrize("strategy", ["uniform", "random", "motion"])
def test_a_new_source_moves_no_frame_of_another_where_each_gives_its_own_number(project, strategy):
    settings = {"frame_skip": 2} if strategy == "motion" else {}
    before = run(project, strategy=strategy, per_video=4, settings=settings)
    assert before["video_id"].value_counts().max() == 4
    videos = tables.read(project.manifest / "videos.parquet", Videos).to_dict("records")
    image_rows = tables.read(project.manifest / "images.parquet", Images).to_dict("records")
    write_manifest(project, [*videos, add_video(project, "another")], image_rows)
    after = run(project, strategy=strategy, per_video=4, settings=settings)
    others = after[after["video_id"] != "another"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, before)
    assert (after["video_id"] == "another").sum() == 4


def test_fewer_frames_than_wanted_are_said(project, capsys):
    run(project, n_frames=100)
    assert "64 of 100 wanted frames" in capsys.readouterr().err


def test_a_strategy_that_invents_frames_is_stopped(project, monkeypatch):
    from etholoop.core.sampling import uniform

    invented = pd.DataFrame({"video_id": ["long"], "frame": [40], "reason": ["because"], "cluster": [None], "score": [0.0]})
    monkeypatch.setattr(uniform, "sample", lambda *_, **__: invented)
    with pytest.raises(EthoLoopError, match=r"of which 0 are different and exist"):
        run(project)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"strategy": "unifrom"}, "did you mean 'uniform'"),
        ({"strategy": "histogram_kmeans", "settings": {"clusters": 3}}, "settings.clusters: unknown key"),
        ({"strategy": "motion", "settings": {"frame_skip": 0}}, "settings.frame_skip"),
        ({"strategy": "uniform", "settings": {"k": 3}}, "settings.k: unknown key"),
        ({"n_frame": 3}, "did you mean 'n_frames'"),
        ({"max_share": 1.5}, "max_share"),
        ({"max_share": 0.5, "per_video": 3}, "set one of them to null"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_sections_stop_before_any_work(section, message):
    with pytest.raises(FaultsError, match=message):
        section_from({"frames": section}, "frames", frames.Params, "params.yaml")
