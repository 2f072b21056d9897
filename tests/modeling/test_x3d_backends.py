"""Predictors: whatever shares work and whoever computes, a clip gets the probabilities of the plain network; and the pixels before them."""

import numpy as np
import pytest
import torch

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.modeling.behaviour import _clip_pixels, x3d
from etholoop.modeling.behaviour._clip_pixels import PixelRule
from etholoop.modeling.behaviour._x3d_predict import look_bytes, predictor, single_predictor

RULE = PixelRule(40, mean=(0.4, 0.45, 0.5), std=(0.2, 0.225, 0.25))


def network_of(n_frames: int, head_act: str, bn_lin5: bool = False) -> x3d.X3D:
    config = x3d.X3DConfig(5, n_frames, 40, 1.0, 0.4, 2.25, 8, 16, head_act=head_act, bn_lin5=bn_lin5)
    network, generator = x3d.new_network(config, 3), torch.Generator().manual_seed(4)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0, generator=generator)
            torch.nn.init.normal_(module.bias, 0, 0.3, generator=generator)
    torch.nn.init.normal_(network.head.projection.weight, 0, 0.5, generator=generator)
    return network.eval()


def plain(network: x3d.X3D, pictures: np.ndarray, n_clips: int, step: int) -> np.ndarray:
    n = network.config.n_frames
    clips = np.stack([pictures[clip * step :][:n] for clip in range(n_clips)])
    values = (clips.astype(np.float32) / 255 - np.float32(RULE.mean)) / np.float32(RULE.std)
    with torch.inference_mode():
        return network(torch.from_numpy(values.transpose(0, 4, 1, 2, 3).copy())).numpy()


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize(
    ("n_frames", "n_clips", "step"),
    [(16, 1, 1), (16, 2, 1), (16, 5, 1), (16, 3, 3), (16, 2, 8), (16, 2, 9), (8, 4, 1), (9, 3, 2), (7, 3, 1), (4, 3, 1), (13, 3, 1)],
)
def test_clips_of_a_unit(backend, n_frames, n_clips, step):
    network = network_of(n_frames, "softmax" if n_frames % 2 else "sigmoid", bn_lin5=n_frames == 13)
    coarse = np.random.default_rng(0).integers(0, 256, (step * (n_clips - 1) + n_frames, 5, 9, 3), dtype=np.uint8)
    coarse = (coarse * np.linspace(0.1, 1, len(coarse))[:, None, None, None]).astype(np.uint8)  # ever brighter, so that clips differ
    pictures = np.ascontiguousarray(coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :, :71])
    expected = plain(network, pictures, n_clips, step)
    found = predictor(network, RULE, n_clips=n_clips, step=step, backend=backend)(pictures)
    error = np.abs(found - expected).max()
    assert found.dtype == np.float32 and error < 1e-5
    assert n_clips == 1 or np.ptp(expected, axis=0).max() > 20 * error, "clips differ by more than the error"


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_clips_that_share_no_pattern(backend):
    """Clips in any order, of pictures looked at once, in numbers that fill no batch."""
    network = network_of(16, "softmax")
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (37, 5, 9, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)[:, :, :71]
    places = np.sort(rng.integers(0, 37, (5, 16)), axis=1)
    single = single_predictor(network, RULE, batch=2, backend=backend)
    looks = single.look(pictures)
    found = single.judge([looks[own] for own in places])
    expected = np.concatenate([plain(network, pictures[own], 1, 1) for own in places])
    assert looks.dtype == np.float32 and looks.nbytes == 37 * look_bytes(network, 40, 71)
    assert found.shape == (5, 5) and np.abs(found - expected).max() < 1e-5 < np.ptp(expected, axis=0).max() / 20
    wider = single.look(np.zeros((3, 48, 80, 3), np.uint8))
    assert len(wider) == 3 and wider.nbytes == 3 * look_bytes(network, 48, 80)


def test_pictures_of_another_size_are_compiled_for():
    network = network_of(8, "softmax")
    predict = predictor(network, RULE, n_clips=2, step=1, backend="openvino")
    for size in ((40, 50), (52, 40), (40, 50)):
        pictures = np.random.default_rng(1).integers(0, 256, (9, *size, 3), dtype=np.uint8)
        assert np.abs(predict(pictures) - plain(network, pictures, 2, 1)).max() < 2e-5


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_pictures_smaller_than_the_window_are_refused(backend):
    with pytest.raises(EthoLoopError, match="pooling window"):
        single_predictor(network_of(8, "softmax"), RULE, batch=2, backend=backend).look(np.zeros((9, 20, 50, 3), np.uint8))
    with pytest.raises(EthoLoopError, match="pooling window"):
        predictor(network_of(8, "softmax"), RULE, n_clips=2, step=1, backend=backend)(np.zeros((9, 20, 50, 3), np.uint8))


def test_backends_that_are_not_there():
    network = network_of(8, "softmax")
    with pytest.raises(EthoLoopError, match="expected one of"):
        predictor(network, RULE, n_clips=2, step=1, backend="tensorrt")
    with pytest.raises(EthoLoopError, match="on the CPU"):
        predictor(network, RULE, n_clips=2, step=1, backend="openvino", device="cuda")


def test_the_longer_side_is_rounded_down():
    assert _clip_pixels.scaled_size(400, 300, 112) == (149, 112)
    assert _clip_pixels.scaled_size(300, 400, 112) == (112, 149)
    assert _clip_pixels.scaled_size(400, 300, 300) == (400, 300)


def test_colours_and_sizes():
    image = np.zeros((60, 80, 3), np.uint8)
    image[..., 0] = 200
    assert _clip_pixels.scaled(image, PixelRule(30)).shape == (30, 40, 3)
    assert _clip_pixels.scaled(image, PixelRule(60, bgr=True))[5, 5].tolist() == [0, 0, 200]
    values = _clip_pixels.normalised(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8), RULE)
    assert torch.allclose(values[0, 0, 0], torch.tensor([3.0, 0.55 / 0.225, 2.0]))


@pytest.mark.parametrize(
    ("order", "turned", "bgr"), [("compat", False, False), ("compat", True, True), ("train", False, True), ("train", True, False)]
)
def test_both_orders_of_colours(order, turned, bgr):
    values = {"DATA.TEST_CROP_SIZE": 300, "DATA.REVERSE_INPUT_CHANNEL": turned}
    assert _clip_pixels.rule_from_slowfast(values, "here", order) == PixelRule(300, bgr=bgr)


def test_impossible_pixel_rules_are_refused():
    values = {"DATA.TEST_CROP_SIZE": "big", "DATA.MEAN": [0.4], "DATA.STD": [0.2, 0.0, 0.2]}
    with pytest.raises(FaultsError) as caught:
        _clip_pixels.rule_from_slowfast(values, "here", "rgb")
    assert len(caught.value.faults) == 4
