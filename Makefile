# `make` alone explains the targets. Each sets up what it needs in .venv, from Python 3.11 or newer and a package index alone.

PYTHON ?= python3
PORT ?= 8000
export PORT

RUN := .venv/bin/python
PYTEST := $(RUN) -m pytest

.DEFAULT_GOAL := help
.PHONY: help run test lint bench faults vendor lock python environment development

help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: environment ## Run the hub with its demo on http://localhost:8000 (PORT=8001 for another port)
	@exec $(RUN) manage.py start --demo

test: development lint ## Lint, types, layers, migrations, then all tests on SQLite, and on PostgreSQL those that use the database
	@sh scripts/test.sh

lint: development ## Format, style, types and layers
	@echo "ruff format" && $(RUN) -m ruff format --check --quiet .
	@echo "ruff check" && $(RUN) -m ruff check --quiet .
	@echo "mypy" && $(RUN) -m mypy --no-error-summary
	@echo "import layers" && $(RUN) -m importlinter.cli lint-imports --no-cache >/dev/null || .venv/bin/lint-imports
	@echo "migrations" && HUB_TESTING=1 DATA_DIR=.pytest_cache/lint BROKER_URL=memory:// $(RUN) manage.py makemigrations --check --dry-run

bench: development ## Measure speed and memory beside their limits, into benchmarks/results.json
	@exec $(RUN) -m benchmarks

faults: development ## Long fault runs: kill -9 at many instants, brokers and systems that go away
	@exec $(PYTEST) -m faults -n 0

vendor: environment ## Fetch the browser libraries of static/vendor anew, at their pinned versions
	@sh scripts/vendor.sh

lock: development ## Write requirements.txt and requirements-dev.txt anew from their .in files, with hashes
	@sh scripts/lock.sh

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Integration Hub needs Python 3.11 or newer, and $(PYTHON) is not: install it, or name it with make PYTHON=/path/to/python3.11" >&2; exit 1; }

environment: python
	@$(PYTHON) scripts/environment.py requirements.txt

development: python
	@$(PYTHON) scripts/environment.py requirements-dev.txt
