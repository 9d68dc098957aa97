# Everything runs in .venv, which the first target that needs it sets up (see tools/setup.sh).
READY := .venv/.ready

.PHONY: help demo test test-slow lint bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Compile the digits example, prove it equal to ONNX Runtime, run it on a Cortex-M4
	.venv/bin/python examples/digits/demo.py

test: $(READY) ## Run the tests
	.venv/bin/python -m pytest -n 2

test-slow: $(READY) ## Run the tests that take minutes
	.venv/bin/python -m pytest -n 2 -m slow

lint: $(READY) ## Check style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: $(READY) ## Measure instructions, flash and RAM on emulated cores; writes docs/benchmarks.*
	.venv/bin/python tools/bench.py

clean: ## Remove build products and caches; .venv stays
	rm -rf build dist out examples/*/out .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml tools/setup.sh
	tools/setup.sh
	@touch $@
