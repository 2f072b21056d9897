"""X3D: every number recorded from the reference implementation (docs/datasets.md), layer by layer, in evaluation and in training."""

import math
from pathlib import Path

import pytest
import torch
from x3d_recorded import network_of, open_kit, outputs

from etholoop.modeling.behaviour import x3d

QUICK = 4_000_000
"""Values of an input up to which a case counts as quick."""


@pytest.fixture(scope="module")
def kit(public_data: Path):
    return open_kit(public_data / "parity")


def faults(kit, case: dict, mine: dict) -> list:
    assert set(mine) == set(case["outputs"])
    return [result for result in kit.compare(case, {name: plain(value) for name, value in mine.items()}) if not result.ok]


def plain(value):
    return value.detach().numpy() if isinstance(value, torch.Tensor) else value


def evaluated(kit, *, quick: bool) -> list[str]:
    cases = [case for case in kit.cases("x3d/") if case["mode"] == "eval"]
    ids = [case["id"] for case in cases if (math.prod(case["inputs"]["x"]["shape"]) <= QUICK) is quick]
    assert ids
    return ids


def check_evaluation(kit, ids: list[str]) -> None:
    for case in map(kit.case, ids):
        network = network_of(case, kit).eval()
        assert network.config.pool_kernel == tuple(case["settings"]["pool_kernel"])
        with torch.inference_mode():
            mine = outputs(network, torch.from_numpy(kit.inputs(case)["x"]))
        assert faults(kit, case, mine) == []


def test_evaluation(kit):
    check_evaluation(kit, evaluated(kit, quick=True))


@pytest.mark.slow
def test_evaluation_at_full_size(kit):
    check_evaluation(kit, evaluated(kit, quick=False))


def test_training(kit):
    cases = [case for case in kit.cases("x3d/") if case["mode"] == "train"]
    assert cases
    for case in cases:
        network = network_of(case, kit).train()
        mine = outputs(network, torch.from_numpy(kit.inputs(case)["x"]))
        loss = torch.nn.functional.cross_entropy(mine["output"], torch.tensor(case["settings"]["labels"]))
        loss.backward()
        parameters, state = dict(network.named_parameters()), network.state_dict()
        mine |= {"loss": loss.item(), "grad_norm": [parameters[name].grad.norm().item() for name in case["grad_norm_names"]]}
        mine |= {name: parameters[name[5:]].grad for name in case["outputs"] if name.startswith("grad.")}
        mine |= {name: state[name[6:]] for name in case["outputs"] if name.startswith("after.")}
        assert faults(kit, case, {name: value for name, value in mine.items() if name in case["outputs"]}) == []


def test_state_keys_are_the_references(kit):
    """All of them (1,146 for L and 568 for XS and S as published), with every shape."""
    for case in kit.cases("x3d/"):
        own = network_of(case, kit).state_dict()
        assert {name: list(tensor.shape) for name, tensor in own.items()} == {name: list(shape) for name, shape in kit.shapes(case).items()}
    assert len({len(kit.shapes(case)) for case in kit.cases("x3d/")}) > 1, "networks of two depths at least"


def test_named_sizes_are_those_of_the_paper():
    """Parameters of the Kinetics networks with 400 classes, as published: XS, S and M 3.8 million, L 6.1 million."""
    for size, millions in (("xs", 3.8), ("s", 3.8), ("m", 3.8), ("l", 6.2)):
        network = x3d.X3D(x3d.config_of_size(size, 400))
        assert abs(sum(parameter.numel() for parameter in network.parameters()) / 1e6 - millions) < 0.1
