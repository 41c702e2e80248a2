# Set-up is one virtual environment made with venv and pip: nothing to install first.
# Stamp files remember what is installed, so the second run of each target starts at once.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml) constraints.txt
PLUGINS := -e 'plugins/kan[plot]' -e 'plugins/multitoken[hf]' -e plugins/instantfamily
# One process for each core; each computes on one thread.
WORKERS ?= 2
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test lint format docs examples bench clean

help:
	@echo "make demo      set up, then run the demonstration into demo-out/"
	@echo "make test      set up, then run all tests"
	@echo "make lint      ruff, mypy, import rules"
	@echo "make format    let ruff rewrite the sources"
	@echo "make docs      build the documentation into docs/_build/html"
	@echo "make examples  run every gallery example as a script"
	@echo "make bench     run the benchmarks behind the figures in the docs"
	@echo "make clean     remove the environment and everything built"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "zoo needs Python 3.11 or later; name one: make PYTHON=python3.12 demo"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "this Python has no venv; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.run-ready: $(PROJECTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[onnx,table]' $(PLUGINS)
	@touch $@

$(VENV)/.test-ready: $(PROJECTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]' $(PLUGINS)
	@touch $@ $(VENV)/.run-ready

$(VENV)/.docs-ready: $(PROJECTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,docs]' $(PLUGINS)
	@touch $@ $(VENV)/.test-ready $(VENV)/.run-ready

setup: $(VENV)/.run-ready

demo: $(VENV)/.run-ready
	$(BIN)/zoo demo -o demo-out

test: $(VENV)/.test-ready
	SCIPY_ARRAY_API=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.test-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs-ready
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

examples: $(VENV)/.docs-ready
	@for script in examples/plot_*.py; do \
	  echo "$$script"; MPLBACKEND=agg $(BIN)/python "$$script" || exit 1; done

bench: $(VENV)/.docs-ready
	@for script in $(filter-out %/knots_data.py,$(wildcard benchmarks/*.py benchmarks/*/*.py)) \
	    benchmarks/kan/feynman; do \
	  echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean:
	rm -rf $(VENV) build dist demo-out docs/_build docs/gallery docs/api/generated
	find . -name __pycache__ -o -name '*.egg-info' | xargs rm -rf
