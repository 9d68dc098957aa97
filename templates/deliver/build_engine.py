#!/usr/bin/env python3
"""Build model.engine from model_trt.onnx with TensorRT's Python API, on the machine where it shall run.

Needs tensorrt 10.x or 11.x; --check needs numpy and an onnxruntime with the TensorRT provider instead.
Exit codes: 0 = built (or equal), 1 = TensorRT refuses the model (or outputs differ), 2 = the installation.
"""

import argparse
import importlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


def stop(message, code):
    print(message, file=sys.stderr)
    sys.exit(code)


def build(trt, settings):
    """The serialized engine."""
    rtx = trt.__name__ == "tensorrt_rtx"
    major = int(trt.__version__.split(".")[0])
    if not rtx and major != settings["tensorrt"]:
        stop(
            f"TensorRT {trt.__version__} is installed, the bundle is for {settings['tensorrt']}.x: export it again "
            f"with --trt {major}",
            2,
        )
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(HERE / settings["model"])):
        first = parser.get_error(0)
        stop(f"node {first.node_name()} ({first.node_operator()}): {first.desc().splitlines()[0]}", 1)
    config = builder.create_builder_config()
    if not rtx and major < 11:  # 11 and RTX take types from the model
        for name in ("int8", "fp16"):
            if settings[name]:
                config.set_flag(getattr(trt.BuilderFlag, name.upper()))
    if settings["profiles"]:
        profile = builder.create_optimization_profile()
        for name, shapes in settings["profiles"].items():
            profile.set_shape(name, shapes["min"], shapes["opt"], shapes["max"])
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        stop("TensorRT cannot build the network: its log above says why", 1)
    return engine


def check():
    """Run the model by ONNX Runtime's TensorRT provider and hold it against reference_io.npz."""
    import numpy as np
    import onnxruntime as ort

    name = "TensorrtExecutionProvider"
    if name not in ort.get_available_providers():
        stop(f"this onnxruntime has no {name}: install onnxruntime-gpu and TensorRT", 2)
    options = json.loads((HERE / "ort_trt_options.json").read_text(encoding="utf-8"))
    session = ort.InferenceSession(str(HERE / "model_trt.onnx"), providers=[(name, options)])
    if session.get_providers()[0] != name:
        stop(f"ONNX Runtime fell back to {session.get_providers()[0]}", 1)
    with np.load(HERE / "reference_io.npz") as archive:
        recorded = {key: archive[key] for key in archive.files}
    inputs = [item.name for item in session.get_inputs()]
    outputs = [item.name for item in session.get_outputs()]
    signal = noise = 0.0
    for index in range(len(recorded[inputs[0]])):
        produced = session.run(outputs, {key: recorded[key][index] for key in inputs})
        for key, got in zip(outputs, produced, strict=True):
            want = recorded[key][index].astype(np.float64)
            signal += float(np.square(want).sum())
            noise += float(np.square(got - want).sum())
    ratio = 10 * np.log10(signal / noise) if noise else float("inf")
    print(f"TensorRT against the reference: SQNR {ratio:.1f} dB (20 wanted)")
    return 0 if ratio >= 20 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare ONNX Runtime's TensorRT provider instead")
    parser.add_argument("--dry-run", action="store_true", help="build, but write nothing")
    parser.add_argument("--module", default="tensorrt", choices=["tensorrt", "tensorrt_rtx"])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    chosen = parser.parse_args()
    if chosen.check:
        return check()
    try:
        trt = importlib.import_module(chosen.module)
    except ImportError as error:
        stop(f"{chosen.module} cannot be imported: {error}", 2)
    settings = json.loads((HERE / "build.json").read_text(encoding="utf-8"))
    engine = build(trt, settings)
    if not chosen.dry_run:
        (HERE / settings["engine"]).write_bytes(engine)
    result = {"version": trt.__version__, "bytes": engine.nbytes, "engine": settings["engine"]}
    print(json.dumps(result) if chosen.json else f"{settings['engine']}: {engine.nbytes} bytes by {trt.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
