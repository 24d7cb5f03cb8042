# Needs only Python 3.11 to 3.13 and make: everything else goes into .venv, locked by hash.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
UV ?= uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(FITS)' 2>/dev/null && command -v $$python && break; done)
AUDIT := .venv-audit
PYTEST_FLAGS ?= -n 7 --dist worksteal  # tests wait more than they compute: on two cores, 4 at once take half as long again
unexport PYTHONDONTWRITEBYTECODE  # without kept bytecode each process of pytest compiles all tests again, for longer than most of them take

# $(call phase,NAME,COMMAND): run, and tell how long it took.
phase = @begin=$$(date +%s); echo "== $(1)"; $(2) || { echo "== $(1): failed after $$(($$(date +%s) - begin)) s" >&2; exit 1; }; echo "== $(1): $$(($$(date +%s) - begin)) s"

.DEFAULT_GOAL := help
.PHONY: help demo test test-all large check format-check lint types imports bench chaos audit docs reference image image-test pin pinned format lock setup clean

help:  ## show this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/ready-to-run  ## watch data move between a simulated Halo and a broker, for less than a minute
	@$(BIN)/python -m worker demo

test: $(VENV)/ready-to-develop  ## prove each promise once, in a few minutes, against a real RabbitMQ that the tests start themselves
	$(call phase,examples of routes,$(BIN)/python -m worker test routes)
	$(call phase,tests,$(BIN)/python -m pytest $(PYTEST_FLAGS) -m "not long" --hypothesis-profile=quick)

test-all: $(VENV)/ready-to-develop  ## run all tests: also those with more seeds, repetitions and the second broker
	$(call phase,all tests,$(BIN)/python -m pytest $(PYTEST_FLAGS))

large: $(VENV)/ready-to-develop  ## run at full size what test-all runs smaller: an iteration over 10,000 elements, a backfill of 100,000 records
	$(call phase,large runs,WORKER_TEST_LARGE=1 $(BIN)/python -m pytest -n 2 tests/end/test_iterations.py tests/end/test_backfill.py -k large)

check: format-check lint types imports docs test-all  ## everything that CI runs: format, lint, types, import contracts, documentation, all tests

format-check: $(VENV)/ready-to-develop
	$(call phase,format,$(BIN)/ruff format --check .)

lint: $(VENV)/ready-to-develop
	$(call phase,lint,$(BIN)/ruff check .)

types: $(VENV)/ready-to-develop
	$(call phase,types,$(BIN)/mypy)

imports: $(VENV)/ready-to-develop
	$(call phase,import contracts,$(BIN)/lint-imports)

reference: $(VENV)/ready-to-develop  ## write the reference pages of the documentation from the code
	@$(BIN)/python -m docs.generator

docs: $(VENV)/ready-to-develop  ## build the documentation into build/site; fails on broken links, old reference pages and requests to other hosts
	$(call phase,documentation,$(BIN)/python -m docs.generator --check && $(BIN)/mkdocs build --quiet --strict && $(BIN)/python -m docs.generator.site build/site)

bench: $(VENV)/ready-to-develop  ## measure the paths of messages and scans as ratios to bare loops, what the isolation of expressions costs, and idle routes
	$(call phase,publisher path,$(BIN)/python -m tests.benchmarks.publisher)
	$(call phase,expressions,$(BIN)/python -m tests.benchmarks.evaluator)
	$(call phase,scan,$(BIN)/python -m tests.benchmarks.scan)
	$(call phase,idle routes,$(BIN)/python -m tests.benchmarks.idle)

chaos: $(VENV)/ready-to-develop  ## faults at random from a SEED for some MINUTES (KILLS=200: SIGKILLs during creates; AWAY=120: minutes without Halo; SOAK=1000000: messages and reconnects; FUZZ=100000: messages of a hostile sender)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(REPLICAS),--replicas $(REPLICAS)) \
		$(if $(KILLS),--kills $(KILLS)) $(if $(SOAK),--soak $(SOAK)) $(if $(FUZZ),--fuzz $(FUZZ)) $(if $(AWAY),--away $(AWAY)) $(CHAOS_FLAGS)

audit: $(AUDIT)/ready  ## look up known vulnerabilities of all locked packages (MUST=1: fail when no service answers)
	$(call phase,audit,$(AUDIT)/bin/python .ci/audit.py $(if $(MUST),--must) $(sort $(wildcard requirements*.lock)))

image:  ## build the container image halo-worker (needs Docker)
	@docker build --file docker/Dockerfile --tag halo-worker $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
		--build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' worker/__init__.py) .

image-test: $(VENV)/ready-to-develop  ## build the image, and run it with a broker and a simulated Halo as containers (needs Docker)
	$(call phase,image,WORKER_TEST_IMAGE=1 $(BIN)/python -m pytest tests/image)

pin:  ## write the digests of all third-party images, as their registries tell them now (needs Docker with buildx)
	@docker/pin.sh

pinned:  ## list third-party images that are named by a tag alone, and fail when there is one: no release is made of such
	@docker/pin.sh --check

format: $(VENV)/ready-to-develop  ## put the code into its format, and mend what the linter can
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lock:  ## resolve the dependencies again (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: install it with 'pip install uv', or name it with UV=..." >&2; exit 1; }
	@$(LOCK) pyproject.toml --upgrade --output-file requirements.lock
	@$(LOCK) pyproject.toml --upgrade --extra otel --group dev --output-file requirements-dev.lock
	@$(LOCK) --group pyproject.toml:build --constraint requirements-dev.lock --upgrade --output-file requirements-build.lock
	@$(LOCK) --group pyproject.toml:audit --upgrade --output-file requirements-audit.lock

setup: $(VENV)/ready-to-develop  ## install everything for development into .venv
	@echo "ready: $(BIN)/halo-worker"

clean:  ## remove what make and the tools have made
	@rm -rf $(VENV) $(AUDIT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 was found: install one, or name it with PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -c '$(FITS)' 2>/dev/null || { echo "$(PYTHON) is not a Python 3.11, 3.12 or 3.13 that runs." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/ready-to-run: $(BIN)/python requirements.lock
	$(call phase,install what the worker needs into $(VENV),$(PIP) install --require-hashes -r requirements.lock)
	@touch $@

$(VENV)/ready-to-develop: $(BIN)/python requirements-dev.lock pyproject.toml
	$(call phase,install what development needs into $(VENV),$(PIP) install --require-hashes -r requirements-dev.lock && $(PIP) install --no-deps --no-build-isolation --editable .)
	@touch $@ $(VENV)/ready-to-run

$(AUDIT)/ready: $(BIN)/python requirements-audit.lock
	@$(BIN)/python -m venv --clear $(AUDIT)
	$(call phase,install what the audit needs into $(AUDIT),$(AUDIT)/bin/python -m pip -qq --disable-pip-version-check --no-input install --require-hashes -r requirements-audit.lock)
	@touch $@
