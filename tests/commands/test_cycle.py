"""Small parts of closing a cycle; the whole is in tests/pipeline."""

import pytest

from etholoop.commands.cycle import set_cycle_id
from etholoop.errors import EthoLoopError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cycle:\n  id: c001\n  batch_size: 4\n", "cycle:\n  id: c002\n  batch_size: 4\n"),
        ("a: 1\ncycle:  # which\n  # the id\n  batch_size: 4\n  id: c001  # now\nb:\n  id: x\n", None),
    ],
)
def test_only_the_id_changes(tmp_path, text, expected):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    set_cycle_id(path, "c002")
    assert path.read_text() == (expected or text.replace("c001", "c002"))


def test_another_section_s_id_is_not_touched(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("other:\n  id: x\n")
    with pytest.raises(EthoLoopError, match="no line `id:`"):
        set_cycle_id(path, "c002")
    assert path.read_text() == "other:\n  id: x\n"
