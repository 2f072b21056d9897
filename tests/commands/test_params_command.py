"""Putting values into params.yaml: key by key, comments and everything else as they were."""

from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from etholoop.commands.params import merge_into

ROOT = Path(__file__).parents[2]
TEXT = """# head

a:
  x: 1          # the first
  empty: null   # nothing yet
  y: {z: 2}

b: 3  # three
"""

names = st.sampled_from("abcd")
values = st.recursive(st.integers() | st.booleans() | st.text("xyz", min_size=1), lambda below: st.dictionaries(names, below), max_leaves=6)


def test_values_go_in_key_by_key_and_comments_stay(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(TEXT)
    merge_into(path, {"a": {"y": {"w": 4}, "new": 5}, "d": 6})
    assert yaml.safe_load(path.read_text()) == {"a": {"x": 1, "empty": None, "y": {"z": 2, "w": 4}, "new": 5}, "b": 3, "d": 6}
    for kept in ("# head\n\na:", "x: 1          # the first", "empty: null   # nothing yet", "b: 3  # three"):
        assert kept in path.read_text()
    assert "new: 5\n\nb: 3" in path.read_text()


def test_nothing_to_change_leaves_the_shipped_file_byte_for_byte(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    merge_into(path, {})
    assert path.read_bytes() == (ROOT / "params.yaml").read_bytes()


@given(before=st.dictionaries(names, values), changes=st.dictionaries(names, values))
def test_the_file_then_holds_what_merging_means(tmp_path_factory, before, changes):
    path = tmp_path_factory.mktemp("p") / "p.yaml"
    path.write_text(yaml.safe_dump(before) if before else "{}")
    merge_into(path, changes)
    assert yaml.safe_load(path.read_text()) == _merged(before, changes)


def _merged(content, changes):
    if not (isinstance(content, dict) and isinstance(changes, dict)):
        return changes
    return {key: _merged(content.get(key), changes[key]) if key in changes else content[key] for key in {**content, **changes}}
