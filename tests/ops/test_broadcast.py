"""Binary operators on operands of different shapes, and the ones ONNX Runtime keeps in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checking import assert_exact, compile_model, exact, kernels, transposes
from small_models import DTYPES, Net

from mcugen import UserError, requant
from mcugen.emit.artefact import Compiled
from mcugen.ops.broadcast import loops, repeats_inside
from mcugen.prove.samples import load_samples
from mcugen.prove.verify import verify

OPS = ("Add", "Mul", "Sub", "Div", "Min", "Max")
SHAPES = [
    ((1, 4, 5, 6), (1, 4, 5, 6)),
    ((1, 4, 5, 6), (1, 4, 1, 1)),
    ((1, 4, 1, 1), (1, 4, 5, 6)),
    ((6,), (1, 4, 5, 6)),
    ((1, 1), (1, 4, 5, 6)),
    ((1, 4, 5, 6), (1,)),
    ((1, 4, 1, 6), (1, 1, 5, 6)),
    ((1, 4, 1, 6), (1, 1, 5, 1)),
    ((5, 1), (4, 5, 1)),
    ((2, 1, 3, 5), (1, 4, 3, 1)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_shapes(a: tuple[int, ...], b: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    left, right = net.input(a, 0.03, -5, "a"), net.input(b, 0.041, 20, "b")
    for op in OPS:
        net.output(net.op(op, left, right, scale=0.06, zero_point=5), f"y_{op}")
    exact(net.model(), tmp_path, samples=4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS)
def test_channel_weights_of_a_convolution(op: str, dtype: str, tmp_path: Path) -> None:
    """Squeeze-and-excite: [N,C,H,W] with [N,C,1,1]; and a constant per channel, first operand."""
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 6, 5)), (4, 3, 1, 1))
    squeezed = net.op("GlobalAveragePool", x, scale=x.scale, zero_point=11)
    y = net.op(op, x, squeezed, scale=float(x.scale))
    weights, _ = net.weights((4, 1, 1), 0.01, axis=None)
    net.output(net.op(op, weights, y, scale=0.05))
    compiled = exact(net.model(), tmp_path, samples=4)
    assert kernels(compiled).count(f"mcugen_{op.lower()}_broadcast_s8") == 2
    assert transposes(compiled) == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Sub", "Div", "Min", "Max"])
def test_a_clamp_behind_a_float_operator_is_exact(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    real = net.node(op, net.real(net.input((1, 200), name="a")), net.real(net.input((1, 200), 0.03, 9, "b")))
    bounds = (net.constant(np.float32(-0.61)), net.constant(np.float32(1.234)))
    net.output(net.quantize(net.node("Clip", real, *bounds), 0.02, -7))
    compiled = exact(net.model(), tmp_path)
    assert not any(step.notes for step in compiled.steps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "params",
    [
        ((0.05, 0), (0.05, 0), (0.1, 0)),
        ((0.5, -128), (0.25, 127), (0.5, 0)),
        ((1e-12, 3), (2e-12, 4), (3e-12, 5)),
        ((2.0, 5), (0.001, -5), (2.0, 9)),
        ((0.0371, 17), (0.0213, -40), (0.01, 4)),
    ],
)
def test_every_pair_of_values(params: tuple[tuple[float, int], ...], dtype: str, tmp_path: Path) -> None:
    """All 65536 pairs, as a [256,1] with a [1,256]; 0 / 0 and x / 0 are among them."""
    (sa, za), (sb, zb), (sc, zc) = params
    net = Net(dtype)
    a, b = net.integer_input((256, 1), sa, za, "a"), net.integer_input((1, 256), sb, zb, "b")
    for op in ("Sub", "Div", "Min", "Max"):
        net.output(net.op(op, a, b, scale=sc, zero_point=zc), f"y_{op}")
    net.turn("int8" if dtype == "uint8" else "uint8")
    net.output(net.op("Add", a, b, scale=sc, zero_point=zc), "y_Add")
    compiled = compile_model(net.model(), tmp_path, core="cortex-m3")
    _all_pairs(compiled, tmp_path)


def _all_pairs(compiled: Compiled, tmp_path: Path) -> None:
    """a and b hold every value once, along the axis of size 256."""
    arrays = {}
    for port in compiled.inputs:
        dtype = np.dtype(port.type.model_dtype)
        codes = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1)
        shape = port.type.shape
        arrays[port.name] = np.broadcast_to(codes.reshape([n if n == 256 else 1 for n in shape]), shape)[None].astype(
            dtype
        )
    np.savez(tmp_path / "pairs.npz", **arrays)
    result = verify(compiled, load_samples(compiled, tmp_path / "pairs.npz", None))
    assert result.bit_exact, result.first_difference


@pytest.mark.parametrize("sign", [-1, 1])
def test_sub_takes_its_integer_path_almost_always(sign: int) -> None:
    params = requant.sub_params(0.0371, 17, 0.0213, -40, 0.05, 4, sign=sign)
    assert 0 < params.tie < 1 << (params.shift - 8)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((1, 4, 5, 6), (1, 4, 5, 6), [(120, 1, 1)]),
        ((1, 5, 6, 4), (1, 1, 1, 4), [(4, 1, 1), (30, 4, 0)]),
        ((1, 1, 1, 1), (1, 1, 1, 1), []),
        ((2, 1, 3), (1, 4, 3), [(3, 1, 1), (4, 0, 3), (2, 3, 0)]),
    ],
)
def test_loops(a: tuple[int, ...], b: tuple[int, ...], expected: list[tuple[int, int, int]]) -> None:
    assert loops(a, b) == expected


def test_too_many_kinds_of_axes_are_refused(tmp_path: Path) -> None:
    net = Net()
    a, b = net.input((2, 1, 2, 1, 2, 1), name="a"), net.input((1, 3, 1, 3, 1, 3), name="b")
    net.output(net.op("Add", a, b, name="sum"))
    with pytest.raises(UserError, match="sum: The operands' shapes may differ in at most 4 groups"):
        compile_model(net.model(), tmp_path)


@pytest.mark.parametrize(
    ("a", "b"),
    [((256, 1), (1, 256)), ((1, 256), (256, 1)), ((256, 1, 1), (1, 256, 2)), ((256, 1, 2), (1, 256, 2))],
)
def test_which_operand_of_an_add_is_the_scalar(a: tuple[int, ...], b: tuple[int, ...], tmp_path: Path) -> None:
    """With these scales the two roles differ in some of the 65536 sums, so the order is seen."""
    (sa, za), (sb, zb), (sc, zc) = ((0.5, 77), (0.3, -61), (1.0, 3))
    chance = np.random.default_rng(5)
    every = np.arange(-128, 128)
    while True:  # the first scales from this seed that tell the roles apart
        straight = requant.add_params(sa, za, sb, zb, sc, zc)
        exchanged = requant.add_params(sa, za, sb, zb, sc, zc, a_is_scalar=True)
        if np.any(
            requant.ort_add(straight, every[:, None], every) != requant.ort_add(exchanged, every, every[:, None])
        ):
            break
        sa, sb = (float(np.float32(10 ** chance.uniform(-3, 0))) for _ in "ab")
        sc, za, zb = sa + sb, int(chance.integers(-128, 128)), int(chance.integers(-128, 128))
    assert repeats_inside(a, b) == (a[-1] == 1 and b[-1] != 1)
    net = Net("int8")
    left, right = net.integer_input(a, sa, za, "a"), net.integer_input(b, sb, zb, "b")
    net.integer_output(net.op("Add", left, right, scale=sc, zero_point=zc))
    compiled = compile_model(net.model(), tmp_path)
    _all_pairs(compiled, tmp_path)


@pytest.mark.parametrize("on", ["cortex-m3", "cortex-m4"])
def test_emulated(on: str, tmp_path: Path) -> None:
    net = Net()
    a, b = net.input((1, 4, 9, 6), 0.03, -5, "a"), net.input((1, 4, 1, 1), 0.041, 20, "b")
    for op in OPS:
        net.output(net.op(op, a, b, scale=0.06, zero_point=5), f"y_{op}")
    assert_exact(compile_model(net.model(), tmp_path, core=on), samples=8, on=on)
