"""Sample inputs of a model: arrays from an .npz, held against the inputs they are for."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError


@dataclass(frozen=True)
class Input:
    """A model input: every dimension fixed, the batch included."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """Every array of an .npz, by its name."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError("no such file", origin=str(path)) from None
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile, EOFError):  # AttributeError: an .npy
        raise UserError("not a readable .npz file", origin=str(path)) from None


def fit(arrays: Mapping[str, np.ndarray], inputs: Sequence[Input], origin: Path) -> tuple[dict[str, np.ndarray], int]:
    """(one array per input, in its dtype, samples along the first axis; number of samples)."""
    feeds: dict[str, np.ndarray] = {}
    for item in inputs:
        if item.name not in arrays:
            raise UserError(
                f"no array for the model input {item.name!r}",
                origin=str(origin),
                hint=f"It holds: {', '.join(sorted(arrays)) or 'nothing'}. Save one array per input, by its name.",
            )
        feeds[item.name] = _fitted(arrays[item.name], item, origin)
    counts = {name: len(array) for name, array in feeds.items()}
    if len(set(counts.values())) > 1:
        raise UserError(f"the inputs have different numbers of samples: {counts}", origin=str(origin))
    count = min(counts.values())
    if count == 0:
        raise UserError("the file holds no sample", origin=str(origin))
    return feeds, count


def _fitted(array: np.ndarray, item: Input, origin: Path) -> np.ndarray:
    if array.shape[1:] != item.shape:
        without_batch = item.shape[:1] == (1,) and array.shape[1:] == item.shape[1:]
        if not without_batch:
            raise UserError(
                f"array {item.name!r} has shape {list(array.shape)}",
                origin=str(origin),
                hint=f"Each sample must be {list(item.shape)} (a leading 1 may be left out).",
            )
        array = array.reshape(len(array), *item.shape)
    if array.dtype != item.dtype:
        exact = np.can_cast(array.dtype, item.dtype) or (array.dtype == np.float64 and item.dtype == np.float32)
        if not exact:
            raise UserError(f"array {item.name!r} is {array.dtype}, the model takes {item.dtype}", origin=str(origin))
        array = array.astype(item.dtype)
    return np.ascontiguousarray(array)
