"""Settings of the heatmap refiner. Without torch, so that params.yaml can be checked at once."""

from typing import Literal

from pydantic import Field

from etholoop.params import Section


class Params(Section):
    """Settings of the network, of its training and of its use.

    A training takes ``epochs * epoch_steps`` steps, so that its length is known beforehand; ``passes`` ends it earlier where there are
    few labels.
    """

    crop_px: int = Field(192, ge=32, multiple_of=32, description="side of the square crop that the network sees")
    margin: float = Field(1.1, gt=0.5, le=4, description="side of the crop in diagonals of the box")
    width: int = Field(32, ge=4, multiple_of=2, description="channels of the two fine layers that are learnt from nothing")
    sigma_px: float = Field(3.0, gt=0, description="standard deviation of the target around a keypoint, pixels of the crop")
    views: int = Field(4, ge=1, le=8, description="views averaged in use: mirrored and in quarter turns, as far as training knew such")
    looks: int = Field(
        1,
        ge=1,
        le=3,
        description="2 = look again at a square around the keypoints found, so that a box may be off by more than in training",
    )

    epochs: int = Field(20, ge=1)
    epoch_steps: int = Field(50, ge=1, description="steps between two looks at the validation images, and between two saved states")
    passes: float | None = Field(None, gt=0, description="at most about so many looks at each labelled animal; null = no limit")
    least_epochs: int = Field(1, ge=1, description="epochs in any case, however few labels there are; not more than `epochs`")
    batch: int = Field(16, ge=2)
    lr: float = Field(0.002, gt=0)
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(0.02, ge=0)
    ema: float = Field(0.99, ge=0, lt=1, description="how slowly the averaged weights, which are the ones kept, follow")

    degrees: float = Field(180.0, ge=0, le=180, description="random turns; 180 for cameras from above, about 30 from the side")
    flip: float = Field(0.5, ge=0, le=1, description="share of mirrored crops; keypoints change names by the skeleton's left_right")
    zoom: float = Field(0.25, ge=0, le=1, description="random size, plus and minus, on a logarithmic scale")
    shift: float = Field(0.08, ge=0, le=0.5, description="random displacement of the box in sides of the crop: detectors err")
    recolour: float = Field(0.0, ge=0, le=1, description="share of crops with exchanged colours, grey or negative")
    light: float = Field(1.0, ge=0, le=2, description="strength of random brightness, contrast, tint, blur and noise")

    precision: Literal["float32", "bfloat16", "auto"] = Field(
        "float32",
        description="of products in training; auto = bfloat16 where the processor multiplies it in hardware, a third less time there",
    )
    device: str = Field("cpu", description="cpu, or for example cuda:0; only the CPU gives the same bytes each time")
    threads: int | None = Field(None, ge=1, description="CPU threads; null = all cores. Other numbers of threads may round differently")
