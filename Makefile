# `make help` lists the targets. Needs Python >= 3.10, make and a C compiler; no model hub.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TESTABLE := $(VENV)/.testable
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
.PHONY: demo-real help setup demo test test-all exhaustive coverage check fmt unit test-trust golden results docs clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(INSTALLED) ## Create .venv and install the package

# torch comes first: later installs find it and fetch no GPU build.
$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' $(CONSTRAINTS))"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[eval]"
	touch $@

$(TESTABLE): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[test]"
	touch $@

demo: $(INSTALLED) ## Compress an English and a Korean document, answer from the gists
	$(BIN)/dnsity demo

demo-real: $(INSTALLED) ## Fetch SmolLM2-135M-Instruct (93 MB) and ask it about a document, five minutes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[eval,gguf]"
	$(BIN)/dnsity models --fetch smollm2
	$(BIN)/dnsity demo --model smollm2

test: check unit ## Lint, types, layering and the CPU tests

test-all: test exhaustive ## All of it: `make test`, then what it leaves out

exhaustive: $(TESTABLE) ## What `make test` leaves out: large grids, the notebook
	$(TESTS) -m exhaustive

check: $(TESTABLE) ## Lint, types, layering
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One process per core, whole files each: more threads would only wait for one another.
unit: $(TESTABLE) ## The CPU tests, without exhaustive grids
	$(TESTS) -m "not exhaustive"

coverage: $(TESTABLE) ## All tests, with coverage of at least 85%
	$(TESTS) --cov --cov-report=term --cov-fail-under=85

test-trust: $(TESTABLE) ## The long form of tests/trust: many cases for every promise of SECURITY.md
	$(BIN)/python -m pytest tests/trust --trust-long

golden: $(TESTABLE) ## Record the options of the command line again
	DNSITY_GOLDEN=1 $(BIN)/python -m pytest -q tests/architecture/test_cli_options.py
	git diff --stat tests/golden

fmt: $(TESTABLE) ## Format, and fix lint findings where possible
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

results: $(INSTALLED) ## Regenerate the tables of README and guide from results/
	$(BIN)/python scripts/result_tables.py

docs: $(TESTABLE) ## Build the guide, notebook included: docs/_build/index.html
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

clean: ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache docs/_build docs/jupyter_execute docs/cli.md docs/gist_demo.ipynb
