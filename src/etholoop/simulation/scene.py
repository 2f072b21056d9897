"""A synthetic session: its looks and all its trajectories, from a name and a seed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from etholoop.simulation import body, looks, randomness
from etholoop.simulation.behaviour import Motion, simulate


@dataclass(frozen=True, eq=False)
class Scene:
    """One synthetic session; rendering and truth are functions of it and a frame number.

    World pixels are those of the frame before the camera shifts, turns and zooms. ``layers`` lists the animals from the lowest to the
    highest: where two overlap, the higher one hides the lower one.
    """

    session: str
    seed: int
    n_frames: int
    n_animals: int
    width: int
    height: int
    fps: int
    arena: looks.Arena
    camera: looks.Camera
    coats: tuple[looks.Coat, ...]
    lengths: np.ndarray  # (animals,) world pixels
    layers: tuple[int, ...]
    motion: Motion

    @property
    def identities(self) -> tuple[str, ...]:
        """Names of the animals: m1, m2, …"""
        return tuple(f"m{number + 1}" for number in range(self.n_animals))

    @cached_property
    def camera_matrix(self) -> np.ndarray:
        """World pixels to image pixels, (2, 3)."""
        return self.camera.matrix(self.width, self.height)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """World positions (n, 2) as image positions; the origin is the top-left corner of the frame."""
        return points @ self.camera_matrix[:, :2].T + self.camera_matrix[:, 2]

    def check_frame(self, frame: int) -> None:
        """Refuse a frame that is not in the session.

        Raises:
            IndexError: naming the frames there are.
        """
        if not 0 <= frame < self.n_frames:
            raise IndexError(f"session {self.session} has frames 0 to {self.n_frames - 1}, asked for frame {frame}")

    def posture(self, frame: int, animal: int) -> body.Posture:
        """How an animal holds itself in a frame."""
        self.check_frame(frame)
        motion, at = self.motion, (frame, animal)
        return body.Posture(
            motion.centre[at],
            float(motion.heading[at]),
            float(self.lengths[animal]),
            float(motion.bend[at]),
            float(motion.head_turn[at]),
            float(motion.stretch[at]),
            float(motion.swell[at]),
            float(motion.head_scale[at]),
            float(motion.tail_bend[at]),
        )

    def present(self, frame: int) -> list[int]:
        """Animals that are in the arena, from the lowest to the highest layer."""
        return [animal for animal in self.layers if self.motion.present[frame, animal]]


def make_scene(
    session: str, *, seed: int, n_frames: int, n_animals: int = 3, width: int = 320, height: int = 240, fps: int = 25, enter_frame: int = 0
) -> Scene:
    """Draw a synthetic session. The same words give the same session; a longer one begins with the same frames.

    Args:
        session: name of the session; another name is another arena, camera, set of animals and script.
        seed: another seed is another world.
        enter_frame: frames before this one show the empty arena.
    """
    arena, camera, coats, lengths = looks.draw_session(session, seed, width, height, n_animals)
    layers = tuple(int(animal) for animal in randomness.stream(seed, session, "layers").permutation(n_animals))
    motion = simulate(session, seed, arena, lengths, n_frames=n_frames, fps=fps, enter_frame=enter_frame)
    return Scene(session, seed, n_frames, n_animals, width, height, fps, arena, camera, coats, lengths, layers, motion)
