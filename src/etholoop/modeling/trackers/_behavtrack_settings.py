"""Settings of ``behavtrack``. The names are BehavTrack's own, the defaults those of its notebook."""

from typing import Literal

from pydantic import Field

from etholoop.params import Section


class Params(Section):
    """BehavTrack repairs the ids of another tracker; ``ids_from`` names that one."""

    ids_from: Literal["botsort", "bytetrack", "ocsort"] = Field(
        "botsort", description="the tracker whose ids are repaired, with its defaults"
    )
    frames_skip_limit: int = Field(30, ge=1, description="after a longer gap without any animal ids are dealt out anew")
    scale_factor: float = Field(0.15, gt=0, description="size of the box around a keypoint as a share of the animal's box")
    penalty_per_missing: float = Field(100.0, description="never used, there as here")
    alpha: float = Field(0.75, ge=0, le=1, description="weight of overlap against distance")
    epsilon: float = Field(1e-6, gt=0)
    cost_threshold: float = Field(-0.05, ge=-1, le=1, description="greatest cost of a match; -1 = the same, 1 = nothing in common")
    release_id_at_value: int = Field(61, ge=0, description="an id refused once takes any match until it was refused so often")
    max_ids: int = Field(5, ge=1, description="ids above it are neither kept nor compared")
