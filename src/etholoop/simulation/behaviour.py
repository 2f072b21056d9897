"""What the animals do: a script of bouts for each animal, played as smooth movement.

Each animal always does one *activity* (locomote, rest, groom or rear) for a drawn time and then another; while it locomotes it may
also *follow* another animal. Where it goes is a correlated random walk towards a place or an animal. All is computed forward in time
from streams of its own, so a longer video begins with the same frames.
"""

from dataclasses import dataclass

import numpy as np

from etholoop.simulation import randomness
from etholoop.simulation.looks import Arena

LOCOMOTE, REST, GROOM, REAR = range(4)
ACTIVITIES = ("locomote", "rest", "groom", "rear")
DURATIONS_S = {LOCOMOTE: (0.9, 2.6), REST: (0.7, 2.0), GROOM: (0.8, 2.2), REAR: (0.5, 1.2)}
"""Shortest and longest bout. Shorter than in real mice, so that short videos hold every behaviour."""

NEXT = {
    LOCOMOTE: (0.10, 0.32, 0.32, 0.26),
    REST: (0.70, 0.0, 0.20, 0.10),
    GROOM: (0.75, 0.20, 0.0, 0.05),
    REAR: (0.80, 0.10, 0.10, 0.0),
}
"""Probability of the next activity, in the order of ``ACTIVITIES``."""

FOLLOW_CHANCE, APPROACH_CHANCE = 0.3, 0.2
SHORTEST_WALK_S = 0.6
FOLLOW_REACH = 2.6
"""A follower starts within this many body lengths of its leader, so that following can be seen from the first frame on."""

PERSONAL_SPACE = 0.6
"""Centres stay this many body lengths apart: animals touch and climb over each other, but do not melt into one."""

TARGETS = {  # stretch, swell, head scale
    LOCOMOTE: (1.0, 1.0, 1.0),
    REST: (0.88, 1.07, 1.0),
    GROOM: (0.80, 1.08, 1.0),
    REAR: (0.58, 1.02, 1.16),
}


@dataclass(frozen=True)
class Motion:
    """Everything that changes over time; arrays are (frames, animals), ``centre`` is (frames, animals, 2).

    ``leader`` is the index of the animal that is followed, -1 for none. Before ``present`` an animal is not in the arena.
    """

    centre: np.ndarray
    heading: np.ndarray
    bend: np.ndarray
    head_turn: np.ndarray
    stretch: np.ndarray
    swell: np.ndarray
    head_scale: np.ndarray
    tail_bend: np.ndarray
    activity: np.ndarray
    leader: np.ndarray
    present: np.ndarray


def simulate(session: str, seed: int, arena: Arena, lengths: np.ndarray, *, n_frames: int, fps: float, enter_frame: int = 0) -> Motion:
    """Play the animals of a session.

    Args:
        session, seed: name the random streams.
        arena: where the walls are.
        lengths: body lengths in world pixels, (animals,).
        n_frames: frames to play.
        fps: frames per second; speeds and durations are in seconds.
        enter_frame: the animals are put in at this frame; before it the arena is empty.
    """
    animals = _put_in(session, seed, arena, lengths, fps)
    motion = _empty(n_frames, len(animals))
    for frame in range(n_frames):
        if frame >= enter_frame:
            for animal in animals:
                animal.decide(frame - enter_frame, animals)
            for animal in animals:
                animal.move(animals)
        for number, animal in enumerate(animals):
            animal.record(motion, frame, number)
        motion.present[frame] = frame >= enter_frame
    return motion


def _empty(n_frames: int, n_animals: int) -> Motion:
    size = (n_frames, n_animals)
    numbers = {name: np.zeros(size) for name in ("heading", "bend", "head_turn", "stretch", "swell", "head_scale", "tail_bend")}
    return Motion(
        centre=np.zeros((*size, 2)), activity=np.zeros(size, np.int8), leader=np.full(size, -1), present=np.zeros(size, bool), **numbers
    )


def _put_in(session: str, seed: int, arena: Arena, lengths: np.ndarray, fps: float) -> "list[_Animal]":
    animals: list[_Animal] = []
    for number, length in enumerate(lengths):
        rng = randomness.stream(seed, session, "motion", number)
        places = [arena.random_place(rng, 0.5 * length) for _ in range(12)]
        # the first of twelve places that is free, or else the last
        free = [place for place in places if all(np.hypot(*(place - other.centre)) > 0.8 * length for other in animals)]
        animals.append(_Animal(number, rng, arena=arena, length=float(length), fps=fps, centre=(free or places[-1:])[0]))
    return animals


class _Animal:
    """The state of one animal while it is played."""

    def __init__(self, number: int, rng: np.random.Generator, *, arena: Arena, length: float, fps: float, centre: np.ndarray):
        self.number, self.rng, self.arena, self.length, self.step_s = number, rng, arena, length, 1 / fps
        self.centre = centre
        self.heading = rng.uniform(-np.pi, np.pi)
        self.speed = self.turn = self.wander = self.bend = self.head_turn = self.tail_bend = self.phase = self.clock = 0.0
        self.posture = np.array(TARGETS[LOCOMOTE])
        self.activity, self.leader = int(rng.integers(4)), -1
        self.since, self.until = 0, 0
        self.goal, self.friend, self.pace, self.side = centre, -1, 1.5, 1.0

    # --- what to do ---------------------------------------------------------------------------------------------------------------

    def decide(self, frame: int, animals: "list[_Animal]") -> None:
        """Begin the next bout when this one is over, or when the friend is reached: standing there is not locomotion."""
        if frame < self.until and not self._has_arrived(frame, animals):
            return
        activity = int(self.rng.choice(4, p=NEXT[self.activity]))
        self.begin(activity, frame, self.draw_duration(activity))
        if activity == LOCOMOTE and self.rng.random() < FOLLOW_CHANCE:
            self._follow_someone(frame, animals)
        elif activity == LOCOMOTE and self.rng.random() < APPROACH_CHANCE and len(animals) > 1:
            others = [other.number for other in animals if other is not self]
            self.friend = int(self.rng.choice(others))

    def _has_arrived(self, frame: int, animals: "list[_Animal]") -> bool:
        if self.friend < 0 or frame - self.since < SHORTEST_WALK_S / self.step_s:
            return False
        return float(np.hypot(*(self._aim(animals) - self.centre))) < 0.35 * self.length

    def draw_duration(self, activity: int) -> int:
        return max(1, round(self.rng.uniform(*DURATIONS_S[activity]) / self.step_s))

    def begin(self, activity: int, frame: int, n_frames: int) -> None:
        if activity != self.activity:
            self.since = frame
        self.activity, self.until = activity, frame + n_frames
        self.leader = self.friend = -1
        self.goal = self.arena.random_place(self.rng, 0.45 * self.length)
        self.pace, self.side = self.rng.uniform(1.1, 2.2), float(self.rng.choice([-1.0, 1.0]))

    def _follow_someone(self, frame: int, animals: "list[_Animal]") -> None:
        """Follow a near animal, which walks for as long; an animal in the middle of something short is left in peace."""
        shortest = 0.5 / self.step_s
        near = [
            other
            for other in animals
            if other is not self
            and other.leader < 0
            and all(one.leader != other.number for one in animals)
            and (other.activity == LOCOMOTE or frame - other.since >= shortest)
            and np.hypot(*(other.centre - self.centre)) < FOLLOW_REACH * self.length
        ]
        if not near or any(one.leader == self.number for one in animals):
            return
        leader = near[int(self.rng.integers(len(near)))]
        leader.begin(LOCOMOTE, frame, self.until - frame)
        leader.pace = min(leader.pace, 1.5)
        self.leader, self.pace = leader.number, 2.3

    # --- how to move --------------------------------------------------------------------------------------------------------------

    def move(self, animals: "list[_Animal]") -> None:
        """One frame of movement and of posture."""
        self.clock += self.step_s
        walking = self.activity == LOCOMOTE
        self._steer(self._aim(animals), walking)
        self._step(animals, walking)
        self._hold_posture(walking)

    def _aim(self, animals: "list[_Animal]") -> np.ndarray:
        if self.leader >= 0:
            leader = animals[self.leader]
            return leader.centre - 0.75 * leader.length * _direction(leader.heading)
        if self.friend >= 0:
            friend = animals[self.friend]
            # beside the other, nose to flank
            beside = friend.centre + self.side * 0.6 * friend.length * _direction(friend.heading + np.pi / 2)
            return self.arena.clamp(beside, 0.45 * self.length)
        if np.hypot(*(self.goal - self.centre)) < 0.4 * self.length:
            self.goal = self.arena.random_place(self.rng, 0.45 * self.length)
        return self.goal

    def _steer(self, aim: np.ndarray, walking: bool) -> None:
        away = aim - self.centre
        distance = float(np.hypot(*away))
        error = float(np.angle(np.exp(1j * (np.arctan2(away[1], away[0]) - self.heading))))
        ease = self._share(0.12)
        # a slowly changing wish to turn makes the path a correlated random walk
        self.wander += -self.wander * self._share(0.5) + 1.6 * np.sqrt(self.step_s) * float(self.rng.normal())
        wanted_turn = np.clip(4.0 * error + 0.8 * self.wander, -4.5, 4.5) if walking else 0.0
        slow = np.clip(distance / (0.4 * self.length), 0.35, 1) if self.leader >= 0 else 1.0
        wanted_speed = self.pace * self.length * max(0.2, np.cos(error)) * slow if walking else 0.0
        self.turn += (wanted_turn - self.turn) * ease
        self.speed += (wanted_speed - self.speed) * ease

    def _step(self, animals: "list[_Animal]", walking: bool) -> None:
        self.heading += self.turn * self.step_s
        wanted = self.centre + self.speed * self.step_s * _direction(self.heading)
        if walking:
            wanted = wanted + self._make_room(animals)
        self.centre = self.arena.clamp(wanted, 0.40 * self.length)
        if walking and np.hypot(*(wanted - self.centre)) > 0.3 * self.speed * self.step_s:
            self.goal = self.arena.random_place(self.rng, 0.45 * self.length)

    def _make_room(self, animals: "list[_Animal]") -> np.ndarray:
        push = np.zeros(2)
        for other in animals:
            apart = self.centre - other.centre
            distance, space = float(np.hypot(*apart)), PERSONAL_SPACE * (self.length + other.length) / 2
            if other is not self and 0 < distance < space:
                push += apart / distance * (space - distance) * self._share(0.15)
        return push

    def _hold_posture(self, walking: bool) -> None:
        self.phase += 2 * np.pi * self.step_s * (1.2 + 2.0 * self.speed / self.length)
        bobbing = np.sin(2 * np.pi * 5.0 * self.clock)
        bend, head = 0.22 * self.turn, 0.35 * np.sin(0.9 * self.clock * 2 * np.pi + self.number) * (0.3 + 0.7 * np.sin(1.7 * self.clock))
        if walking:
            bend += 0.14 * np.sin(self.phase)
        if self.activity == GROOM:
            bend, head = self.side * 1.7, self.side * 0.6 + 0.35 * bobbing
        ease = self._share(0.13)
        target = np.array(TARGETS[self.activity])
        if self.activity == REST:
            target[1] += 0.02 * np.sin(2 * np.pi * 2.2 * self.clock)
        if self.activity == REAR:
            target[0] += 0.05 * np.sin(2 * np.pi * 1.5 * self.clock)
        self.posture = self.posture + (target - self.posture) * ease
        self.bend += (bend - self.bend) * ease
        self.head_turn += (head - self.head_turn) * self._share(0.05 if self.activity == GROOM else 0.15)
        # the tail trails behind the turn
        swish = 0.9 * np.sin(0.35 * 2 * np.pi * self.clock + 2 * self.number)
        self.tail_bend += (swish - 0.35 * self.turn - self.tail_bend) * self._share(0.35)

    def _share(self, time_constant_s: float) -> float:
        """Share of the way to a target that is gone in one frame."""
        return 1 - float(np.exp(-self.step_s / time_constant_s))

    def record(self, motion: Motion, frame: int, number: int) -> None:
        motion.centre[frame, number] = self.centre
        motion.heading[frame, number] = self.heading
        motion.bend[frame, number], motion.head_turn[frame, number] = self.bend, self.head_turn
        motion.stretch[frame, number], motion.swell[frame, number], motion.head_scale[frame, number] = self.posture
        motion.tail_bend[frame, number] = self.tail_bend
        motion.activity[frame, number], motion.leader[frame, number] = self.activity, self.leader


def _direction(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])
