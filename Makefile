# `make` shows what there is. Every target sets up what it needs by itself: see tools/setup.

BIN := .venv/bin
# Mounts and containers need root. Nothing that root runs leaves files of its own in the work tree.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=CI,PYTHON,TIERCE_DEMO_ROOT)
export PYTHON PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint format clean

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Build examples/hello on a Debian base made on the spot, run it, fetch its page
	@tools/setup demo
	@$(AS_ROOT) $(BIN)/python tools/demo

test: lint ## Lint, then run all tests
	@$(AS_ROOT) $(BIN)/pytest -p no:cacheprovider $(ARGS)

unit: ## Run the unit tests alone
	@tools/setup test
	@$(AS_ROOT) $(BIN)/pytest -p no:cacheprovider tests/unit $(ARGS)

lint: ## ruff (rules and format) and mypy --strict
	@tools/setup test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: ## Let ruff format and fix what it can
	@tools/setup test
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## Remove .venv, the demo's store and all caches of tools
	@if [ -e build/demo ]; then $(AS_ROOT) rm -rf build/demo; fi
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	@find src tests -name __pycache__ -prune -exec rm -rf {} +
