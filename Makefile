# `make` prints what can be done. Set-up is remembered by stamp files in .venv and repeated only when its inputs change.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.hub-ready
DEV := .venv/.dev-ready
FOREIGN := tests/connectors/foreign_soap tests/done/foreign_oauth
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Compiled modules are kept whatever the shell says: without them each worker and each hub of a test compiles everything.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-long check bench bench-load generated format lock clean

##@ Use

help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the hub command

demo: $(READY) ## the whole story on a synthetic prefecture; HOUSEHOLDS=n sets its size, DEMO_EXIT=1 ends after the story
	@$(BIN)/hub demo

serve: $(READY) ## serve the API
	@$(BIN)/hub serve

##@ Develop

test: $(DEV) ## the quick tests
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile

test-long: $(DEV) ## the tests that take longer
	$(BIN)/python -m pytest -m long -n 2 --dist loadfile

check: $(DEV) ## formatting, lint, types, floors, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hub generated --check

bench: $(DEV) ## measure, print a table and write JSON
	$(BIN)/python -m bench

bench-load: $(DEV) ## load a prefecture from wire to sections; HOUSEHOLDS=n sets its size
	HUB_BENCH_HOUSEHOLDS=$(or $(HOUSEHOLDS),2000) $(BIN)/python -m bench.load

generated: $(DEV) ## write the generated files anew
	$(BIN)/hub generated

format: $(DEV) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(DEV) ## resolve requirements/*.in anew into hashed lock files
	for name in build hub dev; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-annotate --no-header requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

clean: ## remove what was built here; data under HUB_HOME stay
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: install it, or run make with PYTHON=/path/to/python3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is too old: Python 3.11 is needed; run make with PYTHON=/path/to/python3.11." >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; \
	  echo "A virtual environment cannot be made with $(PYTHON): on Debian install python3-venv." >&2; exit 1; }

$(READY): requirements/build.txt requirements/hub.txt pyproject.toml | .venv/bin/python
	@echo "Installing the hub into .venv (first time: some minutes of downloads)."
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/hub.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(READY) requirements/dev.txt $(FOREIGN:=/package-lock.json)
	@echo "Installing what the tests and checks need (first time: some minutes of downloads)."
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@command -v npm >/dev/null || exit 0; for folder in $(FOREIGN); do \
	  npm ci --silent --no-audit --no-fund --prefix $$folder || { rm -rf $$folder/node_modules; \
	  echo "npm cannot install $$folder, its tests are skipped; to see why: npm ci --prefix $$folder" >&2; }; done
	@touch $@
