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


def label(case: dict, kit, folder: Path, **settings):
    options = options_of(case, kit)
    scenes = command.find_scenes(Path(options["--miniscene"]), options["--video"])
    model = command.load_model(None, options.get("--config"), options["--checkpoint"], "compat")
    settings = {"stride": 1, "batch": 8, "backend": "auto", "devices": ["cpu"], **settings}
    return scenes, command.label(scenes, model, folder / "a.csv", **settings)


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_probabilities_and_labels(kit, tmp_path, backend):
    cases = kit.cases("behavior/")
    assert len(cases) >= 4
    for case in cases if backend == "openvino" else [kit.case("behavior/default_DJI_0102")]:
        scenes, found = label(case, kit, tmp_path / case["id"].replace("/", "_"), backend=backend)
        probabilities = np.concatenate(found)
        mine = {"prob": probabilities, "label": probabilities.argmax(1), "csv": command.csv_text(scenes, found)}
        assert [result for result in kit.compare(case, mine) if not result.ok] == []
        assert (probabilities.argmax(1) == kit.expected(case)["label"]).all(), "labels are equal at any margin"


def test_the_command_writes_the_originals_file(kit, tmp_path):
    """Without --video, which the original demands: the folder tells it."""
    case = kit.case("behavior/default_DJI_0102")
    options = options_of(case, kit) | {"--output": str(tmp_path / "a.csv"), "--scores": str(tmp_path / "a.parquet")}
    del options["--video"]
    words = [word for pair in options.items() for word in pair]
    result = CliRunner().invoke(build_app(), ["kabr", "miniscene2behavior", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.csv").read_text() == kit.text(case["outputs"]["csv"]["file"])
    scores = pd.read_parquet(tmp_path / "a.parquet")
    assert scores.dtypes["p_0"] == np.float16 and len(scores) == len(kit.expected(case)["prob"])
    assert np.abs(scores.filter(like="p_").to_numpy(np.float32) - kit.expected(case)["prob"]).max() < 1e-3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet"]


def test_a_stride_gives_every_row_and_agrees_at_its_moments(kit, tmp_path):
    case = kit.case("behavior/default_DJI_0102")
    _, every = label(case, kit, tmp_path / "1")
    _, fifth = label(case, kit, tmp_path / "5", stride=5)
    for one, five in zip(every, fifth, strict=True):
        assert five.shape == one.shape
        assert np.abs(five[::5] - one[::5]).max() < 1e-5
        assert (five[0] == five[2]).all() and (five[5] == five[3]).all()


def test_a_stride_that_adapts_itself(kit, tmp_path):
    """It judges a part of the frames, says which, and gives the labels of all of them as often as was wanted."""
    for case in (kit.case("behavior/default_DJI_0101"), kit.case("behavior/default_DJI_0102")):
        options = options_of(case, kit) | {"--output": str(tmp_path / "a.csv"), "--scores": str(tmp_path / "a.parquet"), "--stride": "auto"}
        result = CliRunner().invoke(
            build_app(), ["kabr", "miniscene2behavior", *[word for pair in options.items() for word in pair]], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        expected, scores = kit.expected(case), pd.read_parquet(tmp_path / "a.parquet")
        table = pd.read_csv(tmp_path / "a.csv", sep=" ")
        report = json.loads((tmp_path / "a.stride.json").read_text())
        agreement = (table["label"] == expected["label"]).mean()
        assert report["wanted"] == 0.98 <= agreement and report["low"] <= agreement <= report["high"]
        assert report["rows"] == len(table) and report["computed"] == scores["computed"].sum() < len(table)
        assert f"{report['computed']} of {report['rows']} rows were computed" in result.output
        computed = scores["computed"].to_numpy()
        found = scores.filter(like="p_").to_numpy(np.float32)
        assert np.abs(found - expected["prob"])[computed].max() < 1e-3
        assert (table["label"] == expected["label"])[computed].all()
        assert np.abs(found[~computed].sum(1) - 1).max() < 5e-3
        assert not (tmp_path / ".a.csv.partial").exists()


def test_stopped_work_goes_on(kit, tmp_path, monkeypatch):
    """The second scene fails; afterwards the first is taken from what was kept."""
    from etholoop.modeling.behaviour import _x3d_openvino

    case = kit.case("behavior/default_DJI_0102")
    _, whole = label(case, kit, tmp_path / "whole")
    done = []
    real = _x3d_openvino.Predictor.__call__

    def stops(self, pictures):
        done.append(1)
        if len(done) == 8:  # five units for each scene
            raise KeyboardInterrupt
        return real(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(_x3d_openvino.Predictor, "__call__", stops)
        with pytest.raises(KeyboardInterrupt):
            label(case, kit, tmp_path / "stopped")
        done[:] = range(100)
        _, again = label(case, kit, tmp_path / "stopped")
    n_units = len(done) - 100
    assert all((a == b).all() for a, b in zip(whole, again, strict=True))
    assert n_units == 5 * (len(whole) - 1)
