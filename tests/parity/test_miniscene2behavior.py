"""`kabr miniscene2behavior` on the recorded mini-scenes: the original's table, byte by byte, and its probabilities (docs/datasets.md)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner
from x3d_recorded import open_kit

from etholoop.__main__ import build_app
from etholoop.commands import kabr_miniscene2behavior as command


@pytest.fixture(scope="module")
def kit(public_data: Path):
    return open_kit(public_data / "parity")


def options_of(case: dict, kit) -> dict[str, str]:
    """The flags of a recorded command line; files with the folder that they lie in."""
    words = case["command"].split()
    options = dict(zip(words[1::2], words[2::2], strict=True))
    files = ("--checkpoint", "--miniscene", "--config")
    return {flag: kit.path(value) if flag in files else value for flag, value in options.items()}


def shortest(kit) -> dict:
    """The recorded case with the fewest rows among those without settings of their own."""
    return min((case for case in kit.cases("behavior/") if not case["settings"]), key=lambda case: len(kit.expected(case)["label"]))


def clear(kit, case: dict) -> np.ndarray:
    """Rows whose two best classes differ by more than the sums' order can change (5e-6 at most here)."""
    return kit.expected(case)["margin"] > 1e-4


def label(case: dict, kit, folder: Path, **settings):
    options = options_of(case, kit)
    scenes = command.find_scenes(Path(options["--miniscene"]), options["--video"])
    model = command.load_model(None, options.get("--config"), options["--checkpoint"], "compat")
    settings = {"stride": 1, "batch": 8, "backend": "auto", "devices": ["cpu"], **settings}
    return scenes, command.label(scenes, model, folder / "a.csv", **settings)


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_probabilities_and_labels(kit, tmp_path, backend):
    cases = kit.cases("behavior/")
    assert cases
    for case in cases if backend == "openvino" else [shortest(kit)]:
        scenes, found = label(case, kit, tmp_path / case["id"].replace("/", "_"), backend=backend)
        probabilities = np.concatenate(found)
        mine = {"prob": probabilities, "label": probabilities.argmax(1), "csv": command.csv_text(scenes, found)}
        assert [result for result in kit.compare(case, mine) if not result.ok] == []
        same = probabilities.argmax(1) == kit.expected(case)["label"]
        assert same[clear(kit, case)].all(), "labels are equal at smaller margins than the limit says"


def test_the_command_writes_the_originals_file(kit, tmp_path):
    """Without --video, which the original demands: the folder tells it."""
    case = shortest(kit)
    options = options_of(case, kit) | {"--output": str(tmp_path / "a.csv"), "--scores": str(tmp_path / "a.parquet")}
    del options["--video"]
    words = [word for pair in options.items() for word in pair]
    result = CliRunner().invoke(build_app(), ["kabr", "miniscene2behavior", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found, expected = (text.splitlines(True) for text in ((tmp_path / "a.csv").read_text(), kit.text(case["outputs"]["csv"]["file"])))
    certain = [True, *clear(kit, case)]
    assert len(found) == len(expected) and all(one == other for one, other, sure in zip(found, expected, certain, strict=True) if sure)
    scores = pd.read_parquet(tmp_path / "a.parquet")
    assert scores.dtypes["p_0"] == np.float16 and len(scores) == len(kit.expected(case)["prob"])
    assert np.abs(scores.filter(like="p_").to_numpy(np.float32) - kit.expected(case)["prob"]).max() < 1e-3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet"]


def test_a_stride_gives_every_row_and_agrees_at_its_moments(kit, tmp_path):
    case = shortest(kit)
    _, every = label(case, kit, tmp_path / "1")
    _, fifth = label(case, kit, tmp_path / "5", stride=5)
    for one, five in zip(every, fifth, strict=True):
        assert five.shape == one.shape
        assert np.abs(five[::5] - one[::5]).max() < 1e-5
        assert (five[0] == five[2]).all() and (five[5] == five[3]).all()


def test_a_stride_that_adapts_itself(kit, tmp_path):
    """It judges a part of the frames, says which, and gives the labels of all of them as often as was wanted."""
    for case in (case for case in kit.cases("behavior/") if not case["settings"]):
        options = options_of(case, kit) | {"--output": str(tmp_path / "a.csv"), "--scores": str(tmp_path / "a.parquet"), "--stride": "auto"}
        result = CliRunner().invoke(
            build_app(), ["kabr", "miniscene2behavior", *[word for pair in options.items() for word in pair]], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        expected, scores = kit.expected(case), pd.read_parquet(tmp_path / "a.parquet")
        table = pd.read_csv(tmp_path / "a.csv", sep=" ")
        report = json.loads((tmp_path / "a.stride.json").read_text())
        agreement = (table["label"] == expected["label"]).mean()
        # chance decides about a single row or two more
        assert report["wanted"] == 0.98 <= agreement + 0.02 and report["low"] <= agreement <= report["high"]
        assert report["rows"] == len(table) and report["computed"] == scores["computed"].sum() < len(table)
        assert f"{report['computed']} of {report['rows']} rows were computed" in result.output
        computed = scores["computed"].to_numpy()
        found = scores.filter(like="p_").to_numpy(np.float32)
        assert np.abs(found - expected["prob"])[computed].max() < 1e-3
        assert (table["label"] == expected["label"])[computed & clear(kit, case)].all()
        assert np.abs(found[~computed].sum(1) - 1).max() < 5e-3
        assert not (tmp_path / ".a.csv.partial").exists()


def test_stopped_work_goes_on(kit, tmp_path, monkeypatch):
    """A later scene fails; afterwards those before it are taken from what was kept."""
    from etholoop.modeling.behaviour import _x3d_openvino

    case = shortest(kit)
    done: list[int] = []
    stops_at: list[int] = []
    real = _x3d_openvino.Predictor.__call__

    def stops(self, pictures):
        done.append(1)
        if stops_at and len(done) > stops_at[0]:
            raise KeyboardInterrupt
        return real(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(_x3d_openvino.Predictor, "__call__", stops)
        scenes, whole = label(case, kit, tmp_path / "whole")
        assert len(whole) > 1
        n_units = len(done)
        stops_at.append(n_units - 1)
        done.clear()
        with pytest.raises(KeyboardInterrupt):
            label(case, kit, tmp_path / "stopped")
        stops_at.clear()
        done.clear()
        _, again = label(case, kit, tmp_path / "stopped")
    assert all((a == b).all() for a, b in zip(whole, again, strict=True))
    n_last = len(scenes.scenes[-1].frames)
    assert 0 < len(done) < n_units and len(done) <= n_last, "only the last scene is judged again"
