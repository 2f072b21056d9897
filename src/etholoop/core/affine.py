"""Affine maps between the pixels of a source and those of a picture derived from it.

A point lies on a plane whose origin is the outer corner of the first pixel: the centre of that pixel is (0.5, 0.5), the far corner of
an image is (width, height). In this convention scaling an image by s is exactly a multiplication by s, without half-pixel terms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Affine:
    """``x' = a x + b y + c``, ``y' = d x + e y + f``; by custom from source pixels to derived pixels."""

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 1.0
    f: float = 0.0

    @classmethod
    def scale(cls, x: float, y: float) -> "Affine":
        return cls(a=float(x), e=float(y))

    @classmethod
    def shift(cls, x: float, y: float) -> "Affine":
        return cls(c=float(x), f=float(y))

    @property
    def is_identity(self) -> bool:
        return self == Affine()

    def then(self, later: "Affine") -> "Affine":
        """This map first, ``later`` second."""
        (a, b, c), (d, e, f), _ = later._matrix() @ self._matrix()
        return Affine(*map(float, (a, b, c, d, e, f)))

    def inverse(self) -> "Affine":
        """The map back.

        Raises:
            ValueError: the map flattens the plane, so there is no way back.
        """
        determinant = self.a * self.e - self.b * self.d
        if determinant == 0:
            raise ValueError(f"{self} has no inverse: it flattens the plane")
        a, b, d, e = self.e / determinant, -self.b / determinant, -self.d / determinant, self.a / determinant
        return Affine(a, b, -(a * self.c + b * self.f), d, e, -(d * self.c + e * self.f))

    def points(self, points: NDArray) -> NDArray:
        """Mapped (…, 2 or more) points x, y; further columns (visibility, confidence) and NaN stay. Identity gives the same values."""
        points = np.asarray(points)
        if self.is_identity:
            return points
        result = np.array(points, dtype=np.result_type(points.dtype, np.float32))
        x, y = points[..., 0], points[..., 1]
        # without a turn the terms must not meet: 0 * NaN is NaN
        result[..., 0] = self.a * x + self.c if self.b == 0 else self.a * x + self.b * y + self.c
        result[..., 1] = self.e * y + self.f if self.d == 0 else self.d * x + self.e * y + self.f
        return result

    def boxes(self, boxes: NDArray) -> NDArray:
        """Mapped (…, 4) boxes x_min, y_min, x_max, y_max; after a turn the smallest upright box around the turned one."""
        boxes = np.asarray(boxes)
        if self.is_identity:
            return boxes
        corners = self.points(boxes[..., [[0, 1], [2, 1], [2, 3], [0, 3]]])
        return np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1)

    def _matrix(self) -> NDArray[np.float64]:
        return np.array([[self.a, self.b, self.c], [self.d, self.e, self.f], [0, 0, 1]])
