"""The kernel libraries under test, each built once per session."""

from __future__ import annotations

import pytest
from cmsis_library import Library, build, configurations


@pytest.fixture(scope="session", params=configurations())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Bundled and (where CMSIS_NN_ROOT is set) Arm's, with each requantization."""
    return build(request.param, tmp_path_factory.mktemp("kernels"))
