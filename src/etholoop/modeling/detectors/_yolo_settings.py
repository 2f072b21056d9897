"""Settings of a YOLO training. Without torch, so that params.yaml can be checked at once."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from etholoop.params import Section, nearest

ARCHITECTURES = [f"{family}{size}{task}" for family in ("yolov8", "yolo11", "yolo26") for size in "nsmlx" for task in ("", "-pose")]

BEHAVTRACK_EPOCHS = ((500, 50, 16), (1000, 70, 18), (1500, 90, 20), (None, 110, 22))
"""BehavTrack's table: below so many frames in train and val, so many epochs, so large a batch."""

BEHAVTRACK_SETTINGS = {"imgsz": 640, "optimizer": "auto", "lr0": 0.01, "mosaic": 1.0, "scale": 0.5, "nbs": 64}
"""BehavTrack leaves everything else at the defaults of Ultralytics; these differ from ours."""


class Params(Section):
    """Settings of a training. The names are Ultralytics' own."""

    arch: str = "yolo11n-pose"
    preset: Literal["behavtrack"] | None = Field(None, description="epochs, batch and defaults of BehavTrack; keys given beside it win")
    imgsz: int = Field(640, ge=32, multiple_of=32, description="long side in pixels that the network sees")
    epochs: int = Field(100, ge=1)
    batch: int = Field(8, ge=1)
    nbs: int | None = Field(None, ge=1, description="batch after gradient accumulation; null = batch, which few images need")
    optimizer: Literal["AdamW", "Adam", "SGD", "auto"] = Field("AdamW", description="auto ignores lr0")
    lr0: float = Field(0.002, gt=0)
    lrf: float = Field(0.01, gt=0, le=1, description="last learning rate as a share of lr0")
    cos_lr: bool = False
    weight_decay: float = Field(0.0005, ge=0)
    warmup_epochs: float = Field(3.0, ge=0)
    patience: int = Field(100, ge=0, description="epochs without progress on val before stopping; 0 = never stop early")
    freeze: int | None = Field(None, ge=0, description="number of first layers that keep their weights")
    mosaic: float = Field(0.5, ge=0, le=1)
    close_mosaic: int = Field(10, ge=0, description="last epochs without mosaics")
    degrees: float = Field(0.0, ge=0, le=180, description="turns by any angle make boxes too large; keep it small")
    rot90: float = Field(0.0, ge=0, le=1, description="share of quarter turns, 0.5 for cameras from above; boxes stay exact; not with rect")
    translate: float = Field(0.1, ge=0, le=1)
    scale: float = Field(0.3, ge=0, le=1)
    fliplr: float = Field(0.5, ge=0, le=1)
    flipud: float = Field(0.0, ge=0, le=1, description="0.5 for cameras from above")
    hsv_h: float = Field(0.015, ge=0, le=1)
    hsv_s: float = Field(0.7, ge=0, le=1)
    hsv_v: float = Field(0.4, ge=0, le=1)
    recolour: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of images with exchanged colours, grey or negative; 0.5 where recordings differ in coat and floor",
    )
    pose_gain: float = Field(12.0, ge=0, description="weight of the keypoint loss")
    keypoint_tolerance: float = Field(
        0.5, ge=0, description="sigma with which the keypoint loss begins; with small sigmas it is blind to points far off; 0 = never wider"
    )
    box_gain: float = Field(7.5, ge=0)
    cls_gain: float = Field(0.5, ge=0)
    val_every: int = Field(1, ge=1, description="validate after every so many epochs")
    rect: bool = Field(False, description="train on the images' own shape; no mosaics then; for cameras of one shape")
    workers: int = Field(0, ge=0, description="processes that load images; on a CPU always 0")
    amp: bool = Field(False, description="half precision on a GPU")
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        "float32",
        description="of products on a CPU; auto = bfloat16 where the processor multiplies it in hardware, a third less time",
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; null = all cores. Other numbers of threads may round differently")

    @field_validator("arch")
    @classmethod
    def _known_architecture(cls, arch: str) -> str:
        if arch not in ARCHITECTURES:
            raise ValueError(f"unknown architecture; {nearest(arch, ARCHITECTURES)}")
        return arch

    @model_validator(mode="after")
    def _square_where_turned(self) -> "Params":
        if self.rot90 and self.rect:
            raise ValueError("rot90 needs square training images: set rect: false, or rot90: 0")
        return self


def resolve(params: Params, n_frames: int) -> Params:
    """Settings with the preset worked in; ``n_frames`` in train and val decide BehavTrack's epochs and batch."""
    if params.preset is None:
        return params
    row = next(row for row in BEHAVTRACK_EPOCHS if row[0] is None or n_frames < row[0])
    preset: dict[str, Any] = {**BEHAVTRACK_SETTINGS, "epochs": row[1], "batch": row[2]}
    return params.model_copy(update={name: value for name, value in preset.items() if name not in params.model_fields_set})
