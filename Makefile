# One chain: set-up, base model, grid of stages, report. Targets of the grid are
# records; re-running does nothing that is done. See `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PROFILE ?= cpu
CLUSTER ?= local
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
RESULTS_ROOT ?= results
ENGINE ?= transformers-serve
METHOD ?= tpe
SCENARIO ?= a
RESULTS := $(RESULTS_ROOT)/$(PROFILE)
PEERS := aiperf guidellm
TESTED := claude-code codex mini-swe-agent
# Processes that share the tests; what measures has the machine to itself at the end.
WORKERS ?= 2
# Commands of the system and the packages they come from. Without bubblewrap sandboxes
# fall back to process groups (recorded); tests need chromium and npm.
SYSTEM := bwrap:bubblewrap chromium:chromium npm:npm sbatch:slurm-wlm
IBENCH = $(PY) -m ibench
STUDY = --profile $(PROFILE) --results $(RESULTS_ROOT)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# Stages read what `make data` has brought and verified; nothing else asks a hub.
export HF_HUB_OFFLINE := 1
data: export HF_HUB_OFFLINE := 0

.PHONY: help sessions setup engine test-engines test-fast data doctor gpu-check plan reproduce figures claims compare site search crate test check status verify lab bench bench-client bench-search peers agents clean submit cancel finish bench-cluster bench-aa bench-intervals

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile
	@echo "  PROFILE=$(PROFILE) of: $$(cd params/profiles && ls *.yaml | sed 's/\.yaml//' | tr '\n' ' ')"

setup: $(READY) ## create .venv from requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: call make with PYTHON=<newer python>"; exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing the locked packages into $(VENV) (some minutes)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@missing=; for pair in $(SYSTEM); do command -v $${pair%%:*} > /dev/null || missing+=" $${pair##*:}"; done; \
	  [ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && \
	  apt-get update -qq && apt-get install -y -qq $$missing > /dev/null 2>&1; } || \
	  echo "setup: missing:$$missing (sandbox, browser tests, site): install them, for example with apt-get"
	@touch $@

data: $(READY) ## fetch and verify PROFILE's model and data, make its request sets
	@$(IBENCH) data --profile $(PROFILE)

doctor: $(READY) ## check this machine before hours are spent on PROFILE
	@$(IBENCH) doctor $(STUDY)

gpu-check: $(READY) ## a random 7B model, scenarios A to D, one CUDA GPU [SHAPE=tiny DEVICE=cpu]
	@$(IBENCH) gpu-check --results $(RESULTS_ROOT) $(if $(SHAPE),--shape $(SHAPE)) $(if $(DEVICE),--device $(DEVICE)) \
	  $(if $(ENGINES),--engines $(ENGINES)) $(if $(SCENARIOS),--scenarios $(SCENARIOS))

engine: $(READY) ## build the environment or image of ENGINE (params/engines)
	@$(IBENCH) engine $(ENGINE)

reproduce: $(READY) ## run the study of PROFILE and write results/PROFILE/report.html
	@$(IBENCH) grid $(STUDY)
	@$(IBENCH) prepare $(STUDY)
	@$(MAKE) --no-print-directory --keep-going -f $(RESULTS)/grid.mk \
	  STAGE="$(IBENCH) stage $(STUDY)" all
	@test $(RESULTS)/report.html -nt $(RESULTS)/aggregation/record.json || \
	  $(IBENCH) report $(STUDY)
	@echo "$(RESULTS)/report.html"

plan: $(READY) ## estimate hours and dollars of PROFILE by stage
	@$(IBENCH) plan $(STUDY)

figures: $(READY) ## regenerate the paper's tables and figures into results/paper
	@$(IBENCH) figures

claims: $(READY) ## check the paper's claims, one by one [PROFILE=: its records too]
	@$(IBENCH) claims $(if $(filter-out file,$(origin PROFILE)),$(STUDY))

compare: $(READY) ## put PROFILE's results beside the paper's
	@$(IBENCH) compare $(STUDY)

site: $(READY) ## write PROFILE as static pages into results/PROFILE/site [TRAJECTORIES=]
	@test -n "$(TRAJECTORIES)" || ! compgen -G "$(RESULTS)/*/*/*/submission/workspace/session.json" > /dev/null || \
	  $(IBENCH) trajectories $(RESULTS) --out $(RESULTS)/trajectories > /dev/null
	@$(IBENCH) site $(STUDY) $(if $(TRAJECTORIES),--trajectories $(TRAJECTORIES))

search: $(READY) ## search ENGINE= with METHOD= [-halving] on SCENARIO= [BUDGET_S=] [SEEDS=]
	@$(IBENCH) search $(STUDY) --engine "$(ENGINE)" --sampler "$(METHOD:-halving=)" --scenario "$(SCENARIO)" \
	  $(if $(filter %-halving,$(METHOD)),--rule halving) $(if $(BUDGET_S),--budget-s $(BUDGET_S)) $(if $(SEEDS),--seeds $(SEEDS))

crate: $(READY) ## export PROFILE's records and figures as an RO-Crate
	@$(IBENCH) crate $(STUDY)

test: $(READY) ## run all tests, real agents and the smoke profile among them (16 minutes)
	@$(IBENCH) agents --install $(TESTED:%=--agent %) || \
	  echo "test: without them the tests of real agents skip themselves"
	@$(IBENCH) prepare --profile smoke
	@$(PY) -m pytest -n $(WORKERS)

test-fast: $(READY) ## run the tests without kernel, agent, browser or engine (2 minutes)
	@$(PY) -m pytest -n $(WORKERS) -m "not engines and not slow"

test-engines: $(READY) ## build vLLM for CPUs and take it through every stage (15 minutes)
	@$(PY) -m pytest -m engines tests/engines

check: $(READY) ## format, lint, floors of the house, types, notebook stripping
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/lint-imports > /dev/null || $(VENV)/bin/lint-imports
	@$(VENV)/bin/mypy
	@$(VENV)/bin/nbstripout --verify --extra-keys "metadata.papermill cell.metadata.papermill" \
	  $$(find notebooks -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*')

status: $(READY) ## list every stage of PROFILE and its state
	@$(IBENCH) status $(STUDY)

submit: $(READY) ## give PROFILE's missing cells to CLUSTER of params/clusters [AGAIN=1]
	@$(IBENCH) prepare $(STUDY)
	@$(IBENCH) submit $(STUDY) --cluster $(CLUSTER) $(if $(AGAIN),--again)

cancel: $(READY) ## take PROFILE's cells back from their scheduler [CELLS=]
	@$(IBENCH) cancel $(STUDY) $(CELLS)

finish: $(READY) ## judge and report what a cluster measured; it does so by itself
	@$(IBENCH) finish $(STUDY)

sessions: $(READY) ## look at PROFILE's agent sessions while they run [FOLLOW=1] [STOP=cell]
	@$(IBENCH) sessions $(STUDY) $(if $(STOP),--stop $(STOP)) $(if $(FOLLOW),--follow)

verify: $(READY) ## re-hash every finished stage of PROFILE
	@$(IBENCH) verify $(STUDY)

lab: $(READY) ## open JupyterLab on the notebooks
	@$(VENV)/bin/jupyter lab --notebook-dir=. $(if $(filter 0,$(shell id -u)),--allow-root)

bench: $(READY) ## measure stage overhead, sampling and aggregation
	@$(PY) -m perf --profile $(PROFILE)

bench-aa: $(READY) ## hold the baseline against itself, alone and beside a busy process (an hour)
	@$(PY) -m perf.aa --profile $(PROFILE) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(SCENARIO),--scenarios $(SCENARIO))

bench-search: $(READY) ## compare the samplers and the rules of a search on a made surface
	@$(PY) -m perf.search

bench-intervals: $(READY) ## simulate how often each interval covers (docs/metrics.md)
	@$(PY) -m perf.intervals --write docs/metrics.md

bench-client: $(READY) ## hold our load clients, and the peers, against the truth
	@$(PY) -m perf.clients --write docs/measurement.md \
	  --samples $(RESULTS_ROOT)/bench-client.json

bench-cluster: $(READY) ## simulate 1,000 GPUs and time 100,000 cells (20 minutes, 3 GB)
	@$(PY) -m perf.cluster

peers: $(PEERS:%=.cache/peers/%/freeze.txt) ## install other load clients apart (2.7 GB)

agents: $(READY) ## install Harbor and the programs of AGENTS= (all that a registry has)
	@$(IBENCH) agents --install $(AGENTS:%=--agent %)

.cache/peers/%/freeze.txt: perf/peers-%.txt | $(READY)
	@echo "peers: installing $* into $(@D) (a minute or more)"
	@$(PY) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@$(@D)/bin/python -m pip freeze --disable-pip-version-check > $@

clean: ## remove the results of PROFILE (published numbers and caches stay)
	@rm -rf $(RESULTS)
