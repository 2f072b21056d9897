"""Colours that were counted, as evidence."""

import numpy as np

from etholoop.modeling.colour_counts import RARE, log_shares


def test_a_colour_is_shared_with_its_neighbours_and_nothing_is_lost():
    counts = np.zeros((5, 4, 4))
    counts[2, 1, 2] = 64
    shares = np.exp(log_shares(counts)) - RARE
    assert np.isclose(shares.sum(), 1)
    assert np.isclose(shares[2, 1, 2], 1 / 8) and np.isclose(shares[3, 1, 2], 1 / 16) and np.isclose(shares[1, 0, 3], 1 / 64)
    assert counts.sum() == 64 and counts[2, 1, 2] == 64, "what is given stays as it is"


def test_at_the_edge_nothing_falls_out():
    counts = np.zeros((3, 2, 2))
    counts[0, 0, 0] = 10
    shares = np.exp(log_shares(counts)) - RARE
    assert np.isclose(shares.sum(), 1) and np.isclose(shares[0, 0, 0], (3 / 4) ** 3)


def test_colours_never_seen_are_rare_and_no_colours_decide_nothing():
    counts = np.zeros((9, 4, 4))
    counts[0, 0, 0] = 5
    assert np.isclose(log_shares(counts)[8, 3, 3], np.log(RARE))
    assert np.ptp(log_shares(np.zeros((3, 3, 3)))) == 0
