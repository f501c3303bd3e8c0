# Everything sets up its own environment: Python 3.11, pip and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
export JUPYTER_PLATFORM_DIRS = 1

.PHONY: security glossary mutants explore house bench chaos chromium kafka studies help report test check lab nbval refresh-notebooks lint environment lock clean

help:
	@echo "make report   the weekly report on simulated data (or yours: make report PARAMS=params/mine.yaml)"
	@echo "make test     the tests          make check   the whole gate (lint, architecture, tests, notebooks)"
	@echo "make lab      JupyterLab         make bench   measurements (docs/benchmarks.md)"
	@echo "make refresh-notebooks   run the committed notebooks and keep their outputs"

$(STAMP): requirements.lock pyproject.toml scripts/bootstrap.sh
	@PYTHON=$(PYTHON) VENV=$(VENV) sh scripts/bootstrap.sh
	@touch $(STAMP)

PARAMS ?= params/weekly.yaml
report: $(STAMP)
	@$(BIN)/launchpad report $(PARAMS)

test: $(STAMP)
	@$(BIN)/python -m pytest tests -n $(WORKERS) --dist loadfile --durations 12 -r fER
	@$(MAKE) --no-print-directory nbval

# The property tests with new examples, as many as there is time for: `make explore EXPLORE=tests/contract`.
EXPLORE ?= tests
explore: $(STAMP)
	@LAUNCHPAD_EXPLORE=1 $(BIN)/python -m pytest $(EXPLORE) -n $(WORKERS) --dist loadfile -r fE

# The notebooks' committed outputs are held against a fresh run.
nbval: $(STAMP)
	@$(BIN)/launchpad ingest params/weekly.yaml
	@$(BIN)/python -m pytest --nbval notebooks -p no:cacheprovider

refresh-notebooks: $(STAMP)
	@$(BIN)/python scripts/refresh_notebooks.py

# How right the statistics are on simulated data with known truth; the figures of docs/studies.md. Takes some minutes.
studies: $(STAMP)
	@for study in experiments latency regressions burn incidents low_volume lift negative_control rollout drift; do $(BIN)/python -W ignore scripts/studies/$$study.py || exit 1; done

lint: $(STAMP)
	@$(BIN)/ruff check launchpad_lib tests scripts
	@$(BIN)/ruff format --check -q launchpad_lib tests scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/environment.py --check

check: lint test

lab: $(STAMP)
	@$(BIN)/jupyter lab notebooks

environment: $(STAMP)
	@$(BIN)/python scripts/environment.py

# Kills, a crashing broker, two workers, a full and a read-only disk, with counted events (about twenty minutes).
chaos: $(STAMP)
	@$(BIN)/python -W ignore -m tests.chaos.chaos --source kafka --events 1000000 --kills 300 --rate 5000 --broker-kills 5
	@$(BIN)/python -W ignore -m tests.chaos.chaos --source kafka --events 100000 --kills 60 --rate 3000 --workers 2
	@$(BIN)/python -W ignore -m tests.chaos.chaos --source collector --events 1000000 --kills 300 --rate 4500
	@$(BIN)/python -W ignore -m tests.chaos.chaos --source spool --events 200000 --kills 100 --rate 4000
	@$(BIN)/python -W ignore -m tests.chaos.at_once
	@if [ "$$(id -u)" = 0 ]; then $(BIN)/python -W ignore -m tests.chaos.chaos --source disk --events 60000; else echo "the disk run needs root for its tmpfs; left out"; fi

# A real Kafka on 127.0.0.1:9092 (needs a JDK and Maven); its data are in .tools/kafka/data.
kafka:
	@sh scripts/kafka.sh run
# GLOSSARY.md is made from the metric catalogue, the schema of manifest.json from its model.
glossary: $(STAMP)
	@$(BIN)/launchpad metrics --markdown > GLOSSARY.md
	@$(BIN)/python -c "from launchpad_lib.contract.manifest import manifest_schema as s; print(s(), end='')" > docs/manifest.schema.json

lock: $(STAMP)
	@$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --extra test -q pyproject.toml -o requirements.lock


# Browser tests use the distribution's Chromium: `make chromium` installs it.
chromium:
	@sh scripts/chromium.sh

# Measurements, not tests; the figures are in docs/benchmarks.md. BENCH="--events 100000000" for the long ones.
BENCH ?=
bench: $(STAMP)
	@$(BIN)/python tests/bench/report_run.py
	@$(BIN)/launchpad report params/weekly.yaml --run-id bench-$$(date +%s) >/dev/null && $(BIN)/python tests/bench/pages.py $$(ls -dt reports/bench-* | head -1)
	@$(BIN)/python tests/bench/engines.py $(BENCH)
	@$(BIN)/python tests/bench/growth.py
	@PYTHONPATH=. $(BIN)/python tests/bench/file_ingestion.py
	@$(BIN)/python -m tests.bench.collector
	@$(BIN)/python -m tests.bench.tracking
	@for part in latency throughput; do $(BIN)/python -W ignore -m tests.bench.streaming $$part || exit 1; done

clean:
	rm -rf $(VENV) data/lake data/raw reports

# Small changes of the code, one at a time: does a test notice? A seeded sample of each room (about half an hour);
# survivors with reasons are in docs/mutants.md. MUTANTS="risk --sample 0" for all of one room.
MUTANTS ?=
mutants: $(STAMP)
	@$(BIN)/python scripts/mutants.py $(MUTANTS)

# bandit over the package: exit status 1 where a finding has no triage (SECURITY.md).
security: $(STAMP)
	@$(BIN)/python scripts/security.py

# The house in figures: how notebooks read, homes of knowledge, circles.
house: $(STAMP)
	@$(BIN)/python scripts/house.py
