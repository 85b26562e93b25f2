# Everything lives in .venv/ of this checkout; the only thing fetched is what requirements.lock pins.
PYTHON ?= python3
BIN := .venv/bin
KERNEL := $(wildcard lizrcl_flows/nep/src/* lizrcl_flows/gpumd/src/* lizrcl_flows/science/local_order/src/*)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-slow test-browser lint bench ci clean

help:          ## show this help
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  +##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/installed  ## create .venv with every dependency and build the kernel

.venv/installed: pyproject.toml requirements.lock CMakeLists.txt $(KERNEL)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "lizrcl_flows needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.11 setup")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned dependencies into .venv (about two minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@echo "building the NEP kernel ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup    ## run a real active-learning campaign on this machine (six to ten minutes on two cores)
	@$(BIN)/lizrcl demo

test: setup    ## run the test suite
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: setup  ## run the tests that take longer
	@$(BIN)/python -m pytest -m slow

test-browser: setup  ## run the tests that look at pages in Chromium
	@$(BIN)/python -m pytest -m browser

lint: setup    ## ruff, mypy, layer contracts, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/lizrcl launchpad write --check
	@$(BIN)/lizrcl config write --example --check

bench: setup   ## print the benchmarks, each as ratios against a named reference
	@for program in $(filter-out benchmarks/analysis_%.py,$(wildcard benchmarks/*.py)); do echo "== $$program"; $(BIN)/python $$program || exit 1; done

ci: lint test  ## what CI runs

clean:         ## remove the environment, builds and the demo's data
	rm -rf .venv build lizrcl_demo .pytest_cache .mypy_cache .ruff_cache
