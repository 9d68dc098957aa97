"""The same bytes with Arm's library, on emulated cores, with float edges and for every core's plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checking import CMSIS_NN, assert_exact, compile_model, needs_cmsis_nn
from gallery import FEW_BY_DEFAULT, NAMES, example

from mcugen import target
from mcugen.target import CORES

ARM = {"library": "arm", "kernels": "api"}


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("io", ["int8", "float"])
def test_host(case: str, io: str, tmp_path: Path) -> None:
    compiled = compile_model(example(case), tmp_path, io=io)
    result = assert_exact(compiled)
    kinds = {port.type.dtype for port in (*compiled.inputs, *compiled.outputs)}
    assert kinds == {"int8" if io == "int8" else "float32"}
    assert all(array.dtype == np.float32 for array in result.outputs.values())


@pytest.mark.parametrize("case", FEW_BY_DEFAULT)
def test_calls_of_the_cmsis_nn_api(case: str, tmp_path: Path) -> None:
    assert_exact(compile_model(example(case), tmp_path, kernels="api"))


@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_optimization(optimize: str, tmp_path: Path) -> None:
    assert_exact(compile_model(example("classifier-uint8"), tmp_path, optimize=optimize))


@pytest.mark.parametrize("core", [core.name for core in CORES])
def test_plan_of_every_core_runs_on_the_host(core: str, tmp_path: Path) -> None:
    assert_exact(compile_model(example("classifier-int8"), tmp_path, core=core))


@needs_cmsis_nn
@pytest.mark.parametrize("case", FEW_BY_DEFAULT)
def test_arms_library(case: str, tmp_path: Path) -> None:
    assert_exact(compile_model(example(case), tmp_path, library="arm"), cmsis_nn=CMSIS_NN)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("case", FEW_BY_DEFAULT)
def test_emulated_core(case: str, core: str, tmp_path: Path) -> None:
    assert_exact(compile_model(example(case), tmp_path, core=core), samples=4, on=core)


@pytest.mark.parametrize("kernels", ["api", "specialised"])
@pytest.mark.parametrize("core", ["cortex-m4+nofp", "cortex-m33+nodsp", "cortex-m55+nomve.fp", "cortex-m55+nofp"])
def test_core_less_an_option(core: str, kernels: str, tmp_path: Path) -> None:
    assert_exact(compile_model(example("classifier-int8"), tmp_path, core=core, kernels=kernels), samples=2, on=core)


@pytest.mark.slow
@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("core", ["cortex-m23", "cortex-m33+nodsp", "cortex-m55+nomve.fp", "cortex-m55+nofp"])
def test_core_less_an_option_with_every_case(case: str, core: str, tmp_path: Path) -> None:
    for kernels in ("api", "specialised"):
        assert_exact(compile_model(example(case), tmp_path, core=core, kernels=kernels), samples=2, on=core)


@pytest.mark.parametrize("kernels", ["api", "specialised"])
def test_a_plan_for_another_core_runs_on_helium(kernels: str, tmp_path: Path) -> None:
    """The bundled kernels take no scratch and keep their order on every core."""
    compiled = compile_model(example("classifier-int8"), tmp_path, core="cortex-m4", kernels=kernels)
    assert_exact(replace(compiled, core=target.core("cortex-m55")), samples=2, on="cortex-m55")


@needs_cmsis_nn
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_arms_library_on_an_emulated_core(core: str, tmp_path: Path) -> None:
    compiled = compile_model(example("classifier-uint8"), tmp_path, core=core, library="arm")
    assert_exact(compiled, samples=4, on=core, cmsis_nn=CMSIS_NN)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_float_edges_on_an_emulated_core(core: str, tmp_path: Path) -> None:
    assert_exact(compile_model(example("ports-uint8"), tmp_path, core=core, io="float"), samples=4, on=core)
