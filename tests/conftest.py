"""The helper modules beside this file are importable everywhere, and their assertions explain themselves."""

import pytest

pytest.register_assert_rewrite("checking", "pass_text")
