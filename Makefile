SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# What `make import` needs; give them on the command line or in the environment.
MODEL ?=
DEST ?=
BASE_MODEL ?=
# More flags for it, such as --weight-type full or --display-name "My model".
FLAGS ?=

PYTHON ?= python3
VENV ?= .venv
DEMO_DIR ?= .demo
DEMO_BASE ?= qwen3-8b
JOBS ?= 2

# Recipes read these from the environment, so that spaces and quotes do no harm.
export MODEL DEST BASE_MODEL DEMO_DIR DEMO_BASE

BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  make import MODEL=out/adapter DEST=oss://bucket/models/mine/ BASE_MODEL=qwen3-8b'

# The stamp comes last: an environment that was half installed is installed again.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

.PHONY: install
install: $(READY) ## create the virtual environment and install preflight into it

.PHONY: demo
demo: $(READY) ## build an adapter and take it through the whole pipeline, no account needed
	$(BIN)/python -m fixtures build "$$DEMO_DIR/$$DEMO_BASE-lora" --base "$$DEMO_BASE" --rank 16
	$(BIN)/preflight push --sandbox "$$DEMO_DIR/$$DEMO_BASE-lora" --base-model "$$DEMO_BASE"

.PHONY: import
import: $(READY) ## check, upload and import MODEL to DEST (see above)
	@: "$${MODEL:?give MODEL=, the directory of the weights}"
	@: "$${DEST:?give DEST=, such as oss://bucket/models/mine/}"
	$(BIN)/preflight push "$$MODEL" "$$DEST" $${BASE_MODEL:+--base-model "$$BASE_MODEL"} $(FLAGS)

.PHONY: check
check: $(READY) ## check MODEL only; nothing is uploaded
	@: "$${MODEL:?give MODEL=, the directory of the weights}"
	$(BIN)/preflight check "$$MODEL" $${BASE_MODEL:+--base-model "$$BASE_MODEL"} $(FLAGS)

.PHONY: lint
lint: $(READY) ## linter and formatter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(READY) ## type checker
	$(BIN)/mypy

.PHONY: unit
unit: $(READY) ## the tests alone
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

.PHONY: test
test: lint types unit ## all checks and tests

.PHONY: bench
bench: $(READY) ## speed of the value scan against plain reading, in one run
	$(BIN)/python tests/benchmarks/bench_scan.py

.PHONY: clean
clean: ## remove the environment and everything built
	rm -rf $(VENV) "$$DEMO_DIR" build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
