# `make help` lists the targets. Variables:
#   PYTHON=python3.12   the Python that .venv is made from (3.10 or newer)
#   TORCH=cpu           torch without CUDA, from PyTorch's own CPU wheels (for Linux; saves 5 GB)
PYTHON ?= python3
TORCH ?= default
CPU_WHEELS := https://download.pytorch.org/whl/cpu

BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
READY := .venv/ready-$(TORCH)
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=240 --nbval-kernel-startup-timeout=120

.DEFAULT_GOAL := help
.PHONY: help run test lint unit notebooks lab refresh measure clean

help:  ## list these targets
	@sed -nE 's/^([a-z]+):.*  ## (.*)/  make \1@\2/p' Makefile | column -t -s @

run: $(READY)  ## get MNIST, execute the notebooks in order, write build/ and say how it went
	@$(BIN)/python tools/notebooks.py run

test: $(READY) lint  ## lint, unit tests and every notebook's outputs: what CI runs
	$(BIN)/python -m pytest $(NBVAL) tests $(NOTEBOOKS)

lint: $(READY)  ## check style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: $(READY)  ## unit tests alone
	$(BIN)/python -m pytest tests

notebooks: $(READY)  ## compare every notebook's outputs with the committed ones
	$(BIN)/python -m pytest $(NBVAL) $(NOTEBOOKS)

lab: $(READY)  ## open JupyterLab on the first notebook
	$(BIN)/jupyter lab $(firstword $(NOTEBOOKS))

refresh: $(READY)  ## execute the notebooks in place and normalise them
	@$(BIN)/python tools/notebooks.py refresh

measure: $(READY)  ## train the variants that notebook 5 compares, three seeds each (minutes)
	$(BIN)/python -m benchmarks.objectives

clean:  ## remove what was built (not .venv, not the data)
	rm -rf build .pytest_cache .ruff_cache

$(READY): pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; name one with make PYTHON=...")'
	@echo "Setting up .venv (once; torch is large, so this can take some minutes)"
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@rm -f .venv/ready-*
	@if [ "$(TORCH)" = cpu ]; then echo "  torch and torchvision, CPU only"; $(call quietly,$(BIN)/python -m pip install torch torchvision --index-url $(CPU_WHEELS)); fi
	@echo "  vaelib and what it needs"; $(call quietly,$(BIN)/python -m pip install --editable '.[dev]')
	@touch $@

quietly = $(1) >.venv/setup.log 2>&1 || { cat .venv/setup.log; echo "Set-up failed; the lines above say why. Mend that, then run make again."; exit 1; }
