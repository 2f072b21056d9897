"""Skeleton and ethogram of the synthetic animals, as the text of ``label_studio/presets/demo``."""

SKELETON = """\
# Synthetic mice of `etholoop demo`.
# Sigmas: COCO's definition, the spread of people's clicks over the square root of the animal's area.
# nose .03: a sharp tip, close to COCO's nose and eyes (.025-.026). ears .035: a small disc whose centre is meant, COCO's ears.
# tail_base .05: no edge marks where the body ends, so people agree less; still better than COCO's hips (.107) under clothes.
name: demo
species: [mouse]
animals: 3
keypoints:
  - {name: nose, sigma: 0.03}
  - {name: ear_left, sigma: 0.035}
  - {name: ear_right, sigma: 0.035}
  - {name: tail_base, sigma: 0.05}
edges:
  - [nose, ear_left]
  - [nose, ear_right]
  - [ear_left, tail_base]
  - [ear_right, tail_base]
left_right:
  - [ear_left, ear_right]
"""

ETHOGRAM = """\
# Behaviours of the synthetic mice of `etholoop demo`. Time without a mark is just that: there is no catch-all behaviour.
name: demo
behaviours:
  - name: locomote
    definition: The body moves through the arena on all fours.
    kind: state
    exclusive_group: activity
    key: l
  - name: rest
    definition: The animal stays in place, body slightly drawn in, moving no more than it breathes.
    kind: state
    exclusive_group: activity
    key: r
  - name: groom
    definition: The animal stays in place, curled to one side, and the head bobs at the flank several times a second.
    kind: state
    exclusive_group: activity
    key: g
  - name: rear
    definition: The animal stands on its hind legs, seen from above as a short body with a large head.
    kind: state
    exclusive_group: activity
    key: e
  - name: follow
    definition: The animal walks behind a moving animal, its nose towards the other's tail base.
    kind: state
    exclusive_group: social
    key: f
"""


def skeleton_yaml(n_animals: int = 3) -> str:
    """Text of the skeleton file for this number of animals."""
    return SKELETON.replace("animals: 3\n", f"animals: {n_animals}\n" if n_animals else "animals: null\n")


def ethogram_yaml() -> str:
    """Text of the ethogram file."""
    return ETHOGRAM
