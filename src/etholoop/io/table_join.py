"""Parts of a table to one file, without all of it in memory: a table of every frame of a long video may not fit."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from etholoop.io import atomic, tables

GROUP_ROWS = 20_000
"""Least rows of a row group; it bounds the memory, and many small groups would be slow to read."""


def write_joined(parts: Iterable[Path], schema: pa.DataFrameSchema, path: Path) -> None:
    """Write the rows of all parts one below the other; each part is checked, no parts give an empty table.

    Raises:
        FaultsError: a part has rows that do not fit the schema.
        EthoLoopError: a part is missing or not readable.
    """
    import pyarrow
    import pyarrow.parquet

    groups = _groups(tables.read(part, schema) for part in parts)
    first = next(groups, None)
    if first is None:
        tables.write(tables.empty(schema), schema, path)
        return
    head = pyarrow.Table.from_pandas(first, preserve_index=False)
    with atomic.new_file(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, head.schema, compression="zstd") as writer:
        writer.write_table(head)
        for group in groups:
            writer.write_table(pyarrow.Table.from_pandas(group, schema=head.schema, preserve_index=False))


def _groups(parts: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Neighbouring parts together, at least :data:`GROUP_ROWS` rows each but for the last; always one if there are parts."""
    waiting: list[pd.DataFrame] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= GROUP_ROWS:
            yield pd.concat(waiting, ignore_index=True)
            waiting = []
    if waiting:
        yield pd.concat(waiting, ignore_index=True)
