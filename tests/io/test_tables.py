"""Tables: checked at every door, same rows same bytes."""

import pandas as pd
import pytest

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import tables
from etholoop.schema.annotations import Boxes, Keypoints, LabelledFrames
from etholoop.schema.frames import Frames
from etholoop.schema.predictions import Detections, Embeddings
from etholoop.schema.selection import Selection
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Gaps, Images, Quarantine, Videos

ROW = {
    "video_id": "cage1", "frame": 3, "instance": 0, "species": "mouse", "x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4,
    "identity": None, "confidence": float("nan"), "source": "anna",
}  # fmt: skip


@pytest.mark.parametrize(
    "schema", [Boxes, Keypoints, LabelledFrames, Frames, Detections, Embeddings, Selection, Splits, Gaps, Images, Quarantine, Videos]
)
def test_a_table_without_rows_can_be_written_and_read(tmp_path, schema):
    tables.write(tables.empty(schema), schema, tmp_path / "t.parquet")
    assert len(tables.read(tmp_path / "t.parquet", schema)) == 0


def test_there_and_back(tmp_path):
    table = tables.from_rows([ROW], Boxes)
    tables.write(table, Boxes, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(tables.read(tmp_path / "t.parquet", Boxes), table)


def test_same_rows_same_bytes_whatever_the_file_is_called(tmp_path):
    table = tables.from_rows([ROW], Boxes)
    for name in ("a.parquet", "b.parquet"):
        tables.write(table, Boxes, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_bad_table_is_not_written_and_all_faults_are_named(tmp_path):
    bad = tables.from_rows([ROW | {"frame": -1, "video_id": "Cage 1"}], Boxes)
    with pytest.raises(FaultsError) as caught:
        tables.write(bad, Boxes, tmp_path / "t.parquet")
    assert "'frame' row 0 found -1" in str(caught.value)
    assert "Cage 1" in str(caught.value)
    assert not (tmp_path / "t.parquet").exists()


def test_the_same_box_twice_is_refused(tmp_path):
    with pytest.raises(FaultsError):
        tables.write(tables.from_rows([ROW, ROW], Boxes), Boxes, tmp_path / "t.parquet")


def test_a_file_cut_in_half_is_named(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write(tables.from_rows([ROW], Boxes), Boxes, path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EthoLoopError, match=r"t\.parquet: not readable"):
        tables.read(path, Boxes)
