"""MOTChallenge text: there and back, the first frame, and everything a file may have wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import mot, tables
from etholoop.schema.tracks import Tracks


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tracks.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_first_line_is_track_0_in_frame_0(tmp_path: Path) -> None:
    table = mot.read(written(tmp_path, "1,1,10,20,30,40,0.5,-1,-1,-1\n"), video_id="v", species="fly")
    assert table.to_dict("records") == [
        {
            **{"video_id": "v", "track": 0, "frame": 0, "x_min": 10.0, "y_min": 20.0, "x_max": 40.0, "y_max": 60.0},
            **{"species": "fly", "confidence": 0.5, "state": "detected", "instance": -1},
        }
    ]
    assert mot.text(table) == "1,1,10,20,30,40,0.5,-1,-1,-1\n"


def test_unknown_confidence_is_missing(tmp_path: Path) -> None:
    table = mot.read(written(tmp_path, "1 1 0 0 5 5 -1\n2 1 0 0 5 5\n\n"), video_id="v")
    assert table["confidence"].isna().all()
    assert mot.text(table).splitlines()[0] == "1,1,0,0,5,5,-1,-1,-1,-1"


def test_boxes_that_do_not_count_are_left_out_of_the_truth(tmp_path: Path) -> None:
    path = written(tmp_path, "1,1,0,0,5,5,1\n1,2,0,0,5,5,0\n")
    assert mot.read(path, video_id="v", truth=True)[["track", "state"]].to_numpy().tolist() == [[0, "human"]]
    assert len(mot.read(path, video_id="v")) == 2


def test_ids_from_0(tmp_path: Path) -> None:
    path = written(tmp_path, "1,0,0,0,5,5,1\n")
    with pytest.raises(FaultsError, match="line 1: expected a whole id from 1 on, found 0"):
        mot.read(path, video_id="v")
    table = mot.read(path, video_id="v", first_id=0)
    assert table["track"].tolist() == [0]
    assert mot.text(table, first_id=0).startswith("1,0,")


def test_all_faults_of_a_file_are_named_together(tmp_path: Path) -> None:
    lines = [
        "0,1,0,0,5,5,1",
        "1.5,1,0,0,5,5,1",
        "1,-1,0,0,5,5,1",
        "2,1,0,0,0,5,1",
        "3,1,0,0,5,5,7",
        "4,1,0,0,5,5,1",
        "4,1,9,9,5,5,1",
        "5,1,nan,0,5,5,1",
    ]
    with pytest.raises(FaultsError) as caught:
        mot.read(written(tmp_path, "\n".join(lines)), video_id="v")
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["line 1", "line 2", "line 3", "line 4", "line 5", "line 8", "line 7"]
    assert "a detection without a track" in caught.value.faults[2]


@pytest.mark.parametrize(("content", "said"), [("frame,id,x\n", "line 1: expected numbers"), ("1,2,3\n", "at least 6 numbers")])
def test_other_text_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(FaultsError, match=said):
        mot.read(written(tmp_path, content), video_id="v")


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(EthoLoopError, match="file not found"):
        mot.read(tmp_path / "none.txt", video_id="v")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(EthoLoopError, match="no text"):
        mot.read(tmp_path / "binary.txt", video_id="v")


def test_no_tracks_are_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "none.txt"
    mot.write(tables.empty(Tracks), path)
    assert path.read_text(encoding="utf-8") == ""
    assert mot.read(path, video_id="v").empty


def test_two_videos_do_not_go_into_one_file() -> None:
    rows = [
        {"video_id": video, "track": 0, "frame": 0, "confidence": 1.0, "x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1} for video in "ab"
    ]
    with pytest.raises(EthoLoopError, match="found 2: a, b"):
        mot.text(pd.DataFrame(rows))


@st.composite
def some_tracks(draw: st.DrawFn) -> pd.DataFrame:
    places = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), unique=True, max_size=12))
    numbers = st.integers(-4000, 4000).map(lambda quarter: quarter / 4)
    rows = []
    for track, frame in sorted(places):
        low = draw(st.tuples(numbers, numbers))
        size = draw(st.tuples(st.integers(1, 900), st.integers(1, 900)))
        sure = draw(st.sampled_from([np.nan, 0.0, 0.25, 1.0]))
        box = {"x_min": low[0], "y_min": low[1], "x_max": low[0] + size[0], "y_max": low[1] + size[1]}
        rows.append(
            {
                "video_id": "v",
                "track": track,
                "frame": frame,
                **box,
                "species": "fly",
                "confidence": sure,
                "state": "detected",
                "instance": -1,
            }
        )
    return tables.from_rows(rows, Tracks)


@settings(deadline=None, max_examples=40)
@given(some_tracks())
def test_there_and_back(tmp_path_factory: pytest.TempPathFactory, tracks: pd.DataFrame) -> None:
    path = tmp_path_factory.mktemp("mot") / "tracks.txt"
    mot.write(tracks, path)
    back = mot.read(path, video_id="v", species="fly")
    pd.testing.assert_frame_equal(tables.check(back, Tracks, "back"), tracks)


def test_published_files_are_read(public_data: Path) -> None:
    table = mot.read(public_data / "data" / "motmetrics_TUD" / "data" / "TUD-Campus" / "gt.txt", video_id="campus", truth=True)
    assert (len(table), table["track"].nunique(), table["frame"].min()) == (359, 8, 0)
