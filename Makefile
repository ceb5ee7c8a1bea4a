# `make` alone explains the targets. Each sets up what it needs in .venv, from Python 3.11 or newer and a package index alone.

PYTHON ?= python3
PORT ?= 8000
export PORT

RUN := .venv/bin/python
CHECKING := HUB_TESTING=1 BROKER_URL=memory:// DATA_DIR=.venv/checking

.DEFAULT_GOAL := help
.PHONY: help run backup restore test coverage lint format types layers migrations messages bench faults pictures vendor lock environment development

help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: environment ## Run the hub with its demo on http://localhost:8000 (PORT=8001 for another port)
	@exec $(RUN) manage.py start --demo

test: lint ## All of lint, then all tests on SQLite, and those that use the database on PostgreSQL with RabbitMQ
	@sh scripts/test.sh

coverage: development ## Which lines the tests on SQLite reach, into a table
	@exec $(RUN) -m pytest -n 2 --dist worksteal -q --ignore tests/browser --cov --cov-report=term:skip-covered

lint: format types layers migrations ## Format, style, types, layers and migrations

format: development
	@echo "ruff" && .venv/bin/ruff format --check --quiet . && .venv/bin/ruff check --quiet .

types: development
	@echo "mypy" && $(CHECKING) .venv/bin/mypy --no-error-summary

layers: development
	@echo "import layers" && said=$$(.venv/bin/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }

migrations: development
	@echo "migrations" && said=$$($(CHECKING) $(RUN) manage.py makemigrations --check --dry-run 2>&1) || { echo "$$said"; exit 1; }

bench: development ## Measure speed and memory beside their limits, into benchmarks/results.json
	@exec $(RUN) -m benchmarks

faults: development ## Long fault runs: kill -9 at many instants, brokers and systems that go away (SEED=7 repeats one, ROWS=100000 makes those between databases smaller)
	@exec $(RUN) -m pytest -m faults -s -v

backup: environment ## Write database and files of the hub into one archive, also while it runs (FILE=/elsewhere/hub.zip, else into data/backups)
	@exec $(RUN) manage.py backup $(FILE)

restore: environment ## Put the backup FILE back while the hub is stopped (REPLACE=1 gives up what it holds now)
	@exec $(RUN) manage.py restore $(FILE) $(if $(REPLACE),--replace)

pictures: development ## Take the pictures of README anew, from the demo after some minutes of work
	@exec $(RUN) scripts/pictures.py

vendor: ## Fetch the browser libraries of static/vendor anew, at their pinned versions
	@sh scripts/vendor.sh

messages: development ## Collect the texts to translate and compile the Chinese ones
	@$(RUN) locale/catalogue.py

lock: development ## Bring requirements.txt, requirements-dev.txt and benchmarks/dlt.txt up to their .in files, with hashes (UPGRADE=1: everything to its newest)
	@sh scripts/lock.sh

environment:
	@$(PYTHON) scripts/environment.py requirements.txt

development:
	@$(PYTHON) scripts/environment.py requirements-dev.txt
