"""The requantizations of cmsis/exact/mcugen_requant.h against their definition in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from cmsis_library import Library, Scale, requantize_exact, requantize_stock

INT32 = np.iinfo(np.int32)


def scales(rng: np.random.Generator, count: int, shifts: tuple[int, int]) -> Scale:
    """Random 24-bit mantissas, among them powers of two, the largest one and few-bit ones (many ties)."""
    mantissa = rng.integers(1 << 23, 1 << 24, count)
    mantissa[:3] = (1 << 23, (1 << 24) - 1, (1 << 23) + 1)
    mantissa[3:20] &= ~((1 << 18) - 1)
    shift = rng.integers(shifts[0], shifts[1] + 1, count)
    return Scale((mantissa << 7).astype(np.int32), shift.astype(np.int32))


def accumulators(rng: np.random.Generator, scale: float, limit: float) -> np.ndarray:
    """Random ones below limit results, and all within 4 of where an 8-bit result has a tie."""
    span = min(INT32.max, limit / scale)
    ties = np.rint((np.arange(-257, 257) + 0.5) / scale)
    near = (ties[:, None] + np.arange(-4, 5)).ravel()
    every = np.concatenate([rng.uniform(-span, span, 3000).round(), near, [0, 1, -1]])
    return every[np.abs(every) < span].astype(np.int32)


def test_requant_equals_the_float_definition_over_8_bits(library: Library) -> None:
    if library.requant == "stock":
        pytest.skip("stock rounding is not exact")
    rng = np.random.default_rng(1)
    compared = 0
    for mantissa, shift in zip(*vars(scales(rng, 400, (-31, 15))).values(), strict=True):
        scale = Scale(np.array([mantissa]), np.array([shift]))
        acc = accumulators(rng, float(scale.floats()[0]), 32766.0)
        got = library.requant_many("requant_many", acc, int(mantissa), int(shift))
        want = requantize_exact(acc.astype(np.int64), scale)
        np.testing.assert_array_equal(np.clip(got, -256, 256), np.clip(want, -256, 256))
        compared += acc.size
    assert compared > 1_000_000


def test_requant_wide_saturates_and_is_exact_before(library: Library) -> None:
    rng = np.random.default_rng(2)
    for mantissa, shift in zip(*vars(scales(rng, 400, (-60, 60))).values(), strict=True):
        scale = Scale(np.array([mantissa]), np.array([shift]))
        acc = accumulators(rng, float(scale.floats()[0]), 2.0**40)
        acc = np.concatenate([acc, np.array([INT32.min, INT32.max, 0], np.int32)])
        got = library.requant_many("requant_wide_many", acc, int(mantissa), int(shift))
        want = np.rint(acc.astype(np.float32) * scale.floats()).astype(np.float64)
        np.testing.assert_array_equal(got, np.clip(want, -(2**20), 2**20))


@pytest.mark.parametrize("function", ["requant_stock_many", "requant_library_many"])
def test_requant_stock_is_cmsis_nns_own(library: Library, function: str) -> None:
    if function == "requant_library_many" and not library.arm:
        pytest.skip("needs Arm's header")
    rng = np.random.default_rng(3)
    for mantissa, shift in zip(*vars(scales(rng, 200, (-31, 8))).values(), strict=True):
        scale = Scale(np.array([mantissa]), np.array([shift]))
        acc = accumulators(rng, float(scale.floats()[0]), 2.0**30)
        acc = acc[np.abs(acc.astype(np.int64)) << max(int(shift), 0) < 1 << 31]
        got = library.requant_many(function, acc, int(mantissa), int(shift))
        np.testing.assert_array_equal(got, requantize_stock(acc.astype(np.int64), scale))


def test_multiplier_entry_holds_the_float_only_for_the_fpu(library: Library) -> None:
    scale = scales(np.random.default_rng(4), 200, (-31, 15))
    want = scale.floats().view(np.int32) if library.requant == "fpu" else scale.mantissa_q31
    np.testing.assert_array_equal(library.table(scale), want)


def test_a_dead_channel_is_zero(library: Library) -> None:
    acc = np.array([0, 1, -1, INT32.max, INT32.min], np.int32)
    for function in ("requant_many", "requant_wide_many", "requant_stock_many"):
        assert not library.requant_many(function, acc, 0, 0).any()
