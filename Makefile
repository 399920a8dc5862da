# Every target sets up .venv first where it is missing or older than what it installs. Needs Python 3.11, git and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN    := .venv/bin
STAMP  := .venv/.installed
PROTOS := $(wildcard proto/synthgate/v1/*.proto)
LOCK   := deploy/smartnoise/requirements.lock
SMARTNOISE := .venv-smartnoise
TESTS  ?= -n 2 --dist loadfile

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup smartnoise demo test test-slow guarantees soak audit lint format proto proto-check clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install everything, at the versions in constraints.txt.

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "synthgate needs Python 3.11: none found; set PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "synthgate needs Python 3.11, and $(PYTHON) is another; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "== 1/3 virtual environment .venv, made by $(PYTHON)"
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@echo "== 2/3 PyTorch, the largest download"
	$(BIN)/python -m pip install --progress-bar off -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	@echo "== 3/3 synthgate with what its gateway, demo, tests and benchmarks need"
	$(BIN)/python -m pip install --progress-bar off -c constraints.txt -e '.[dev]'
	@touch $@

smartnoise: $(SMARTNOISE)/.installed ## Create .venv-smartnoise, where engines smartnoise-* are fitted, at the versions of its lock file.

$(SMARTNOISE)/.installed: $(LOCK)
	@test -n "$(PYTHON)" || { echo "SmartNoise's environment needs Python 3.11: none found; set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(SMARTNOISE)/bin/python || "$(PYTHON)" -m venv $(SMARTNOISE)
	$(SMARTNOISE)/bin/python -m pip install --progress-bar off -c $(LOCK) "$$(grep '^torch==' $(LOCK))"
	$(SMARTNOISE)/bin/python -m pip install --progress-bar off -r $(LOCK)
	@touch $@

demo: $(STAMP) ## Run the whole story on public data: register, quote, release, refuse, verify. Leaves demo/.
	$(BIN)/python examples/demo.py

test: $(STAMP) ## Run the default tests.
	$(BIN)/python -m pytest $(TESTS)

test-slow: $(STAMP) ## Run the long tests that `make test` leaves out.
	$(BIN)/python -m pytest $(TESTS) -m slow

guarantees: $(STAMP) ## Prove the promises of docs/guarantees.md; ends with the figures that this run reached.
	$(BIN)/python -m pytest $(TESTS) -m "guarantee and not soak" --guarantee-table

soak: $(STAMP) ## Prove them at their full figures: many hours (those of tests/server and tests/e2e: half an hour).
	$(BIN)/python -m pytest $(TESTS) -m soak --guarantee-table

audit: $(STAMP) ## Attack every mechanism and engine at length, planted mistakes included; ends with a table.
	$(BIN)/python -m pytest -n 2 tests/audit -m "slow or not slow" --audit-table

lint: $(STAMP) ## Check style, formatting, types and the direction of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP) ## Rewrite what ruff can rewrite.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: $(STAMP) ## Regenerate synthgate/v1 from proto/; commit the result.
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS)

proto-check: $(STAMP) ## Fail where synthgate/v1 differs from what proto/ gives.
	@out="$$(mktemp -d)" && trap 'rm -rf "$$out"' EXIT && \
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out="$$out" --pyi_out="$$out" --grpc_python_out="$$out" $(PROTOS) && \
	touch "$$out/synthgate/v1/__init__.py" && \
	{ diff -r -x __pycache__ "$$out/synthgate/v1" synthgate/v1 && echo "synthgate/v1 is what proto/ gives"; } || \
	{ echo "synthgate/v1 differs from what proto/ gives: run 'make proto' and commit"; exit 1; }

clean: ## Remove both environments, the demo's files and caches.
	rm -rf .venv $(SMARTNOISE) demo build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
