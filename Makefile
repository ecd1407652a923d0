# make demo: the whole workflow on the default corpora.   make test: the tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
CORES ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count())")
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) --profile none --rerun-incomplete --quiet rules

.PHONY: demo smoke seeds test lint setup

setup: $(STAMP)

$(STAMP): envs/requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r envs/requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r envs/corpora.lock
	touch $(STAMP)

demo: setup
	$(SNAKEMAKE)

smoke: setup
	$(SNAKEMAKE) --configfile config.yaml tests/smoke.yaml

seeds: setup
	$(SNAKEMAKE) seeds

test: setup
	$(BIN)/pytest

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint
	$(BIN)/mypy
