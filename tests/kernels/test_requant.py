"""The fixed-point rules against ONNX Runtime itself, and the solver against brute force."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from ort_node import DTYPES, from_model, quantization, run_node, to_model

from mcugen import requant
from mcugen.errors import UserError

# (sa, za, sb, zb, sc, zc): ordinary, powers of two (ties everywhere), zero points at the ends, extreme
# ratios.
ELEMENTWISE = {
    "ordinary": (0.0213, 3, 0.0371, -11, 0.0468, -7),
    "no ties": (0.0497, -127, 0.0402, -20, 0.0268, -125),
    "powers of two": (0.5, 0, 0.25, 0, 1.0, 0),
    "halves": (1.0, -128, 1.0, 127, 2.0, -128),
    "thirds": (0.1, 127, 0.3, -128, 0.2, 127),
    "tiny output": (0.05, 5, 0.04, 6, 1e-12, 0),
    "tiny inputs": (1e-12, 0, 1e-12, 0, 0.02, 3),
    "one tiny input": (1e-12, 17, 0.017, -9, 0.031, 100),
    "large ratio": (100.0, 1, 90.0, 2, 0.01, -3),
    "overflows int32": (3e7, 0, 1e7, 0, 1e-3, 0),
}
PAIRS = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sy", [0.05, 2.0**-3, 1e-12, 1e6])
def test_convolution_scale_and_requantization(dtype: Any, sy: float) -> None:
    rng = np.random.default_rng(1)
    channels, depth = 24, 40
    x = rng.integers(-128, 128, (1, depth, 5, 5))
    w = rng.integers(-63, 64, (channels, depth, 1, 1))  # small: without VNNI, ORT's uint8 products saturate
    bias = rng.integers(-20000, 20000, channels)
    sw = (10.0 ** rng.uniform(-5, -1, channels)).astype(np.float32)
    sw[::3] = 2.0 ** np.rint(np.log2(sw[::3]))
    zx, zy = -3, 5
    inputs = {
        "x": to_model(x, dtype),
        **quantization("x", 0.0157, zx, dtype),
        "w": w.astype(np.int8),
        "w_scale": sw,
        "w_zero_point": np.zeros(channels, np.int8),
        **quantization("y", sy, zy, dtype),
        "bias": bias.astype(np.int32),
    }
    got = from_model(run_node("QLinearConv", inputs, dtype, domain=""))
    acc = np.einsum("nihw,oi->nohw", x - zx, w[:, :, 0, 0]) + bias[:, None, None]
    scale = requant.conv_scale(0.0157, sw, sy)[:, None, None]
    np.testing.assert_array_equal(got, requant.ort_requantize(acc, scale, zy, -128, 127))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [1.0, 0.37])
def test_gemm_scale(dtype: Any, alpha: float) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(-128, 128, (64, 30)), rng.integers(-63, 64, (30, 16))
    sb = (10.0 ** rng.uniform(-4, -1, 16)).astype(np.float32)
    inputs = {
        "a": to_model(a, dtype),
        **quantization("a", 0.0213, 4, dtype),
        "w": b.astype(np.int8),
        "w_scale": sb,
        "w_zero_point": np.zeros(16, np.int8),
        "c": np.zeros(16, np.int32),
        **quantization("y", 0.041, -6, dtype),
    }
    got = from_model(run_node("QGemm", inputs, dtype, alpha=alpha))
    scale = requant.gemm_scale(alpha, 0.0213, sb, 0.041)
    np.testing.assert_array_equal(got, requant.ort_requantize((a - 4) @ b, scale, -6, -128, 127))


def test_split_is_exact_and_names_dead_channels() -> None:
    scale = np.float32(10.0) ** np.random.default_rng(3).uniform(-9, 4, 1000).astype(np.float32)
    parts = requant.split(scale)
    assert np.all((parts.multiplier >= 2**30) & (parts.multiplier % 128 == 0))
    np.testing.assert_array_equal(np.ldexp(parts.multiplier / 2.0**31, parts.shift), scale)

    live, dead = np.float32(2.0**-32), np.nextafter(np.float32(2.0**-32), np.float32(0))
    parts = requant.split(np.array([live, dead, 0.0, 2.0**40], np.float32))
    assert parts.multiplier.tolist() == [2**30, 0, 0, 2**30]
    assert parts.shift.tolist() == [-31, 0, 0, 31]
    assert requant.ort_requantize([-(2**31), 2**31 - 1], dead, 0, -128, 127).tolist() == [0, 0]


@pytest.mark.parametrize("scale", [-1.0, np.nan, np.inf])
def test_bad_requantization_scale_is_refused(scale: float) -> None:
    with pytest.raises(UserError, match="finite"):
        requant.split([0.5, scale])


@pytest.mark.parametrize("scale", [0.0, -0.1, np.nan, np.inf, 2e30])
def test_bad_quantization_scale_is_refused(scale: float) -> None:
    with pytest.raises(UserError, match="input scale"):
        requant.conv_scale(scale, [0.1], 0.1)
    with pytest.raises(UserError, match="scale of b"):
        requant.add_params(0.1, 0, scale, 0, 0.1, 0)


def test_ratios_that_could_overflow_are_refused() -> None:
    with pytest.raises(UserError, match="too far apart"):
        requant.add_params(1e20, 0, 1.0, 0, 1e-20, 0)
    with pytest.raises(UserError, match="too far apart"):
        requant.mul_params(1e20, 0, 1e20, 0, 1e-3, 0)


def test_accumulator_range_is_reached_and_not_exceeded() -> None:
    rng = np.random.default_rng(4)
    w, zero_point, bias = (
        rng.integers(-128, 128, (5, 3)).astype(np.int8),
        np.array([0, 3, -7, 127, -128]),
        np.arange(5),
    )
    inputs = np.stack(np.meshgrid(*[[-100, -1, 0, 50, 155]] * 3), -1).reshape(-1, 3)  # extremes and padding zeros
    acc = inputs @ (w.astype(np.int64) - zero_point[:, None]).T + bias
    lo, hi = requant.accumulator_range(w, zero_point, bias, -100, 155)
    np.testing.assert_array_equal(lo, acc.min(axis=0))
    np.testing.assert_array_equal(hi, acc.max(axis=0))
    padded = requant.accumulator_range([[1]], 0, [0], 10, 20)
    assert (padded[0][0], padded[1][0]) == (0, 20)


def test_exact_precondition_at_its_limits() -> None:
    scale = np.array([1.0, 1.0, 1.0, 1e-9, 1e-9], np.float32)
    lo = np.array([-32766, -32767, 0, -(2**31), -(2**31) - 1])
    hi = np.array([32766, 0, 32767, 2**31 - 1, 0])
    assert requant.exact_precondition(scale, lo, hi).tolist() == [True, False, False, True, False]


def test_fma_rounds_once() -> None:
    rng = np.random.default_rng(5)
    a = rng.integers(-255, 256, 3000).astype(np.float32)
    b = (rng.uniform(0.5, 1, 3000) * 2.0 ** rng.integers(-40, 20, 3000)).astype(np.float32)
    c = (rng.uniform(-1, 1, 3000) * 2.0 ** rng.integers(-40, 30, 3000)).astype(np.float32)
    # Halfway cases: c is a power of two, and the product is half its last place, plus or minus next to
    # nothing.
    c[:1000] = 2.0 ** rng.integers(0, 8, 1000)
    a[:1000] = 1
    b[:1000] = c[:1000] * np.float32(2.0**-24) * (1 + rng.integers(-1, 2, 1000) * np.float32(2.0**-23))
    for x, y, z, got in zip(a, b, c, requant.fma32(a, b, c), strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        near = [np.nextafter(got, np.float32(side)) for side in (-np.inf, np.inf)]
        error = abs(Fraction(float(got)) - exact)
        for other in near:
            distance = abs(Fraction(float(other)) - exact)
            even = got.view(np.int32) % 2 == 0
            assert error < distance or (error == distance and even)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ELEMENTWISE)
def test_add_equals_onnxruntime_on_all_pairs(case: str, dtype: Any) -> None:
    sa, za, sb, zb, sc, zc = ELEMENTWISE[case]
    a, b = PAIRS
    inputs = {
        "a": to_model(a, dtype),
        **quantization("a", sa, za, dtype),
        "b": to_model(b, dtype),
        **quantization("b", sb, zb, dtype),
        **quantization("c", sc, zc, dtype),
    }
    params = requant.add_params(*ELEMENTWISE[case], unsigned=dtype == np.uint8)
    np.testing.assert_array_equal(requant.ort_add(params, a, b), from_model(run_node("QLinearAdd", inputs, dtype)))
    assert requant.prove_add(params)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ["ordinary", "thirds", "one tiny input"])
@pytest.mark.parametrize("scalar", ["a", "b"])
def test_add_of_a_scalar_equals_onnxruntime(case: str, scalar: str, dtype: Any) -> None:
    sa, za, sb, zb, sc, zc = ELEMENTWISE[case]
    params = requant.add_params(*ELEMENTWISE[case], a_is_scalar=scalar == "a", unsigned=dtype == np.uint8)
    every = np.arange(-128, 128)
    for value in range(-128, 128, 15):
        a, b = (np.array([value]), every) if scalar == "a" else (every, np.array([value]))
        inputs = {
            "a": to_model(a, dtype),
            **quantization("a", sa, za, dtype),
            "b": to_model(b, dtype),
            **quantization("b", sb, zb, dtype),
            **quantization("c", sc, zc, dtype),
        }
        first, second = (b, a) if scalar == "a" else (a, b)
        got = from_model(run_node("QLinearAdd", inputs, dtype))
        np.testing.assert_array_equal(requant.ort_add(params, first, second), got)


def test_one_element_is_a_scalar() -> None:
    """Tensors of one element each go the way of a scalar a, and these bytes tell the two ways apart."""
    rng = np.random.default_rng(8)
    told = 0
    while told < 5:
        sa, sb, sc = (float(s) for s in np.float32(10.0 ** rng.uniform(-2, 0, 3)))
        operands = (sa, 3, sb, -20, sc, 7)
        exchanged = requant.ort_add(requant.add_params(*operands, a_is_scalar=True), PAIRS[1], PAIRS[0])
        plain = requant.ort_add(requant.add_params(*operands), *PAIRS)
        for a, b in np.argwhere(exchanged != plain)[:1] - 128:
            inputs = {
                "a": np.array([a], np.int8),
                **quantization("a", sa, 3, np.int8),
                "b": np.array([b], np.int8),
                **quantization("b", sb, -20, np.int8),
                **quantization("c", sc, 7, np.int8),
            }
            assert run_node("QLinearAdd", inputs, np.int8).tolist() == [exchanged[a + 128, b + 128]]
            told += 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ELEMENTWISE)
def test_mul_equals_onnxruntime_on_all_pairs(case: str, dtype: Any) -> None:
    sa, za, sb, zb, sc, zc = ELEMENTWISE[case]
    a, b = PAIRS
    inputs = {
        "a": to_model(a, dtype),
        **quantization("a", sa, za, dtype),
        "b": to_model(b, dtype),
        **quantization("b", sb, zb, dtype),
        **quantization("c", sc, zc, dtype),
    }
    params = requant.mul_params(*ELEMENTWISE[case], unsigned=dtype == np.uint8)
    np.testing.assert_array_equal(requant.ort_mul(params, a, b), from_model(run_node("QLinearMul", inputs, dtype)))
    assert requant.prove_mul(params)


def test_proofs_fail_on_a_wrong_multiplier_or_a_missing_tie_band() -> None:
    add = requant.add_params(*ELEMENTWISE["ordinary"])
    assert add.tie > 0
    assert not requant.prove_add(replace(add, tie=0))
    assert not requant.prove_add(replace(add, a_multiplier=add.a_multiplier + 4096))
    mul = requant.mul_params(0.02, 3, 0.03, -5, 0.04, 1)
    assert mul.tie > 0
    assert not requant.prove_mul(replace(mul, tie=0))
    assert not requant.prove_mul(replace(mul, multiplier=mul.multiplier + 64))


def test_an_offset_that_decides_every_pair_is_found_and_needed() -> None:
    add = requant.add_params(*ELEMENTWISE["no ties"])
    assert add.tie == -1
    assert requant.prove_add(add)
    assert not requant.prove_add(replace(add, offset=add.offset + 4096))
    assert not requant.prove_add(replace(add, offset=add.offset - 4096))


def test_global_average_limits_are_those_of_onnxruntime() -> None:
    assert requant.global_average_scale(0.1, 0.1, 64) == 2.0**-6
    for sx, sy, count in [(1e-9, 1.0, 64), (1.0, 1e-3, 2), (1.0, 1.0, 2**24), (1.0, 1.0, 0)]:
        with pytest.raises(UserError, match="global average pool"):
            requant.global_average_scale(sx, sy, count)


def test_softmax_that_overflows_in_onnxruntime_is_refused() -> None:
    assert requant.softmax_scale_inverse(1 / 256, 2) == 256
    for sy, classes in [(1 / 256, 1), (1 / 512, 3), (1e-12, 2**20)]:
        with pytest.raises(UserError, match="overflows"):
            requant.softmax_scale_inverse(sy, classes)


def _stock(acc: int, multiplier: int, shift: int) -> int:
    """CMSIS-NN's two roundings in plain integers: half up, then half away from zero."""
    high = (acc * 2 ** max(shift, 0) * multiplier + 2**30) // 2**31
    exact = Fraction(high, 2 ** max(-shift, 0))
    nearest = int(abs(exact) + Fraction(1, 2))
    return nearest if exact >= 0 else -nearest


def test_stock_requantization() -> None:
    rng = np.random.default_rng(6)
    for shift in (-31, -20, -9, -1, 0, 3):
        acc = np.concatenate([rng.integers(-(2**27), 2**27, 300), np.arange(-70, 70)])
        multiplier = rng.integers(2**30, 2**31, acc.size)
        multiplier[::2] = 2**30
        expected = [_stock(int(a), int(m), shift) for a, m in zip(acc, multiplier, strict=True)]
        assert requant.stock_requantize(acc, multiplier, shift).tolist() == expected


def test_stock_solution_is_certified_by_brute_force() -> None:
    rng = np.random.default_rng(7)
    scales = (10.0 ** rng.uniform(-2.5, -1, 24)).astype(np.float32)
    scales[:4] = [2.0**-4, 2.0**-7, 3 * 2.0**-8, 2.0**-6]
    lo, hi = -rng.integers(100, 40000, 24), rng.integers(100, 40000, 24)
    zero_point, clamp_lo, clamp_hi = -5, -100, 127
    found = requant.solve_layer(scales, lo, hi, zero_point, clamp_lo, clamp_hi)
    for c in range(24):
        acc = np.arange(lo[c], hi[c] + 1)
        y = requant.stock_requantize(acc + found.bias_delta[c], found.multiplier[c], found.shift[c])
        y = np.clip(y + zero_point - found.output_offset_delta, clamp_lo, clamp_hi)
        equal = np.array_equal(y, requant.ort_requantize(acc, scales[c], zero_point, clamp_lo, clamp_hi))
        assert equal == found.certified[c]
    assert found.certified.sum() >= 12
    assert found.output_offset_delta > 0


def test_stock_solution_needs_no_offset_where_multipliers_suffice() -> None:
    found = requant.solve_layer([0.2843], [-60], [60], 0, -128, 127)
    assert found.certified.all() and found.output_offset_delta == 0 and not found.bias_delta.any()


def test_stock_solution_of_ties_and_dead_channels() -> None:
    scales = np.array([2.0**-5, 0.0], np.float32)
    found = requant.solve_layer(scales, [-10000, -10000], [10000, 10000], 3, -128, 127)
    assert found.certified.tolist() == [False, True]  # halves to even need the parity of the result
    assert found.multiplier.tolist() == [2**30, 0] and found.shift.tolist() == [-4, 0]


def test_stock_solution_refuses_accumulators_beyond_int32() -> None:
    with pytest.raises(UserError, match="beyond int32"):
        requant.solve_layer([0.1], [0], [2**31], 0, -128, 127)
