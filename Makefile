# Shop Pulse: `make run` starts everything, `make test` is what CI runs. Each target sets up what it needs.
SHELL := /bin/bash
PYTHON := .venv/bin/python
CODE := schemas streams verify dashboards backtest tests

# Where it is set, each of hundreds of processes that tests start would compile all our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test lint typecheck unit long simulate seeded-bugs bench chaos soak screenshots lock

setup: ## .venv, Kafka's jars, missing Debian packages; quick when done
	@tools/setup

run: setup ## Kafka, Redis, worker, read service and a source of events; Ctrl-C ends them all
	@$(PYTHON) -m streams up

test: lint typecheck unit ## what CI runs

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

typecheck: setup
	$(PYTHON) -m mypy

unit: setup ## unit, property and integration tests; they start their own servers on free ports
	$(PYTHON) -m pytest -n 3 --durations=20 --cov --cov-report=term

long: setup ## what takes too long for CI, which shows the same in small: a year of real baskets, 5 000 model stories, an upgrade
	$(PYTHON) -m pytest -m long

simulate: setup ## owners under seeded faults; SEEDS=A:B, ARGS="--processes 2 --out report.json" goes on from there
	@$(PYTHON) -m tests.simulation --seeds $(or $(SEEDS),0:100000) $(ARGS)

seeded-bugs: setup ## puts bugs in on purpose, one at a time: some test has to notice each; writes docs/reliability-bugs.md
	@$(PYTHON) -m tests.seeded_bugs --write docs/reliability-bugs.md

bench: setup ## funnel-gmv through the production worker against plain Faust; ARGS=--json, ARGS=--peers for other systems
	@$(PYTHON) -m streams bench $(ARGS)

chaos: setup ## 200 faults of 22 kinds on real processes, at most 2 h, everything proved; ARGS="--faults 40 --seed 7"
	@$(PYTHON) -m tests.chaos --faults 200 --minutes 120 --all-scopes $(ARGS)

soak: setup ## 2 h with a fault a minute: memory, lag, drift; ARGS="--minutes 20"
	@$(PYTHON) -m tests.chaos --soak 60 --faults 100000 --minutes 120 $(ARGS)

screenshots: setup ## docs/images anew: what `make run` shows after a quarter of an hour
	@$(PYTHON) -m tests.browser.screenshots

LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(PYTHON) -m piptools compile --quiet --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock: setup ## three lock files, with hashes and without addresses: everything, what the image runs, what builds it
	$(LOCK) --extra dev --output-file requirements.lock pyproject.toml
	$(LOCK) --constraint requirements.lock --output-file requirements-runtime.lock pyproject.toml
	$(LOCK) --constraint requirements.lock --only-build-deps --build-deps-for wheel \
		--output-file requirements-build.lock pyproject.toml
