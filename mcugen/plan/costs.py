"""What bands of rows cost beside the work of their layers: instructions and bytes of code.

A layer in bands does not know how many rows it has, rows are moved, and there are more calls; layers that add to what
stands at their output do so every two pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ir import Graph
from ..step import MOVE, SUM, Step, Struct
from ..target import Isa

_ADD, _AVERAGE = "mcugen_add_s8", "mcugen_average_sums_s8"
_SHARED = 2  # layers that add to what stands at their output share the code of the Add from so many on
_CALL_BYTES = 12  # of one more call; in loops it is less
_ROWS_BYTES = 150  # of a layer that is given its rows
_FORM_BYTES = 1024  # of a layer's second form, and of a kernel that is not in kernel_bytes


@dataclass(frozen=True)
class Costs:
    """Of an instruction set, in instructions: of bands the most that was seen, of joined layers the least.

    call         of a call that is no layer's in bands
    move         of a byte that is moved, where both places are aligned to words; unaligned: elsewhere
    conv, depthwise, inside, pointwise, irregular
                 of a layer in bands: of an output pixel, beyond the whole layer's, and of a call. inside: depthwise, of
                 16 channels or a multiple, without padding before, all bands of as many rows; irregular: rows of an
                 odd number of pixels, or that begin inside a word, code that several layers share, pointwise layers of
                 fewer than 8 channels
    joined       of an output pixel of layers that add to what stands at their output, beyond that of two calls
    summed       of a byte of a global average pool in bands, beyond the whole one's
    kernel_bytes code of the kernels that bands bring along
    """

    call: int
    move: float
    unaligned: float
    conv: tuple[float, int]
    depthwise: tuple[float, int]
    inside: tuple[float, int]
    pointwise: tuple[float, int]
    irregular: tuple[float, int]
    joined: float
    summed: float
    kernel_bytes: Mapping[str, int]

    def instructions(self, graph: Graph, steps: Sequence[Step], addresses: Mapping[str, int]) -> int:
        """Of a plan, beyond those of its layers' own work: to be compared with another plan of the same layers."""
        joined = [step for step in steps if step.adds_to]
        total: float = self.call * len(joined)
        if len(joined) >= _SHARED:
            total += self.joined * sum(_pixels(graph, step) for step in joined)
        users: dict[object, set[str]] = {}
        for step in steps:
            users.setdefault(_form(step), set()).add(step.name)
        heights: dict[str, set[int]] = {}
        for step in steps:
            if step.rows is not None:
                heights.setdefault(step.name, set()).add(graph.type(step.outputs[0]).shape[1])
        passed = {_form(step) for step in steps if step.rows is not None and step.macs}
        for step in steps:
            shared = len(users[_form(step)]) > 1
            if _form(step) in passed and (step.rows is not None or shared):
                pixel, call = self._layer(step, shared, len(heights.get(step.name, ())) == 1)
                total += pixel * _pixels(graph, step) + call
                continue
            total += self.call
            if step.kernel == MOVE:
                aligned = all(addresses[name] % 4 == 0 for name in (*step.inputs, *step.outputs))
                total += (self.move if aligned else self.unaligned) * graph.type(step.outputs[0]).bytes
            elif step.kernel == SUM:
                total += self.summed * graph.type(step.inputs[0]).bytes
        return round(total)

    def _layer(self, step: Step, shared: bool, equal: bool) -> tuple[float, int]:
        """Of a pixel and of a call of a layer whose code is given its rows. equal: as many in every band."""
        layer = _numbers(step)
        if shared or not layer or layer["output_w"] % 2 or layer["input_w"] * layer["input_c"] % 4:
            return self.irregular
        if layer.get("pointwise"):
            return self.pointwise if layer["input_c"] >= 8 else self.irregular
        if "_depthwise_" in step.kernel:
            known = equal and not layer["pad_left"] and layer["input_c"] % 16 == 0
            return self.inside if known else self.depthwise
        return self.conv

    def code_bytes(self, steps: Sequence[Step], whole: Sequence[Step]) -> int:
        """That the steps take more than the whole ones, at most."""
        new = {step.kernel for step in steps} - {step.kernel for step in whole}
        total = sum(self.kernel_bytes.get(kernel, _FORM_BYTES) for kernel in new)
        joined, still = (sum(step.adds_to is not None for step in plan) for plan in (whole, steps))
        if _ADD in new and joined >= _SHARED and not still:
            total -= self.kernel_bytes[_ADD]  # what the layers shared is as long
        names = {step.name for step in steps if step.rows is not None}
        forms = {(step.name, _form(step)) for step in steps if step.rows is not None}
        total += _CALL_BYTES * (len(steps) - len(whole)) + _ROWS_BYTES * len(names)
        return total + _FORM_BYTES * (len(forms) - len(names))


def _pixels(graph: Graph, step: Step) -> int:
    type = graph.type(step.outputs[0])
    return type.count // type.shape[-1]


def _numbers(step: Step) -> dict[str, int]:
    """The numbers in a specialised layer's struct; none if the step has another kernel."""
    found = dict(step.args).get("layer")
    if not isinstance(found, Struct) or found.ctype != "mcugen_layer":
        return {}
    return {key: value for key, value in found.fields.items() if isinstance(value, int)}


def _form(step: Step) -> tuple[object, ...]:
    """What steps that share code have in common. Layers' shifts may become alike."""
    layer = _numbers(step)
    return (step.kernel, *sorted((k, v) for k, v in layer.items() if k != "shift")) if layer else (step.name,)


# Measured under QEMU, code of GCC 12 at -O2: each step of 289 plans in bands and of the 17 models whole, on Cortex-M0,
# M3, M4, M7 and M55. The models: MLPerf Tiny's two with large images, residual nets, MobileNets of both kinds, chains
# with pools; rows of odd and of even length. On v6m nothing is expected of joined layers: alignment, and what the
# compiler finds in common to all calls, change more.
# 13 further models were held against them: one of 13 plans exceeded its bound, of a pointwise layer of 4 channels.
COSTS: Mapping[Isa, Costs] = {
    "v6m": Costs(
        call=95,
        move=1.26,
        unaligned=7.2,
        conv=(16.2, 60),
        depthwise=(4.7, 60),
        inside=(2.8, 70),
        pointwise=(0.1, 65),
        irregular=(80, 100),
        joined=0,
        summed=6,
        kernel_bytes={MOVE: 240, _ADD: 8600, SUM: 100, _AVERAGE: 1240},
    ),
    "v7m": Costs(
        call=75,
        move=0.57,
        unaligned=4.1,
        conv=(7.3, 45),
        depthwise=(3.7, 20),
        inside=(2, 20),
        pointwise=(0, 65),
        irregular=(17, 100),
        joined=27,
        summed=5,
        kernel_bytes={MOVE: 250, _ADD: 3700, SUM: 80, _AVERAGE: 850},
    ),
    "dsp": Costs(
        call=70,
        move=0.57,
        unaligned=4.1,
        conv=(6.2, 30),
        depthwise=(2.8, 160),
        inside=(0, 20),
        pointwise=(1.5, 45),
        irregular=(50, 100),
        joined=17.5,
        summed=5,
        kernel_bytes={MOVE: 250, _ADD: 650, SUM: 80, _AVERAGE: 120},
    ),
    "mve": Costs(
        call=65,
        move=0.57,
        unaligned=3.1,
        conv=(11.7, 100),
        depthwise=(0.4, 245),
        inside=(0, 160),
        pointwise=(0, 155),
        irregular=(16, 120),
        joined=12,
        summed=5,
        kernel_bytes={MOVE: 280, _ADD: 410, SUM: 80, _AVERAGE: 120},
    ),
}
