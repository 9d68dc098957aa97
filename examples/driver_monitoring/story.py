"""From a float model to every target, step by step. Each step is a command; what it prints is what it did.

python examples/driver_monitoring/story.py [STEP...]      quantize compare build verify export deploy [default: all]
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import cabin
import numpy as np

HERE = Path(__file__).resolve().parent
MCUGEN = Path(sysconfig.get_path("scripts"), "mcugen")
TARGETS = ("cortex-m", "ort", "qnn", "tensorrt")
CORE = "cortex-m4"
HELD_OUT, SEED = 1000, 3  # images the nets have never seen, drawn anew


def mcugen(*arguments: str) -> None:
    """Run the command line as a user would, beside this file. If it fails, so does the story."""
    print(f"\n$ mcugen {shlex.join(arguments)}", flush=True)
    code = subprocess.run([MCUGEN, *arguments], cwd=HERE, check=False).returncode
    if code:
        raise SystemExit(code)


def quantize() -> None:
    """The pruned net for each target, by the rules of each; and the net that was trained for 8 bits."""
    for target in TARGETS:
        mcugen("quantize", "fatigue.onnx", "--for", target, "--calibration", "fatigue_train.npz", "-o", _made(target))
    qat = ("--for", "cortex-m", "--calibration", "fatigue_train.npz", "-o", "out/fatigue_qat_s8.onnx")
    mcugen("quantize", "fatigue_qat.onnx", *qat)


def compare() -> None:
    """What pruning, 8 bits and training for them gave up; then the pruned net beside what each target made of it."""
    images, labels = cabin.fatigue(HELD_OUT, SEED)
    np.savez(HERE / "out/held_out.npz", image=images, labels=labels)
    data = ("--data", "out/held_out.npz", "--labels", "out/held_out.npz", "--on")
    smaller = ("fatigue.onnx", "fatigue_qat.onnx", _made("cortex-m"), "out/fatigue_qat_s8.onnx")
    mcugen("compare", "fatigue_dense.onnx", *smaller, *data, "host")
    mcugen("compare", "fatigue.onnx", *map(_made, TARGETS), *data, CORE, "--html", "out/compare.html")


def build() -> None:
    """C for a Cortex-M4 that may use 16 KB of RAM for it."""
    mcugen("build", _made("cortex-m"), "-o", "out/firmware", "--name", "fatigue", "--target", CORE, "--ram", "16K")


def verify() -> None:
    """The C against ONNX Runtime: on this machine, and on an emulated core."""
    mcugen("verify", _made("cortex-m"))
    if shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm"):
        mcugen("verify", _made("cortex-m"), "--on", CORE, "--inputs", "fatigue_test.npz", "--samples", "16")
    else:
        print(f"\nskipped, arm-none-eabi-gcc or qemu-system-arm not found: the same on an emulated {CORE}")


def export() -> None:
    """A checked bundle for each delegated target, from the float model."""
    for target in TARGETS[1:]:
        samples = ("--calibration", "fatigue_train.npz", "--inputs", "fatigue_test.npz")
        mcugen("export", "fatigue.onnx", "--target", target, *samples, "-o", f"out/{target}")


def deploy() -> None:
    """Face detection on the NPU, gaze on the application core, fatigue on the Cortex-M: all budgets in one file."""
    mcugen("pipeline", "deployment.yaml")


STEPS: dict[str, Callable[[], None]] = {
    step.__name__: step for step in (quantize, compare, build, verify, export, deploy)
}


def _made(target: str) -> str:
    return f"out/fatigue_{target.replace('-', '_')}.onnx"


def main() -> None:
    named = sys.argv[1:] or list(STEPS)
    unknown = [name for name in named if name not in STEPS]
    if unknown:
        raise SystemExit(f"no step {unknown[0]!r}; the steps are {', '.join(STEPS)}")
    (HERE / "out").mkdir(exist_ok=True)
    for name in named:
        print(f"\n== {name}: {STEPS[name].__doc__}", flush=True)
        STEPS[name]()


if __name__ == "__main__":
    main()
