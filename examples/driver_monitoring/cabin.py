"""Draws what a camera in a car might see: faces, eyes and cabins, in shades of grey. NumPy only, seeded.

Every function returns (images u8[N, 1, H, W], labels i64[N]).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Picture = NDArray[np.float64]  # 0 black .. 1 white

FATIGUE = ("alert", "eyes closed", "yawning")
GAZE = ("road", "left", "right", "dashboard")
CELLS = 6  # a cabin is divided into CELLS x CELLS cells; the label is the one that holds the face
FACE, EYE, CABIN = 48, 32, 48  # pixels, height and width

_LEVELS = 32  # of the camera


def _ellipse(size: int, y: float, x: float, ry: float, rx: float) -> Picture:
    """1 inside, 0 outside, one pixel of slope between."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    distance = np.hypot((rows - y) / ry, (columns - x) / rx)
    return np.clip(0.5 - (distance - 1) * min(ry, rx), 0, 1)


def _paint(picture: Picture, mask: Picture, shade: float) -> Picture:
    return picture * (1 - mask) + shade * mask


def _eye(picture: Picture, y: float, x: float, r: float, opening: float, look: tuple[float, float]) -> Picture:
    """An eye of half-width r. opening 0 (closed) .. 1; look: of the iris, (down, right), -1 .. 1."""
    size = len(picture)
    white = _ellipse(size, y, x, max(0.62 * r * opening, 0.02), r)
    iris = _ellipse(size, y + 0.25 * r * look[0], x + 0.5 * r * look[1], 0.42 * r, 0.42 * r)
    lid = _ellipse(size, y + 0.1 * r, x, 0.12 * r + 0.3, r)
    closed = _paint(picture, lid, 0.15)
    opened = _paint(_paint(picture, white, 0.95), iris * white, 0.05)
    return opened if opening > 0.25 else closed


def _head(picture: Picture, y: float, x: float, r: float, skin: float, opening: float, mouth: float, look: tuple[float, float]) -> Picture:  # fmt: skip  # noqa: E501
    size = len(picture)
    picture = _paint(picture, _ellipse(size, y - 0.25 * r, x, 1.05 * r, 0.92 * r), 0.4 * skin)  # hair
    picture = _paint(picture, _ellipse(size, y + 0.12 * r, x, r, 0.78 * r), skin)
    for side in (-1, 1):
        picture = _eye(picture, y - 0.1 * r, x + side * 0.36 * r, 0.22 * r, opening, look)
    return _paint(picture, _ellipse(size, y + 0.62 * r, x, (0.05 + 0.2 * mouth) * r, (0.3 - 0.08 * mouth) * r), 0.1)


def _seen(picture: Picture, chance: np.random.Generator) -> Images:
    """Light from one side, a few shades of noise, and the camera's levels."""
    size = len(picture)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    light = 1 + chance.uniform(-0.35, 0.35) * rows + chance.uniform(-0.35, 0.35) * columns
    values = picture * light * chance.uniform(0.3, 1.1) + chance.normal(0, 0.02, (size, size))
    levels = np.rint(np.clip(values, 0, 1) * (_LEVELS - 1))
    return np.rint(levels * (255 / (_LEVELS - 1))).astype(np.uint8)


def fatigue(count: int, seed: int) -> tuple[Images, Labels]:
    """Faces: alert, eyes closed, yawning."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, len(FATIGUE), count)
    images = []
    for label in labels:
        opening = chance.uniform(0.3, 1) if label != 1 else chance.uniform(0, 0.24)
        mouth = chance.uniform(0.55, 1.3) if label == 2 else chance.uniform(0, 0.5)
        y, x = FACE / 2 + chance.uniform(-4, 4, 2)
        look = chance.uniform(-0.6, 0.6, 2)
        picture = np.full((FACE, FACE), chance.uniform(0.05, 0.7))
        picture = _head(picture, y, x, chance.uniform(14, 22), chance.uniform(0.45, 0.9), opening, mouth, tuple(look))
        images.append(_seen(picture, chance))
    return np.stack(images)[:, None], labels


def gaze(count: int, seed: int) -> tuple[Images, Labels]:
    """One eye: looking at the road, to the left, to the right, down to the dashboard."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, len(GAZE), count)
    images = []
    for label in labels:
        down, right = ((0.0, 0.0), (0.0, -0.9), (0.0, 0.9), (1.2, 0.0))[label] + chance.uniform(-0.3, 0.3, 2)
        y, x = EYE / 2 + chance.uniform(-3, 3, 2)
        picture = np.full((EYE, EYE), chance.uniform(0.35, 0.8))
        picture = _eye(picture, y, x, chance.uniform(9, 13), chance.uniform(0.7, 1.1), (down, right))
        images.append(_seen(picture, chance))
    return np.stack(images)[:, None], labels


def face(count: int, seed: int) -> tuple[Images, Labels]:
    """A cabin with windows, headrests and one driver; the label is the cell of the face, row by row."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, CELLS * CELLS, count)
    cell = CABIN / CELLS
    images = []
    for label in labels:
        picture = np.full((CABIN, CABIN), chance.uniform(0.05, 0.4))
        for _ in range(3):
            y, x = chance.uniform(0, CABIN, 2)
            picture = _paint(picture, _ellipse(CABIN, y, x, *chance.uniform(4, 12, 2)), chance.uniform(0.1, 0.9))
        y, x = (np.array(divmod(int(label), CELLS)) + 0.5) * cell + chance.uniform(-0.3, 0.3, 2) * cell
        opening, mouth, skin = chance.uniform(0.3, 1), chance.uniform(0, 1), chance.uniform(0.45, 0.9)
        picture = _head(picture, y, x, chance.uniform(8, 11), skin, opening, mouth, (0.0, 0.0))
        images.append(_seen(picture, chance))
    return np.stack(images)[:, None], labels
