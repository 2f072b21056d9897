"""histogram_kmeans: clusters of grey-level histograms over all sources together, each cluster in proportion to its size.

The method of BehavTrack's stratified frame selection, with the same features and the same numbers for the same clusters, seed
and number of frames. Two properties of it are kept on purpose: the total can fall short when a cluster is smaller than its
share, and when there are no more frames than wanted all are returned, without clusters.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from etholoop.core.pixels import blur_5x5, grey, histogram
from etholoop.core.sampling._shared import Features, Footage, in_order, picks_table
from etholoop.params import Section

FEATURES = "1"
BINS = 256


class Params(Section):
    """``k`` clusters over every ``frame_skip``-th frame of each video."""

    k: int = Field(8, ge=1)
    frame_skip: int = Field(50, ge=1)


def features(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Histograms of the blurred grey images, 256 bins, L2 norm 1: (n, 256)."""
    rows = [_histogram(image) for image in images]
    return np.stack(rows) if rows else np.zeros((0, BINS), np.float32)


def sample(
    footage: Sequence[Footage], features: Features, n_frames: int, *, max_per_video: int | None, params: Params, seed: int
) -> pd.DataFrame:
    """Picks of every cluster, with the cluster's number."""
    sources = [source for source in in_order(footage) if len(features[source.video_id][0])]
    candidates = [(source.video_id, int(frame)) for source in sources for frame in features[source.video_id][0]]
    videos = [video_id for video_id, _ in candidates]
    if not candidates or n_frames < 1:
        return picks_table([])
    if len(candidates) <= n_frames and (max_per_video is None or max(Counter(videos).values()) <= max_per_video):
        reason = f"all {len(candidates)} looked-at frames were taken, no more than {n_frames} were wanted"
        return picks_table({"video_id": video_id, "frame": frame, "reason": reason} for video_id, frame in candidates)
    k = min(params.k, len(candidates))
    clusters = cluster(np.concatenate([features[source.video_id][1] for source in sources]), k, seed)
    sizes = Counter(clusters.tolist())
    rows = [
        {
            "video_id": videos[position],
            "frame": candidates[position][1],
            "cluster": int(clusters[position]),
            "reason": _reason(int(clusters[position]), k, sizes[int(clusters[position])], len(candidates)),
        }
        for position in choose(clusters, k, n_frames, seed, videos=videos, max_per_video=max_per_video)
    ]
    return picks_table(rows)


def cluster(histograms: NDArray[np.float32], k: int, seed: int) -> NDArray[np.int64]:
    """k-means cluster of each row. With fewer different rows than ``k`` some clusters stay empty."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # with several threads the partial sums are added in the order in which the threads end
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it says that some clusters stay empty
        labels = KMeans(n_clusters=k, n_init=10, max_iter=300, random_state=seed).fit_predict(histograms)
    return np.asarray(labels, dtype=np.int64)


def allocate(sizes: Sequence[int], n: int) -> list[int]:
    """How many to take from each cluster: ``max(1, floor(size / total * n))``; what that leaves (or takes too much) is dealt one by
    one in cluster order, never below 1. A share may exceed its cluster (an empty one has 1 too), so the total can fall short."""
    total = sum(sizes)
    shares = [max(1, int(size / total * n)) for size in sizes]
    while (left := n - sum(shares)) != 0:
        step = 1 if left > 0 else -1
        movable = [label for label, share in enumerate(shares) if share + step >= 1][: abs(left)]
        if not movable:
            break
        for label in movable:
            shares[label] += step
    return shares


def choose(
    clusters: NDArray[np.int64], k: int, n: int, seed: int, *, videos: Sequence[str] = (), max_per_video: int | None = None
) -> list[int]:
    """Positions of the picks, cluster by cluster, each in a random order drawn from one ``default_rng(seed)``.

    With ``max_per_video`` a frame of a source that is already full gives way to the next of its cluster. With fewer picks
    wanted than clusters, the last clusters get none.
    """
    rng = np.random.default_rng(seed)
    taken: Counter[str] = Counter()
    picks: list[int] = []
    for label, share in enumerate(allocate(np.bincount(clusters, minlength=k).tolist(), n)):
        order = rng.permutation(np.flatnonzero(clusters == label))
        before = len(picks)
        for position in order:
            if len(picks) == min(before + share, n):
                break
            if max_per_video is not None:
                if taken[videos[position]] >= max_per_video:
                    continue
                taken[videos[position]] += 1
            picks.append(int(position))
    return picks


def _histogram(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    counts = histogram(blur_5x5(grey(image))).astype(np.float64)
    return (counts / np.sqrt((counts**2).sum())).astype(np.float32)


def _reason(label: int, k: int, size: int, n: int) -> str:
    return f"grey-level cluster {label} of {k}, which holds {size} of {n} looked-at frames"
