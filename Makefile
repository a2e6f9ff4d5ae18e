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
# Two more than the usual cores: they run while others wait for a server or a process.
JOBS ?= 4
KILLS ?= 100
TIMES ?= 20

# Recipes read these from the environment, so that spaces and quotes do no harm.
export MODEL DEST BASE_MODEL DEMO_DIR DEMO_BASE

BIN := $(VENV)/bin

# The tests start hundreds of processes; each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

# What running needs, and what developing needs.
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready

# The vendor's v2 SDK and oss2 install different packages of one name, crcmod.
V2_VENV ?= .venv-oss-v2
V2_READY := $(V2_VENV)/.ready
V2_REQUIREMENTS := tests/sandbox/v2/requirements.txt
# With it a test that needs this SDK fails, not skips, when the SDK is not there.
V2_PYTHON := PREFLIGHT_OSS_V2_PYTHON=$(V2_VENV)/bin/python

# Two generations of loaders, each with a CPU torch. Plain `torch` is a build with
# CUDA, several GB, on most machines; TORCH and pip's own settings choose another.
LOADERS ?= .venv-loaders
TORCH ?= torch==2.13.0
GENERATIONS := 4 5
LOADERS_READY := $(GENERATIONS:%=$(LOADERS)-%/.ready)
JUDGE := $(BIN)/python -m tests.loaders.run \
  $(foreach n,$(GENERATIONS),transformers-$(n)=$(LOADERS)-$(n)/bin/python)

# For `make test-pythons`: an environment for each, from the command pythonVERSION.
PYTHONS ?= 3.10 3.11 3.12 3.13 3.14
PYTHON_TESTS ?= tests

# Trainers, each in an environment of its own, with preflight as it is installed.
TRAINERS ?= .venv-trainers
LIBRARIES := transformers-4 transformers-5 llama-factory ms-swift
TRAINERS_READY := $(LIBRARIES:%=$(TRAINERS)-%/.ready)
IN_TRAINERS := PREFLIGHT_INTEGRATIONS="$(foreach n,$(LIBRARIES),$(n)=$(abspath $(TRAINERS)-$(n)/bin/python))"

# Tools of the field whose manners ours are compared with.
MANNERS ?= .venv-manners
MANNERS_READY := $(MANNERS)/.ready

# For `make bench` and what it consists of: GiB of weights, how often, which links.
GIB ?= 1
ROUNDS ?= 3
SHAPE ?= http https slow

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  make import MODEL=out/adapter DEST=oss://bucket/models/mine/ BASE_MODEL=qwen3-8b'

# The stamp comes last: an environment that was half installed is installed again.
$(RUNS): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(READY): pyproject.toml $(RUNS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(V2_READY): $(V2_REQUIREMENTS)
	$(PYTHON) -m venv $(V2_VENV)
	$(V2_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --requirement $(V2_REQUIREMENTS)
	touch $@

$(MANNERS_READY): tests/manners/requirements.txt
	$(PYTHON) -m venv $(MANNERS)
	$(MANNERS)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --requirement $<
	touch $@

$(LOADERS)-%/.ready: tests/loaders/requirements-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --requirement $<
	touch $@

.venv-python-%/.ready: pyproject.toml
	python$* -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(TRAINERS)-%/.ready: tests/integrations/requirements-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --requirement $< --editable .
	touch $@

.PHONY: install
install: $(READY) ## create the virtual environment and install preflight into it

.PHONY: demo
demo: $(RUNS) ## build an adapter and take it through the whole pipeline, no account needed
	rm -rf "$$DEMO_DIR/$$DEMO_BASE-lora"
	$(BIN)/python -m fixtures build "$$DEMO_DIR/$$DEMO_BASE-lora" --base "$$DEMO_BASE" --rank 16
	$(BIN)/preflight push --sandbox "$$DEMO_DIR/$$DEMO_BASE-lora" --base-model "$$DEMO_BASE"

.PHONY: import
import: $(RUNS) ## check, upload and import MODEL to DEST (see above)
	@: "$${MODEL:?give MODEL=, the directory of the weights}"
	@: "$${DEST:?give DEST=, such as oss://bucket/models/mine/}"
	$(BIN)/preflight push "$$MODEL" "$$DEST" $${BASE_MODEL:+--base-model "$$BASE_MODEL"} $(FLAGS)

.PHONY: check
check: $(RUNS) ## check MODEL only; nothing is uploaded
	@: "$${MODEL:?give MODEL=, the directory of the weights}"
	$(BIN)/preflight check "$$MODEL" $${BASE_MODEL:+--base-model "$$BASE_MODEL"} $(FLAGS)

.PHONY: lint
lint: $(READY) ## linter and formatter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(READY) ## type checker
	$(BIN)/mypy

# Tests make thousands of small files. In memory, where there is room, this is a third
# faster than on a disk.
SCRATCH ?= $(shell test -w /dev/shm && df -Pk /dev/shm | \
  awk 'NR == 2 && $$4 > 4000000 { print "/dev/shm" }')

# A file's tests share its fixtures, so that they stay on one worker. The marks of
# `loadgroup` would do, but pytest 9.2 made xdist 3.8 deaf to them.
.PHONY: unit
unit: $(READY) $(V2_READY) ## the tests alone
	PYTEST_DEBUG_TEMPROOT=$(SCRATCH) $(V2_PYTHON) \
	  $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.PHONY: fuzz
fuzz: $(READY) ## the tests that search, TIMES (20) as far as in `make unit`
	PREFLIGHT_FUZZ=$(TIMES) $(BIN)/python -m pytest -n $(JOBS) --timeout 3600 \
	  $$(grep -l 'tests.depth import' -r tests --include 'test_*.py')

.PHONY: test-live
test-live: $(READY) ## the contract against the real OSS and Model Studio (see README)
	PREFLIGHT_LIVE=1 $(BIN)/python -m pytest -rs tests/contract

.PHONY: clients
clients: $(READY) ## other clients of OSS and Model Studio against the sandbox, each in its environment
	$(BIN)/python -m tests.clients.run

.PHONY: test-large
test-large: $(READY) ## 20 GB and 10,000 parts through the sandbox, 16 GB pushed (4 minutes)
	PREFLIGHT_LARGE=1 $(BIN)/python -m pytest tests/sandbox/oss/test_oss_large.py \
	  tests/sandbox/test_survival.py \
	  tests/commands/test_push_memory.py

.PHONY: test-manners
test-manners: $(READY) $(MANNERS_READY) ## hold ruff, twine and hf to the stored answers
	$(BIN)/python -m tests.manners.run --hold $(MANNERS)/bin

.PHONY: manners
manners: $(READY) $(MANNERS_READY) ## ask them again, store the answers, print the table
	$(BIN)/python -m tests.manners.run $(MANNERS)/bin
	$(BIN)/python -m tests.manners.run --table

.PHONY: test-loaders
test-loaders: $(READY) $(LOADERS_READY) ## ask the real loaders again about every fixture
	$(JUDGE) --hold

.PHONY: loaders
loaders: $(READY) $(LOADERS_READY) ## ask them about new fixtures and store the answers
	$(JUDGE)

.PHONY: test
test: lint types unit ## all checks and tests

.PHONY: bench-test
bench-test: $(READY) $(V2_READY) ## tests of the benchmarks, which `make unit` leaves out
	$(V2_PYTHON) $(BIN)/python -m pytest tests/benchmarks

.PHONY: bench
bench: $(READY) $(V2_READY) ## all figures of speed, ratios first, and store them; 10 minutes, GIB=, ROUNDS=
	$(V2_PYTHON) $(BIN)/python -m tests.benchmarks.bench --gib $(GIB) \
	  --rounds $(ROUNDS) --store tests/benchmarks/result.json

.PHONY: bench-answers
bench-answers: $(READY) ## for how many answers a push waits, at 200 ms each
	$(BIN)/python -m tests.benchmarks.bench_answers

.PHONY: bench-workers
bench-workers: GIB = 4
bench-workers: $(READY) ## the number of workers that is found, against fixed ones, GIB=
	$(BIN)/python -m tests.benchmarks.bench_workers --gib $(GIB) --rounds $(ROUNDS)

.PHONY: bench-share
bench-share: $(READY) ## two tasks against one, each on a link of its own, with GIB= and ROUNDS=
	$(BIN)/python -m tests.benchmarks.bench_share --gib $(GIB) --rounds $(ROUNDS)

.PHONY: bench-upload
bench-upload: $(READY) $(V2_READY) ## speed of the upload with GIB=, ROUNDS= and SHAPE=
	$(V2_PYTHON) $(BIN)/python -m tests.benchmarks.bench_upload --gib $(GIB) \
	  --rounds $(ROUNDS) --shape $(SHAPE)

.PHONY: test-outage
test-outage: $(READY) ## push through a real minute without OSS, twice (4 minutes)
	PREFLIGHT_OUTAGE=60 $(BIN)/python -m pytest -rP tests/test_real_outage.py

.PHONY: test-integrations
test-integrations: $(READY) $(TRAINERS_READY) ## the callback in transformers 4 and 5, TRL, LLaMA-Factory, ms-swift
	$(IN_TRAINERS) $(BIN)/python -m pytest -rs tests/integrations

.PHONY: integrations
integrations: $(READY) $(TRAINERS_READY) ## the same, and store what these libraries show
	PREFLIGHT_INTEGRATIONS_RECORD=1 $(IN_TRAINERS) $(BIN)/python -m pytest -rs \
	  tests/integrations/test_trainers.py

.PHONY: slurm
slurm: ## install Debian's Slurm for `make test-slurm` (as root)
	apt-get update
	apt-get install --yes --no-install-recommends slurm-wlm munge

.PHONY: test-slurm
test-slurm: $(READY) ## the examples for Slurm on a real one (Debian's slurm-wlm; as root)
	@for name in slurmctld slurmd munged; do command -v "$$name" >/dev/null || \
	  { echo "there is no $$name: make slurm"; exit 2; }; done
	PREFLIGHT_SLURM=1 $(BIN)/python -m pytest -rs tests/slurm

.PHONY: kill-test
kill-test: $(READY) ## kill a push at KILLS random instants and go on each time
	PREFLIGHT_KILLS=$(KILLS) $(BIN)/python -m pytest tests/test_kill.py

.PHONY: share-kill-test
share-kill-test: $(READY) ## the same of any task of a shared push, then by 1 to 3 tasks
	PREFLIGHT_KILLS=$(KILLS) $(BIN)/python -m pytest tests/test_share_kill.py

.PHONY: sweep-kill-test
sweep-kill-test: $(READY) ## the same of a push of several directories
	PREFLIGHT_KILLS=$(KILLS) $(BIN)/python -m pytest tests/test_sweep_kill.py

.PHONY: browser-test
browser-test: $(READY) ## the HTML report in a real browser (needs Debian's chromium)
	@command -v chromium >/dev/null || { echo 'apt-get install chromium'; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	PREFLIGHT_BROWSER=1 $(BIN)/python -m pytest -rs tests/report/test_browser.py

.PHONY: screenshots
screenshots: $(READY) ## docs/report-light.png, -dark and -phone, by Debian's chromium
	$(BIN)/python -m tests.screenshots

.PHONY: test-pythons
test-pythons: $(PYTHONS:%=test-python-%) ## the tests on each of PYTHONS (3.10 to 3.14)

test-python-%: .venv-python-%/.ready
	.venv-python-$*/bin/python -m pytest -n $(JOBS) --dist loadfile $(PYTHON_TESTS)

.PHONY: dist
dist: $(READY) ## build source archive and wheel, check them, try them in empty environments
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	PREFLIGHT_DIST=dist $(BIN)/python -m pytest tests/test_dist.py

.PHONY: man
man: $(READY) ## write the manual page, preflight.1, from the parser
	$(BIN)/argparse-manpage --module preflight.parser --function whole_parser \
	  --project-name preflight --manual-title "preflight manual" --output preflight.1

.PHONY: readme
readme: $(READY) ## write the transcripts and tables of both READMEs anew
	$(BIN)/python -m tests.readme

.PHONY: messages
messages: $(READY) ## update and compile the translations, preflight/locale
	$(BIN)/python -m tests.messages

.PHONY: clean
clean: ## remove the environment and everything built
	rm -rf $(VENV) $(V2_VENV) $(LOADERS)-* $(TRAINERS)-* .venv-clients $(MANNERS) .venv-python-* "$$DEMO_DIR" build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
