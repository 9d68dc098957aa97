"""Calls of the specialised kernels (--kernels specialised): always-inlined C that takes every size as a literal.

Their contract is at the top of templates/kernels/mcugen_layer.h; the order of the weights at the top of each kernel's
own header, and written here. The instruction set of the core chooses the kernel; where none fits, None is returned
and the caller uses CMSIS-NN's call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..ir import Node
from ..step import Buffer, Scratch, Step, Struct, Table
from .base import Lowering
from .channels import Channels

# Bytes of code of a layer, at most, where it shares none: of GCC 12 at -O2, in MLPerf Tiny's models and a larger one on
# Cortex-M0, M3, M4 and M55. CMSIS-NN's calls in their place take more than _CALLS_BYTES, however few they are.
_LAYER_BYTES = {
    "mcugen_conv_scalar": 1_800,
    "mcugen_depthwise_scalar": 520,
    "mcugen_conv_dsp": 1_000,
    "mcugen_depthwise_dsp": 910,
    "mcugen_fully_connected_dsp": 580,
    "mcugen_conv_mve": 530,
    "mcugen_depthwise_mve": 580,
}
_CALLS_BYTES = 3_000
_GROWTH_BYTES = 32 << 10  # by which the layers' code may exceed the calls'
_GROWTH_SHARE = 8  # or, if that is more, this part of the layers' tables: flash is bought for those

TOO_LARGE = "api: specialised"  # how the reason begins why the calls are taken for the sake of flash

_INT16 = 2
_SHARED_SHIFT = 7  # the low bits of a mantissa that are zero: how far MCUGEN_MULTIPLIER_AT may shift it


@dataclass(frozen=True)
class Layer:
    """A convolution of any kind. weights int8[O,KH,KW,C/groups], zero point 0; shapes NHWC; pads (top, left)."""

    weights: np.ndarray
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int
    channels: Channels
    x_zero: int
    clamp: tuple[int, int]
    wide: bool  # speed before flash: int16 weights, where they are faster
    adds: Mapping[str, Any] | None = None  # see Lowering.adds

    @property
    def pixels(self) -> int:
        batch, height, width, _ = self.y_shape
        return batch * height * width

    @property
    def pointwise(self) -> bool:
        return self.weights.shape[1:3] == (1, 1) and self.strides == (1, 1) and not self.has_borders

    @property
    def depthwise(self) -> bool:
        """One output channel for each input channel, and more than one?"""
        return self.groups == self.x_shape[3] == self.y_shape[3] > 1

    @property
    def window_bytes(self) -> int:
        _, kernel_h, kernel_w, _ = self.weights.shape
        return kernel_h * kernel_w * self.x_shape[3]

    @property
    def has_borders(self) -> bool:
        """Does some window leave the input?"""
        ends = [
            (out - 1) * stride - pad + (taps - 1) * dilation
            for out, stride, pad, taps, dilation in zip(
                self.y_shape[1:3], self.strides, self.pads, self.weights.shape[1:3], self.dilations, strict=True
            )
        ]
        return any(self.pads) or any(end >= size for end, size in zip(ends, self.x_shape[1:3], strict=True))

    @property
    def window_copy_bytes(self) -> int:
        """Scratch for mcugen_window_copy, where the kernel calls it."""
        return self.window_bytes if self.has_borders or self.dilations[1] > 1 else 0


@dataclass(frozen=True)
class Kernel:
    """What a kernel is called with, beside the layer: its tables and its needs."""

    name: str
    weights: np.ndarray
    scratch_bytes: int
    unroll: int = 1  # of the innermost loop
    paired: bool = False  # an int16 holds the weights of two channels
    groups: int = 1  # of channels that meet only each other, where the kernel knows them
    compact: bool = False  # code of the requantization shared by all layers, where it is long
    pad_channels: int = 0  # channels that the tables hold beyond the layer's
    one_multiplier: bool = True  # the multiplier table may be a single entry
    by_address: bool = False  # its windows are the addresses of their taps
    values_at: int | None = None  # byte of scratch from which on two pixels' values may wait for an Add; None: no Add


def lower(
    lowering: Lowering,
    node: Node,
    layer: Channels,
    weights: np.ndarray,
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    *,
    strides: tuple[int, ...] = (1, 1),
    pads: tuple[int, ...] = (0, 0),
    dilations: tuple[int, ...] = (1, 1),
    groups: int = 1,
    macs: int,
) -> Step | None:
    """One step, or None where CMSIS-NN's call is to be used."""
    if lowering.kernels != "specialised" or lowering.requant != "exact" or not layer.fast:
        return None
    x = node.inputs[0]
    x_zero = lowering.quant(x)[1]
    conv = Layer(
        weights=weights,
        x_shape=x_shape,
        y_shape=y_shape,
        strides=tuple(strides),
        pads=tuple(pads[:2]),
        dilations=tuple(dilations),
        groups=groups,
        channels=layer,
        x_zero=x_zero,
        clamp=node.attrs["clamp"],
        wide=lowering.speed_first,
        adds=lowering.adds,
    )
    found = call(lowering.core.isa, conv)
    if found is None:
        return None
    return Step(
        name=lowering.name,
        kernel=found.kernel,
        args=(
            ("scratch", Scratch()),
            ("layer", Struct("mcugen_layer", found.fields)),
            ("rows", Struct("mcugen_rows", found.rows, literal=lowering.speed_first)),
            ("input", Buffer(x)),
            ("weights", found.weights),
            ("bias", found.bias),
            ("multiplier", found.multiplier),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=layer.exactness,
        origin=node.origin,
        scratch_bytes=found.scratch_bytes,
        macs=macs,
        notes=layer.notes,
    )


def growth(steps: Sequence[Step]) -> tuple[int, int]:
    """Bytes of code that the specialised layers take more than CMSIS-NN's calls, at most; and how many they may take.

    (0, 0) if there are none.
    """
    layers = [step for step in steps if _form(step)]
    forms = {_form(step): step.kernel for step in layers}
    more = sum(_LAYER_BYTES[kernel] for kernel in forms.values()) - _CALLS_BYTES if forms else 0
    return max(more, 0), max(_GROWTH_BYTES, table_bytes(layers) // _GROWTH_SHARE) if forms else 0


def table_bytes(steps: Sequence[Step]) -> int:
    return sum(table.data.nbytes for step in steps for table in step.tables())


def _form(step: Step) -> tuple[str, str] | None:
    """What layers that share code have in common, but for the shift of their channels; None of other steps."""
    layer = dict(step.args).get("layer")
    if not isinstance(layer, Struct) or layer.ctype != "mcugen_layer":
        return None
    return step.kernel, repr({key: value for key, value in layer.fields.items() if key != "shift"})


def alike(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, those that differ in nothing but tables and the channels' common shift with the same shift too.

    Layers whose mcugen_layer is the same share its code.
    """
    kinds: dict[tuple[str, str], list[int]] = {}
    for index, step in enumerate(steps):
        form = _form(step)
        if form is not None and "shifts" not in dict(step.args)["layer"].fields:  # type: ignore[union-attr]
            kinds.setdefault(form, []).append(index)
    found = list(steps)
    for indices in kinds.values():
        shared = max(_shift(steps[index]) for index in indices)
        for index in indices:
            found[index] = _with_shift(steps[index], shared)
    return tuple(found)


def _shift(step: Step) -> int:
    shift = dict(step.args)["layer"].fields["shift"]  # type: ignore[union-attr]
    return int(shift)


def _with_shift(step: Step, shared: int) -> Step:
    """The step with that common shift, itself if a multiplier would lose bits."""
    args = dict(step.args)
    layer, multiplier = args["layer"], args["multiplier"]
    assert isinstance(layer, Struct) and isinstance(multiplier, Table) and multiplier.requant_shift is not None
    if np.any(multiplier.requant_shift < shared - _SHARED_SHIFT):
        return step
    args["layer"] = replace(layer, fields={**layer.fields, "shift": shared})
    args["multiplier"] = replace(multiplier, shared_shift=shared)
    return replace(step, args=tuple(args.items()))


@dataclass(frozen=True)
class Call:
    """A kernel's name, the fields of its mcugen_layer and mcugen_rows, its tables and its scratch."""

    kernel: str
    fields: dict[str, object]
    rows: dict[str, int]
    weights: Table
    bias: Table
    multiplier: Table
    scratch_bytes: int


def call(isa: str, conv: Layer) -> Call | None:
    """How the layer is computed with that instruction set; None where no specialised kernel does."""
    folded = _folded_bias(conv)
    kernel = _KERNELS[isa](conv)
    if folded is None or kernel is None or (conv.adds is not None and kernel.values_at is None):
        return None
    scratch_bytes = kernel.scratch_bytes
    if conv.adds is not None and kernel.values_at is not None:
        scratch_bytes = max(scratch_bytes, kernel.values_at + min(conv.pixels, 2) * conv.y_shape[3])
    fields, multiplier = _requantization(conv.channels, kernel)
    return Call(
        kernel=kernel.name,
        fields=_geometry(conv) | fields | _weights(kernel) | dict(conv.adds or {}),
        rows={"input_h": conv.x_shape[1], "output_h": conv.y_shape[1], "pad_top": conv.pads[0]},
        weights=Table("weights", kernel.weights),
        bias=Table("bias", _padded(folded, kernel.pad_channels)),
        multiplier=multiplier,
        scratch_bytes=scratch_bytes,
    )


def added(add: Step, name: str) -> Mapping[str, Any]:
    """Lowering.adds for the layer that makes operand `name` of the step `add`, a call of mcugen_add_s8."""
    (params,) = (arg for _, arg in add.args if isinstance(arg, Struct))
    return {"adds": 1 if add.inputs[0] == name else 2, "add": params.fields}


def joined(layer: Step, add: Step) -> Step | None:
    """One step for the layer, lowered with Lowering.adds, and the step `add`; None if its kernel does not add."""
    if not any(isinstance(arg, Struct) and arg.fields.get("adds") for _, arg in layer.args):
        return None
    (other,) = (name for name in add.inputs if name != layer.outputs[0])
    return replace(
        layer,
        args=tuple((role, Buffer(add.outputs[0]) if role == "output" else arg) for role, arg in layer.args),
        inputs=(*layer.inputs, other),
        outputs=add.outputs,
        origin=(*layer.origin, *add.origin),
        leads=(),
        in_place=(other,),
        adds_to=other,
        notes=(*layer.notes, f"adds to what stands at its output, in place of {add.name}"),
    )


def _folded_bias(conv: Layer) -> np.ndarray | None:
    """bias - x_zero * sum(weights) int32[O]; None where it, or a sum of raw products on the way, may leave int32."""
    weights = conv.weights.reshape(len(conv.weights), -1).astype(np.int64)
    folded = conv.channels.bias.astype(np.int64) - conv.x_zero * weights.sum(axis=1)
    reach = np.abs(folded) + 128 * np.abs(weights).sum(axis=1)
    return folded.astype(np.int32) if reach.max(initial=0) < 2**31 else None


def _geometry(conv: Layer) -> dict[str, object]:
    batch, _, input_w, input_c = conv.x_shape
    _, _, output_w, output_c = conv.y_shape
    fields: dict[str, object] = {
        "batch": batch,
        "input_w": input_w,
        "input_c": input_c,
        "filter_h": conv.weights.shape[1],
        "filter_w": conv.weights.shape[2],
        "output_w": output_w,
        "output_c": output_c,
        "stride_h": conv.strides[0],
        "stride_w": conv.strides[1],
        "pad_left": conv.pads[1],
        "dilation_h": conv.dilations[0],
        "dilation_w": conv.dilations[1],
        "input_zero": conv.x_zero,
        "output_zero": conv.channels.output_offset,
        "output_min": conv.clamp[0],
        "output_max": conv.clamp[1],
    }
    return fields | ({"pointwise": 1} if conv.pointwise else {})


def _requantization(layer: Channels, kernel: Kernel) -> tuple[dict[str, object], Table]:
    """The layer's fields and its multiplier table, which has one entry if all channels agree and the kernel can."""
    pad = kernel.pad_channels
    multiplier, shift = layer.multiplier.data, layer.shift.data
    used = multiplier != 0
    shared = int(shift[used].max(initial=-31))
    fields: dict[str, object] = {"multiplier_step": 1, "shift": shared}
    if np.any(shift[used] < shared - _SHARED_SHIFT):
        shifts = Table("shift", _padded(shift, pad))
        return fields | {"shifts": shifts}, Table("multiplier", _padded(multiplier, pad), shifts.data)
    shift = np.where(used, shift, shared)
    if kernel.one_multiplier and np.all(multiplier == multiplier[0]) and np.all(shift == shift[0]):
        return fields | {"multiplier_step": 0}, Table("multiplier", multiplier[:1], shift[:1], shared)
    return fields, Table("multiplier", _padded(multiplier, pad), _padded(shift, pad), shared)


def _weights(kernel: Kernel) -> dict[str, object]:
    weight_bytes = 1 if kernel.paired else kernel.weights.dtype.itemsize
    flags = {"paired": kernel.paired, "compact": kernel.compact, "by_address": kernel.by_address}
    fields: dict[str, object] = {"weight_bytes": weight_bytes, "unroll": kernel.unroll}
    fields |= {"groups": kernel.groups} if kernel.groups > 1 else {}
    return fields | {name: 1 for name, value in flags.items() if value}


def _padded(array: np.ndarray, count: int) -> np.ndarray:
    """`count` copies of the last element behind it."""
    return np.pad(array, (0, count), mode="edge")


def _unroll(length: int, most: int = 9) -> int:
    """The largest divisor of a loop's length up to `most`."""
    return next(n for n in range(min(length, most), 0, -1) if length % n == 0)


def _dsp(conv: Layer) -> Kernel:
    return _depthwise_dsp(conv) if conv.depthwise else _conv_dsp(conv)


_SXTB16 = (0, 2, 1, 3)  # which byte of a word each int16 of a group comes from; its own inverse


def _rows_of_groups(conv: Layer, multiple: int = 1, least: int = 1) -> np.ndarray:
    """Weights [groups, O/groups, K], with rows of zeros behind each group's: a multiple, `least` or more."""
    rows = conv.weights.reshape(conv.groups, len(conv.weights) // conv.groups, -1)
    count = max(rows.shape[1] + -rows.shape[1] % multiple, least)
    return np.pad(rows, ((0, 0), (0, count - rows.shape[1]), (0, 0)))


def _conv_dsp(conv: Layer) -> Kernel:
    """mcugen_conv_dsp.h, or mcugen_fully_connected_dsp.h."""
    outputs, kernel_h, kernel_w, channels = conv.weights.shape
    lines, row = (kernel_h, kernel_w * channels) if conv.groups == 1 else (1, conv.weights[0].size)
    taps = np.arange(lines * row).reshape(lines, row)
    words = taps[:, : row // 4 * 4].reshape(-1, 4)[:, _SXTB16]
    column = np.concatenate([words.ravel(), taps[:, row // 4 * 4 :].ravel()])
    groups = -(-len(column) // 4)
    in_place = conv.pixels == 1 and conv.pointwise and channels % 4 == 0 and conv.groups == 1
    turns = 4 if in_place else 2  # channels whose weights take turns
    filters = _rows_of_groups(conv, turns)
    pad = filters.shape[1] - outputs // conv.groups
    placed = np.zeros((filters.shape[0] * filters.shape[1], 4 * groups), np.int8)
    placed[:, : len(column)] = filters.reshape(len(placed), -1)[:, column]
    pairs = None if conv.wide else _paired(placed)
    rows, turns = (placed, turns) if pairs is None else (pairs, turns // 2)
    order = rows.reshape(-1, turns, groups, 4).swapaxes(1, 2)
    if pairs is None:
        order = order.astype(np.int16) if conv.wide else order[..., _SXTB16]
    held = min(conv.pixels, 2)
    columns = held * 4 * groups * _INT16
    copies = conv.window_copy_bytes if conv.groups == 1 else held * conv.window_bytes
    return Kernel(
        name="mcugen_fully_connected_dsp" if in_place else "mcugen_conv_dsp",
        weights=order,
        scratch_bytes=0 if in_place else columns + copies,
        unroll=_unroll(groups, 6 if in_place else 9),
        paired=pairs is not None,
        groups=conv.groups,
        pad_channels=pad,
        values_at=None if in_place else columns + (0 if conv.groups == 1 else copies),
    )


def _paired(weights: np.ndarray) -> np.ndarray | None:
    """int8[O,N], O even, as int16[O/2,N]: the first of two channels + 256 * the second one.

    None where that is not an int16, or where a sum of the second channel's products, times 256, may leave int32.
    """
    first, second = weights[::2].astype(np.int32), weights[1::2].astype(np.int32)
    pairs = first + 256 * second
    reach = 128 * np.abs(second).sum(axis=1)
    return pairs.astype(np.int16) if pairs.min() >= -(2**15) and reach.max() < 2**23 else None


_ADDRESS_BYTES = 8  # on the widest host


def _depthwise_dsp(conv: Layer) -> Kernel:
    """mcugen_depthwise_dsp.h."""
    channels = conv.x_shape[3]
    taps = conv.weights.reshape(channels, -1)
    count = taps.shape[1]
    pad = -channels % 4
    lanes = np.pad(taps, ((0, pad), (0, 0))).reshape(-1, 4, count).transpose(0, 2, 1)  # [C/4, taps, 4]
    pairs = lanes[:, : count // 2 * 2].reshape(len(lanes), count // 2, 2, 4).swapaxes(2, 3)
    single = lanes[:, count // 2 * 2 :, _SXTB16]
    order = np.concatenate([pairs.reshape(len(lanes), -1), single.reshape(len(lanes), -1)], axis=1)
    addressed = count * _ADDRESS_BYTES + channels
    return Kernel(
        name="mcugen_depthwise_dsp",
        weights=order.astype(np.int16),
        scratch_bytes=min(addressed, conv.window_copy_bytes),
        pad_channels=pad,
        by_address=addressed < conv.window_copy_bytes,
    )


def _scalar(conv: Layer) -> Kernel:
    return _depthwise_scalar(conv) if conv.depthwise else _conv_scalar(conv)


def _conv_scalar(conv: Layer) -> Kernel:
    """mcugen_conv_scalar.h."""
    depth = conv.weights[0].size
    filters = _rows_of_groups(conv, least=4)
    columns = 0 if conv.pointwise else min(conv.pixels, 2) * conv.window_bytes
    return Kernel(
        name="mcugen_conv_scalar",
        weights=filters.reshape(-1, depth),
        scratch_bytes=columns,
        unroll=_unroll(depth, 9 if conv.wide else 6),
        compact=not conv.wide,
        groups=conv.groups,
        pad_channels=filters.shape[1] - len(conv.weights) // conv.groups,
        values_at=columns,
    )


def _depthwise_scalar(conv: Layer) -> Kernel:
    """mcugen_depthwise_scalar.h."""
    weights = conv.weights[..., 0].transpose(1, 2, 0)
    return Kernel("mcugen_depthwise_scalar", weights, conv.window_copy_bytes, compact=not conv.wide)


def _mve(conv: Layer) -> Kernel | None:
    return _depthwise_mve(conv) if conv.depthwise else _conv_mve(conv)


_VECTOR = 16  # bytes
_MVE_PROGRAM_WORDS = 48
_MVE_HELD = 4
_MVE_DEPTHWISE_TAPS = 64


def _mve_program_words(rows: int, row_bytes: int) -> int:
    return 2 * rows * (row_bytes // 256 + 1) + 4


def _conv_mve(conv: Layer) -> Kernel | None:
    """mcugen_conv_mve.h."""
    outputs, kernel_h, kernel_w, channels = conv.weights.shape
    depth = kernel_h * kernel_w * channels
    if _mve_program_words(1, depth) > _MVE_PROGRAM_WORDS:
        return None
    in_place = (
        (conv.dilations[1] == 1 or kernel_w == 1)
        and (kernel_h == 1 or kernel_w * channels % _VECTOR == 0)
        and _mve_program_words(kernel_h, kernel_w * channels) <= _MVE_PROGRAM_WORDS
    )
    chunks = -(-depth // _VECTOR)
    filters = _rows_of_groups(conv, 4)
    placed = np.pad(filters.reshape(-1, depth), ((0, 0), (0, chunks * _VECTOR - depth)))
    values = 0 if conv.adds is None else -(-_MVE_HELD * outputs // _VECTOR) * _VECTOR
    columns = (2 * conv.groups * chunks + 1) * _VECTOR
    if conv.pointwise if conv.groups > 1 else in_place and not conv.has_borders:
        columns = 0
    return Kernel(
        name="mcugen_conv_mve",
        weights=placed.reshape(-1, 4, chunks, _VECTOR).swapaxes(1, 2),
        scratch_bytes=values + columns,
        groups=conv.groups,
        pad_channels=filters.shape[1] - outputs // conv.groups,
        one_multiplier=False,
        values_at=0,
    )


def _depthwise_mve(conv: Layer) -> Kernel | None:
    """mcugen_depthwise_mve.h."""
    channels = conv.x_shape[3]
    taps = conv.weights.reshape(channels, -1).T  # [taps, C]
    zeros_between = 2 if np.any(taps == -128) else 1
    if len(taps) * zeros_between > _MVE_DEPTHWISE_TAPS:
        return None
    shared = _VECTOR // channels if conv.strides[1] == 1 and channels < _VECTOR else 1
    lanes = np.tile(taps, (1, shared))
    lanes = np.pad(lanes, ((0, 0), (0, -lanes.shape[1] % _VECTOR)))
    table = np.zeros((lanes.shape[1] // _VECTOR, len(taps), zeros_between, _VECTOR), np.int8)
    table[:, :, 0] = lanes.reshape(len(taps), -1, _VECTOR).swapaxes(0, 1)
    return Kernel(
        name="mcugen_depthwise_mve",
        weights=table,
        scratch_bytes=taps.size if conv.has_borders else 0,
        unroll=zeros_between,
        pad_channels=0 if shared > 1 else -channels % _VECTOR,
        one_multiplier=False,
    )


_KERNELS: dict[str, Callable[[Layer], Kernel | None]] = {"v6m": _scalar, "v7m": _scalar, "dsp": _dsp, "mve": _mve}
