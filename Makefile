# The one door: `make` lists what there is. Needs Python 3.11 or newer and a package registry, nothing else.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo check test compatible sim crash laws bench docs generate simulator serve lock format clean
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV := .uv/bin/uv
UV_VERSION := 0.13.9
NO_MISTAKES := ot,untils,modle,hel
N ?=
PORT ?= 8008
LOCKS := tests/contract/locks
SDKS := anthropic-0.75 anthropic-1 openai-2
SERVERS := llama
JUDGES := $(SDKS) $(SERVERS)
JUDGE_VENVS := $(JUDGES:%=.venvs/%)
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	--custom-compile-command "make lock"
# Below the line nothing opens, waits, draws lots or looks at a clock: what is there can be covered whole.
BELOW := $(foreach room,dispatch reports plan inputs providers packing routing caching pacing retry estimate batch attempt \
	ledger catalog \
	workload result wire request usage money errors,src/lowtide/$(room).py src/lowtide/$(room)/*)
BELOW_COVERED := 95
empty :=
space := $(empty) $(empty)
comma := ,

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV):
	@$(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet uv==$(UV_VERSION)

$(VENV)/.ready: requirements.lock pyproject.toml | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --editable .
	@touch $@

# Older official SDKs judge the simulator, and a third party's server our codec, from environments of their own.
$(JUDGE_VENVS:%=%/.ready): .venvs/%/.ready: $(LOCKS)/%.txt | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venvs/$*
	@VIRTUAL_ENV=.venvs/$* $(UV) pip sync --quiet --compile-bytecode --require-hashes $<
	@touch $@

$(JUDGE_VENVS): %: %/.ready

setup: $(VENV)/.ready ## install everything into .venv

demo: setup ## run the shipped models against the simulator: no key, no cost, under a minute
	$(BIN)/lowtide demo

check: setup ## all that needs no running: format, lint, types, the house, spelling, generated files, docs
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell --ignore-words-list $(NO_MISTAKES) src tests tools bench docs .ci Makefile pyproject.toml $(wildcard *.md)
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/import_prices.py --check
	$(BIN)/zensical build --clean --strict --config-file mkdocs.yml

test: setup $(JUDGE_VENVS) ## every test on both cores, with branch coverage
	@rm -f .coverage .coverage.*
	$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report=
	$(BIN)/coverage report --skip-covered --fail-under=$(BELOW_COVERED) \
		--include="$(subst $(space),$(comma),$(strip $(BELOW)))"

compatible: setup .venvs/llama ## our codec against llama.cpp's own server, on a tiny model of random weights
	$(BIN)/pytest -n 0 tests/contract/compatible

sim: setup ## seeded lives in virtual time; more of them: make sim N=10000
	LOWTIDE_LIVES=$(or $(N),500) $(BIN)/pytest -n 2 --dist worksteal tests/simulation

crash: setup ## kill -9 a real process on a real file; more of it: make crash N=1000
	LOWTIDE_KILLS=$(or $(N),100) $(BIN)/pytest -n 2 -s tests/crash

laws: setup ## property tests with new examples; more of them: make laws N=20000
	LOWTIDE_EXAMPLES=$(or $(N),2000) $(BIN)/pytest -n 2 --dist worksteal -m hypothesis

bench: setup ## measure against a bare loop in the same run; rewrites bench/RESULTS.json
	$(BIN)/python bench/run.py

docs: setup generate ## build the pages into site/
	$(BIN)/zensical build --clean --strict --config-file mkdocs.yml

generate: setup ## rewrite the pages and diagrams that are made from tables in the code
	$(BIN)/python tools/generate.py

serve: setup ## show the pages on this machine while you write them
	$(BIN)/zensical serve --config-file mkdocs.yml

simulator: setup ## a simulated provider on this machine until Ctrl-C; PORT=8008
	$(BIN)/lowtide simulator --port $(PORT)

lock: | $(UV) ## renew requirements.lock and the locks of the other judges
	$(COMPILE) pyproject.toml --all-extras --group dev -o requirements.lock
	$(foreach judge,$(JUDGES),$(COMPILE) $(LOCKS)/$(judge).in -o $(LOCKS)/$(judge).txt;)

format: setup ## put every file into shape
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

clean: ## remove what was built
	rm -rf .uv $(VENV) .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* \
		build dist site
