"""Measures the equality that the README claims, and writes docs/equality.md and docs/equality.json.

    python tools/equality.py --models ../shared/models [--cmsis-nn PATH] [--samples 1000] [--board-samples 8]

For every quantized model: random inputs on the host (bundled kernels, and Arm's library where given), then real
inputs on every emulated core. Exit 1 if a byte differs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from mcugen import pipeline, project
from mcugen.emit.artefact import Compiled
from mcugen.prove.samples import Samples, load_samples, random_samples
from mcugen.prove.toolchain import available
from mcugen.prove.verify import reference, verify
from mcugen.target import CORES

KINDS = ("_tflite_qdq", "_qdq_u8s8_perchannel", "_qop_u8s8", "_qdq_s8s8", "_bnkept_qdq_u8s8", "_dynamic")
DOCS = Path(__file__).resolve().parent.parent / "docs"


def quantized_models(folder: Path) -> Iterator[Path]:
    """Files of the kinds above, examples/digits first."""
    yield DOCS.parent / "examples" / "digits" / "digits.onnx"
    for path in sorted(folder.glob("*.onnx")):
        if path.stem.endswith(KINDS):
            yield path


def real_inputs(compiled: Compiled, model: Path, count: int, scratch: Path) -> Samples:
    """The model's recorded inputs: X_inputs.npz beside it, its rows in the layout of the model's input."""
    if model.stem == "digits":
        return load_samples(compiled, model.with_name("digits_inputs.npz"), count)
    (port,) = compiled.inputs
    base = next(model.stem[: -len(kind)] for kind in KINDS if model.stem.endswith(kind)).removesuffix("_dynbatch")
    with np.load(model.with_name(f"{base}_inputs.npz")) as archive:
        if "input_u8" in archive:
            rows = (archive["input_u8"][:count].astype(np.float32) - 128) / 64
        else:
            rows = archive["input_i8" if model.stem.endswith("_tflite_qdq") else "input_f32"][:count]
    file = scratch / f"{model.stem}.npz"
    np.savez(file, **{port.name: rows.reshape(len(rows), *port.type.shape)})
    return load_samples(compiled, file, count)


def measure(model: Path, samples: int, board_samples: int, cmsis_nn: Path | None, scratch: Path) -> dict[str, Any]:
    """One row: mismatching values per place, and the seconds of a cold `build`."""
    started = time.perf_counter()
    compiled = pipeline.compile(model, pipeline.Options())
    project.build(compiled, scratch / model.stem, ram=None, flash=None)
    row: dict[str, Any] = {"model": model.stem, "build_seconds": round(time.perf_counter() - started, 2)}
    data = random_samples(compiled, samples, seed=0)
    libraries: list[tuple[str, Path | None, dict[str, Any]]] = [("bundled", None, {})]
    if cmsis_nn:
        libraries.append(("Arm's", cmsis_nn, {"library": "arm", "kernels": "api"}))
    places: dict[str, Any] = {}
    for library, root, options in libraries:
        result = verify(pipeline.compile(model, pipeline.Options(**options)), data, "host", root)
        places[f"host, {library}"] = [result.mismatches, result.values, result.first_difference]
        row["default_session_differs"] = [result.default_mismatches, result.values]
        row["reference"] = reference(compiled)
    for core in CORES:
        if core.name in ("cortex-m0plus", "cortex-m85") or available(core):
            continue
        for library, root, options in libraries:
            for_core = pipeline.compile(model, pipeline.Options(core=core.name, **options))
            real = real_inputs(for_core, model, board_samples, scratch)
            result = verify(for_core, real, core.name, root)
            places[f"{core.name.removeprefix('cortex-')}, {library}"] = [
                result.mismatches,
                result.values,
                result.first_difference,
            ]
    row["places"] = places
    return row


def table(rows: list[dict[str, Any]], samples: int, board_samples: int) -> str:
    places = list(dict.fromkeys(place for row in rows for place in row["places"]))
    first = rows[0]["reference"]
    lines = [
        "# Equality with ONNX Runtime",
        "",
        f"Output values that differ from the pinned session of ONNX Runtime {first['onnxruntime']} on "
        f"{first['system']} {first['machine']}. Host: {samples} random inputs. Emulated cores: {board_samples} real "
        "inputs. Made by `tools/equality.py`.",
        "",
        "| model | " + " | ".join(places) + " | default session | build |",
        "|---|" + "---|" * (len(places) + 2),
    ]
    for row in rows:
        cells = [f"{row['places'][p][0]} of {row['places'][p][1]:,}" for p in places]  # every row has every place
        other = "{} of {:,}".format(*row["default_session_differs"])
        lines.append(f"| {row['model']} | " + " | ".join(cells) + f" | {other} | {row['build_seconds']} s |")
    lines += [
        "",
        "*default session*: values in which ONNX Runtime with no option set differs from the pinned session, on the "
        "host's inputs. By default it runs parts of int8 models in float on x86.",
        "",
    ]
    return "\n".join(lines)


@click.command()
@click.option("--models", type=click.Path(path_type=Path), default=Path("../shared/models"), show_default=True)
@click.option("--cmsis-nn", envvar="CMSIS_NN_ROOT", type=click.Path(path_type=Path))
@click.option("--samples", default=1000, show_default=True)
@click.option("--board-samples", default=8, show_default=True)
@click.option("--only", default="", help="Only models whose name contains this; writes nothing.")
def main(models: Path, cmsis_nn: Path | None, samples: int, board_samples: int, only: str) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for model in quantized_models(models):
            if only in model.stem:
                rows.append(measure(model, samples, board_samples, cmsis_nn, Path(scratch)))
                click.echo(json.dumps(rows[-1]))
    if not only:
        DOCS.mkdir(exist_ok=True)
        (DOCS / "equality.md").write_text(table(rows, samples, board_samples), encoding="utf-8")
        (DOCS / "equality.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(place[0] or place[2] for row in rows for place in row["places"].values()))


if __name__ == "__main__":
    main()
