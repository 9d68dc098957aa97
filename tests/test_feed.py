"""--feed rows: an image that comes in row by row gives the same bytes, in less memory than it would take itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from c_compiler import GCC, compile_project, includes, run, sources
from checking import assert_exact, compile_model
from small_models import Net

from mcugen import project
from mcugen.emit.codegen import c_sources
from mcugen.emit.report import report
from mcugen.errors import UserError
from mcugen.step import FEED
from mcugen.target import parse_memories


def camera(dtype: str = "uint8", channels: int = 3, height: int = 26, layout: str = "NCHW") -> Net:
    """A picture, windows of several kinds with strides and padding, a residual, a pool over all of it."""
    net = Net(dtype, seed=height)
    if layout == "NHWC":
        picture = net.copy("Transpose", net.integer_input([1, height, 20, channels]), perm=[0, 3, 1, 2])
    else:
        picture = net.integer_input([1, channels, height, 20])
    x = net.conv(picture, (8, channels, 3, 3), pads=[1, 1, 0, 0], strides=[2, 2], then="Relu")
    y = net.conv(x, (8, 1, 3, 3), group=8, pads=[1, 1, 1, 1])
    x = net.op("Add", x, y, scale=float(max(x.scale, y.scale)))
    x = net.copy("MaxPool", x, kernel_shape=[3, 2], strides=[1, 2])
    x = net.conv(x, (6, 8, 1, 1))
    net.integer_output(net.op("GlobalAveragePool", x, scale=float(x.scale) / 4))
    return net


@pytest.mark.parametrize(
    "net, options",
    [
        (camera("uint8"), {}),
        (camera("int8", 1, 25), {"kernels": "api"}),
        (camera("int8", 5, 19, "NHWC"), {}),
        (camera("uint8", 2, 31), {"ram": 0}),
        (camera("int8", 3, 40), {"ram": 3500}),
    ],
    ids=["NCHW", "one channel", "NHWC", "smallest", "budget"],
)
def test_exact(net: Net, options: dict[str, int], tmp_path: Path) -> None:
    """The host's runner feeds one to four rows at a time."""
    compiled = compile_model(net.model(), tmp_path, feed="rows", **options)
    assert_exact(compiled, samples=4)
    assert compiled.steps[0].kernel == FEED and "transpose" not in {node.op for node in compiled.graph.nodes}
    whole = compile_model(net.model(), tmp_path, **options)
    assert compiled.macs == whole.macs
    assert compiled.arena_bytes < whole.arena_bytes
    if options.get("ram"):
        assert compiled.plan.arena_bytes <= options["ram"]


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_on_an_emulated_core(core: str, tmp_path: Path) -> None:
    """Its rows come from a file, three at most in memory."""
    assert_exact(compile_model(camera().model(), tmp_path, feed="rows", core=core), samples=2, on=core)


def test_the_image_never_stands_in_memory(tmp_path: Path) -> None:
    """Not even as much of it as a third."""
    compiled = compile_model(camera(channels=4, height=120).model(), tmp_path, feed="rows")
    assert 3 * compiled.arena_bytes < compiled.inputs[0].type.bytes


@pytest.mark.parametrize("options", [{}, {"ram": 0}], ids=str)
def test_turns_that_come_again_stand_in_the_code_once(options: dict[str, int], tmp_path: Path) -> None:
    """However high the image is."""
    codes = []
    for height in (80, 240):
        compiled = compile_model(camera(height=height).model(), tmp_path, feed="rows", **options)
        codes.append(c_sources(compiled)["small.c"])
    assert len(codes[0].splitlines()) == len(codes[1].splitlines())
    assert codes[0].count("    case ") < 8


def test_rows_of_a_tensor_that_stays_whole_go_further_down_each_time(tmp_path: Path) -> None:
    """The output of the bands is read as a whole behind them, so that its places grow from turn to turn."""
    net = Net("uint8", seed=3)
    x = net.conv(net.integer_input([1, 3, 97, 9]), (4, 3, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2], then="Relu")
    x = net.conv(net.copy("MaxPool", x, kernel_shape=[2, 1], strides=[2, 1]), (6, 4, 3, 3), pads=[1, 1, 1, 1])
    net.integer_output(net.gemm(net.copy("Flatten", x, axis=1), 5, 6 * 24 * 5))
    compiled = compile_model(net.model(), tmp_path, feed="rows")
    assert "u * turn" in c_sources(compiled)["small.c"]
    assert_exact(compiled, samples=4)


_MAIN = """
#include <stdlib.h>
#include <string.h>
#include "vectors.h"

static int feed(net_arena_t *arena, int sample, uint32_t from, uint32_t count)
{
    int8_t *rows = malloc(count * NET_INPUT_0_ROW_BYTES); /* exactly: the sanitizer watches both ends */
    memcpy(rows, net_test_input[sample] + from * NET_INPUT_0_ROW_BYTES, count * NET_INPUT_0_ROW_BYTES);
    const int status = net_feed(arena, rows, count);
    free(rows);
    return status;
}

static int equal(const net_arena_t *arena, int sample)
{
    return memcmp(net_output(arena), net_test_output[sample], NET_OUTPUT_0_BYTES) == 0;
}

int main(void)
{
    net_arena_t *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    if (net_begin(NULL) != NET_ERR_ARG || net_feed(NULL, net_test_input[0], 1) != NET_ERR_ARG) {
        return 1;
    }
    for (int poison = 0; poison < 256; poison += 85) {
        memset(a, poison, sizeof *a);
        memset(b, poison, sizeof *b);
        net_begin(a);
        net_begin(b);
        if (feed(a, 1, 0, 7) != NET_MORE || net_feed(a, NULL, 1) != NET_ERR_ARG) { /* an image that is given up */
            return 2;
        }
        net_begin(a);
        for (uint32_t row = 0; row < NET_INPUT_0_ROWS; row++) { /* two images at the same time */
            const int last = row + 1 == NET_INPUT_0_ROWS;
            if (feed(a, 0, row, 1) != (last ? NET_OK : NET_MORE) || feed(b, 1, row, 1) != (last ? NET_OK : NET_MORE)) {
                return 3;
            }
            if (!last && feed(a, 0, 0, NET_INPUT_0_ROWS - row) != NET_ERR_ARG) {
                return 4;
            }
        }
        if (!equal(a, 0) || !equal(b, 1) || feed(a, 0, 0, 1) != NET_ERR_ARG) {
            return 5;
        }
        if (net_run(a, net_test_input[1]) != NET_OK || !equal(a, 1) || net_run(a, NULL) != NET_ERR_ARG) {
            return 6;
        }
    }
    memset(b, 0xFF, sizeof *b); /* never begun */
    if (feed(b, 0, 0, 1) != NET_ERR_ARG) {
        return 7;
    }
    free(a);
    free(b);
    return 0;
}
"""


def test_portions_of_every_size_under_the_sanitizers(tmp_path: Path) -> None:
    compiled = compile_model(camera("int8").model(), tmp_path, feed="rows", name="net")
    folder = project.build(compiled, tmp_path / "net", ram=None, flash=None).folder
    compile_project(folder, [GCC, "-std=c99"])
    (tmp_path / "main.c").write_text(_MAIN)
    flags = ["-std=c11", "-g", "-O1", "-ffp-contract=off", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [*includes(folder), f"-I{folder / 'test'}"]
    for name, program in (("feed", tmp_path / "main.c"), ("own", folder / "test" / "main.c")):
        run([GCC, *flags, program, *sources(folder), "-lm", "-o", tmp_path / name])
        run([tmp_path / name])


def two_inputs() -> Net:
    net = Net("int8", seed=1)
    net.integer_output(net.op("Add", net.integer_input([1, 2, 8, 8]), net.integer_input([1, 2, 8, 8], name="z")))
    return net


def flat() -> Net:
    net = Net("int8", seed=1)
    net.integer_output(net.gemm(net.integer_input([1, 8]), 6, 8))
    return net


def upsampled() -> Net:
    net = Net("int8", seed=1)
    weights, _ = net.weights((2, 4, 2, 2), axis=None)
    net.integer_output(net.quantize(net.node("ConvTranspose", net.real(net.integer_input([1, 2, 8, 8])), weights)))
    return net


def planes() -> Net:
    net = Net("int8", seed=1)
    net.integer_output(net.gemm(net.copy("Flatten", net.integer_input([1, 2, 4, 4]), axis=1), 6, 32))
    return net


def two_images() -> Net:
    net = Net("int8", seed=1)
    net.integer_output(net.conv(net.integer_input([2, 2, 8, 8]), (2, 2, 3, 3)))
    return net


def unquantized() -> Net:
    net = Net("int8", seed=1)
    weights = net.constant(np.ones((2, 2, 3, 3), np.float32))
    net.integer_output(net.quantize(net.node("Conv", net.float_input([1, 2, 8, 8]), weights)))
    return net


def read_twice() -> Net:
    net = Net("int8", seed=1)
    x = net.integer_input([1, 2, 8, 8])
    y = net.conv(x, (2, 2, 3, 3), pads=[1, 1, 1, 1])
    net.integer_output(net.op("Concat", x, y, x, scale=float(x.scale), axis=2))
    return net


@pytest.mark.parametrize(
    "net, options, message",
    [
        (two_inputs(), {}, "one input, this one has 2"),
        (flat(), {}, r"one image of 8 bits, this input is int8\[1, 8\]. Leave --feed out"),
        (two_images(), {}, r"this input is int8\[2, 2, 8, 8\]. Export the model with a batch of 1"),
        (unquantized(), {}, r"this input is float32\[1, 2, 8, 8\]. Quantize the model's input"),
        (camera(), {"io_buffers": "apart"}, "keeps its outputs in the arena"),
        (upsampled(), {}, "the first layer needs the whole image"),
        (planes(), {}, "an image that one convolution or pool reads"),
        (read_twice(), {}, "an image that one convolution or pool reads"),
    ],
    ids=["two inputs", "flat", "batch", "float", "apart", "upsampled", "planes", "read twice"],
)
def test_what_cannot_be_fed_is_refused(net: Net, options: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        compile_model(net.model(), tmp_path, feed="rows", **options)


def test_a_float_image_is_refused(tmp_path: Path) -> None:
    net = Net("int8", seed=2)
    net.output(net.conv(net.input([1, 2, 8, 8]), (4, 2, 3, 3)))
    with pytest.raises(UserError, match=r"this input is float32.*--io int8"):
        compile_model(net.model(), tmp_path, feed="rows", io="float")


def test_an_arena_in_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="keeps its arena in one region"):
        compile_model(camera().model(), tmp_path, feed="rows", memories=parse_memories("dtcm=1K,sram=64K"))


def test_budgets_count_what_the_feed_remembers(tmp_path: Path) -> None:
    model = camera("int8", 3, 40).model()
    smallest = compile_model(model, tmp_path, feed="rows").arena_bytes
    assert compile_model(model, tmp_path, feed="rows", ram=smallest).arena_bytes <= smallest
    memories = parse_memories(f"dtcm={smallest},flash=1M")
    (row, _) = report(compile_model(model, tmp_path, feed="rows", memories=memories))["memory"]
    assert (row["arena_bytes"], row["over_bytes"]) == (smallest, 0)


def test_rows_hold_the_channels_of_each_pixel_together(tmp_path: Path) -> None:
    compiled = compile_model(camera().model(), tmp_path, feed="rows")
    (port,) = compiled.inputs
    assert port.type.shape == (1, 26, 20, 3) and port.model_shape == (1, 3, 26, 20)
    image = np.arange(np.prod(port.model_shape)).reshape(port.model_shape)
    assert np.transpose(image, port.perm).shape == port.type.shape
