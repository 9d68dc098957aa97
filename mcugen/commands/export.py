"""`mcugen export` and `mcugen pipeline`: flags in, messages out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..deliver.bundle import OWN, Options
from ..deliver.calibration import Images, check_images
from ..deliver.deploy import REPORT, run_deployment
from ..deliver.deployment import load_deployment
from ..deliver.export import TARGETS
from ..deliver.export import export as run_export
from ..errors import CheckFailed, UserError
from ..prove.program import where
from .console import guarded, out, parse_shape, progress
from .images import image_options
from .options import cmsis_nn_option


def _profile(text: str) -> tuple[str, tuple[tuple[int, ...], ...]]:
    name, separator, rest = text.partition("=")
    try:
        shapes = tuple(parse_shape(f"{name}={part}")[1] for part in rest.split(":"))
    except UserError:
        shapes = ()
    ordered = len(shapes) == 3 and len({len(shape) for shape in shapes}) == 1
    if not separator or not ordered or any(not a <= b <= c for a, b, c in zip(*shapes, strict=True)):
        raise UserError(
            f"{text!r} is not a profile",
            hint="Write --profile input=1,3,224,224:4,3,224,224:8,3,224,224 (MIN:OPT:MAX).",
        )
    return name, shapes


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", required=True, type=click.Choice(list(TARGETS)), help="Who runs it.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the bundle.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="X.npz|FOLDER",
    help="Quantize with these samples: an .npz, or a folder of .npy or images.",
)
@click.option("--prequantized", is_flag=True, help="MODEL is quantized already, and goes out as it is.")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="FLOAT.onnx",
    help="Float model behind a --prequantized one.",
)
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="X.npz|FOLDER",
    help="Samples of reference_io.npz [default: those of --calibration, else random].",
)
@click.option("--exclude", multiple=True, metavar="NODE", help="Keep this node in float.")
@click.option("--shape", "shapes", multiple=True, metavar="NAME=DIMS", help="Fix a dynamic input.")
@click.option("--soc", help=f"qnn: Qualcomm SoC [default: {Options.soc}].")
@click.option("--fp16-ok", is_flag=True, help="qnn: operators without Q/DQ may run in float16.")
@click.option("--trt", type=click.Choice(["10", "11"]), help=f"tensorrt: major version [default: {Options.trt}].")
@click.option("--fp16", is_flag=True, help="tensorrt: float16 beside (or instead of) int8.")
@click.option("--profile", "profiles", multiple=True, metavar="NAME=MIN:OPT:MAX", help="tensorrt: a dynamic input.")
@click.option(
    "--check-with", multiple=True, type=click.Choice(["tensorrt-rtx"]), help="tensorrt: also parse and build."
)
@image_options
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@guarded
def export(
    model: Path,
    target: str,
    output: Path,
    calibration: Path | None,
    prequantized: bool,
    reference: Path | None,
    inputs: Path | None,
    exclude: tuple[str, ...],
    shapes: tuple[str, ...],
    images: Images,
    as_json: bool,
    **own: Any,
) -> None:
    """Hand MODEL.onnx to ONNX Runtime, Qualcomm QNN or TensorRT: a checked bundle with a script that runs it.

    \b
    mcugen export net.onnx --target ort -o out/net                           float
    mcugen export net.onnx --target ort --calibration x.npz -o out/net       quantized
    mcugen export net.onnx --target qnn --soc SM8650 --calibration x.npz -o out/npu
    mcugen export net_int8.onnx --prequantized --reference net.onnx --target tensorrt --trt 11 -o out/trt
    """
    for name, value in own.items():
        if value and OWN[name] != target:
            flag = "--profile" if name == "profiles" else f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} is for --target {OWN[name]}", hint="Leave it out.")
    check_images(images, (calibration, inputs))
    options = Options(
        target=target,
        shapes=dict(parse_shape(text) for text in shapes),
        prequantized=prequantized,
        calibration=calibration,
        inputs=inputs,
        images=images,
        reference=reference,
        exclude=exclude,
        soc=own["soc"] or Options.soc,
        fp16_ok=own["fp16_ok"],
        trt=int(own["trt"] or Options.trt),
        fp16=own["fp16"],
        profiles=dict(_profile(text) for text in own["profiles"]),
        check_with=own["check_with"],
    )
    manifest = run_export(model, output, options, progress)
    if as_json:
        click.echo(json.dumps(manifest))
        return
    table = Table("check", "", "result", "", box=None, title=f"{model.name} for {target}", title_justify="left")
    for check in manifest["checks"]:
        verdict = {True: "passed", False: "failed", None: "not run"}[check["passed"]]
        table.add_row(check["id"], check["what"], verdict, check["detail"])
    out.print(table)
    if not manifest["verified"]:
        out.print("not verified: " + ", ".join(c["id"] for c in manifest["checks"] if c["passed"] is None) + " not run")
    out.print(f"written to {output}; start with {manifest['runner']}", markup=False)


@click.command("pipeline")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of all outputs [default: from the file].")
@cmsis_nn_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@guarded
def run_pipeline(file: Path, output: Path | None, cmsis_nn: Path | None, as_json: bool) -> None:
    """Build and export every model for every target of a deployment file, and check the budgets.

    All of it runs; then exit 1 if a budget is broken or a check failed, 2 if a model was refused.

    \b
    mcugen pipeline deployment.yaml
    """
    deployment = load_deployment(file)
    folder = output or deployment.output
    report = run_deployment(deployment, folder, cmsis_nn, progress)
    if as_json:
        click.echo(json.dumps(report))
    else:
        _show(report)
        if cmsis_nn is not None:
            out.print(f"made for {where('Cortex-M', report['library'])}")
        out.print(f"report: {folder / REPORT}", markup=False)
    broken = [job for job in report["jobs"] if not job["passed"]]
    if broken:
        words = "; ".join(f"{job['model']} for {job['target']}: {', '.join(job['problems'])}" for job in broken)
        if any(job["refused"] for job in broken):
            raise UserError(words)
        raise CheckFailed(words)


def _show(report: dict[str, Any]) -> None:
    table = Table("model", "target", "", "budget", box=None)
    for column in ("value", "limit"):
        table.add_column(column, justify="right")
    for job in report["jobs"]:
        verdict = "FAILED" if not job["passed"] else "ok" if job["verified"] else "not verified"
        head = [job["model"], job["target"], verdict]
        for row in job["budgets"]:
            value = "not measured" if row["value"] is None else _number(row["value"])
            table.add_row(*head, row["name"], value, _number(row["limit"]))
            head = ["", "", ""]
        if any(head):
            table.add_row(*head)
    out.print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"
