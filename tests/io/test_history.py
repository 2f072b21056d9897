"""The history of closed cycles: there and back, and said clearly when it is not that file."""

import pytest

from etholoop.errors import EthoLoopError
from etholoop.io import history

CYCLE = {
    "cycle": "c001",
    "labels": {"frames": 8, "instances": 9},
    "metrics": {"box_ap50": 0.5, "rmse_px": 3.25, "ci": {"box_ap50": [0.25, 0.75]}},
}


def test_there_and_back_sorted_by_cycle(tmp_path):
    history.write(tmp_path / "h.csv", [CYCLE | {"cycle": "c002"}, CYCLE])
    first, second = history.read(tmp_path / "h.csv")
    assert (first["cycle"], second["cycle"]) == ("c001", "c002")
    assert first["labels"] == CYCLE["labels"]
    assert first["metrics"]["rmse_px"] == 3.25
    assert first["metrics"]["oks_ap"] is None
    assert first["metrics"]["ci"]["box_ap50"] == [0.25, 0.75]
    assert first["metrics"]["ci"]["rmse_px"] == [None, None]


def test_no_cycles(tmp_path):
    history.write(tmp_path / "h.csv", [])
    assert history.read(tmp_path / "h.csv") == []


@pytest.mark.parametrize("text", ["a,b\n", ""])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(EthoLoopError, match="expected the columns"):
        history.read(tmp_path / "h.csv")


def test_a_figure_that_is_no_number_is_named(tmp_path):
    history.write(tmp_path / "h.csv", [CYCLE])
    path = tmp_path / "h.csv"
    path.write_text(path.read_text().replace("3.25", "three"))
    with pytest.raises(EthoLoopError, match=r"row 2: expected a number, found 'three'"):
        history.read(path)
