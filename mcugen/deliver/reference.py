"""Reference inputs and outputs of a bundle, and the measures by which other outputs are held against them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx

from .. import oracle
from ..errors import UserError
from .calibration import Images, check_values, inputs_of, load_data
from .gate import runtime
from .wires import Wires

SAMPLES = 16  # at least that many in reference_io.npz
MOST = 64  # of a user's file
Arrays = dict[str, np.ndarray]


def reference_feeds(model: onnx.ModelProto, path: Path | None, images: Images, *, seed: int = 0) -> tuple[Arrays, str]:
    """(feeds by input name with samples along the first axis, where they come from); random ones fill up."""
    feeds: Arrays = {}
    given = 0
    parts = []
    if path is not None:
        data = load_data(path, inputs_of(model), images, MOST)
        check_values(data)
        feeds, given = dict(data.feeds), data.count
        parts.append(f"{given} from {path.name}")
    missing = max(0, SAMPLES - given)
    if missing:
        extra = _random(model, missing, seed)
        feeds = {name: np.concatenate([feeds[name], extra[name]]) if feeds else extra[name] for name in extra}
        parts.append(f"{missing} random (seed {seed})")
    return feeds, ", ".join(parts)


def _random(model: onnx.ModelProto, count: int, seed: int) -> Arrays:
    """Integers over the whole range; reals over what the input's quantization holds, else over -1 to 1."""
    chance = np.random.default_rng(seed)
    feeds: Arrays = {}
    for item in inputs_of(model):
        shape = (count, *item.shape)
        if item.dtype.kind == "f":
            low, high = _real_range(model, item.name)
            feeds[item.name] = chance.uniform(low, high, shape).astype(item.dtype)
        elif item.dtype.kind in "iu" and item.dtype.itemsize == 1:
            span = np.iinfo(item.dtype)
            feeds[item.name] = chance.integers(span.min, span.max, shape, item.dtype, endpoint=True)
        else:
            raise UserError(
                f"no random values for an input of type {item.dtype}",
                origin=item.name,
                hint="Give real samples with --inputs X.npz.",
            )
    return feeds


def _real_range(model: onnx.ModelProto, name: str) -> tuple[float, float]:
    found = Wires(model).scale_of_input(name)
    if found is None:
        return -1.0, 1.0
    span = np.iinfo(found.dtype)
    return (span.min - found.zero_point) * float(found.scale), (span.max - found.zero_point) * float(found.scale)


def run_model(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], *, quantized: bool) -> Arrays:
    """Outputs of the bundle's reference: the pinned session for quantized models, the default one for float."""
    session = runtime(oracle.pinned_session if quantized else oracle.default_session, model)
    try:
        return oracle.run_all(session, feeds)
    except Exception as error:  # ORT's exceptions have no common base of their own
        words = str(error).splitlines()[0]
        raise UserError(f"ONNX Runtime cannot run the model: {words}", hint="Export the model again.") from None


def largest_difference(got: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray]) -> float:
    """Largest absolute difference, relative to the output's largest magnitude where that exceeds 1; NaN = NaN."""
    worst = 0.0
    for name, wanted in want.items():
        a, b = got[name].astype(np.float64), wanted.astype(np.float64)
        if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
            return float("inf")
        gap = np.abs(np.nan_to_num(a) - np.nan_to_num(b)).max(initial=0.0)
        worst = max(worst, float(gap) / max(1.0, float(np.abs(np.nan_to_num(b)).max(initial=0.0))))
    return worst


def differing(got: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray]) -> int:
    """Number of values whose bits differ."""
    return sum(
        int(np.count_nonzero(_bits(got[name]) != _bits(wanted))) if got[name].shape == wanted.shape else wanted.size
        for name, wanted in want.items()
    )


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def sqnr_db(got: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray]) -> float:
    """Worst signal to quantization noise ratio over the outputs, in dB: 10 log10(sum want^2 / sum (got - want)^2)."""
    worst = float("inf")
    for name, wanted in want.items():
        signal = float(np.square(wanted.astype(np.float64)).sum())
        noise = float(np.square(got[name].astype(np.float64) - wanted.astype(np.float64)).sum())
        if noise:
            worst = min(worst, 10 * float(np.log10(max(signal, 1e-300) / noise)))
    return worst


def gives_classes(shape: tuple[int, ...], inputs: Collection[tuple[int, ...]]) -> bool:
    """Is an output of this shape one row of class scores? One shaped like an input (an autoencoder's) is not."""
    return len(shape) > 0 and shape[-1] >= 2 and int(np.prod(shape)) == shape[-1] and shape not in inputs


def agreement(got: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray], feeds: Arrays) -> float | None:
    """Share of samples whose largest score is a largest of `want`, worst output; None if none gives classes."""
    inputs = [array.shape[1:] for array in feeds.values()]
    shares = []
    for name, wanted in want.items():
        if gives_classes(wanted.shape[1:], inputs):
            rows = wanted.reshape(len(wanted), -1)
            chosen = got[name].reshape(rows.shape).argmax(1)
            shares.append(float(np.mean(rows[np.arange(len(rows)), chosen] == rows.max(1))))
    return min(shares, default=None)
