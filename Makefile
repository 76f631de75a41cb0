# The verbs of this project. CI runs `lint`, `test` and `test-slow`; `make` alone lists them all.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.in-step
# Prefect takes seconds to make its database: once here, then new home folders begin with a copy.
DATABASE := .venv/share/prefect.db
# torch comes first and through pip: uv would resolve it anew and take the CUDA build (docs/decisions/0004).
TORCH := $(shell sed -n 's/^ *"\(torch==[^"]*\)",$$/\1/p' pyproject.toml)
UV := $(shell grep '^uv==' requirements.lock)
EXTRAS := app text boosting tune serve mlflow dev

.PHONY: help setup run ui test test-slow lint bench docs lock browser

help:  ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

setup: $(STAMP) $(DATABASE)  ## make .venv and install what the lock file pins; nothing to do when it is in step

$(STAMP): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Next: install Python 3.11, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo "Setting up .venv: torch first, then the lock file (about two minutes the first time)"
	$(BIN)/python -m pip install --no-deps "$(TORCH)" "$(UV)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements.lock || \
		{ echo "uv could not; pip can where only its settings know the index, and takes some minutes" >&2; \
		$(BIN)/python -m pip install --quiet --no-deps -r requirements.lock; }
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -c "import torch" || { echo "torch is installed, but does not load. Next: point pip at torch's CPU wheels (PIP_INDEX_URL), remove .venv, and run make setup again" >&2; exit 1; }
	@touch $@

$(DATABASE): $(STAMP)
	@echo "Making an empty database of Prefect's"
	@mkdir -p $(@D) && rm -f $@.new
	@PREFECT_HOME="$(CURDIR)/$(@D)" PREFECT_PROFILES_PATH="$(CURDIR)/$(@D)/profiles.toml" DO_NOT_TRACK=1 \
		PREFECT_SERVER_DATABASE_CONNECTION_URL="sqlite+aiosqlite:///$(CURDIR)/$@.new" $(BIN)/prefect server database upgrade --yes >/dev/null
	@mv $@.new $@

run: $(STAMP) $(DATABASE)  ## a whole run on the simulated shop: ingest, train, gate, publish
	@$(BIN)/bowerbird run --recipe sample

ui: $(STAMP) $(DATABASE)  ## Prefect's server and a worker on this machine; Ctrl-C ends them
	@$(BIN)/bowerbird ui

test: $(STAMP)  ## the quick tests, at most 10 minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist worksteal

test-slow: $(STAMP) browser  ## the tests with servers, browsers and fresh environments
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)  ## style, types, imports that point down, lock file in step
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/packaging/test_lock.py

docs: $(STAMP)  ## check that the pages tell what the code does
	$(BIN)/python -m pytest tests/docs

bench: $(STAMP)  ## list the benchmarks; NAME=features runs one, ARGS="..." go to it
ifdef NAME
	$(BIN)/python benchmarks/$(NAME).py $(ARGS)
else
	@for file in $(filter-out benchmarks/machine.py benchmarks/logs.py,$(wildcard benchmarks/*.py)); do printf '%-16s %s\n' "$$(basename "$$file" .py)" "$$(sed -n '1s/"""//gp' "$$file")"; done
endif

lock: $(STAMP)  ## make requirements.lock again from pyproject.toml, keeping the pins that still fit; UPGRADE=1 renews all
	cp requirements.lock .venv/lock.txt
	$(BIN)/uv pip compile pyproject.toml --quiet --python $(BIN)/python --python-version 3.11 $(addprefix --extra ,$(EXTRAS)) \
		--no-header --no-annotate $(if $(UPGRADE),--upgrade) --output-file .venv/lock.txt
	{ echo "# Made by 'make lock'. torch comes first, through pip: see the Makefile."; \
		grep -vE '^(#|torch==|triton==|nvidia-|cuda-)' .venv/lock.txt; } > .venv/lock.new
	mv .venv/lock.new requirements.lock

browser:
	@command -v chromium >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null; \
	else \
		echo "The browser tests need Debian's chromium. Next: sudo apt-get install chromium, then make test-slow" >&2; exit 1; \
	fi
