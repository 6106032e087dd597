# One chain: set-up, base model, grid of stages, report. Targets of the grid are
# records; re-running does nothing that is done. See `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PROFILE ?= cpu
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
RESULTS_ROOT ?= results
RESULTS := $(RESULTS_ROOT)/$(PROFILE)
IBENCH = $(PY) -m ibench
STUDY = --profile $(PROFILE) --results $(RESULTS_ROOT)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup reproduce test check status verify lab bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "  PROFILE=$(PROFILE) of: $$(cd params/profiles && ls *.yaml | sed 's/\.yaml//' | tr '\n' ' ')"

setup: $(READY) ## create .venv from requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: call make with PYTHON=<newer python>"; exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing the locked packages into $(VENV) (some minutes)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@command -v bwrap > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && \
	  apt-get install -y -qq bubblewrap > /dev/null 2>&1; } || \
	  echo "setup: bubblewrap is missing: sandboxes fall back to process groups (recorded)"
	@touch $@

reproduce: $(READY) ## run the study of PROFILE and write results/PROFILE/report.html
	@$(IBENCH) grid $(STUDY)
	@$(IBENCH) prepare $(STUDY)
	@$(MAKE) --no-print-directory --keep-going -f $(RESULTS)/grid.mk \
	  STAGE="$(IBENCH) stage $(STUDY)" all
	@test $(RESULTS)/report.html -nt $(RESULTS)/aggregation/record.json || \
	  $(IBENCH) report $(STUDY)
	@echo "$(RESULTS)/report.html"

test: $(READY) ## run all tests, the smoke profile last
	@$(PY) -m pytest

check: $(READY) ## format, lint, types, notebook stripping
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/nbstripout --verify --extra-keys "metadata.papermill cell.metadata.papermill" \
	  $$(find notebooks -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*')

status: $(READY) ## list every stage of PROFILE and its state
	@$(IBENCH) status $(STUDY)

verify: $(READY) ## re-hash every finished stage of PROFILE
	@$(IBENCH) verify $(STUDY)

lab: $(READY) ## open JupyterLab on the notebooks
	@$(VENV)/bin/jupyter lab --notebook-dir=. $(if $(filter 0,$(shell id -u)),--allow-root)

bench: $(READY) ## measure stage overhead, sampling and aggregation
	@$(PY) -m benchmarks --profile $(PROFILE)

clean: ## remove the results of PROFILE (published numbers and caches stay)
	@rm -rf $(RESULTS)
