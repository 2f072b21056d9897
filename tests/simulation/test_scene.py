"""The synthetic world is a pure function of (session, seed, frame), and differs between sessions."""

import numpy as np
import pytest

from etholoop.simulation.behaviour import ACTIVITIES, LOCOMOTE
from etholoop.simulation.scene import make_scene


def test_same_words_give_the_same_trajectories():
    a, b = (make_scene("cage1", seed=3, n_frames=40) for _ in range(2))
    for name, values in vars(a.motion).items():
        np.testing.assert_array_equal(values, getattr(b.motion, name), err_msg=name)


def test_another_seed_and_another_session_are_other_worlds():
    a, b, c = make_scene("cage1", seed=3, n_frames=2), make_scene("cage1", seed=4, n_frames=2), make_scene("cage2", seed=3, n_frames=2)
    assert a.arena not in (b.arena, c.arena)
    assert a.camera not in (b.camera, c.camera)
    assert a.coats not in (b.coats, c.coats)
    assert not np.array_equal(a.motion.centre, b.motion.centre) and not np.array_equal(a.motion.centre, c.motion.centre)


def test_a_longer_session_begins_with_the_same_frames():
    short, long = make_scene("cage1", seed=3, n_frames=30), make_scene("cage1", seed=3, n_frames=90)
    for name, values in vars(short.motion).items():
        np.testing.assert_array_equal(values, getattr(long.motion, name)[:30], err_msg=name)


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_animals_walk_at_the_speed_of_mice_and_never_jump(fps):
    scene = make_scene("cage1", seed=5, n_frames=8 * fps, fps=fps)
    steps = np.hypot(*np.moveaxis(np.diff(scene.motion.centre, axis=0), -1, 0))
    speed = steps * fps / scene.lengths  # body lengths per second
    assert speed.max() < 3.5
    assert 0.6 < speed[scene.motion.activity[1:] == LOCOMOTE].mean() < 2.2


def test_animals_at_rest_stay_in_place():
    scene = make_scene("cage1", seed=5, n_frames=400)
    still = scene.motion.activity != LOCOMOTE
    # half a second after the bout began the last glide is over
    settled = np.array([still[k - 12 : k + 1].all(axis=0) for k in range(12, 399)])
    steps = np.hypot(*np.moveaxis(np.diff(scene.motion.centre, axis=0)[12:], -1, 0))
    settled &= still[13:]
    assert settled.sum() > 50
    assert (steps / scene.lengths)[settled].max() < 0.005


def test_all_animals_stay_inside_the_walls():
    scene = make_scene("cage1", seed=6, n_frames=500)
    for animal, length in enumerate(scene.lengths):
        for centre in scene.motion.centre[:, animal]:
            np.testing.assert_allclose(scene.arena.clamp(centre, 0.39 * length), centre)


def test_every_activity_and_following_occur():
    scenes = [make_scene(f"cage{number}", seed=7, n_frames=150) for number in range(4)]
    activities = np.concatenate([scene.motion.activity for scene in scenes])
    assert set(activities.ravel()) == set(range(len(ACTIVITIES)))
    assert np.concatenate([scene.motion.leader for scene in scenes]).max() >= 0


def test_a_follower_walks_behind_a_walking_leader():
    scene = make_scene("cage1", seed=7, n_frames=1500)
    frames, followers = np.nonzero(scene.motion.leader >= 0)
    assert len(frames) > 100
    leaders = scene.motion.leader[frames, followers]
    assert (scene.motion.activity[frames, leaders] == LOCOMOTE).all()
    assert (scene.motion.activity[frames, followers] == LOCOMOTE).all()
    assert (leaders != followers).all()
    apart = np.hypot(*(scene.motion.centre[frames, leaders] - scene.motion.centre[frames, followers]).T) / scene.lengths.mean()
    assert np.median(apart) < 1.5


@pytest.mark.parametrize("n_animals", [0, 1, 7])
def test_any_number_of_animals(n_animals):
    scene = make_scene("cage1", seed=1, n_frames=5, n_animals=n_animals, width=200, height=160)
    assert scene.motion.centre.shape == (5, n_animals, 2)
    assert scene.identities == tuple(f"m{k}" for k in range(1, n_animals + 1))


def test_a_frame_outside_of_the_session_is_refused():
    scene = make_scene("cage1", seed=1, n_frames=5)
    with pytest.raises(IndexError, match="frames 0 to 4, asked for frame 5"):
        scene.posture(5, 0)
