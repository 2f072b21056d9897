"""Settings of the x3d family. Without torch, so that params.yaml can be checked at once."""

from typing import Literal

from pydantic import Field

from etholoop.params import Section


class Params(Section):
    """Settings of the network, of its clips and of its training.

    A clip is ``n_frames`` pictures, ``every`` frames apart, around the frame that it is labelled for. Where weights to start from know
    their network, size, n_frames, crop_px and the factors come from them unless they are set here.
    """

    size: Literal["xs", "s", "m", "l"] = "xs"
    n_frames: int | None = Field(None, ge=1, description="pictures of a clip; null = as published for the size")
    every: int = Field(5, ge=1, description="frames from one picture of a clip to the next")
    crop_px: int | None = Field(None, ge=32, description="side of the pictures; null = as published for the size")
    fit: Literal["crop", "pad", "keep"] = Field(
        "crop", description="window → picture: crop = its middle square, pad = nothing is lost, keep = its own shape (KABR in use)"
    )
    width_factor: float | None = Field(None, gt=0, description="below 2: a narrower, faster network")
    depth_factor: float | None = Field(None, gt=0)
    dim_c1: int | None = Field(None, ge=8)
    dim_c5: int | None = Field(None, ge=8, description="width of the layer before the last; 2048 as published")
    dropout: float = Field(0.5, ge=0, lt=1)
    head: Literal["auto", "multiclass", "multilabel"] = Field(
        "auto", description="auto = multiclass where all behaviours are of one exclusive group of the ethogram"
    )
    channel_order: Literal["rgb", "bgr"] = "rgb"

    epochs: int = Field(30, ge=1)
    epoch_steps: int = Field(50, ge=1, description="steps between two looks at the validation clips, and between two saved states")
    batch: int = Field(8, ge=2)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(0.002, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(0.02, ge=0)
    ema: float = Field(0.98, ge=0, lt=1, description="how slowly the averaged weights, which are the ones kept, follow")
    patience: int | None = Field(10, ge=1, description="epochs without a better validation figure after which training ends; null = never")
    choose_by: Literal["macro", "loss"] = Field("macro", description="validation figure that the kept epoch is chosen by")
    val_clips: int = Field(256, ge=1, description="validation clips looked at after each epoch, evenly over behaviours")

    balance: float = Field(0.8, ge=0, le=1, description="1 = every behaviour is shown equally often, 0 = as often as it is labelled")
    loss_balance: float = Field(0.0, ge=0, le=1, description="exponent of class weights in the loss; counts are those of labelled frames")
    label_smoothing: float = Field(0.05, ge=0, lt=0.5)
    focal_gamma: float = Field(0.0, ge=0, description="multilabel only; DeepEthogram's 1")
    clip_label: Literal["centre", "union"] = Field("centre", description="union = all behaviours in the clip, as KABR trains (multilabel)")
    edge_frames: int = Field(0, ge=0, description="labels so near to the begin or end of a bout teach nothing")

    flip: float = Field(0.5, ge=0, le=1, description="share of mirrored clips; 0 where left and right are different behaviours")
    flipud: float = Field(0.0, ge=0, le=1, description="share turned upside down; for cameras from above")
    rot90: float = Field(0.0, ge=0, le=1, description="share turned by quarters; for cameras from above")
    degrees: float = Field(10.0, ge=0, le=180)
    zoom: float = Field(0.15, ge=0, le=1, description="random size, plus and minus, on a logarithmic scale")
    shift: float = Field(0.08, ge=0, le=0.5, description="random displacement in sides of the picture: boxes err")
    light: float = Field(1.0, ge=0, le=2, description="strength of random brightness, contrast and tint")
    recolour: float = Field(0.0, ge=0, le=1, description="share of clips with exchanged colours, grey or negative")
    speed: float = Field(0.2, ge=0, le=1, description="clips are played faster or slower, plus and minus, on a logarithmic scale")
    jitter: int = Field(0, ge=0, description="clips begin up to so many frames earlier or later than in use")

    device: str = Field("cpu", description="cpu, or for example cuda:0; only the CPU gives the same bytes each time")
    threads: int | None = Field(None, ge=1, description="CPU threads; null = all cores. Other numbers of threads may round differently")
