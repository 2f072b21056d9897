"""Tables on disk: Parquet, checked against their schema at every read and write.

The same rows give the same bytes: columns in the schema's order, no index, no time stamps.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.errors
import pandera.pandas as pa

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic


def check(table: pd.DataFrame, schema: pa.DataFrameSchema, where: str) -> pd.DataFrame:
    """Return the table if every row is good.

    Raises:
        FaultsError: each faulty column or row with the value found.
    """
    if _good(table, schema):
        return table
    try:
        schema.validate(table.drop(columns=_good_block(table, schema)), lazy=True)
    except pandera.errors.SchemaErrors as error:
        raise FaultsError(where, _faults(error.failure_cases), "The table was not used.") from None
    return table


def _good(table: pd.DataFrame, schema: pa.DataFrameSchema) -> bool:
    """Whether every row is surely good, seen at one glance; otherwise Pandera looks, which takes many times as long for a small table."""
    named = [name for name, column in schema.columns.items() if not column.regex]
    patterns = [name for name, column in schema.columns.items() if column.regex]
    options = (schema.parsers, schema.index, schema.coerce, schema.add_missing_columns, schema.dtype)
    if any(options) or not schema.strict or not table.columns.is_unique or [*named, *patterns[:1]] != list(schema.columns):
        return False
    others = list(table.columns[len(named) :])
    if list(table.columns) != named + others or not all(patterns and re.match(patterns[0], str(name)) for name in others):
        return False
    if patterns and schema.columns[patterns[0]].required and not others:
        return False
    columns = {name: schema.columns[name] for name in named}
    if others:
        columns |= dict.fromkeys(set(others) - set(_good_block(table, schema)), schema.columns[patterns[0]])
    if not all(_good_column(table[name], column) for name, column in columns.items()):
        return False
    if schema.unique and table[schema.unique].duplicated().any():
        return False
    return all(check(table).check_passed for check in schema.checks)


def _good_column(values: pd.Series, column: pa.Column) -> bool:
    kind = _dtype(column)
    if kind not in PLAIN or str(values.dtype) != kind or any((column.coerce, column.unique, column.parsers)):
        return False
    known = values.dropna()
    if len(known) < len(values) and not column.nullable:
        return False
    return all(_passes(known, check) for check in column.checks)


def _passes(values: pd.Series, check: pa.Check) -> bool:
    """Whether values surely pass one of the usual checks."""
    look = GLANCES.get(str(check.name))
    return look is not None and check.ignore_na and bool(look(values, **(check.statistics or {})))


def _in_range(values: pd.Series, min_value: float, max_value: float, include_min: bool, include_max: bool) -> bool:
    return include_min and include_max and bool(values.between(min_value, max_value).all())


def _match(values: pd.Series, pattern: str) -> bool:
    # a line break at the end is the one place where kinds of regular expressions differ
    return all(re.match(pattern, value) and "\n" not in value for value in values.unique())


PLAIN = ("int8", "int64", "Int64", "float16", "float32", "float64", "bool", "str")
GLANCES: dict[str, Callable[..., Any]] = {
    "greater_than_or_equal_to": lambda values, min_value: (values >= min_value).all(),
    "greater_than": lambda values, min_value: (values > min_value).all(),
    "in_range": _in_range,
    "isin": lambda values, allowed_values: set(values.unique()) <= set(allowed_values),
    "str_matches": _match,
}


def _good_block(table: pd.DataFrame, schema: pa.DataFrameSchema) -> list[str]:
    """Columns named by pattern that are good at one glance: hundreds of embedding columns, looked at one by one, take most of a stage."""
    names: list[str] = []
    for pattern, column in schema.columns.items():
        if column.regex and not column.checks and not column.required:
            block = table[[name for name in table.columns if re.match(pattern, str(name))]]
            kind = _dtype(column)
            if (block.dtypes == kind).all() and not block.isna().to_numpy().any():
                names += [str(name) for name in block.columns]
    return names


def empty(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """A table without rows, with the schema's columns and types (columns named by pattern are left out)."""
    return pd.DataFrame({name: pd.Series(dtype=_dtype(column)) for name, column in schema.columns.items() if not column.regex})


def from_rows(rows: Iterable[Mapping[str, Any]], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """A typed table from dictionaries, columns in the schema's order; works for no rows too."""
    rows = list(rows)
    return typed(pd.DataFrame(rows), schema) if rows else empty(schema)


def typed(table: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """The same rows with the schema's types and column order; the table is not yet checked."""
    named = [name for name, column in schema.columns.items() if not column.regex and name in table.columns]
    table = table[named + [name for name in table.columns if name not in named]].reset_index(drop=True)
    return table.astype({name: _dtype(schema.columns[name]) for name in named})


def write(table: pd.DataFrame, schema: pa.DataFrameSchema, path: Path) -> None:
    """Write a table that fits its schema; a bad table is not written."""
    checked = check(table, schema, str(path)).reset_index(drop=True)
    with atomic.new_file(path) as temporary:
        checked.to_parquet(temporary, index=False, engine="pyarrow", compression="zstd")


def read(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a table and check it.

    Raises:
        EthoLoopError: the file is missing or is not Parquet.
        FaultsError: rows that do not fit the schema.
    """
    try:
        table = pd.read_parquet(path, engine="pyarrow")
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop repro` makes it.") from None
    except Exception as error:  # pyarrow raises several unrelated types for a damaged file
        raise EthoLoopError(f"{path}: not readable as Parquet ({error}). Remove it and run `etholoop repro`.") from error
    return check(table, schema, str(path))


def _dtype(column: pa.Column) -> str:
    kind = str(column.dtype)
    return "str" if kind.startswith("str") else kind


def _faults(cases: pd.DataFrame) -> list[str]:
    faults = []
    for case in cases.to_dict("records"):
        row = f" row {case['index']}" if pd.notna(case["index"]) else ""
        column = f" column '{case['column']}'" if pd.notna(case["column"]) else ""
        faults.append(f"{case['check']}:{column}{row} found {case['failure_case']!r}")
    return faults
