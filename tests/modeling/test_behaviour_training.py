"""Pictures, clips, losses and the training loop of behaviour models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from etholoop import runtime

runtime.prepare()

from etholoop.errors import EthoLoopError, FaultsError  # noqa: E402 - the runtime comes first
from etholoop.modeling.behaviour import _losses  # noqa: E402
from etholoop.modeling.behaviour._augment import Augment, changed, places  # noqa: E402
from etholoop.modeling.behaviour._pictures import picture_of  # noqa: E402
from etholoop.modeling.behaviour._sampling import clip_of, label_of, pool_of, spread  # noqa: E402
from etholoop.modeling.behaviour._shared import Init, Strip, Task, View, head_of  # noqa: E402
from etholoop.modeling.behaviour.families import settings_of, x3d  # noqa: E402

TINY = {"n_frames": 4, "every": 1, "crop_px": 32, "width_factor": 0.5, "depth_factor": 0.5, "dim_c5": 16, "dropout": 0.1}
QUICK = {"epochs": 3, "epoch_steps": 3, "batch": 4, "threads": 1, "val_clips": 8}
TASK = Task(("still", "blink"), ("g", "g"))


def strip(name: str, n: int = 24, seed: int = 0) -> Strip:
    """Half of the pictures are even, in the other half light and dark follow each other."""
    rng = np.random.default_rng([seed, *name.encode()])
    images = np.full((n, 32, 32, 3), 120, np.uint8) + rng.integers(0, 10, (n, 32, 32, 3), np.uint8)
    labels = np.zeros((n, 2), np.int8)
    labels[: n // 2, 0], labels[n // 2 :, 1] = 1, 1
    images[n // 2 :: 2] //= 4
    return Strip(name, images, labels)


def params(**more: object) -> x3d.Params:
    settings = settings_of("x3d", {**TINY, **QUICK, **more}, "test")
    assert isinstance(settings, x3d.Params)
    return settings


def train(folder: Path, **more: object) -> tuple[bytes, object]:
    out = folder / "w.pt"
    settings = params(**more)
    trained = x3d.train([strip("a"), strip("b")], [strip("c")], TASK, settings, seed=1, out=out, scratch=folder / "s")
    return out.read_bytes(), trained


# --- pictures ----------------------------------------------------------------------------------------------------------------------


def test_pictures_show_the_window_and_are_black_beyond_the_image() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1).repeat(3, axis=2)
    assert (picture_of(image, np.array([2, 1, 6, 5]), View(4)) == image[1:5, 2:6]).all()
    beyond = picture_of(image, np.array([6, 0, 10, 4]), View(4))
    assert (beyond[:, :2] == image[:4, 6:]).all() and not beyond[:, 2:].any()
    assert not picture_of(image, np.array([20, 20, 24, 24]), View(4)).any()


def test_the_three_ways_to_a_picture() -> None:
    image = np.full((40, 60, 3), 9, np.uint8)
    wide = np.array([0.0, 0, 60, 40])
    assert picture_of(image, wide, View(32, "keep")).shape == (32, 48, 3)
    padded, cropped = picture_of(image, wide, View(30, "pad")), picture_of(image, wide, View(30, "crop"))
    assert padded.shape == cropped.shape == (30, 30, 3)
    assert (cropped == 9).all() and (padded[:4] == 0).all() and (padded[15] == 9).all()


# --- clips -------------------------------------------------------------------------------------------------------------------------


def test_clips_repeat_the_pictures_at_the_ends() -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None]
    one = Strip("s", images, np.zeros((5, 1), np.int8))
    assert clip_of(one, 1, np.array([-3, 0, 2, 9]))[:, 0, 0, 0].tolist() == [0, 1, 3, 4]


def test_a_clips_label_is_its_middles_or_all_of_them() -> None:
    one = Strip("s", np.zeros((4, 1, 1, 3), np.uint8), np.array([[1, 0], [0, 0], [0, 1], [-1, -1]], np.int8))
    assert label_of(one, 1, np.array([-1, 0, 1]), union=False).tolist() == [0, 0]
    assert label_of(one, 1, np.array([-1, 0, 1]), union=True).tolist() == [1, 1]


def test_unknown_frames_are_never_drawn_and_balance_is_kept() -> None:
    labels = np.full((100, 2), -1, np.int8)
    labels[:80] = [1, 0]
    labels[80:84] = [0, 1]
    pool = pool_of([Strip("s", np.zeros((100, 1, 1, 3), np.uint8), labels)], 2, 1.0)
    assert pool.classes == (0, 1) and pool.chance.tolist() == [0.5, 0.5]
    drawn = [pool.draw(np.random.default_rng(k))[1] for k in range(300)]
    assert max(drawn) < 84 and 100 < sum(place >= 80 for place in drawn) < 200
    assert spread(pool, 8) == [(0, 0), (0, 26), (0, 53), (0, 79), (0, 80), (0, 81), (0, 82), (0, 83)]
    natural = pool_of([Strip("s", np.zeros((100, 1, 1, 3), np.uint8), labels)], 2, 0.0)
    assert natural.chance == pytest.approx([80 / 84, 4 / 84])


def test_none_of_the_behaviours_is_a_class_of_known_frames_only() -> None:
    labels = np.array([[0, 0], [-1, -1], [1, 0]], np.int8)
    pool = pool_of([Strip("s", np.zeros((3, 1, 1, 3), np.uint8), labels)], 2, 1.0)
    assert pool.classes == (0, 2) and pool.members[1].tolist() == [[0, 0]]


def test_augmentation_is_the_same_for_all_frames_of_a_clip() -> None:
    clip = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 20, 26, 3), np.uint8), 3, axis=0)
    strong = Augment(flipud=0.5, rot90=0.5, degrees=180, recolour=1.0)
    for seed in range(5):
        after = changed(clip, np.random.default_rng(seed), strong, 16)
        assert after.shape == (3, 16, 16, 3) and (after[0] == after[1]).all() and (after[1] == after[2]).all()


def test_without_augmentation_the_middle_is_left_as_it_is() -> None:
    clip = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), np.uint8)
    off = Augment(flip=0, degrees=0, zoom=0, shift=0, light=0, speed=0)
    assert (changed(clip, np.random.default_rng(0), off, 16) == clip).all()
    assert places(np.random.default_rng(0), np.array([-2, 0, 2]), off).tolist() == [-2, 0, 2]


# --- losses ------------------------------------------------------------------------------------------------------------------------


def test_unknown_labels_do_not_move_the_loss() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -1.0]])
    known = torch.tensor([[1, 0], [-1, -1]])
    weights = torch.ones(3)
    one = _losses.multiclass_loss(logits, known, weights, 0.0)
    assert one.item() == pytest.approx(torch.nn.functional.cross_entropy(logits[:1], torch.tensor([0])).item())
    many = _losses.multilabel_loss(logits[:, :2], known, weights[:2], 0.0)
    right = torch.nn.functional.binary_cross_entropy_with_logits(logits[:1, :2], torch.tensor([[1.0, 0.0]]))
    assert many.item() == pytest.approx(right.item())
    assert _losses.multiclass_loss(logits, torch.full((2, 2), -1), weights, 0.0).item() == 0


def test_none_is_the_last_class() -> None:
    logits = torch.tensor([[0.0, 0.0, 9.0]])
    assert _losses.multiclass_loss(logits, torch.tensor([[0, 0]]), torch.ones(3), 0.0).item() < 0.01
    # a network without such a class learns nothing from the frame
    assert _losses.multiclass_loss(logits[:, :2], torch.tensor([[0, 0]]), torch.ones(2), 0.0).item() == 0


def test_deepethograms_weights() -> None:
    assert _losses.positive_weights(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0]), 1.0).tolist() == [2.0, 0.5]
    assert _losses.class_weights(torch.tensor([10, 0, 10]), 1.0).tolist() == [1.0, 1.0, 1.0]


# --- heads -------------------------------------------------------------------------------------------------------------------------


def test_the_head_follows_the_ethogram_and_the_labels() -> None:
    alone, both = np.array([[1, 0]], np.int8), np.array([[1, 1]], np.int8)
    assert head_of("auto", TASK, [alone]) == "multiclass"
    assert head_of("auto", TASK, [both]) == "multilabel"
    assert head_of("auto", Task(("a", "b"), ("g", None)), [alone]) == "multilabel"


# --- training ----------------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_also_after_a_kill(tmp_path: Path) -> None:
    first, trained = train(tmp_path / "one")
    assert [row["epoch"] for row in trained.curves] == [1, 2, 3]  # type: ignore[attr-defined]
    killed = tmp_path / "two"

    def stop(epoch: int, n_epochs: int, figures: dict[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    strips = [strip("a"), strip("b")], [strip("c")]
    with pytest.raises(KeyboardInterrupt):
        x3d.train(*strips, TASK, params(), seed=1, out=killed / "w.pt", scratch=killed / "s", progress=stop)
    assert (killed / "s/state.pt").is_file() and not (killed / "w.pt").exists()
    assert train(killed)[0] == first
    assert not (killed / "s").exists()


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first = train(tmp_path / "one")[0]
    x3d.train([strip("a")], [], TASK, params(), seed=2, out=tmp_path / "w.pt", scratch=tmp_path / "s")
    assert (tmp_path / "w.pt").read_bytes() != first


def test_training_learns_what_one_frame_cannot_show(tmp_path: Path) -> None:
    quiet = {"epochs": 6, "epoch_steps": 12, "batch": 8, "lr": 0.005, "light": 0.3, "recolour": 0.0, "speed": 0.0, "patience": None}
    _, trained = train(tmp_path, **quiet)
    assert trained.metrics["val_accuracy_macro"] >= 0.9  # type: ignore[attr-defined]
    predictor = x3d.Predictor.load(tmp_path / "w.pt")
    one = strip("d")
    scores = predictor.predict(np.stack([clip_of(one, place, predictor.offsets) for place in (4, 19)]))
    assert scores.argmax(axis=1).tolist() == [0, 1] and scores.sum(axis=1) == pytest.approx(1, abs=1e-5)
    rows = {(row["truth"], row["said"]): row["n"] for row in trained.confusion}  # type: ignore[attr-defined]
    assert sum(rows.values()) == 8 and rows["still", "still"] >= 3


def test_training_goes_on_from_earlier_weights_with_another_head(tmp_path: Path) -> None:
    train(tmp_path)
    init = x3d.own_weights(tmp_path / "w.pt")
    assert isinstance(init, Init)
    three = Task(("still", "blink", "jump"), ("g", "g", "g"))
    strips = [Strip("a", strip("a").images, np.pad(strip("a").labels, ((0, 0), (0, 1))))]
    trained = x3d.train(strips, [], three, params(epochs=1), seed=0, out=tmp_path / "v.pt", scratch=tmp_path / "s", init=init)
    assert any("the last layer is new (3 classes)" in note for note in trained.notes)
    assert any("jump" in note for note in trained.notes)
    assert x3d.Predictor.load(tmp_path / "v.pt").behaviours == three.behaviours


def test_a_last_layer_of_unnamed_classes_is_never_kept(tmp_path: Path) -> None:
    train(tmp_path)
    own = x3d.own_weights(tmp_path / "w.pt")
    assert own is not None and own.behaviours == TASK.behaviours
    unnamed = Init(own.state, "slowfast.pyth", own.sha256, own.config)
    turned = Task(tuple(reversed(TASK.behaviours)), TASK.exclusive)
    options = {"seed": 0, "out": tmp_path / "v.pt", "scratch": tmp_path / "s"}
    for init, task, new in ((own, TASK, False), (own, turned, True), (unnamed, TASK, True)):
        trained = x3d.train([strip("a")], [], task, params(epochs=1), init=init, **options)  # type: ignore[arg-type]
        assert any("the last layer is new" in note for note in trained.notes) is new


def test_multilabel_behaviours_may_overlap(tmp_path: Path) -> None:
    both = Strip("a", strip("a").images, np.ones((24, 2), np.int8))
    x3d.train([both], [], TASK, params(epochs=1), seed=0, out=tmp_path / "w.pt", scratch=tmp_path / "s")
    predictor = x3d.Predictor.load(tmp_path / "w.pt")
    assert predictor.head == "multilabel"
    assert predictor.predict(np.zeros((2, 4, 32, 32, 3), np.uint8)).shape == (2, 2)


def test_faults_are_named(tmp_path: Path) -> None:
    empty = Strip("a", strip("a").images, np.full((24, 2), -1, np.int8))
    with pytest.raises(EthoLoopError, match="no labelled frame"):
        x3d.train([empty], [], TASK, params(), seed=0, out=tmp_path / "w.pt", scratch=tmp_path / "s")
    with pytest.raises(EthoLoopError, match="behaviour weights not found"):
        x3d.Predictor.load(tmp_path / "none.pt")
    (tmp_path / "other.pt").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(EthoLoopError, match="expected weights of the family 'x3d'"):
        x3d.Predictor.load(tmp_path / "other.pt")
    with pytest.raises(EthoLoopError, match="unknown family"):
        settings_of("x4d", {}, "params")
    with pytest.raises(FaultsError, match="epochs"):
        settings_of("x3d", {"epoch": 3}, "params")


def test_quick_convolutions_are_the_same_convolutions() -> None:
    import copy

    from etholoop.modeling.behaviour._quick_convs import Depthwise, Pointwise, quicken
    from etholoop.modeling.behaviour.x3d import config_of_size, new_network

    config = config_of_size("xs", 3, n_frames=4, crop_px=32, width_factor=0.5, depth_factor=1.0, dim_c5=16, dropout=0.0)
    plain = new_network(config, 0).double().train()
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    quick = quicken(copy.deepcopy(plain))
    kinds = {type(module) for module in quick.modules()}
    assert {Depthwise, Pointwise} <= kinds and quick.state_dict().keys() == plain.state_dict().keys()
    clips = torch.randn(2, 3, 4, 32, 32, dtype=torch.float64)
    one, other = plain(clips), quick(clips)
    assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)
    one.square().sum().backward()
    other.square().sum().backward()
    for a, b in zip(plain.parameters(), quick.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-6, atol=1e-6 * float(one.abs().max()))  # type: ignore[arg-type]
