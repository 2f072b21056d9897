"""Tables: checked at every door, same rows same bytes."""

import contextlib
from importlib import import_module

import pandas as pd
import pandera.pandas as pa
import pytest

from etholoop import registry
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


def _schemas():
    found = {}
    for module in registry.names("etholoop.schema"):
        for name, value in vars(import_module(f"etholoop.schema.{module}")).items():
            if isinstance(value, pa.DataFrameSchema):
                found[f"{module}.{name}"] = value
    return found


SCHEMAS = _schemas()
STRANGE = [None, float("nan"), float("inf"), -1, -2, 0, 1, 2, 0.5, 10**12, "", "cage1", "Cage 1", "cage1\n", "anna", True, pd.Timestamp(0)]


def good_value(column, row):
    """A value that passes the checks of a column."""
    facts = {check.name: check.statistics for check in column.checks}
    if str(column.name).endswith(("stop_frame", "_max")):
        return row + 10
    if "isin" in facts:
        return next(iter(facts["isin"]["allowed_values"]))
    kind = tables._dtype(column)
    return f"cage{row}" if kind == "str" else {"int64": row + 1, "Int64": row + 1, "bool": True}.get(kind, 0.25 * (row + 1))


def good_table(schema):
    """Three rows; a column named by pattern stands once."""
    columns = {name.strip("^").replace(".+$", "a").replace("[0-9]+$", "7"): column for name, column in schema.columns.items()}
    rows = [{name: good_value(column, row) for name, column in columns.items()} for row in range(3)]
    return pd.DataFrame(rows).astype({name: tables._dtype(column) for name, column in columns.items()})


def altered(table):
    """The table with one place changed, one column away, twice there, of another type or elsewhere, and with a row twice."""
    yield table
    yield pd.concat([table, table.tail(1)], ignore_index=True)
    yield table.iloc[:0]
    for place, name in enumerate(table.columns):
        yield table.drop(columns=name)
        yield table[[*table.columns[:place], *table.columns[place + 1 :], name]]
        yield table.rename(columns={name: f"{name}_"})
        yield pd.concat([table, table[name]], axis=1)
        for kind in ("object", "int32", "str"):
            with contextlib.suppress(ValueError, TypeError):
                yield table.assign(**{name: table[name].astype(kind)})
        for value in STRANGE:
            changed = table[name].astype(object)
            changed.iloc[1] = value
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                yield table.assign(**{name: changed.astype(table[name].dtype)})


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_good_at_a_glance_is_good_for_pandera(name):
    schema, refused = SCHEMAS[name], 0
    for table in altered(good_table(schema)):
        if tables._good(table, schema):
            schema.validate(table, lazy=True)
        else:
            refused += 1
    assert refused > 5


@pytest.mark.parametrize("name", SCHEMAS)
def test_good_tables_are_seen_at_a_glance(name):
    assert tables._good(good_table(SCHEMAS[name]), SCHEMAS[name])
