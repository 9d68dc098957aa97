"""The float network, its samples, and what `mcugen quantize` makes of them for each target."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from export_models import save_net, save_samples

from mcugen.deliver.calibration import inputs_of, load_data
from mcugen.deliver.quantize import quantize
from mcugen.deliver.quantize_options import Options


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_net(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="session")
def quantized(net: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Target -> quantized network."""
    folder = tmp_path_factory.mktemp("quantized")
    data = load_data(samples, inputs_of(onnx.load(net)))
    made = {}
    for target in ("ort", "qnn", "tensorrt", "cortex-m"):
        made[target] = folder / f"{target}.onnx"
        quantize(net, made[target], Options(target), data)
    return made
