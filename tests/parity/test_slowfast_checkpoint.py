"""A checkpoint in SlowFast's layout, plain and zipped: what it holds and what its network says (docs/datasets.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from x3d_recorded import open_kit

from etholoop.io import slowfast_checkpoint
from etholoop.modeling.behaviour import x3d


@pytest.fixture(scope="module")
def kit(public_data: Path):
    return open_kit(public_data / "parity")


@pytest.fixture(scope="module", params=[0, 1], ids=["pyth", "zip"])
def checkpoint(kit, request):
    case = kit.case("checkpoint/load")
    return slowfast_checkpoint.read_checkpoint(Path(kit.path(case["files"][request.param])))


@pytest.fixture(scope="module")
def expected(kit):
    return kit.json(kit.case("checkpoint/load")["files"][2])


def test_content(checkpoint, expected):
    assert checkpoint.epoch == expected["epoch"] and len(checkpoint.state) == expected["n_state_keys"]
    assert {name: list(tensor.shape) for name, tensor in checkpoint.state.items()} == expected["keys"]
    for name, (total, absolute) in expected["checksums"].items():
        values = checkpoint.state[name].double()
        assert np.allclose([values.sum(), values.abs().sum()], [total, absolute], rtol=1e-9, atol=1e-12), name


def test_configuration(checkpoint, expected):
    assert {key: checkpoint.config[key] for key in expected["cfg"]} == expected["cfg"]


def test_what_the_network_says(kit, checkpoint, expected):
    case = kit.case("checkpoint/load")
    network = x3d.X3D(x3d.config_from_slowfast(checkpoint.config, checkpoint.where)).eval()
    assert x3d.load_weights(network, checkpoint.state, checkpoint.where) == []
    assert sum(parameter.numel() for parameter in network.parameters()) == expected["n_parameters"]
    clips = torch.from_numpy(kit.inputs(case)["x"])
    with torch.inference_mode():
        x = clips
        for _, blocks in network.parts():
            for block in blocks:
                x = block(x)
        logits, features = network.head(x)
        mine = {"output": network(clips).numpy(), "logits": logits.numpy(), "feat": features.numpy()}
    assert set(mine) == set(case["outputs"])
    assert [result for result in kit.compare(case, mine) if not result.ok] == []
