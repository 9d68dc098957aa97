#!/usr/bin/env python3
"""Compile model_qdq.onnx for the Hexagon NPU, or run the compiled model. Needs numpy, onnxruntime, onnxruntime-qnn.

On x86-64 the compiled model runs on the HTP simulator, on the device on the NPU.
Exit codes: 0 = done and close to the reference, 1 = it is not, 2 = QNN or the installation refuses.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np
import onnxruntime as ort

QNN = "QNNExecutionProvider"
MODEL, CONTEXT = "model_qdq.onnx", "model_ctx.onnx"
MIN_SQNR_DB = 20.0


def device():
    """The QNN device, from the provider's plugin."""
    try:
        import onnxruntime_qnn
    except ImportError:
        raise RuntimeError("onnxruntime-qnn is not installed: pip install onnxruntime-qnn") from None
    ort.register_execution_provider_library(QNN, onnxruntime_qnn.get_library_path())
    found = [item for item in ort.get_ep_devices() if item.ep_name == QNN]
    if not found:
        raise RuntimeError("onnxruntime-qnn offers no QNN device here")
    return found[:1]


def options(devices, provider):
    """Session options without fallback: what QNN does not take is an error, not a CPU node."""
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 3
    chosen.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    chosen.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    chosen.add_provider_for_devices(devices, provider)
    return chosen


def compile_model(settings):
    """MODEL -> CONTEXT and its binary, in the current folder: its path becomes part of the result."""
    flags = ort.OrtCompileApiFlags.ERROR_IF_NO_NODES_COMPILED
    provider = {**settings["provider"], **settings["compile"]}
    compiler = ort.ModelCompiler(options(device(), provider), MODEL, embed_compiled_data_into_model=False, flags=flags)
    for stale in (CONTEXT, CONTEXT.replace(".onnx", "_qnn.bin")):
        pathlib.Path(stale).unlink(missing_ok=True)
    compiler.compile_to_file(CONTEXT)


def assignment(session):
    """Provider -> its nodes, as recorded by ONNX Runtime. session.get_providers() would not tell."""
    found = {}
    for part in session.get_provider_graph_assignment_info():
        found.setdefault(part.ep_name, []).extend(node.op_type for node in part.get_nodes())
    return found


def run(settings, runs, outputs):
    session = ort.InferenceSession(CONTEXT, options(device(), settings["provider"]))
    session.disable_fallback()
    with np.load("reference_io.npz") as archive:
        recorded = {name: archive[name] for name in archive.files}
    inputs = [item.name for item in session.get_inputs()]
    names = [item.name for item in session.get_outputs()]
    feeds = [{name: recorded[name][i] for name in inputs} for i in range(len(recorded[inputs[0]]))]
    rows = [session.run(names, feed) for feed in feeds]
    produced = {name: np.stack([row[i] for row in rows]) for i, name in enumerate(names)}
    times = []
    for index in range(runs):
        start = time.perf_counter()
        session.run(names, feeds[index % len(feeds)])
        times.append(1000 * (time.perf_counter() - start))
    if outputs:
        with open(outputs, "wb") as stream:
            np.savez(stream, *produced.values())
    ratios = []
    for name, got in produced.items():
        want = recorded[name].astype(np.float64)
        noise = float(np.square(got.astype(np.float64) - want).sum())
        ratios.append(10 * float(np.log10(max(float(np.square(want).sum()), 1e-300) / noise)) if noise else 999.0)
    return {
        "assignment": assignment(session),
        "samples": len(feeds),
        "sqnr_db": min(ratios),
        "latency_ms": {"mean": float(np.mean(times)), "min": min(times), "p50": float(np.median(times))},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help=f"make {CONTEXT} and stop")
    parser.add_argument("--runs", type=int, default=20, help="timed runs")
    parser.add_argument("--outputs", metavar="Y.npz", help="save the outputs, in their order")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    chosen = parser.parse_args()
    os.chdir(pathlib.Path(__file__).resolve().parent)
    settings = json.loads(pathlib.Path("qnn_options.json").read_text(encoding="utf-8"))
    try:
        if chosen.compile:
            compile_model(settings)
            return 0
        if not pathlib.Path(CONTEXT).is_file():
            raise FileNotFoundError(f"{CONTEXT} is not there: run with --compile first")
        result = run(settings, max(1, chosen.runs), chosen.outputs)
    except Exception as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps(result))
    else:
        placed = "; ".join(f"{name}: {', '.join(ops)}" for name, ops in result["assignment"].items())
        times = ", ".join(f"{key} {value:.3f}" for key, value in result["latency_ms"].items())
        print(f"placed: {placed}\nSQNR against ONNX Runtime's CPU: {result['sqnr_db']:.1f} dB (20 wanted)")
        print(f"latency, ms: {times}")
    return 0 if result["sqnr_db"] >= MIN_SQNR_DB and list(result["assignment"]) == [QNN] else 1


if __name__ == "__main__":
    sys.exit(main())
