#!/usr/bin/env python3
"""Check this bundle against reference_io.npz on this machine, then measure it. Needs numpy and onnxruntime.

Exit codes: 0 = outputs equal the reference, 1 = they differ, 2 = the command line or the installation.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import resource
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort

HERE = pathlib.Path(__file__).resolve().parent
PROVIDERS = {"cpu": "CPUExecutionProvider", "xnnpack": "XnnpackExecutionProvider"}


def session(model, settings, threads, providers, profile=None):
    """One session with the bundle's settings; with `profile`, it records which provider runs which node."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, settings["graph_optimization_level"])
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = settings["inter_op_num_threads"]
    options.enable_cpu_mem_arena = settings["enable_cpu_mem_arena"]
    options.log_severity_level = 3
    for key, value in settings["config"].items():
        options.add_session_config_entry(key, value)
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return ort.InferenceSession(str(model), options, providers=providers)


def samples(runner, recorded):
    """Reference inputs as one dictionary a sample."""
    names = [item.name for item in runner.get_inputs()]
    count = len(recorded[names[0]])
    return [{name: recorded[name][index] for name in names} for index in range(count)]


def check(runner, feeds, recorded, tolerance):
    """(largest difference, values that differ by more than the tolerance, all values)."""
    worst, wrong, total = 0.0, 0, 0
    names = [item.name for item in runner.get_outputs()]
    for index, feed in enumerate(feeds):
        for name, got in zip(names, runner.run(names, feed), strict=True):
            want = recorded[name][index]
            span = max(1.0, float(np.abs(np.nan_to_num(recorded[name].astype(np.float64))).max(initial=0.0)))
            gap = np.abs(got.astype(np.float64) - want.astype(np.float64)) / span
            gap[np.isnan(got.astype(np.float64)) & np.isnan(want.astype(np.float64))] = 0.0
            gap = np.nan_to_num(gap, nan=np.inf)
            worst = max(worst, float(gap.max(initial=0.0)))
            wrong += int((gap > tolerance).sum())
            total += gap.size
    return worst, wrong, total


def measure(runner, feeds, runs, warmup):
    """Milliseconds of each run."""
    times = []
    for index in range(warmup + runs):
        feed = feeds[index % len(feeds)]
        start = time.perf_counter()
        runner.run(None, feed)
        if index >= warmup:
            times.append(1000 * (time.perf_counter() - start))
    return np.array(times)


def placement(model, settings, threads, providers, feed):
    """Provider -> operator -> number of nodes, from ONNX Runtime's own profile of one run."""
    with tempfile.TemporaryDirectory() as scratch:
        runner = session(model, settings, threads, providers, os.path.join(scratch, "profile"))
        runner.run(None, feed)
        with open(runner.end_profiling(), encoding="utf-8") as stream:
            events = json.load(stream)
    found = collections.defaultdict(collections.Counter)
    for event in events:
        args = event.get("args", {})
        if event.get("cat") == "Node" and "provider" in args:
            found[args["provider"]][args["op_name"]] += 1
    return {provider: dict(sorted(ops.items())) for provider, ops in sorted(found.items())}


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="model.ort", choices=["model.ort", "model.onnx", "model.optimized.onnx"])
    parser.add_argument("--threads", type=positive, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--runs", type=positive, default=200)
    parser.add_argument("--warmup", type=positive, default=20)
    parser.add_argument("--provider", default="cpu", choices=sorted(PROVIDERS))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    chosen = parser.parse_args()
    if PROVIDERS[chosen.provider] not in ort.get_available_providers():
        parser.error(
            f"this onnxruntime has no {PROVIDERS[chosen.provider]} (it has "
            f"{', '.join(ort.get_available_providers())}): build ONNX Runtime with --use_xnnpack"
        )
    return chosen


def main():
    chosen = arguments()
    settings = json.loads((HERE / "session.json").read_text(encoding="utf-8"))
    with np.load(HERE / "reference_io.npz") as archive:
        recorded = {name: archive[name] for name in archive.files}
    providers = list(dict.fromkeys([PROVIDERS[chosen.provider], PROVIDERS["cpu"]]))
    model = HERE / chosen.model
    runner = session(model, settings, chosen.threads, providers)
    feeds = samples(runner, recorded)
    worst, wrong, total = check(runner, feeds, recorded, settings["tolerance"])
    times = measure(runner, feeds, chosen.runs, chosen.warmup)
    result = {
        "model": chosen.model,
        "machine": platform.machine(),
        "onnxruntime": ort.__version__,
        "threads": chosen.threads,
        "samples": len(feeds),
        "values": total,
        "mismatches": wrong,
        "largest_difference": worst,
        "tolerance": settings["tolerance"],
        "latency_ms": {
            "mean": times.mean(),
            "std": times.std(),
            "min": times.min(),
            **{f"p{p}": float(np.percentile(times, p)) for p in (50, 95, 99)},
        },
        "throughput_per_s": 1000 / times.mean(),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "placement": placement(model, settings, chosen.threads, providers, feeds[0]),
    }
    if chosen.json:
        print(json.dumps(result))
    else:
        show(result)
    return 1 if wrong else 0


def show(result):
    verdict = "differ" if result["mismatches"] else "all equal the reference"
    print(f"{result['model']} on {result['machine']}, onnxruntime {result['onnxruntime']}, {result['threads']} threads")
    print(
        f"outputs: {result['values']} values, {result['mismatches']} beyond the tolerance of {result['tolerance']:g} "
        f"(largest difference {result['largest_difference']:.3g}): {verdict}"
    )
    print("latency, ms: " + ", ".join(f"{key} {value:.3f}" for key, value in result["latency_ms"].items()))
    print(f"throughput: {result['throughput_per_s']:.1f} inferences a second")
    print(f"peak memory: {result['peak_rss_bytes'] / 2**20:.1f} MiB resident, Python included")
    for provider, ops in result["placement"].items():
        print(f"{provider}: " + ", ".join(f"{count} {op}" for op, count in ops.items()))


if __name__ == "__main__":
    sys.exit(main())
