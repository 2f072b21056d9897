"""X3D: sizes, refusals, weights of other layouts."""

import pytest
import torch

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.modeling.behaviour import _x3d_pytorchvideo, x3d
from etholoop.modeling.behaviour._x3d_config import round_width

TINY = x3d.X3DConfig(n_classes=3, n_frames=4, crop_px=32, width_factor=1.0, depth_factor=0.4, dim_c1=8, dim_c5=16)


def test_widths_are_multiples_of_eight_and_never_much_too_small():
    assert [round_width(*given) for given in ((12, 2.0), (54, 0.0625), (432, 0.0625), (12, 1.0))] == [24, 8, 32, 16]


def test_the_large_network_has_the_channels_of_its_table():
    stages = x3d.config_of_size("l", 8).stages
    assert [(stage.n_blocks, stage.width, stage.inner, stage.squeezed) for stage in stages] == [
        (5, 24, 54, 8),
        (10, 48, 108, 8),
        (25, 96, 216, 16),
        (15, 192, 432, 32),
    ]


def test_squeeze_and_excitation_stands_in_every_second_block():
    names = x3d.X3D(x3d.config_of_size("xs", 2)).state_dict()
    assert "s3.pathway0_res2.branch2.se.fc1.bias" in names and "s3.pathway0_res1.branch2.se.fc1.bias" not in names


def test_the_same_seed_gives_the_same_network_and_leaves_the_global_state():
    before = torch.random.get_rng_state()
    one, two, other = (x3d.new_network(TINY, seed).state_dict() for seed in (1, 1, 2))
    assert all((one[name] == two[name]).all() for name in one) and any((one[name] != other[name]).any() for name in one)
    assert (torch.random.get_rng_state() == before).all()


def test_each_place_of_the_window_is_activated_before_the_mean():
    logits = torch.tensor([[10.0, 0.0], [0.0, 10.0]]).reshape(1, 1, 1, 2, 2)
    assert torch.allclose(x3d.probabilities(logits, "softmax"), torch.tensor([[0.5, 0.5]]))
    assert torch.allclose(x3d.probabilities(logits, "sigmoid"), logits.sigmoid().mean(3).reshape(1, 2))


def test_a_larger_picture_has_more_places_and_a_smaller_one_is_refused():
    network = x3d.new_network(TINY, 0).eval()
    with torch.inference_mode():
        assert network.logits(torch.zeros(2, 3, 5, 64, 96)).shape == (2, 2, 2, 3, 3)
        assert network(torch.zeros(2, 3, 5, 64, 96)).shape == (2, 3)
    big = x3d.new_network(x3d.X3DConfig(**{**vars(TINY), "crop_px": 64}), 0)
    for shape in ((4, 32, 64), (3, 64, 64)):
        with pytest.raises(EthoLoopError, match="pooling window is 4x2x2"):
            big(torch.zeros(1, 3, *shape))


def test_training_gives_logits():
    network = x3d.new_network(TINY, 0).train()
    assert (network(torch.zeros(2, 3, 4, 32, 32)).sum(1) - 1).abs().max() > 1e-3


def test_what_the_configuration_may_say():
    values = {"MODEL.NUM_CLASSES": 8, "DATA.NUM_FRAMES": 16, "DATA.TRAIN_CROP_SIZE": 300, "X3D.WIDTH_FACTOR": 2.0}
    assert x3d.config_from_slowfast(values, "here").pool_kernel == (16, 10, 10)
    with pytest.raises(FaultsError) as caught:
        x3d.config_from_slowfast({"MODEL.ARCH": "slowfast", "RESNET.STRIDE_1X1": True, "DATA.NUM_FRAMES": 16}, "a.yml")
    assert len(caught.value.faults) == 4 and "MODEL.NUM_CLASSES is missing" in str(caught.value)
    with pytest.raises(FaultsError, match="head_act"):
        x3d.config_from_slowfast({**values, "MODEL.HEAD_ACT": "relu"}, "a.yml")
    with pytest.raises(EthoLoopError, match="xs, s, m, l"):
        x3d.config_of_size("xxl", 8)


def test_weights_of_another_network_name_every_difference():
    network = x3d.new_network(TINY, 0)
    state = dict(network.state_dict())
    del state["s1.pathway0_stem.conv.weight"]
    state["head.projection.bias"] = torch.zeros(400)
    state["something.else"] = torch.zeros(1)
    with pytest.raises(FaultsError) as caught:
        x3d.load_weights(network, state, "a.pyth")
    assert caught.value.faults == [
        "s1.pathway0_stem.conv.weight is missing",
        "something.else is not part of this network",
        "head.projection.bias is 400, this network has 3",
    ]


def test_weights_of_parallel_training_and_of_old_files_load():
    network, other = x3d.new_network(TINY, 0), x3d.new_network(TINY, 1)
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert x3d.load_weights(other, state, "a.pyth") == []
    assert all((tensor == network.state_dict()[name]).all() for name, tensor in other.state_dict().items())


def in_pytorchvideo_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our names → pytorchvideo's, the other way round than the code under test."""
    renamed = {}
    for name, tensor in state.items():
        head, _, rest = name.partition(".")
        pairs = {**_x3d_pytorchvideo.STEM, **_x3d_pytorchvideo.HEAD}
        new = next((theirs + name.removeprefix(ours) for theirs, ours in pairs.items() if name.startswith(ours)), None)
        if new is None:
            block, _, inside = rest.partition(".")
            theirs = next(theirs for theirs, ours in _x3d_pytorchvideo.IN_BLOCK.items() if inside.startswith(ours))
            tail = inside.removeprefix(_x3d_pytorchvideo.IN_BLOCK[theirs])
            new = f"blocks.{int(head[1]) - 1}.res_blocks.{block.removeprefix('pathway0_res')}.{theirs}{tail}"
        renamed[new] = tensor
    return renamed


def randomised(network: x3d.X3D) -> x3d.X3D:
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0, generator=generator)
    return network.eval()


def test_pytorchvideo_weights_load_and_the_missing_normalisation_is_said():
    """Its shortcut of s2 is not normalised: the network then computes exactly that."""
    source, target = randomised(x3d.new_network(TINY, 0)), x3d.new_network(TINY, 1).eval()
    source.s2["pathway0_res0"].branch1_bn = torch.nn.Identity()
    state = in_pytorchvideo_names(source.state_dict())
    assert "blocks.1.res_blocks.0.branch1_norm.weight" not in state and "blocks.2.res_blocks.0.branch1_norm.weight" in state
    said = x3d.load_weights(target, state, "zoo.pyth")
    assert len(said) == 1 and "s2.pathway0_res0.branch1_bn" in said[0]
    clips = torch.rand(2, 3, 4, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(target(clips), source(clips), rtol=1e-5, atol=1e-7)


def test_pytorchvideo_weights_of_something_else_are_refused():
    with pytest.raises(FaultsError, match="not a name of pytorchvideo's X3D"):
        x3d.load_weights(x3d.new_network(TINY, 0), {"blocks.0.conv.conv_t.weight": torch.zeros(1), "blocks.9.x": torch.zeros(1)}, "a")
