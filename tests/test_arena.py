"""The arena: what lives together lies apart, as far as no kernel says otherwise; scratch is as Arm's library asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest
from c_compiler import GCC, run
from checking import CMSIS_NN, compile_model, needs_cmsis_nn
from gallery import NAMES, example

from mcugen.emit.artefact import Compiled
from mcugen.ops import scratch
from mcugen.target import CORES


@dataclass
class Region:
    """Bytes of one tensor and its views, from the step that first writes them (-1: an input) to the last reader."""

    start: int
    stop: int
    born: int
    last: int

    def meets(self, other: Region) -> bool:
        return self.start < other.stop and other.start < self.stop


def regions(compiled: Compiled) -> dict[str, Region]:
    """By tensor, from the steps alone; views share the region of what they view."""
    graph, plan = compiled.graph, compiled.plan
    views = {node.output: node.inputs[0] for node in graph.nodes if node.op == "reshape"}
    found: dict[str, Region] = {}

    def region(name: str) -> Region | None:
        while name in views:
            name = views[name]
        if name not in plan.addresses:
            return None
        if name not in found:
            start = plan.addresses[name]
            found[name] = Region(start, start + graph.type(name).bytes, len(compiled.steps), -1)
        return found[name]

    def use(name: str, step: int) -> None:
        found_region = region(name)
        if found_region is not None:
            found_region.born = min(found_region.born, step)
            found_region.last = max(found_region.last, step)

    for name in graph.inputs:
        use(name, -1)
    for index, step in enumerate(compiled.steps):
        for name in (*step.inputs, *step.outputs):
            use(name, index)
    for name in graph.outputs:
        use(name, len(compiled.steps))
    shared = {name: region(name) for name in graph.values}
    return {name: owner for name, owner in shared.items() if owner is not None and owner.born <= owner.last}


CASES = [(case, core) for case in NAMES for core in ("cortex-m3", "cortex-m4", "cortex-m55")]


@pytest.mark.parametrize("case, core", CASES)
@pytest.mark.parametrize("library", ["bundled", "arm"])
def test_what_lives_together_lies_apart(library: str, case: str, core: str, tmp_path: Path) -> None:
    """An output may follow into a dying input only by as much as its step states."""
    kernels = "api" if library == "arm" else "specialised"
    compiled = compile_model(example(case), tmp_path, core=core, library=library, kernels=kernels)
    everything = regions(compiled)
    for index, step in enumerate(compiled.steps):
        target = everything[step.outputs[0]]
        apart = {id(r): r for r in everything.values() if r.born < index <= r.last and r is not target}
        leads = dict(step.leads)
        if step.adds_to is not None:
            other = everything[step.adds_to]
            assert (other.last, other.start, other.stop) == (index, target.start, target.stop), step.name
            apart.pop(id(other))
        for name in step.inputs:
            source = everything.get(name)
            if source is None or source.last != index or name not in leads:
                continue
            apart.pop(id(source), None)
            assert not target.meets(source) or source.start - target.start >= leads[name], step.name
        for other in apart.values():
            assert not target.meets(other), f"{step.name} overwrites what is still read"
        if index in compiled.plan.scratch:
            slot = compiled.plan.scratch[index]
            assert slot.size_bytes >= step.scratch_bytes > 0
            buffer = Region(slot.offset_bytes, slot.offset_bytes + slot.size_bytes, index, index)
            assert not any(buffer.meets(r) for r in everything.values() if r.born <= index <= r.last), step.name
        else:
            assert step.scratch_bytes == 0


@pytest.mark.parametrize("case, core", CASES)
def test_sizes_and_alignment(case: str, core: str, tmp_path: Path) -> None:
    compiled = compile_model(example(case), tmp_path, core=core)
    plan = compiled.plan
    assert plan.arena_bytes >= plan.bound_bytes > 0
    assert plan.arena_bytes == -(-max(slot.offset_bytes + slot.size_bytes for slot in plan.slots) // 16) * 16
    assert all(slot.offset_bytes % 16 == 0 for slot in plan.slots)
    for port in (*compiled.inputs, *compiled.outputs):
        assert plan.addresses[port.name] % np.dtype(port.type.dtype).itemsize == 0
        assert plan.addresses[port.name] + port.type.bytes <= plan.arena_bytes


def test_arms_library_is_promised_no_order(tmp_path: Path) -> None:
    compiled = compile_model(example("classifier-int8"), tmp_path, library="arm", kernels="api")
    assert all(not step.leads for step in compiled.steps if step.kernel.startswith("arm_"))


def test_planning_is_deterministic(tmp_path: Path) -> None:
    plans = [compile_model(example("arithmetic-int8"), tmp_path).plan for _ in range(2)]
    assert plans[0] == plans[1]


# Scratch, against Arm's own functions

_SHIM = """
#include "arm_nnfunctions.h"
int32_t convolve(int variant, const int32_t *v);
int32_t depthwise(int variant, const int32_t *v);
/* v: kernel h, w, kernel channels, input channels, output channels, pad h, w, dilation h, w, stride h, w */
int32_t convolve(int variant, const int32_t *v)
{
    const cmsis_nn_conv_params p = {.padding = {.h = v[5], .w = v[6]}, .dilation = {.h = v[7], .w = v[8]},
                                    .stride = {.h = v[9], .w = v[10]}};
    const cmsis_nn_dims x = {1, 16, 16, v[3]}, f = {v[4], v[0], v[1], v[2]}, y = {1, 16, 16, v[4]};
    return variant == 0   ? arm_convolve_wrapper_s8_get_buffer_size(&p, &x, &f, &y)
           : variant == 1 ? arm_convolve_wrapper_s8_get_buffer_size_dsp(&p, &x, &f, &y)
                          : arm_convolve_wrapper_s8_get_buffer_size_mve(&p, &x, &f, &y);
}
int32_t depthwise(int variant, const int32_t *v)
{
    const cmsis_nn_dw_conv_params p = {.ch_mult = v[4] / v[3], .padding = {.h = v[5], .w = v[6]},
                                       .dilation = {.h = v[7], .w = v[8]}, .stride = {.h = v[9], .w = v[10]}};
    const cmsis_nn_dims x = {1, 16, 16, v[3]}, f = {1, v[0], v[1], v[4]}, y = {1, 16, 16, v[4]};
    return variant == 0   ? arm_depthwise_conv_wrapper_s8_get_buffer_size(&p, &x, &f, &y)
           : variant == 1 ? arm_depthwise_conv_wrapper_s8_get_buffer_size_dsp(&p, &x, &f, &y)
                          : arm_depthwise_conv_wrapper_s8_get_buffer_size_mve(&p, &x, &f, &y);
}
"""
_VARIANT = {"v6m": 0, "v7m": 0, "dsp": 1, "mve": 2}


@pytest.fixture(scope="module")
def getters(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Arm's buffer-size functions, built for the host."""
    assert CMSIS_NN is not None
    folder = tmp_path_factory.mktemp("getters")
    (folder / "shim.c").write_text(_SHIM)
    files = sorted((CMSIS_NN / "Source").rglob("*get_buffer_sizes_s8.c"))
    flags = ["-O1", "-shared", "-fPIC", f"-I{CMSIS_NN / 'Include'}"]
    run([GCC, *flags, folder / "shim.c", *files, "-o", folder / "getters.so"])
    ffi = cffi.FFI()
    ffi.cdef("int32_t convolve(int, const int32_t *); int32_t depthwise(int, const int32_t *);")
    return ffi.dlopen(str(folder / "getters.so"))


def geometries() -> Iterator[dict[str, Any]]:
    for kernel in ((1, 1), (3, 3), (5, 1), (1, 5), (2, 4)):
        for channels in (1, 3, 4, 8, 17, 128):
            for padding in ((0, 0), (1, 1), (2, 2)):
                for dilation in ((1, 1), (2, 2)):
                    yield {"kernel": kernel, "channels": channels, "padding": padding, "dilation": dilation}


def _vector(g: dict[str, Any], kernel_channels: int, outputs: int) -> list[int]:
    return [*g["kernel"], kernel_channels, g["channels"], outputs, *g["padding"], *g["dilation"], 1, 1]


@needs_cmsis_nn
@pytest.mark.parametrize("isa", sorted({core.isa for core in CORES}))
def test_scratch_of_convolutions(isa: str, getters: Any) -> None:
    """The larger of what Arm's library wants on the core and in plain C."""
    for g in geometries():
        vector = _vector(g, g["channels"], 8)
        ours = scratch.convolve(
            isa, kernel=g["kernel"], kernel_channels=g["channels"], input_channels=g["channels"],
            padding=g["padding"], dilation=g["dilation"],
        )  # fmt: skip
        assert ours == max(getters.convolve(_VARIANT[isa], vector), getters.convolve(0, vector)), (isa, g)


@needs_cmsis_nn
@pytest.mark.parametrize("isa", sorted({core.isa for core in CORES}))
@pytest.mark.parametrize("multiplier", [1, 2, 16])
def test_scratch_of_depthwise_convolutions(isa: str, multiplier: int, getters: Any) -> None:
    for g in geometries():
        if g["channels"] == 1:
            continue  # to the compiler that is an ordinary convolution
        outputs = g["channels"] * multiplier
        vector = _vector(g, 1, outputs)
        ours = scratch.depthwise(
            isa, kernel=g["kernel"], input_channels=g["channels"], output_channels=outputs,
            padding=g["padding"], dilation=g["dilation"],
        )  # fmt: skip
        assert ours == max(getters.depthwise(_VARIANT[isa], vector), getters.depthwise(0, vector)), (isa, g)
