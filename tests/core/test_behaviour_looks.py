"""Looks of behaviours: told apart by everyone, and bound to the place in the ethogram."""

import numpy as np

from etholoop.core.behaviour_looks import COLOURS, look_of, looks_of


def test_28_behaviours_look_different():
    assert len(set(map(look_of, range(28)))) == 28
    assert [look_of(number).hatch for number in (0, 6, 7, 14, 27)] == [0, 0, 1, 2, 3]


def test_a_look_does_not_change_with_what_a_recording_shows():
    ethogram = [f"behaviour {k}" for k in range(9)]
    everything = looks_of(ethogram, ethogram)
    assert list(everything) == ethogram
    some = looks_of(ethogram, {"behaviour 8", "behaviour 2"})
    assert list(some.items()) == [("behaviour 2", everything["behaviour 2"]), ("behaviour 8", everything["behaviour 8"])]


def test_behaviours_that_the_ethogram_does_not_know_come_last():
    looks = looks_of(["walk"], {"yawn", "walk", "flee"})
    assert list(looks) == ["walk", "flee", "yawn"] and len(set(looks.values())) == 3
    assert looks_of((), ()) == {}


def test_colours_stay_apart_for_people_who_see_no_red_or_no_green():
    """Simulated by Viénot, Brettel and Mollon (1999); distances in linear light, so that both lightness and hue count."""
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    colours = np.array([[int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)] for colour in COLOURS])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    for seen in (linear @ protan.T, linear @ deutan.T):
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 9 * np.eye(len(seen))
        assert apart.min() > 0.1
