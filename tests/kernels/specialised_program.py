"""Layers with random contents, their meaning in NumPy, and C programs that run the specialised kernels on them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from cmsis_library import Scale, requantize_exact

from mcugen.ops.channels import Channels
from mcugen.ops.specialised import Call, Layer, call
from mcugen.plan.overlap import ORDERS, window_lead
from mcugen.step import PROVED, Table

GUARD = 0x5A
GUARD_BYTES = 32


@dataclass(frozen=True)
class Case:
    """One layer; pads are (top, left, bottom, right), misaligned = bytes by which activations miss a word.

    overlap: the output begins as close before the input as the kernel's order allows, and runs over it.
    """

    channels: int
    outputs: int
    input_hw: tuple[int, int] = (5, 6)
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    depthwise: bool = False
    groups: int = 1
    batch: int = 1
    clamp: tuple[int, int] = (-128, 127)
    zeros: tuple[int, int] = (3, -7)  # of input and output
    spread: int = 3  # scales of the channels differ by up to 2^spread; 0: all the same
    lowest: int = -128  # of the weights
    wide: bool = False
    misaligned: int = 1
    overlap: bool = False

    def __str__(self) -> str:
        kind = "dw" if self.depthwise else f"to{self.outputs}" + f"by{self.groups}" * (self.groups > 1)
        sizes = "x".join(map(str, (*self.input_hw, self.channels)))
        text = f"{sizes}-{kind}-k{self.kernel}-s{self.strides}-p{self.pads}-d{self.dilations}-n{self.batch}"
        text += f"-c{self.clamp}-z{self.zeros}-spread{self.spread}-from{self.lowest}{'-wide' * self.wide}"
        text += "-overlap" * self.overlap
        return text.replace(" ", "")


GROUPED = [
    Case(channels=8, outputs=8, groups=2, pads=(1, 1, 1, 1)),
    Case(channels=12, outputs=9, groups=3, strides=(2, 1), pads=(0, 1, 1, 0)),
    Case(channels=6, outputs=12, groups=6, pads=(1, 1, 1, 1), batch=2),  # depthwise, two outputs a channel
    Case(channels=15, outputs=5, groups=5, kernel=(2, 3), dilations=(1, 2)),
    Case(channels=16, outputs=24, groups=4, kernel=(1, 1), misaligned=2),
    Case(channels=20, outputs=14, groups=2, kernel=(1, 1), input_hw=(1, 1)),
    Case(channels=34, outputs=6, groups=2, kernel=(1, 1), clamp=(-50, 60), input_hw=(3, 3)),
    Case(channels=64, outputs=20, groups=2, pads=(1, 1, 1, 1), spread=11),
    Case(channels=40, outputs=8, groups=4, kernel=(1, 1), strides=(2, 2), spread=0),
]


def overlapping(count: int, seed: int) -> list[Case]:
    """Random layers of every kind of window, most of few pixels, around the channel counts where kernels change."""
    chance = np.random.default_rng(seed)
    edges = [15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 270, 300]

    def draw(low: int, high: int) -> int:
        return int(chance.integers(low, high, endpoint=True))

    def channels() -> int:
        return draw(1, 12) if chance.random() < 0.4 else int(chance.choice(edges))

    found: list[Case] = []
    while len(found) < count:
        kind = ("dense", "pointwise", "depthwise", "grouped")[len(found) % 4]
        kernel = (1, 1) if kind == "pointwise" else (draw(1, 3), draw(1, 3))
        size = draw(1, 6), draw(1, 6)
        dilations = draw(1, 2), draw(1, 2)
        top, left, bottom, right = (draw(0, n - 1) for n in kernel * 2)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        inputs, outputs = channels(), channels()
        groups = draw(2, 4) if kind == "grouped" else 1
        if kind == "grouped":
            inputs, outputs = (groups * -(-n // groups) for n in (inputs, outputs))
        case = Case(
            channels=inputs,
            outputs=inputs if kind == "depthwise" else outputs,
            input_hw=size,
            kernel=kernel,
            strides=(draw(1, 3), draw(1, 3)) if kind != "pointwise" or draw(0, 3) == 0 else (1, 1),
            pads=(top, left, bottom, right),
            dilations=dilations,
            depthwise=kind == "depthwise" and inputs > 1,
            groups=groups,
            batch=draw(1, 2),
            lowest=-128 + draw(0, 1),
            misaligned=draw(0, 3),
            overlap=True,
        )
        fits = size[0] + top + bottom >= reach[0] and size[1] + left + right >= reach[1]
        if fits and (case.depthwise or inputs * case.outputs // groups * kernel[0] * kernel[1] <= 20_000):
            found.append(case)
    return found


@dataclass(frozen=True)
class Problem:
    """A case filled with numbers: what the kernel is given, and what it must produce."""

    case: Case
    layer: Layer
    input: np.ndarray
    expected: np.ndarray


def problem(case: Case) -> Problem:
    chance = np.random.default_rng(zlib.crc32(str(case).encode()))
    height, width = case.input_hw
    (kernel_h, kernel_w), (top, left, bottom, right) = case.kernel, case.pads
    groups = case.channels if case.depthwise else case.groups
    reach = ((kernel_h - 1) * case.dilations[0], (kernel_w - 1) * case.dilations[1])
    out_h = (height + top + bottom - reach[0] - 1) // case.strides[0] + 1
    out_w = (width + left + right - reach[1] - 1) // case.strides[1] + 1
    assert min(out_h, out_w) > 0, case
    x = chance.integers(-128, 128, (case.batch, height, width, case.channels), np.int8)
    weights = chance.integers(case.lowest, 128, (case.outputs, *case.kernel, case.channels // groups), np.int8)
    depth = weights[0].size
    bias = chance.integers(-3000, 3000, case.outputs, np.int32)
    spread = np.exp2(chance.uniform(-case.spread, 0, case.outputs))
    scales = (spread * 0.04 / np.sqrt(depth) / 16).astype(np.float32)
    scale = Scale.of(scales)
    layer = Layer(
        weights=weights,
        x_shape=x.shape,
        y_shape=(case.batch, out_h, out_w, case.outputs),
        strides=case.strides,
        pads=case.pads[:2],
        dilations=case.dilations,
        groups=groups,
        channels=Channels(
            multiplier=Table("multiplier", scale.mantissa_q31, scale.shift),
            shift=Table("shift", scale.shift),
            bias=bias,
            output_offset=case.zeros[1],
            fast=True,
            exactness=PROVED,
        ),
        x_zero=case.zeros[0],
        clamp=case.clamp,
        wide=case.wide,
    )
    padded = np.full((case.batch, height + top + bottom, width + left + right, case.channels), case.zeros[0], np.int64)
    padded[:, top : top + height, left : left + width] = x
    padded -= case.zeros[0]
    acc = np.zeros(layer.y_shape, np.int64) + bias
    for i in range(kernel_h):
        for j in range(kernel_w):
            rows = slice(
                i * case.dilations[0], i * case.dilations[0] + (out_h - 1) * case.strides[0] + 1, case.strides[0]
            )
            columns = slice(
                j * case.dilations[1], j * case.dilations[1] + (out_w - 1) * case.strides[1] + 1, case.strides[1]
            )
            taps = padded[:, rows, columns]
            tap_weights = weights[:, i, j].astype(np.int64)
            if case.depthwise:
                acc += taps * tap_weights[:, 0]
                continue
            for group in range(groups):
                inputs = slice(group * case.channels // groups, (group + 1) * case.channels // groups)
                outputs = slice(group * case.outputs // groups, (group + 1) * case.outputs // groups)
                acc[..., outputs] += taps[..., inputs] @ tap_weights[outputs].T
    y = np.clip(requantize_exact(acc, scale) + case.zeros[1], *case.clamp)
    return Problem(case, layer, x, y.astype(np.int8))


def extreme(case: Case, weight: int = -128) -> Problem:
    """A layer without borders whose every product is -128 times `weight`; biases bring the sums back into range."""
    random = problem(case)
    assert not any(case.pads)
    weights = np.full_like(random.layer.weights, weight)
    channels, total = random.layer.channels, weights[0].size * (-128 - case.zeros[0]) * weight
    layer = replace(random.layer, weights=weights, channels=replace(channels, bias=channels.bias - np.int32(total)))
    assert channels.multiplier.requant_shift is not None
    scale = Scale(channels.multiplier.data, channels.multiplier.requant_shift)
    y = np.clip(requantize_exact(channels.bias.astype(np.int64), scale) + case.zeros[1], *case.clamp)
    return Problem(case, layer, np.full_like(random.input, -128), np.broadcast_to(y.astype(np.int8), layer.y_shape))


def ties(case: Case, lowered: int) -> Problem:
    """A layer of zero weights whose sums, the biases, lie where the float roundings decide: at ties and beside them.

    Every other scale has few bits, so that there are exact ties. All are 2^lowered smaller than the case's: sums then
    exceed 24 bits, and neighbours of ties are as near as ties.
    """
    random = problem(case)
    multiplier = random.layer.channels.multiplier
    assert multiplier.requant_shift is not None
    mantissa = multiplier.data.copy()
    mantissa[::2] &= -(1 << 27)
    scale = Scale(mantissa, (multiplier.requant_shift - lowered).astype(np.int32))
    chance = np.random.default_rng(lowered)
    odd = mantissa >> 27
    odd = np.where(np.arange(case.outputs) % 2 == 0, odd // (odd & -odd), 1)
    halves = odd * (2 * chance.integers(-128 // odd, 128 // odd) + 1) / 2
    near = np.rint(halves / scale.floats().astype(np.float64))
    bias = np.where(np.abs(near) < 2.0**30, near, 0).astype(np.int32)
    bias += chance.integers(-1, 2, case.outputs).astype(np.int32)
    channels = replace(
        random.layer.channels,
        multiplier=Table("multiplier", mantissa, scale.shift),
        shift=Table("shift", scale.shift),
        bias=bias,
    )
    layer = replace(random.layer, weights=np.zeros_like(random.layer.weights), channels=channels)
    fixed = bias.astype(np.int64) * mantissa >> (15 - scale.shift)
    assert np.count_nonzero(np.abs((fixed & 0xFFFF) - 0x8000) <= 2) > case.outputs // 8
    y = np.clip(requantize_exact(bias.astype(np.int64), scale) + case.zeros[1], *case.clamp)
    return Problem(case, layer, random.input, np.broadcast_to(y.astype(np.int8), layer.y_shape))


def found(isa: str, layer: Layer) -> Call:
    kernel = call(isa, layer)
    assert kernel is not None
    return kernel


def multiplier_words(table: Table, fpu: bool) -> np.ndarray:
    """The entries of a multiplier table as the C macros make them."""
    assert table.requant_shift is not None
    mantissa, shift = table.data.astype(np.int64), table.requant_shift
    if fpu:
        return np.ldexp(mantissa.astype(np.float64), shift - 31).astype(np.float32).view(np.int32)
    return (mantissa if table.shared_shift is None else mantissa >> (table.shared_shift - shift)).astype(np.int32)


_PREFACE = """\
#include <stdint.h>
#include <string.h>
#if defined(__arm__)
#include "board.h"
#define CALL(kernel) kernel
#define START() board_init()
#define SAY(text) board_puts(text)
#else
#include <stdio.h>
#define CALL(kernel) call_##kernel
#define START() ((void)0)
#define SAY(text) fputs(text, stdout)
#endif
"""


# On the host all layers share one copy of the kernel: it compiles faster, and sizes at run time are a case too.
_WRAPPER = """\
#if !defined(__arm__)
__attribute__((noipa)) static void call_KERNEL(const cmsis_nn_context *scratch, const mcugen_layer *layer,
    const mcugen_rows *rows, const int8_t *input, const void *weights, const int32_t *bias, const int32_t *multiplier,
    int8_t *output)
{
    KERNEL(scratch, layer, rows, input, weights, bias, multiplier, output);
}
#endif"""


def overlap_lead(layer: Layer, kernel: str) -> int:
    """Bytes by which the output must begin before the input, that it may run over."""
    return window_lead(layer.x_shape, layer.y_shape, layer.strides, layer.pads, ORDERS[kernel])


def program(isa: str, problems: Sequence[Problem]) -> str:
    """A C program that runs every problem (on a core with literal layers) and returns how many go wrong."""
    calls = [found(isa, p.layer) for p in problems]
    lines = _PREFACE.splitlines()
    for name in sorted({c.kernel for c in calls}):
        lines += [f'#include "{name}.h"', _WRAPPER.replace("KERNEL", name)]
    lines += [f"#define GUARD {GUARD}", f"#define GUARD_BYTES {GUARD_BYTES}"]
    for index, (p, c) in enumerate(zip(problems, calls, strict=True)):
        lines += _case(index, p, c)
    lines += ["int main(void)", "{", "    int wrong = 0;", "    START();"]
    lines += [f"    wrong += case_{index}();" for index in range(len(problems))]
    return "\n".join([*lines, "    return wrong;", "}"]) + "\n"


def _case(index: int, p: Problem, c: Call) -> list[str]:
    shifts = c.fields.get("shifts")
    fields = {key: value for key, value in c.fields.items() if key != "shifts"}
    literals = [f".{key} = {value}" for key, value in fields.items()]
    arrays = [_array(f"weights_{index}", c.weights.data), _array(f"bias_{index}", c.bias.data)]
    arrays += [_multipliers(f"multiplier_{index}", c.multiplier)]
    arrays += [_array(f"input_{index}", p.input), _array(f"expected_{index}", p.expected)]
    if isinstance(shifts, Table):
        arrays.append(_array(f"shifts_{index}", shifts.data))
        literals.append(f".shifts = shifts_{index}")
    at, bytes_in, bytes_out = p.case.misaligned, p.input.size, p.expected.size
    tables = f"weights_{index}, bias_{index}, multiplier_{index}"
    scratch = "scratch" if c.scratch_bytes else "NULL"
    if p.case.overlap:
        lead = overlap_lead(p.layer, c.kernel)
        room, inputs = max(lead + bytes_in, bytes_out), f"    int8_t *const input = room + {at + lead};"
    else:
        room, inputs = bytes_out, f"    static int8_t inputs[{bytes_in + at}], *const input = inputs + {at};"
    rooms = [f"    static int8_t room[{at + room + GUARD_BYTES}], before[sizeof room];", inputs]
    return [
        *arrays,
        f"static int case_{index}(void)",
        "{",
        f"    static const mcugen_layer layer = {{{', '.join(literals)}}};",
        f"    static const mcugen_rows rows = {{{', '.join(f'.{key} = {value}' for key, value in c.rows.items())}}};",
        f"    static uint32_t scratch_words[{c.scratch_bytes // 4 + 1 + GUARD_BYTES // 4}];",
        *rooms,
        "    int8_t *const scratch = (int8_t *)scratch_words;",
        f"    const cmsis_nn_context context = {{.buf = {scratch}, .size = {c.scratch_bytes}}};",
        "    int wrong = 0;",
        "    memset(scratch, GUARD, sizeof scratch_words);",
        "    memset(room, GUARD, sizeof room);",
        f"    memcpy(input, input_{index}, {bytes_in});",
        "    memcpy(before, room, sizeof room);",
        f"    CALL({c.kernel})(&context, &layer, &rows, input, {tables}, room + {at});",
        f"    memcpy(before + {at}, expected_{index}, {bytes_out});",
        "    wrong |= memcmp(room, before, sizeof room) != 0;",
        f"    for (int i = {c.scratch_bytes}; i < (int)sizeof scratch_words; i++) wrong |= scratch[i] != GUARD;",
        f'    if (wrong) SAY("{p.case}\\n");',
        "    return wrong;",
        "}",
    ]


def _array(name: str, data: np.ndarray) -> str:
    ctype = f"{data.dtype.name}_t"
    words = ", ".join(map(str, data.ravel().tolist()))
    return f"static const {ctype} {name}[] __attribute__((aligned(4))) = {{{words}}};"


def _multipliers(name: str, table: Table) -> str:
    shared = table.shared_shift
    pairs = zip(table.data.tolist(), np.asarray(table.requant_shift).tolist(), strict=True)
    macros = [
        f"MCUGEN_MULTIPLIER({m}, {s})" if shared is None else f"MCUGEN_MULTIPLIER_AT({m}, {s}, {shared})"
        for m, s in pairs
    ]
    return f"static const int32_t {name}[] = {{{', '.join(macros)}}};"
