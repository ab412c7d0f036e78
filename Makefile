# Everything a contributor or a newcomer types. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
JOBS ?= 2
EDITOR_TOOLS := $(VENV)/editor
YAML_SERVER := yaml-language-server@1.25.0
ARGS ?=

.PHONY: help setup up test chaos check editor format bench docs pictures clean constraints

help: ## this list
	@echo 'Hookwright: webhooks in, pipelines run. `make up` is all it takes.'; echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done
	@echo; echo 'ARGS="..." is handed on: make up ARGS="--port 9000", make test ARGS="-k triage"'

setup: $(STAMP) ## make .venv with pinned, hashed versions (again only when they change)

$(STAMP): constraints.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo 'Hookwright needs Python 3.11 or newer, and found none as python3, python3.11 ... python3.14.' >&2; \
		echo 'Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python), or name it: make setup PYTHON=/path/to/python3' >&2; \
		exit 1; fi
	@if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(PYTHON) has no venv module. Debian, Ubuntu: apt install python3-venv" >&2; exit 1; fi
	@if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
		echo "[1/3] Making $(VENV) with $$("$(PYTHON)" --version)"; "$(PYTHON)" -m venv --clear $(VENV); \
	else echo "[1/3] $(VENV) is there"; fi
	@echo "[2/3] Installing $$(grep -c '==' constraints.txt) pinned packages (a minute the first time)"
	@PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps \
		--progress-bar off -r constraints.txt \
		| awk '/^Collecting|^Processing/ { if (++n % 20 == 0) print "      " n " fetched" } \
			/^Installing collected/ { print "      unpacking" } { fflush() }'
	@echo '[3/3] Installing Hookwright itself, editable'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP); echo 'Done. Next: make up'

up: $(STAMP) ## start everything on http://127.0.0.1:8000; Ctrl-C stops it
	@exec $(BIN)/python -m engine up --with-parent $(ARGS)

test: $(STAMP) ## all tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

chaos: $(STAMP) ## kill processes at random: 10,000 schedules, 60 real kills; CHAOS_SEED=1 begins elsewhere
	@CHAOS_SCHEDULES=$${CHAOS_SCHEDULES:-10000} CHAOS_KILLS=$${CHAOS_KILLS:-60} \
		$(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/chaos tests/acceptance/test_chaos.py tests/acceptance/test_crashes.py $(ARGS)

check: $(STAMP) ## lint, formatting, types, layers, docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/docs

editor: $(STAMP) ## the schemas in the YAML language server (needs node and npm)
	@command -v npm >/dev/null || { echo 'This needs node and npm.' >&2; exit 1; }
	@npm install --silent --no-fund --no-audit --prefix $(EDITOR_TOOLS) $(YAML_SERVER)
	@YAML_LANGUAGE_SERVER=$(EDITOR_TOOLS)/node_modules/.bin/yaml-language-server \
		$(BIN)/python -m pytest -q tests/integration/editor

format: $(STAMP) ## put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

pictures: $(STAMP) ## take the pictures of the dashboard in docs/ again (needs a Chromium)
	@HOOKWRIGHT_REQUIRE_BROWSER=1 HOOKWRIGHT_PICTURES=docs $(BIN)/python -m pytest -q tests/browser/test_picture.py

bench: $(STAMP) ## benchmarks, with ratios to floors measured in the same run
	@$(BIN)/python -m tests.benchmarks $(ARGS)

docs: $(STAMP) ## write the generated pages again
	@$(BIN)/python -m tests.docs.generate

clean: ## remove .venv and caches (your data in .hookwright/ stays)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

constraints: ## pin the newest versions again (needs uv)
	@command -v uv >/dev/null || { echo 'This needs uv: https://docs.astral.sh/uv/' >&2; exit 1; }
	@{ sed -n '/^#/p; /^#/!q' constraints.txt; \
		uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
			--python-version 3.11 --extra dev pyproject.toml; } > constraints.new
	@mv constraints.new constraints.txt
