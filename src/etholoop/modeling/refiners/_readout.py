"""Heatmaps: what the network is asked to give, how far off it is, and how a place is read from it.

A heatmap is a probability over the places of the crop (softmax), one per keypoint. All coordinates are pixels of the crop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from etholoop.modeling.backends import Network
from etholoop.modeling.refiners._network import STRIDE

VIEWS = ((0, False), (0, True), (2, False), (2, True), (1, False), (1, True), (3, False), (3, True))
"""Quarter turns and mirrorings of a crop."""

Views = Sequence[tuple[int, bool]]

Run = Callable[[torch.Tensor], torch.Tensor]
"""Crops (n, 3, s, s) to the logits of heatmaps (n, K, h, h): the network itself, or another backend that runs it."""


@dataclass(frozen=True)
class Reading:
    """How places are read with a network; ``flip_index`` as in the skeleton."""

    flip_index: tuple[int, ...]
    sigma_px: float
    views: Views = VIEWS[:1]
    device: str = "cpu"


READ_SIGMAS = 2.5
"""Half side of the square around the peak, in sigmas, whose centre of mass is the place and whose mass is the confidence."""


def cell_centres(n_cells: int, device: torch.device | None = None) -> torch.Tensor:
    """Crop coordinates of the centres of heatmap pixels."""
    return (torch.arange(n_cells, device=device) + 0.5) * STRIDE


def targets(points: torch.Tensor, n_cells: int, sigma_px: float) -> torch.Tensor:
    """Heatmaps (..., n, n) with a normal distribution around each point (..., 2), each summing to 1."""
    centres = cell_centres(n_cells, points.device)
    profiles = torch.exp(-0.5 * ((points[..., None] - centres) / sigma_px) ** 2)
    profiles = profiles / profiles.sum(-1, keepdim=True).clamp(min=1e-12)
    return profiles[..., 1, :, None] * profiles[..., 0, None, :]


def loss(logits: torch.Tensor, points: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Mean cross-entropy between targets and heatmaps; missing points (NaN) and points beyond the crop do not count."""
    n_cells = logits.shape[-1]
    counts = ((points > 0) & (points < n_cells * STRIDE)).all(-1)
    wanted = targets(torch.where(counts[..., None], points, 0.0), n_cells, sigma_px)
    surprise = -(wanted.flatten(2) * logits.flatten(2).log_softmax(-1)).sum(-1)
    # where, not a product: nothing of a missing point may come through, not even NaN
    return torch.where(counts, surprise, 0.0).sum() / counts.sum().clamp(min=1)


def views_of(n: int, *, turned: bool, mirrored: bool) -> list[tuple[int, bool]]:
    """The first ``n`` views among those that a training with turned or mirrored crops knows; always the crop as it is."""
    return [view for view in VIEWS if (turned or view[0] == 0) and (mirrored or not view[1])][:n]


def heatmaps(network: Run, crops: torch.Tensor, flip_index: Sequence[int], views: Views = VIEWS[:1]) -> torch.Tensor:
    """Heatmaps (n, K, h, h), the mean over views of each crop (n, 3, s, s). All views go through the network together."""
    logits = network(torch.cat([_view(crops, *view) for view in views]))
    maps = logits.flatten(2).softmax(-1).view_as(logits).split(len(crops))
    return torch.stack([_back(own, flip_index, *view) for own, view in zip(maps, views, strict=True)]).mean(0)


def _view(crops: torch.Tensor, turns: int, mirrored: bool) -> torch.Tensor:
    view = torch.rot90(crops, turns, (2, 3))
    return view.flip(3) if mirrored else view


def _back(maps: torch.Tensor, flip_index: Sequence[int], turns: int, mirrored: bool) -> torch.Tensor:
    """Heatmaps of a view, mirrored and turned back."""
    return torch.rot90(maps.flip(3)[:, list(flip_index)] if mirrored else maps, -turns, (2, 3))


def read(maps: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Places and confidences (n, K, 3) of heatmaps.

    The place is the centre of mass of a square around the highest value, moved there three times so that it is centred on
    itself; the confidence is the probability inside that square.
    """
    n_cells = maps.shape[-1]
    centres = cell_centres(n_cells, maps.device)
    reach = READ_SIGMAS * sigma_px
    peak = maps.flatten(2).argmax(-1)
    x, y = centres[peak % n_cells], centres[peak // n_cells]
    for _ in range(3):
        columns = ((centres - x[..., None]).abs() <= reach).to(maps.dtype)
        rows = ((centres - y[..., None]).abs() <= reach).to(maps.dtype)
        near = maps * rows[..., :, None] * columns[..., None, :]
        mass = near.sum((2, 3))
        x = (near.sum(2) * centres).sum(-1) / mass
        y = (near.sum(3) * centres).sum(-1) / mass
    return torch.stack([x, y, mass.clamp(0, 1)], -1)


def as_input(crops: np.ndarray, device: str) -> torch.Tensor:
    """Crops (n, s, s, 3), 0 to 255 → (n, 3, s, s), 0 to 1."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).to(device, torch.float32).div_(255)


def through(network: Network) -> Run:
    """A network of another backend as one that takes and gives tensors."""
    return lambda crops: torch.from_numpy(network(crops.cpu().contiguous().numpy())[0]).to(crops.device)


@torch.no_grad()
def maps_of(network: Run, crops: np.ndarray, reading: Reading) -> torch.Tensor:
    """Heatmaps of crops (n, s, s, 3)."""
    return heatmaps(network, as_input(crops, reading.device), reading.flip_index, reading.views)


@torch.no_grad()
def places(network: Run, crops: np.ndarray, reading: Reading) -> np.ndarray:
    """Places and confidences (n, K, 3) in crops (n, s, s, 3)."""
    return read(maps_of(network, crops, reading), reading.sigma_px).double().cpu().numpy()
