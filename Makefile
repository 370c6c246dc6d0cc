# `make help` lists the targets. Variables:
#   PYTHON=python3.12   the Python that .venv is made from (3.10 or newer)
#   TORCH=cpu           torch without CUDA, from PyTorch's own CPU wheels (for Linux; saves 5 GB)
#   VERSIONS=oldest     the oldest versions that pyproject.toml allows, instead of the newest
#   SOLUTIONS=no        a workshop.zip without the solved notebooks
#   WARNINGS=error      a deprecation of another package fails a test, as it does once a week in CI
#   JOBS=1              test in one process, with all of PyTorch's threads, instead of in two
PYTHON ?= python3
VERSIONS ?= $(or $(shell cat .venv/versions 2>/dev/null),newest)
TORCH ?= $(or $(shell cat .venv/torch 2>/dev/null),default)
CPU_WHEELS := https://download.pytorch.org/whl/cpu

BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
READY := .venv/ready
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
SOLVED := $(sort $(wildcard notebooks/solutions/*.ipynb))
TESTS := tests/core tests/data tests/course
ON_GLYPHS := $(NOTEBOOKS) tests/data
OFFLINE := PYTHONPATH="$(CURDIR)/tools/offline" XDG_CACHE_HOME="$(CURDIR)/build/offline" VAELIB_DATA= VAELIB_DATASET=
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=600 --nbval-kernel-startup-timeout=120

# Processes side by side, a file of tests or a notebook to each, in the order in which they are
# named, so that the long ones do not come last. PyTorch's threads would get in each other's way.
JOBS ?= $(if $(filter Windows_NT,$(OS)),1,2)
SIDE_BY_SIDE := $(if $(filter-out 1,$(JOBS)),--numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder)
PYTEST = $(if $(SIDE_BY_SIDE),OMP_NUM_THREADS=1 )$(BIN)/python -m pytest $(LENIENT) $(SIDE_BY_SIDE)

# A .venv that was moved here, or holds the other torch, is stale whatever its date.
$(if $(filter cpu default,$(TORCH)),,$(error TORCH is cpu or default, not "$(TORCH)"))
$(if $(filter oldest newest,$(VERSIONS)),,$(error VERSIONS is oldest or newest, not "$(VERSIONS)"))
PINS := $(if $(filter oldest,$(VERSIONS)),--constraint .venv/oldest.txt)
# Old packages use what newer ones under them have deprecated; that is not ours to fix.
LENIENT := $(if $(PINS),-W ignore::DeprecationWarning,$(if $(filter error,$(WARNINGS)),-W error))
STAMP := $(CURDIR) $(TORCH)$(if $(PINS), oldest)
ifneq "$(shell cat .venv/ready 2>/dev/null)" "$(STAMP)"
FORCE := renew
endif

# Notebooks run in a folder of their own, so a relative path must not depend on where.
ifneq ($(VAELIB_DATA),)
export VAELIB_DATA := $(or $(shell cd "$(VAELIB_DATA)" 2>/dev/null && pwd),$(VAELIB_DATA))
endif

# A console may lack a letter of what is printed, such as −; then its number is printed.
export PYTHONIOENCODING ?= :backslashreplace

.DEFAULT_GOAL := help
.PHONY: help run quick test offline all lint unit notebooks lab refresh html book playground slides workshop dist links measure bench clean renew

help:  ## list these targets
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: $(READY)  ## get MNIST, execute the notebooks in order, write build/ and say how it went
	@$(BIN)/python tools/notebooks.py run

quick: $(READY) lint  ## lint and the tests of the model: before each commit
	$(PYTEST) tests/core

test: $(READY) lint  ## lint, tests, explorers in a browser, each notebook's outputs: what CI runs
	@$(BIN)/python -m vaelib.course.demonstration
	$(PYTEST) $(NBVAL) $(SOLVED) $(TESTS)

offline: $(READY)  ## as on a train: no network, no MNIST, an empty cache; each notebook on glyphs
	@rm -rf build/offline
	@$(OFFLINE) $(BIN)/python -m vaelib.course.demonstration
	$(OFFLINE) $(PYTEST) $(NBVAL) $(ON_GLYPHS)

all: $(READY) lint  ## everything: solved or not, every notebook in two browsers, all again on glyphs
	@$(BIN)/python -m vaelib.course.demonstration
	$(PYTEST) $(NBVAL) tests/slow $(SOLVED) $(NOTEBOOKS) $(TESTS)
	@$(MAKE) offline ON_GLYPHS='$(SOLVED) $(NOTEBOOKS) $(TESTS)'

lint: $(READY)  ## check style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: $(READY)  ## tests alone
	$(PYTEST) $(TESTS)

notebooks: $(READY)  ## execute each notebook, solved, and compare its outputs
	@$(BIN)/python -m vaelib.course.demonstration
	$(PYTEST) $(NBVAL) $(SOLVED)

lab: $(READY)  ## open JupyterLab on the first notebook
	@$(BIN)/python -m vaelib.course.demonstration
	$(BIN)/python -c 'import vaelib, jupyterlab.labapp as lab; lab.main()' $(firstword $(NOTEBOOKS))

refresh: $(READY)  ## execute the notebooks in place, make the solved ones, normalise them
	@$(BIN)/python tools/notebooks.py refresh
	@$(BIN)/python tools/solutions.py
	@$(BIN)/python tools/notebooks.py refresh $(patsubst notebooks/%,notebooks/solutions/%,$(NOTEBOOKS))

html: $(READY)  ## export the notebooks to build/html, each picture with its alternative text
	@$(BIN)/python tools/pictures.py

book: $(READY)  ## build the book, a site of static pages, into build/book
	@$(BIN)/python tools/book.py

playground: $(READY)  ## run notebook 5, which trains the model for the book's playground; then make book
	@$(BIN)/python tools/notebooks.py run $(wildcard notebooks/*_training.ipynb)

slides: $(READY)  ## make slides for three of the guide's plans, with speaker notes, in build/slides
	@$(BIN)/python tools/slides.py

workshop: $(READY)  ## build build/workshop.zip: notebooks, solutions, data, package, for a room without network
	@$(BIN)/python tools/workshop.py $(if $(filter no,$(SOLUTIONS)),--without-solutions)

dist: $(READY)  ## build wheel and sdist into build/dist and check both (needs the network)
	$(BIN)/python -m pip install --quiet build twine check-wheel-contents
	@rm -rf build/dist build/lib
	$(BIN)/python -m build --outdir build/dist
	$(BIN)/python -m twine check --strict build/dist/*
	$(BIN)/python -m check_wheel_contents build/dist/*.whl

links: $(READY)  ## follow every link of the texts, notebooks and exercises (needs the network)
	$(BIN)/python -m pip install --quiet pytest-check-links
	@mkdir -p build
	@grep -rhoE --include='*.py' --include='*.json' '(https://|github\.com/)[[:alnum:]_./-]+[[:alnum:]]' vaelib/course/exercises vaelib/course/results benchmarks | sed -E 's,^(https://)?(.+)$$,- <https://\2>,' | sort -u >build/links.md
	$(BIN)/python -m pytest -p no:cacheprovider --check-links --check-links-ignore '127\.0\.0\.1|your-|<' README.md CONTRIBUTING.md docs benchmarks/README.md build/links.md $(NOTEBOOKS)

measure: $(READY)  ## train what the notebooks compare over seeds, on MNIST and glyphs (minutes)
	$(BIN)/python -m benchmarks.objectives
	$(BIN)/python -m benchmarks.seeds

bench: $(READY)  ## race training against its products and the usual loop; tables and picture (minutes)
	$(BIN)/python -m benchmarks

clean:  ## remove what was built (not .venv, not the data)
	rm -rf build .hypothesis .pytest_cache .ruff_cache

$(READY): pyproject.toml Makefile $(FORCE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; name one with make PYTHON=...")'
	@echo "Setting up .venv (once; torch is large, so this can take some minutes)"
	@if [ -n "$(FORCE)" ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --clear .venv; fi
	@if [ "$(VERSIONS)" = oldest ]; then $(PYTHON) tools/oldest.py >.venv/oldest.txt; fi
	@if [ "$(TORCH)" = cpu ]; then echo "  torch and torchvision, CPU only"; $(call quietly,$(BIN)/python -m pip install torch torchvision $(PINS) --index-url $(CPU_WHEELS)); fi
	@echo "  vaelib and what it needs"; $(call quietly,$(BIN)/python -m pip install --editable '.[dev]' $(PINS))
	@echo "$(TORCH)" >.venv/torch
	@echo "$(VERSIONS)" >.venv/versions
	@echo "$(STAMP)" >$@

quietly = $(1) >.venv/setup.log 2>&1 || { cat .venv/setup.log; echo "Set-up failed; the lines above say why. Fix that, then run make again."; exit 1; }
