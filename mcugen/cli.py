"""The command line: the verbs of commands/. Everything they do is a function elsewhere.

Exit codes: 0 = done and equal, 1 = a check failed (mismatch, budget), 2 = the user's input.
With --json, one JSON object goes to stdout; messages and progress always go to stderr.
"""

from __future__ import annotations

import click

from . import __version__
from .commands.build import build
from .commands.export import export, run_pipeline
from .commands.listings import inspect, ops, targets
from .commands.prove import profile, verify
from .commands.quantize import compare, quantize


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Quantized ONNX models as C firmware for Arm Cortex-M, equal to ONNX Runtime byte for byte.

    \b
    mcugen build model.onnx -o out/model          C sources, ready for CMake
    mcugen verify model.onnx --on cortex-m4       the same bytes as ONNX Runtime, on an emulated core
    mcugen profile model.onnx --on cortex-m4      instructions, RAM, flash
    """


for verb in (build, verify, profile, inspect, ops, targets, quantize, compare, export, run_pipeline):
    main.add_command(verb)


if __name__ == "__main__":
    main()
