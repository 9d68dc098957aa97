"""The stack: a bound from the compiler's call graph, never below what a run uses, and none where none can be given."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from checking import compile_model
from click.testing import CliRunner
from gallery import example
from small_models import Net

from mcugen.cli import main
from mcugen.emit.report import report
from mcugen.project import measured_report
from mcugen.prove.board import run_on_board
from mcugen.prove.profile import footprint
from mcugen.prove.samples import random_samples
from mcugen.prove.stack import Frame, bound, library_frames
from mcugen.prove.toolchain import available
from mcugen.target import core


def layers() -> onnx.ModelProto:
    """Those whose loops are assembly."""
    net = Net("int8", seed=1)
    x = net.conv(net.integer_input([1, 1, 7, 6]), (13, 1, 3, 3), pads=[1] * 4)
    x = net.conv(x, (67, 13, 1, 1))
    x = net.conv(x, (67, 1, 3, 3), group=67)
    x = net.copy("Flatten", net.copy("GlobalMaxPool", x))
    net.integer_output(net.gemm(x, 9, 67))
    return net.model()


CASES = [
    ("classifier-int8", "cortex-m0", {"kernels": "api"}),
    ("classifier-int8", "cortex-m4", {}),
    ("classifier-int8", "cortex-m55", {}),
    ("arithmetic-int8", "cortex-m0", {}),
    ("layers", "cortex-m3", {}),
    ("layers", "cortex-m55", {"kernels": "api"}),
    *(
        pytest.param("layers", on, {"kernels": kernels}, marks=pytest.mark.slow)
        for on in ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
        for kernels in ("specialised", "api")
    ),
    pytest.param("arithmetic-int8", "cortex-m4", {"io": "float"}, marks=pytest.mark.slow),
    pytest.param("direct-uint8", "cortex-m55", {"ram": 0}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("case, on, options", CASES, ids=str)
def test_no_run_uses_more_than_the_bound(case: str, on: str, options: dict[str, object], tmp_path: Path) -> None:
    reason = available(core(on))
    if reason:
        pytest.skip(reason)
    model = layers() if case == "layers" else example(case)
    compiled = compile_model(model, tmp_path, name="net", core=on, **options)
    measured = footprint(compiled)
    assert measured is not None
    stack, used = measured.stack, run_on_board(compiled, random_samples(compiled, 2, seed=1).firmware).stack_bytes
    assert stack.bound_bytes is not None, stack.why
    assert 0 < used <= stack.bound_bytes <= 4 * used + 64, (used, stack)
    assert stack.path[0] == "net_run"
    assert measured_report(compiled, measured)["stack_bytes"] == stack.bound_bytes


def test_what_no_emulated_board_holds_is_measured_all_the_same(tmp_path: Path) -> None:
    if reason := available(core("cortex-m4"), to_run=False):
        pytest.skip(reason)
    net = Net("int8")
    net.output(net.op("Sigmoid", net.input((1, 1, 2400, 2400))))
    measured = footprint(compile_model(net.model(), tmp_path))
    assert measured is not None and 2400 * 2400 <= measured.ram_bytes < 2400 * 2400 + 64
    assert measured.stack.bound_bytes is not None


@pytest.mark.parametrize("buffers", ["arena", "apart"])
def test_what_fits_counts_the_stack_and_the_callers_buffers(buffers: str, tmp_path: Path) -> None:
    if reason := available(core("cortex-m4"), to_run=False):
        pytest.skip(reason)
    onnx.save(example("classifier-int8"), tmp_path / "net.onnx")
    command = ["build", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "out"), "--io-buffers", buffers]
    said = CliRunner().invoke(main, command, catch_exceptions=False).stdout
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    needed = data["arena_bytes"] + data["stack_bytes"] + (data["io_bytes"] if buffers == "apart" else 0)
    assert f"fits in 16 KB of RAM, stack included ({16 * 1024 - needed:,} bytes to spare)" in said


def test_a_report_without_a_compiler_says_so(tmp_path: Path) -> None:
    data = report(compile_model(example("classifier-int8"), tmp_path))
    assert data["stack_bytes"] is None and "no compiler" in data["stack_unknown"]


def graph(*frames: tuple[str, str], calls: dict[str, str]) -> str:
    lines = [f'node: {{ title: "{name}" label: "{name}\\nx.c:1:1\\n{size}" }}' for name, size in frames]
    lines += [f'edge: {{ sourcename: "{caller}" targetname: "{callee}" }}' for caller, callee in calls.items()]
    return "graph: {\n" + "\n".join(lines) + "\n}"


F, G = ("f", "16 bytes (static)"), ("x.c:g", "24 bytes (dynamic,bounded)")


@pytest.mark.parametrize(
    "frames, calls, why",
    [
        ((F, G), {"f": "x.c:g", "x.c:g": "f"}, "f is recursive"),
        ((F, ("x.c:g", "8 bytes (dynamic)")), {"f": "x.c:g"}, "g decides about its frame at run time"),
        ((F, G), {"f": "x.c:g", "x.c:g": "__indirect_call"}, "g calls through a pointer"),
        ((F,), {"f": "expf"}, "expf is not in the image"),
    ],
)
def test_unknown_is_said_with_its_reason(frames: tuple[tuple[str, str], ...], calls: dict[str, str], why: str) -> None:
    stack = bound("f", [graph(*frames, calls=calls)], "", {})
    assert (stack.bound_bytes, stack.why) == (None, why)


def test_clones_are_called_as_in_the_source() -> None:
    frames = F, ("x.c:g.constprop.0", "24 bytes (static)"), ("g.constprop.0.isra.1", "8 bytes (static)")
    calls = {"f": "x.c:g.constprop.0", "x.c:g.constprop.0": "g.constprop.0.isra.1"}
    assert bound("f", [graph(*frames, calls=calls)], "", {}).path == ("f", "g", "g")


LIBRARY = """
00000100 <__divsi3>:
     100:\tpush\t{r4, r5, lr}
     102:\tsub\tsp, #20
     104:\tbl\t0x200 <helper>
     108:\tbne.n\t102 <__divsi3+0x2>
     10a:\tpop\t{r4, r5, pc}
     10c:\t.word\t0x00000003

00000200 <helper>:
     200:\tstmdb\tsp!, {r4-r11, lr}
     204:\tvpush\t{d8-d10}
     208:\tstr.w\tr3, [sp, #-8]!

0000020c <falls>:
     20c:\tbx\tlr

00000210 <wild>:
     210:\tsub.w\tsp, sp, r3
     214:\tb.n\t20c <falls>
"""


def test_library_functions_are_read_from_the_image() -> None:
    frames = library_frames(LIBRARY, {"__aeabi_idiv": 0x100, "data": 0x900})
    assert frames == {
        "__divsi3": Frame(12 + 20, frozenset({"helper"})),
        "__aeabi_idiv": Frame(12 + 20, frozenset({"helper"})),
        "helper": Frame(36 + 24 + 8, frozenset({"falls"})),
        "falls": Frame(0, frozenset()),
        "wild": Frame(None, frozenset({"falls"})),
    }
    stack = bound("f", [graph(F, calls={"f": "__aeabi_idiv"})], LIBRARY, {"__aeabi_idiv": 0x100})
    assert (stack.bound_bytes, stack.path) == (16 + 32 + 68, ("f", "__aeabi_idiv", "helper", "falls"))


def test_a_naked_function_takes_what_its_assembly_pushes() -> None:
    """GCC says 0 bytes of it, and knows nothing of its calls."""
    graphs = [graph(F, ("x.c:__divsi3", "0 bytes (static)"), calls={"f": "x.c:__divsi3"})]
    assert bound("f", graphs, LIBRARY, {}).bound_bytes == 16 + 32 + 68


def test_assembly_in_a_compiled_function_counts() -> None:
    """GCC knows of 16 bytes, the image of 32."""
    graphs = [graph(F, ("x.c:__divsi3", "16 bytes (static)"), calls={"f": "x.c:__divsi3"})]
    assert bound("f", graphs, LIBRARY, {}).bound_bytes == 16 + 32


def test_static_functions_of_one_name_count_as_the_largest() -> None:
    twice = LIBRARY + LIBRARY.replace("#20", "#60").replace("helper", "falls").partition("00000200")[0]
    assert library_frames(twice, {})["__divsi3"] == Frame(12 + 60, frozenset({"helper", "falls"}))
