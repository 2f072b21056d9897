"""Where pictures lie: sizes by hand."""

import numpy as np
import pytest

from etholoop.core.picture_layout import layout


@pytest.mark.parametrize(
    "size, crop, wanted, fit, scaled, offset, canvas",
    [
        ((640, 480), None, (None, None), "keep", (640, 480), (0, 0), (640, 480)),
        ((641, 479), None, (None, None), "keep", (641, 479), (0, 0), (642, 480)),  # one pixel to make it even
        ((640, 480), None, (320, None), "keep", (320, 240), (0, 0), (320, 240)),
        ((640, 480), None, (None, 120), "keep", (160, 120), (0, 0), (160, 120)),
        ((1920, 1080), None, (640, 640), "keep", (640, 360), (0, 0), (640, 360)),
        ((640, 480), None, (1280, 960), "keep", (640, 480), (0, 0), (640, 480)),  # never larger
        ((1920, 1080), None, (640, 640), "pad", (640, 360), (0, 140), (640, 640)),
        ((100, 100), None, (400, 200), "pad", (200, 200), (100, 0), (400, 200)),
        ((1920, 1080), None, (640, 640), "stretch", (640, 640), (0, 0), (640, 640)),
        ((640, 480), (10, 20, 100, 50), (None, None), "keep", (100, 50), (0, 0), (100, 50)),
    ],
)
def test_sizes(size, crop, wanted, fit, scaled, offset, canvas):  # noqa: PLR0917
    place = layout(size, crop, *wanted, fit)
    assert (place.scaled, (place.left, place.top), place.canvas) == (scaled, offset, canvas)


def test_crop_takes_the_middle():
    place = layout((1920, 1080), None, 640, 640, "crop")
    assert place.crop == (420, 0, 1080, 1080)
    assert np.allclose(place.affine.points(np.array([[420.0, 0.0], [1500, 1080]])), [[0, 0], [640, 640]])


def test_the_way_of_a_padded_picture():
    way = layout((1920, 1080), None, 640, 640, "pad").affine
    assert np.allclose(way.points(np.array([[0.0, 0.0], [1920, 1080]])), [[0, 140], [640, 500]])


def test_an_even_edge_is_no_change():
    assert not layout((641, 479), None, None, None, "keep").changes(641, 479)
    assert layout((641, 479), None, 320, None, "keep").changes(641, 479)
    assert layout((640, 480), (0, 0, 640, 478), None, None, "keep").changes(640, 480)


@pytest.mark.parametrize("crop", [(0, 0, 641, 10), (-1, 0, 10, 10), (630, 470, 10, 11), (0, 0, 0, 5)])
def test_a_crop_outside_is_refused(crop):
    with pytest.raises(ValueError, match="does not lie inside"):
        layout((640, 480), crop, None, None, "keep")
