"""Settings of the posture family. Without heavy libraries, so that params.yaml can be checked at once."""

from pydantic import Field, model_validator

from etholoop.params import Section


class Params(Section):
    """Settings of the clips and of the trees.

    A clip is ``n_frames`` moments, ``every`` frames apart, around the frame that it is judged for. Choose ``every`` so that it lasts
    about one and a half seconds: 1 at 25 frames a second, 2 at 60.
    """

    every: int = Field(1, ge=1, description="frames from one moment of a clip to the next")
    n_frames: int = Field(41, ge=5, description="moments of a clip, an odd number")
    lengths: tuple[int, ...] = Field((5, 15, 41), min_length=1, description="moments in each length of time that is looked at, odd numbers")
    rounds: int = Field(100, ge=1, description="trees one after the other, each mends what is left wrong")
    rate: float = Field(0.1, gt=0, le=1, description="how much of what it would like to change each tree may change")
    leaves: int = Field(15, ge=2, description="leaves of a tree at most")
    smallest: int = Field(40, ge=1, description="examples in a leaf at least")
    folds: int = Field(
        0, ge=0, description="parts of the training data in a cross-validation that says how sure the trees may be; 0 = left to stage bouts"
    )
    per_bout: int = Field(20, ge=1, description="frames of each bout that are learnt from, evenly over it")
    max_frames: int = Field(20_000, ge=100, description="frames that are learnt from, over all")
    twins: float = Field(
        0.3, ge=0, le=1, description="a second example of each frame, mirrored, with this share of errors of keypoints added; 0 = none"
    )
    edge_frames: int = Field(0, ge=0, description="labels so near to the begin or end of a bout teach nothing")

    @model_validator(mode="after")
    def _lengths_fit(self) -> "Params":
        if any(n % 2 == 0 for n in (self.n_frames, *self.lengths)):
            raise ValueError(f"n_frames {self.n_frames} and lengths {list(self.lengths)}: expected odd numbers, a clip has a middle")
        if max(self.lengths) > self.n_frames or min(self.lengths) < 1:
            raise ValueError(f"lengths {list(self.lengths)}: expected 1 to n_frames ({self.n_frames})")
        return self
