# The one door: `make` lists what there is. Needs Python 3.11 or newer and a package registry, nothing else.
.DEFAULT_GOAL := help
.PHONY: help setup demo check test sim crash bench docs simulator lock format clean
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := .uv/bin/uv
UV_VERSION := 0.13.9
N ?=

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV):
	@$(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet uv==$(UV_VERSION)

$(VENV)/.ready: requirements.lock pyproject.toml | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --editable .
	@touch $@

setup: $(VENV)/.ready ## install everything into .venv

lock: | $(UV) ## renew requirements.lock from pyproject.toml
	$(UV) pip compile --quiet pyproject.toml --all-extras --group dev --universal --generate-hashes \
		--python-version 3.11 --custom-compile-command "make lock" -o requirements.lock

clean: ## remove what was built
	rm -rf .uv $(VENV) .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist site
