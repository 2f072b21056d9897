"""Losses that leave out what is not known."""

import torch
from torch.nn import functional


def multiclass_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy of logits (n, C) against labels (n, K) of 1, 0, -1.

    With C = K + 1 the last class is none of the behaviours. Frames of which not all is known, with more than one behaviour, or with none
    where the network knows no such class, are left out.
    """
    happens = labels == 1
    none = (labels == 0).all(dim=1)
    target = torch.where(none, labels.shape[1], happens.float().argmax(dim=1))
    usable = (happens.sum(dim=1) == 1) | none
    target = torch.where(usable & (target < logits.shape[1]), target, -100)
    if not (target >= 0).any():
        return logits.sum() * 0
    return functional.cross_entropy(logits, target, weight=weights, ignore_index=-100, label_smoothing=smoothing)


def multilabel_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, smoothing: float, gamma: float = 0.0
) -> torch.Tensor:
    """Binary cross-entropy of logits (n, K); entries of -1 are left out. ``gamma`` > 0 makes it focal (Lin et al. 2017)."""
    known = labels >= 0
    target = labels.clamp(min=0).float()
    soft = target * (1 - smoothing) + (1 - target) * smoothing
    loss = functional.binary_cross_entropy_with_logits(logits, soft, pos_weight=weights, reduction="none")
    if gamma:
        wrong = (logits.sigmoid() - target).abs()
        loss = loss * wrong.detach() ** gamma
    return (loss * known).sum() / known.sum().clamp(min=1)


def class_weights(counts: torch.Tensor, exponent: float) -> torch.Tensor:
    """(1 / count) ** exponent with mean 1 over the classes that occur; classes that do not occur get 1."""
    occurs = counts > 0
    weights = torch.where(occurs, counts.clamp(min=1).float() ** -exponent, torch.ones(()))
    return (
        torch.where(occurs, weights / weights[occurs].mean(), torch.ones(()))
        if occurs.any()
        else torch.ones_like(counts, dtype=torch.float32)
    )


def positive_weights(positive: torch.Tensor, negative: torch.Tensor, exponent: float) -> torch.Tensor:
    """(negative / positive) ** exponent of each behaviour, DeepEthogram's rule; 1 where one of the two does not occur."""
    both = (positive > 0) & (negative > 0)
    return torch.where(both, (negative.clamp(min=1) / positive.clamp(min=1)) ** exponent, torch.ones(()))
