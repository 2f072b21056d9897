"""A video and a folder of images are read in one way."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from etholoop.errors import EthoLoopError
from etholoop.io import images, sources, tables, video
from etholoop.schema.videos import Images, Videos


def grey(level: int) -> np.ndarray:
    return np.full((32, 48, 3), level, np.uint8)


def video_row(**changes) -> dict:
    row = {"video_id": "", "kind": "video", "path": "", "sha256": "0" * 64, "n_frames": 1, "n_frames_header": None, "fps_num": 0}
    row |= {"fps_den": 1, "duration_s": None, "width": 48, "height": 32, "codec": "h264", "pix_fmt": "yuv420p", "rotation": 0}
    return row | {"variable_rate": False, "session": "s", "subject": None, "camera": None, "start_time": None} | changes


@pytest.fixture
def project(tmp_path) -> Path:
    """A video ``clip`` of 12 frames with grey level 20 × frame, and images 3, 5, 90 with grey level = number."""
    raw = tmp_path / "data/raw"
    video.write_video(raw / "videos/clip.mp4", (grey(20 * frame) for frame in range(12)), Fraction(25))
    video.probe(raw / "videos/clip.mp4")[1].save(tmp_path / "data/manifest/index/clip.npz")
    for number in (3, 5, 90):
        images.write_rgb(raw / f"images/cage/img{number}.png", grey(number))
    return tmp_path


def opened(project: Path) -> dict[str, sources.Source]:
    videos = [
        video_row(video_id="cage", kind="images", path="images/cage", n_frames=91),
        video_row(video_id="clip", path="videos/clip.mp4", n_frames=12, fps_num=25),
    ]
    rows = [{"video_id": "cage", "frame": n, "path": f"images/cage/img{n}.png", "sha256": "0" * 64} for n in (90, 3, 5)]
    return sources.open_sources(project, tables.from_rows(videos, Videos), tables.from_rows(rows, Images))


def test_sources_describe_themselves(project):
    found = opened(project)
    assert list(found) == ["cage", "clip"]
    assert (found["clip"].kind, found["clip"].fps, found["clip"].width, found["clip"].height) == ("video", Fraction(25), 48, 32)
    assert (found["cage"].kind, found["cage"].fps) == ("images", None)
    assert found["clip"].frames.tolist() == list(range(12))
    assert found["cage"].frames.tolist() == [3, 5, 90]


def test_both_are_read_by_number(project):
    found = opened(project)
    assert [(frame, round(image.mean() / 20)) for frame, image in found["clip"].read([0, 7, 11])] == [(0, 0), (7, 7), (11, 11)]
    assert [(frame, int(image.mean())) for frame, image in found["cage"].read([3, 90])] == [(3, 3), (90, 90)]
    assert found["clip"].index().info.n_frames == 12
    for name in found:
        assert [frame for frame, _ in found[name].read([5, 3, 5])] == [5, 3, 5]


def test_numbers_that_do_not_exist(project):
    found = opened(project)
    with pytest.raises(EthoLoopError, match="no image with number 4"):
        list(found["cage"].read([3, 4]))
    with pytest.raises(EthoLoopError, match="frame 12 was asked for"):
        list(found["clip"].read([12]))
    with pytest.raises(EthoLoopError, match="has no video index"):
        found["cage"].index()


def test_an_image_that_changed_size_is_a_fault(project):
    images.write_rgb(project / "data/raw/images/cage/img5.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(EthoLoopError, match=r"img5\.png: expected 48x32 pixels as in the manifest, found 8x8"):
        list(opened(project)["cage"].read([5]))


def test_opening_touches_no_file(project):
    (project / "data/raw/videos/clip.mp4").unlink()
    found = opened(project)
    with pytest.raises(video.VideoFault, match="cannot be read"):
        list(found["clip"].read([0]))


def test_a_folder_without_rows_is_a_fault(project):
    videos = tables.from_rows([video_row(video_id="lost", kind="images", path="images/lost")], Videos)
    with pytest.raises(EthoLoopError, match=r"lost .* has no rows"):
        sources.open_sources(project, videos, tables.empty(Images))
