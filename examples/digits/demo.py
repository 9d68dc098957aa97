"""Compile the digits model, prove it equal to ONNX Runtime, run it on an emulated Cortex-M4.

python examples/digits/demo.py [--show N]
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
MCUGEN = Path(sysconfig.get_path("scripts"), "mcugen")
MODEL, INPUTS, LABELS = "digits.onnx", "digits_inputs.npz", "digits_labels.npz"
OUT, OUTPUTS = "out", "out/outputs.npz"
CORE = "cortex-m4"
EMULATION = ("arm-none-eabi-gcc", "qemu-system-arm")
SHADES = " .:-=+*#@"  # pixel 0 .. 1
DIGITS_PER_ROW = 4


def mcugen(*arguments: str) -> str:
    """Run the command line as a user would, beside this file; its stdout. If it fails, so does the demo."""
    print(f"\n$ mcugen {shlex.join(arguments)}", flush=True)
    finished = subprocess.run([MCUGEN, *arguments], cwd=HERE, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        print(finished.stdout, end="")
        raise SystemExit(finished.returncode)
    return finished.stdout


def verify(core: str) -> None:
    """Compare the compiled C on `core` with ONNX Runtime and keep what the C answered in OUTPUTS."""
    arguments = ["verify", MODEL, "--on", core, "--inputs", INPUTS, "--outputs", OUTPUTS, "--json"]
    result = json.loads(mcugen(*arguments))
    counts = "{samples} images, {values} values, {mismatches} differ from ONNX Runtime"
    print(counts.format_map(result))


def profile(core: str) -> None:
    """Print what one inference costs on `core`, in total and by step."""
    cost = json.loads(mcugen("profile", MODEL, "--on", core, "--inputs", INPUTS, "--json"))
    rows = [(step["name"], step["kernel"], step["instructions"]) for step in cost["steps"]]
    print(table([("step", "kernel", "instructions"), *rows, ("all", "", cost["instructions"])]))
    sizes = [(name, cost[f"{name}_bytes"]) for name in ("flash", "code", "const", "ram", "arena")]
    print("\n" + table([("memory", "bytes"), *sizes]))


def table(rows: Iterable[tuple[str | int, ...]]) -> str:
    """Lines of aligned columns: text to the left, numbers to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    *text, last = widths
    lines = ["  ".join([*map(str.ljust, row, text), row[-1].rjust(last)]) for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def drawing(image: NDArray[np.float32], caption: str) -> list[str]:
    """One image, f32[1, 8, 8] in 0..1, as 8 lines of 16 characters under its caption."""
    levels = np.rint(image[0] * (len(SHADES) - 1)).astype(int)
    return [caption.ljust(16), *("".join(SHADES[level] * 2 for level in line) for line in levels)]


def show(images: NDArray[np.float32], found: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
    """Print the images side by side, each under the digit that was recognised."""
    drawings = [
        drawing(image, f"read {digit}" + ("" if digit == label else f", wrong: {label}"))
        for image, digit, label in zip(images, found, labels, strict=True)
    ]
    for start in range(0, len(drawings), DIGITS_PER_ROW):
        row = drawings[start : start + DIGITS_PER_ROW]
        print("\n" + "\n".join(" | ".join(parts).rstrip() for parts in zip(*row, strict=True)))


def array(path: str, name: str) -> NDArray[Any]:
    """One array of an .npz beside this file."""
    with np.load(HERE / path) as file:
        found: NDArray[Any] = file[name]
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", type=int, default=8, metavar="N", help="draw N images (default 8)")
    show_count: int = parser.parse_args().show

    print(mcugen("build", MODEL, "-o", OUT, "--target", CORE), end="")
    verify("host")
    if absent := [tool for tool in EMULATION if not shutil.which(tool)]:
        print(f"\nskipped, {' and '.join(absent)} not found: the same on an emulated {CORE}")
    else:
        verify(CORE)
        profile(CORE)

    images, labels = array(INPUTS, "image"), array(LABELS, "label")
    found = array(OUTPUTS, "probabilities").reshape(len(images), -1).argmax(axis=1)
    show(images[:show_count], found[:show_count], labels[:show_count])
    print(f"\n{np.count_nonzero(found == labels)} of {len(labels)} digits recognised")
    print(f"the C is in {HERE / OUT}")


if __name__ == "__main__":
    main()
