"""Half of the bits in training: what is rounded, and where the losses stay exact."""

import pytest
import torch

from etholoop.modeling import precision


@pytest.mark.parametrize(
    ("able", "found"), [({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True, "avx2": True}, "bfloat16"), ({"avx2": True}, "float32")]
)
def test_auto_follows_the_processor(monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], found: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert precision.resolved("auto") == found
    assert precision.resolved("float32") == "float32"
    assert precision.resolved("bfloat16") == "bfloat16"


def test_products_are_rounded_and_answers_are_not_left_in_bfloat16() -> None:
    layer = torch.nn.Linear(8, 4)
    seen: list[torch.dtype] = []

    def forward(x: torch.Tensor) -> dict[str, object]:
        y = layer(x)
        seen.append(y.dtype)
        return {"boxes": y, "parts": [y * 2, torch.arange(3)], "name": "x"}

    x = torch.rand(2, 8)
    plain = precision.cast(forward, "float32")(x)
    answer = precision.cast(forward, "bfloat16")(x)
    assert seen == [torch.float32, torch.bfloat16]
    assert answer["boxes"].dtype == answer["parts"][0].dtype == torch.float32
    assert answer["parts"][1].dtype == torch.int64 and answer["name"] == "x"
    assert torch.allclose(answer["boxes"], plain["boxes"], atol=0.02) and not torch.equal(answer["boxes"], plain["boxes"])


def test_gradients_reach_the_float32_weights() -> None:
    layer = torch.nn.Conv2d(3, 4, 3)
    precision.cast(layer, "bfloat16")(torch.rand(1, 3, 8, 8)).square().mean().backward()
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32
    assert float(layer.weight.grad.abs().sum()) > 0
