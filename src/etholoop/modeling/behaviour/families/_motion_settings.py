"""Settings of the motion family. Without heavy libraries, so that params.yaml can be checked at once."""

from typing import Literal

from pydantic import Field, model_validator

from etholoop.params import Section


class Params(Section):
    """Settings of the clips, of what is computed from them and of the classifier.

    A clip is ``n_pictures`` pictures, ``every`` frames apart, around the frame that it is judged for. Choose ``every`` so that movements
    are seen in it, about 1 at 15 frames a second and 3 at 60.
    """

    every: int = Field(1, ge=1, description="frames from one picture of a clip to the next")
    n_pictures: int = Field(15, ge=5, description="pictures of a clip, an odd number")
    lengths: tuple[int, ...] = Field((3, 7, 15), min_length=1, description="pictures in each length of time that is looked at, odd numbers")
    crop_px: int = Field(96, ge=32, description="side of the pictures")
    fit: Literal["crop", "pad"] = Field("pad", description="window → picture: crop = its middle square, pad = nothing is lost")
    head: Literal["auto", "multiclass", "multilabel"] = Field(
        "auto", description="auto = multiclass where all behaviours are of one exclusive group of the ethogram"
    )

    strengths: tuple[float, ...] = Field(
        (0.001, 0.01, 0.1),
        min_length=1,
        description="how little linear classifiers are held back (C); the best in cross-validation is taken",
    )
    trees: int = Field(60, ge=0, description="trees of a forest that is tried beside them; 0 = linear classifiers alone")
    folds: int = Field(5, ge=2, description="parts of the training data in that cross-validation; whole stretches of time")
    balance: float = Field(1.0, ge=0, le=1, description="1 = every behaviour weighs the same, 0 = as often as it is labelled")
    per_bout: int = Field(40, ge=1, description="frames of each bout that are learnt from, evenly over it")
    max_frames: int = Field(20_000, ge=100, description="frames that are learnt from, over all")
    edge_frames: int = Field(0, ge=0, description="labels so near to the begin or end of a bout teach nothing")

    @model_validator(mode="after")
    def _lengths_fit(self) -> "Params":
        if any(n % 2 == 0 for n in (self.n_pictures, *self.lengths)):
            raise ValueError(f"n_pictures {self.n_pictures} and lengths {list(self.lengths)}: expected odd numbers, a clip has a middle")
        if max(self.lengths) > self.n_pictures or min(self.lengths) < 1:
            raise ValueError(f"lengths {list(self.lengths)}: expected 1 to n_pictures ({self.n_pictures})")
        if min(self.strengths) <= 0:
            raise ValueError(f"strengths {list(self.strengths)}: expected numbers above 0")
        return self
