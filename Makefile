# make demo: the whole workflow on the default corpora.   make test: the tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.ready
CORES ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count())")
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) --profile none --rerun-incomplete

.PHONY: demo smoke seeds test lint setup

setup: $(STAMP)

# The corpora's package and lm-eval pin old versions of what we use, and run well on ours.
$(STAMP): envs/requirements.lock envs/trackers.lock envs/corpora.lock envs/benchmarks.lock
	@echo "Installing into $(VENV); this takes about two minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r envs/requirements.lock -r envs/trackers.lock
	@$(PIP) --no-deps -r envs/corpora.lock -r envs/benchmarks.lock
	@touch $(STAMP)

demo: setup
	@$(SNAKEMAKE)

smoke: setup
	@$(SNAKEMAKE) --configfile config.yaml tests/smoke.yaml

seeds: setup
	@$(SNAKEMAKE) seeds
	@$(SNAKEMAKE) --forcerun report

test: setup
	$(BIN)/pytest

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint
	$(BIN)/mypy
