"""The generated C on this machine, through cffi."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from ..emit.artefact import Compiled, Port
from ..plan import ALIGN
from .program import failed, write_program
from .toolchain import compile_shared


class HostModel:
    """One model, built with the host's compiler and loaded. Build results are cached by content."""

    def __init__(
        self,
        compiled: Compiled,
        cmsis_nn: Path | None = None,
        *,
        trace: bool = False,
        optimize: str = "-O2",
        extra_defines: tuple[str, ...] = (),
    ) -> None:
        self.compiled = compiled
        name = compiled.name
        defines = ("MCUGEN_STEP_HOOK", *extra_defines) if trace else extra_defines
        with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
            folder = Path(scratch)
            if trace:
                (folder / "trace.c").write_text(_TRACE, encoding="utf-8")
            program = write_program(compiled, folder, cmsis_nn, defines)
            library = compile_shared(
                program.sources, includes=program.includes, defines=program.defines, extra_flags=(optimize,)
            )
        self.ffi = cffi.FFI()
        self._callers = [port for port in (*compiled.inputs, *compiled.outputs) if port.name in compiled.plan.callers]
        for port in (*compiled.inputs, *compiled.outputs):
            if port not in self._callers:
                self.ffi.cdef(f"void *{name}_{port.c_name}(void *arena);")
        self.ffi.cdef(f"int {name}_run(void *arena{', void *' * len(self._callers)});")
        if compiled.feed is not None:
            self.ffi.cdef(f"int {name}_begin(void *arena); int {name}_feed(void *arena, void *rows, uint32_t count);")
        if trace:
            self.ffi.cdef("extern void (*mcugen_trace)(int step, const void *output, uint32_t bytes);")
        self.library = self.ffi.dlopen(str(library))
        self._memory: list[np.ndarray] = []  # what the C has pointers to
        parts = compiled.plan.parts
        if len(parts) > 1:
            pointers = [self._room(part.size_bytes) for part in parts]
            self._arena = self.ffi.new("void *[]", pointers)
        else:
            self._arena = self._room(compiled.arena_bytes)

    def _room(self, size: int) -> Any:
        """So many bytes, aligned as the arena type is."""
        self._memory.append(np.zeros(size + ALIGN, np.uint8))
        start = self._memory[-1].ctypes.data
        return self.ffi.cast("void *", start + -start % ALIGN)

    def _array(self, port: Port) -> np.ndarray:
        pointer = getattr(self.library, f"{self.compiled.name}_{port.c_name}")(self._arena)
        buffer = self.ffi.buffer(pointer, port.type.bytes)
        return np.frombuffer(buffer, port.type.dtype).reshape(port.type.shape)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference: firmware inputs by ONNX name -> firmware outputs, copied out."""
        buffers = {port.name: np.zeros(port.type.shape, port.type.dtype) for port in self._callers}
        for port in self.compiled.inputs:
            target = buffers[port.name] if port.name in buffers else self._array(port)
            target[...] = inputs[port.name]
        given = [self.ffi.cast("void *", buffers[port.name].ctypes.data) for port in self._callers]
        status = self._fed(*given) if self.compiled.feed is not None else self._call("run", *given)
        if status != 0:
            raise failed(self.compiled)
        for port in self.compiled.inputs:
            if (
                port.name in buffers
                and buffers[port.name].tobytes() != np.ascontiguousarray(inputs[port.name]).tobytes()
            ):
                raise RuntimeError(f"{self.compiled.name}_run changed {port.c_name}, which it may only read")
        outputs = self.compiled.outputs
        return {p.name: buffers[p.name] if p.name in buffers else self._array(p).copy() for p in outputs}

    def _call(self, function: str, *arguments: object) -> int:
        return int(getattr(self.library, f"{self.compiled.name}_{function}")(self._arena, *arguments))

    def _fed(self, image: Any) -> int:
        """The rows of the image in portions of one to four."""
        fed = self.compiled.feed
        assert fed is not None
        rows, row_bytes = fed.type.shape[1], fed.type.bytes // fed.type.shape[1]
        status, row = self._call("begin"), 0
        while status >= 0 and row < rows:
            count = min(1 + row // 2 % 4, rows - row)
            status = self._call("feed", self.ffi.cast("char *", image) + row * row_bytes, count)
            row += count
        return status

    def run_all(
        self, inputs: Mapping[str, np.ndarray], advance: Callable[[], None] = lambda: None
    ) -> dict[str, np.ndarray]:
        """Every sample (first axis) by itself; outputs stacked along a new first axis."""
        rows = []
        for index in range(len(next(iter(inputs.values())))):
            rows.append(self.run({name: array[index] for name, array in inputs.items()}))
            advance()
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def trace(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """One inference of a library built with trace=True: every step's output as it was right behind the step."""
        seen: list[np.ndarray] = []
        steps, graph = self.compiled.steps, self.compiled.graph

        def note(step: int, output: object, size: int) -> None:
            type = graph.type(steps[step].outputs[0])
            raw = np.frombuffer(self.ffi.buffer(output, size), type.dtype)
            seen.append(raw.reshape(type.shape).copy())

        callback = self.ffi.callback("void(int, const void *, uint32_t)", note)
        self.library.mcugen_trace = callback
        self.run(inputs)
        return seen


_TRACE = """\
#include <stdint.h>
void (*mcugen_trace)(int step, const void *output, uint32_t bytes);
void mcugen_step_hook(int step, const void *output, uint32_t bytes);
void mcugen_step_hook(int step, const void *output, uint32_t bytes) { mcugen_trace(step, output, bytes); }
"""
