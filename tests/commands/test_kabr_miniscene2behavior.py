"""`etholoop kabr miniscene2behavior`: the documented command lines, its tables, and the faults that cost rows elsewhere."""

import json
import shutil
import sys
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import kabr_miniscene2behavior as command
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io.video import write_video
from etholoop.modeling.behaviour import x3d

CFG = {
    "MODEL": {"ARCH": "x3d", "NUM_CLASSES": 3, "HEAD_ACT": "softmax"},
    "X3D": {"WIDTH_FACTOR": 1.0, "DEPTH_FACTOR": 0.4, "BOTTLENECK_FACTOR": 2.25, "DIM_C1": 8, "DIM_C5": 16},
    "DATA": {"NUM_FRAMES": 8, "SAMPLING_RATE": 2, "TRAIN_CROP_SIZE": 32, "TEST_CROP_SIZE": 32, "MEAN": [0.45] * 3, "STD": [0.225] * 3},
}
BOX = '<box frame="{}" outside="{}" occluded="0" keyframe="1" xtl="1.00" ytl="2.00" xbr="30.00" ybr="20.00" z_order="0"/>'
FRAMES = {0: range(3, 12), 7: range(0, 6)}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Mini-scenes of two animals, seen in frames 3 to 11 and 0 to 5."""
    scenes = tmp_path / "scenes"
    (scenes / "metadata").mkdir(parents=True)
    for track, frames in FRAMES.items():
        rng = np.random.default_rng(track)
        pictures = rng.integers(0, 256, (len(frames), 6, 8, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        write_video(scenes / f"{track}.mp4", iter(pictures), Fraction(25))
    write_tracks(scenes, "DJI_1")
    return scenes


def write_tracks(scenes: Path, video: str, hidden: int = -1) -> None:
    text = "<annotations><version>1.1</version>"
    for track, frames in FRAMES.items():
        boxes = "".join(BOX.format(frame, int(frame == hidden)) for frame in frames)
        text += f'<track id="{track}" label="Grevy" source="manual">{boxes}</track>'
    (scenes / f"metadata/{video}_tracks.xml").write_text(text + "</annotations>")


@pytest.fixture
def weights(tmp_path) -> Path:
    values = {f"{part}.{name}": value for part, section in CFG.items() for name, value in section.items()}
    network = x3d.new_network(x3d.config_from_slowfast(values, "here"), 0)
    torch.nn.init.normal_(network.head.projection.weight, std=3.0, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "weights.pyth"
    torch.save({"epoch": 0, "model_state": network.state_dict(), "cfg": yaml.safe_dump(CFG)}, path)
    return path


def run(*words) -> str:
    result = CliRunner().invoke(
        build_app("kabr_miniscene2behavior"), ["kabr", "miniscene2behavior", *map(str, words)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


def rows_of(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep=" ")


def test_every_box_gets_its_row(folder, weights, tmp_path):
    run("--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "a.csv")
    table = rows_of(tmp_path / "a.csv")
    assert list(table.columns) == ["video", "track", "frame", "label"]
    assert list(zip(table["track"], table["frame"], strict=True)) == [
        (track, frame) for track, frames in FRAMES.items() for frame in frames
    ]
    assert set(table["video"]) == {"DJI_1"} and table["label"].between(0, 2).all()


def test_the_documented_command_lines(folder, weights, tmp_path, monkeypatch):
    """Hub and zip with the configuration inside; hub and configuration; local files. The cache is read and never written."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub/models--imageomics--x3d-kabr-kinetics"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("1")
    files = repository / "snapshots/1"
    files.mkdir(parents=True)
    (files / "config.yml").write_text(yaml.safe_dump(CFG))
    with zipfile.ZipFile(files / "checkpoint_epoch_00075.pyth.zip", "w") as package:
        package.write(weights, "checkpoint_epoch_00075.pyth")
    held = sorted(path.name for path in files.iterdir())
    monkeypatch.chdir(tmp_path)
    hub = ["--hub", "imageomics/x3d-kabr-kinetics", "--checkpoint", "checkpoint_epoch_00075.pyth.zip", "--gpu_num", "0"]
    texts = []
    for words in (hub, [*hub, "--config", "config.yml"], ["--config", files / "config.yml", "--checkpoint", weights, "--gpu_num", "0"]):
        run(*words, "--miniscene", folder)
        texts.append(Path("annotation_data.csv").read_text())
        Path("annotation_data.csv").unlink()
    assert texts[0] == texts[1] == texts[2] and len(texts[0].splitlines()) == 16
    assert sorted(path.name for path in files.iterdir()) == held


def test_probabilities_of_all_classes(folder, weights, tmp_path):
    (tmp_path / "classes.json").write_text(json.dumps({"Graze": 1, "Walk": 0, "Run": 2}))
    run("--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "a.csv", "--scores", tmp_path / "a.parquet",
        "--classes", tmp_path / "classes.json", "--video", "DJI_1")  # fmt: skip
    scores, table = pd.read_parquet(tmp_path / "a.parquet"), rows_of(tmp_path / "a.csv")
    assert list(scores.columns) == ["video", "track", "frame", "p_Walk", "p_Graze", "p_Run"]
    probabilities = scores.filter(like="p_").to_numpy(np.float32)
    assert (probabilities.argmax(1) == table["label"]).all() and np.abs(probabilities.sum(1) - 1).max() < 2e-3
    assert (scores[["track", "frame"]] == table[["track", "frame"]]).all(None)


def test_a_stride_that_adapts_itself_says_what_it_did(folder, weights, tmp_path):
    output = run("--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "a.csv", "--scores", tmp_path / "a.parquet",
                 "--stride", "auto", "--agreement", "0.9")  # fmt: skip
    report, scores = json.loads((tmp_path / "a.stride.json").read_text()), pd.read_parquet(tmp_path / "a.parquet")
    assert report["rows"] == 15 and report["wanted"] == 0.9 and report["computed"] == scores["computed"].sum()
    assert "rows were computed" in output and len(rows_of(tmp_path / "a.csv")) == 15
    run("--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "b.csv", "--scores", tmp_path / "b.parquet")
    every = pd.read_parquet(tmp_path / "b.parquet")
    assert "computed" not in every.columns and not (tmp_path / "b.stride.json").exists()
    computed = scores["computed"].to_numpy()
    assert np.abs((scores.filter(like="p_").astype(float) - every.filter(like="p_").astype(float)).to_numpy()[computed]).max() < 1e-3


@pytest.mark.parametrize("words", [["--stride", "0"], ["--stride", "often"], ["--stride", "2.5"], ["--stride", "auto", "--agreement", "1"]])
def test_impossible_strides(folder, weights, tmp_path, words):
    result = CliRunner().invoke(
        build_app("kabr_miniscene2behavior"),
        [
            "kabr",
            "miniscene2behavior",
            "--checkpoint",
            str(weights),
            "--miniscene",
            str(folder),
            "--output",
            str(tmp_path / "a.csv"),
            *words,
        ],
    )
    assert result.exit_code != 0 and isinstance(result.exception, EthoLoopError) and "expected" in str(result.exception)
    assert not (tmp_path / "a.csv").exists()


def test_a_name_with_blanks_stands_in_quotation_marks(folder, weights, tmp_path):
    write_tracks(folder, "DJI 1")
    output = run("--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "a.csv", "--video", "DJI 1")
    assert "quotation marks" in output
    assert set(rows_of(tmp_path / "a.csv")["video"]) == {"DJI 1"}


def test_a_dry_run_writes_nothing(folder, weights, tmp_path):
    output = run("--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "a.csv", "--dry-run")
    assert "2 mini-scenes of DJI_1, 15 rows" in output and not (tmp_path / "a.csv").exists()


def test_missing_mini_scenes_are_all_named(folder):
    for track in FRAMES:
        (folder / f"{track}.mp4").unlink()
    with pytest.raises(FaultsError) as caught:
        command.find_scenes(folder, None)
    assert caught.value.faults == ["track 0: 0.mp4 is missing", "track 7: 7.mp4 is missing"]


def test_a_mini_scene_that_is_too_short_loses_no_labels(folder, weights, tmp_path):
    """The original prints an assertion and drops the rest of the track."""
    shutil.copy(folder / "7.mp4", folder / "0.mp4")
    scenes, model = command.find_scenes(folder, None), command.load_model(None, None, str(weights), "compat")
    with pytest.raises(FaultsError, match=r"0.mp4: 6 frames, but track 0 has 9 boxes"):
        command.label(scenes, model, tmp_path / "a.csv", stride=1, batch=8, backend="auto", devices=["cpu"])
    assert not (tmp_path / "a.csv").exists()


def test_boxes_that_the_mini_scene_does_not_show_get_no_row(folder):
    """Our tracks_extractor cuts no box marked outside; its metadata tell which frames are shown."""
    write_tracks(folder, "DJI_1", hidden=5)
    shown = {str(track): [-1] * 12 for track in FRAMES}
    for track, frames in FRAMES.items():
        for place, frame in enumerate(frame for frame in frames if frame != 5):
            shown[str(track)][frame] = place
    metadata = {"original": "DJI_1.mp4", "tracks": {"main": list(range(12)), **shown}, "colors": {}}
    (folder / "metadata/DJI_1_metadata.json").write_text(json.dumps(metadata))
    scenes = command.find_scenes(folder, None)
    assert [scene.frames for scene in scenes.scenes] == [(3, 4, 6, 7, 8, 9, 10, 11), (0, 1, 2, 3, 4)] and len(scenes.said) == 2
    shown["7"][11] = 5
    (folder / "metadata/DJI_1_metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(FaultsError, match="track 7: its mini-scene shows other frames"):
        command.find_scenes(folder, None)


def refused(*words) -> str:
    """The message of a command line that ends without a table."""
    result = CliRunner().invoke(build_app("kabr_miniscene2behavior"), ["kabr", "miniscene2behavior", *map(str, words)])
    assert result.exit_code != 0 and isinstance(result.exception, EthoLoopError), result.output
    return str(result.exception)


@pytest.mark.parametrize("stride", ["1", "auto"])
@pytest.mark.parametrize("content", [b"no video", None])
def test_a_mini_scene_that_cannot_be_read_writes_nothing(folder, weights, tmp_path, stride, content):
    path = folder / "7.mp4"
    path.write_bytes(content if content is not None else path.read_bytes()[: path.stat().st_size * 2 // 3])
    output = tmp_path / "out/a.csv"
    message = refused(
        "--checkpoint", weights, "--miniscene", folder, "--output", output, "--scores", tmp_path / "a.parquet", "--stride", stride
    )
    assert "7.mp4" in message and "tracks_extractor" in message and "no table was written" in message
    assert not output.exists() and not (tmp_path / "a.parquet").exists() and not (tmp_path / "out/a.stride.json").exists()


def test_a_video_without_animals_has_an_empty_table(folder, weights, tmp_path):
    (folder / "metadata/DJI_1_tracks.xml").write_text("<annotations><version>1.1</version></annotations>")
    for stride in ("1", "auto"):
        output = run("--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "a.csv", "--stride", stride)
        assert "no boxes" in output and (tmp_path / "a.csv").read_text() == "video track frame label\n"


@pytest.mark.parametrize("rate", [0, "fast", 2.5])
def test_an_impossible_sampling_rate(folder, weights, tmp_path, rate):
    (tmp_path / "c.yml").write_text(yaml.safe_dump({**CFG, "DATA": {**CFG["DATA"], "SAMPLING_RATE": rate}}))
    message = refused("--config", tmp_path / "c.yml", "--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "a.csv")
    assert "c.yml" in message and "SAMPLING_RATE" in message and "expected" in message and not (tmp_path / "a.csv").exists()


def test_settings_that_fit_any_weights_are_compared_with_the_checkpoints_own(folder, weights, tmp_path):
    (tmp_path / "c.yml").write_text(yaml.safe_dump({**CFG, "DATA": {**CFG["DATA"], "SAMPLING_RATE": 1}}))
    words = ["--checkpoint", weights, "--miniscene", folder, "--output", tmp_path / "a.csv", "--dry-run"]
    assert "DATA.SAMPLING_RATE 1 (checkpoint: 2)" in run("--config", tmp_path / "c.yml", *words)
    (tmp_path / "c.yml").write_text(yaml.safe_dump(CFG))
    assert "other settings" not in run("--config", tmp_path / "c.yml", *words)


@pytest.mark.parametrize("name", ["cut.zip", "flipped.zip", "page.zip", "two.zip", "none.zip", "cut.pyth", "page.pyth", "gone.pyth"])
def test_damaged_checkpoints(folder, weights, tmp_path, name):
    whole, path = tmp_path / "whole.zip", tmp_path / name
    with zipfile.ZipFile(whole, "w") as package:
        package.write(weights, "weights.pyth")
    data = bytearray(whole.read_bytes())
    if name in ("two.zip", "none.zip"):
        with zipfile.ZipFile(path, "w") as package:
            for member in ("a.pyth", "b.pyth") if name == "two.zip" else ("readme.txt",):
                package.writestr(member, "x")
    elif name == "flipped.zip":
        data[len(data) // 2 : len(data) // 2 + 100] = bytes(255 - value for value in data[len(data) // 2 : len(data) // 2 + 100])
        path.write_bytes(data)
    elif name != "gone.pyth":
        contents = {"cut.zip": data[: len(data) // 2], "cut.pyth": weights.read_bytes()[:5000]}
        path.write_bytes(contents.get(name, b"<html>404</html>"))
    message = refused("--checkpoint", path, "--miniscene", folder, "--output", tmp_path / "a.csv")
    assert name in message and "weights_only" not in message and len(message) < 400
    assert any(advice in message for advice in ("Fetch it again", "expected one checkpoint", "Give the path"))
    assert not (tmp_path / "a.csv").exists()


def test_which_video_is_meant(folder):
    write_tracks(folder, "DJI_2")
    with pytest.raises(EthoLoopError, match="found DJI_1, DJI_2"):
        command.find_scenes(folder, None)
    with pytest.raises(EthoLoopError, match=r"DJI_3_tracks.xml: file not found"):
        command.find_scenes(folder, "DJI_3")


def test_a_configuration_of_another_network(weights, tmp_path):
    other = {**CFG, "MODEL": {**CFG["MODEL"], "NUM_CLASSES": 8}}
    (tmp_path / "other.yml").write_text(yaml.safe_dump(other))
    with pytest.raises(FaultsError, match=r"head.projection.bias is 3, this network has 8"):
        command.load_model(None, str(tmp_path / "other.yml"), str(weights), "compat")


def test_no_configuration_at_all(weights, tmp_path):
    torch.save(torch.load(weights)["model_state"], tmp_path / "bare.pyth")
    with pytest.raises(EthoLoopError, match="give the YAML file"):
        command.load_model(None, None, str(tmp_path / "bare.pyth"), "compat")


def test_class_tables(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps({name: number for number, name in enumerate(command.KABR)}))
    assert command.class_names(path, 8) == list(command.KABR) and command.class_names(None, 2) == ["0", "1"]
    path.write_text(json.dumps({name: number for number, name in enumerate(sorted(command.KABR))}))
    with pytest.raises(FaultsError, match="as the data set on the hub does"):
        command.class_names(path, 8)
    path.write_text(json.dumps({"Walk": 0, "Graze": 2}))
    with pytest.raises(FaultsError, match=r"classes 0 to 1, the file has the numbers \[0, 2\]"):
        command.class_names(path, 2)
    for text in ("[]", "{", '{"a": "b"}'):
        path.write_text(text)
        with pytest.raises(EthoLoopError, match=r"classes.json"):
            command.class_names(path, 2)


def test_more_gpus_than_there_are():
    with pytest.raises(EthoLoopError, match="--gpu_num 99"):
        command.devices_of(99)
