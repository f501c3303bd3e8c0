# Everything sets up its own environment: Python 3.11, pip and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
export JUPYTER_PLATFORM_DIRS = 1

.PHONY: help report test check lab nbval refresh-notebooks lint environment lock bench clean

help:
	@echo "make report   the weekly report on simulated data (or yours: make report PARAMS=params/mine.yaml)"
	@echo "make test     the tests          make check   the whole gate (lint, architecture, tests, notebooks)"
	@echo "make lab      JupyterLab      "
	@echo "make bench    the benchmarks (10 million events; BENCH=\"--events 100000000\" for more)"
	@echo "make refresh-notebooks   run the committed notebooks and keep their outputs"

$(STAMP): requirements.lock pyproject.toml scripts/bootstrap.sh
	@PYTHON=$(PYTHON) VENV=$(VENV) sh scripts/bootstrap.sh
	@touch $(STAMP)

PARAMS ?= params/weekly.yaml
report: $(STAMP)
	@$(BIN)/launchpad report $(PARAMS)

test: $(STAMP)
	@$(BIN)/python -m pytest tests
	@$(MAKE) --no-print-directory nbval

# The notebooks' committed outputs are held against a fresh run.
nbval: $(STAMP)
	@$(BIN)/launchpad ingest params/weekly.yaml
	@$(BIN)/python -m pytest --nbval notebooks -p no:cacheprovider

refresh-notebooks: $(STAMP)
	@$(BIN)/python scripts/refresh_notebooks.py

lint: $(STAMP)
	@$(BIN)/ruff check launchpad_lib tests scripts
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/environment.py --check

check: lint test

lab: $(STAMP)
	@$(BIN)/jupyter lab notebooks

environment: $(STAMP)
	@$(BIN)/python scripts/environment.py

# Every script prints a table for docs/benchmarks.md; BENCH="--events 100000000" for the long ones.
BENCH ?=
BENCH_SCRIPTS = $(shell grep -l __main__ tests/bench/*.py)
bench: $(STAMP)
	@for script in $(BENCH_SCRIPTS); do echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script $(BENCH) || exit 1; done

lock: $(STAMP)
	@$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --extra test -q pyproject.toml -o requirements.lock


clean:
	rm -rf $(VENV) data/lake data/raw reports
