# make demo   clips in, dance.mp4 out          make test       all tests, minutes
# make app    a page: songs in, videos out     make test-fast  those without training and clips, under a minute
# make ui     MLflow on this project's runs    make plots      DVC's plots, without a network
# make setup  the environment alone            make check      lint and types
# make docs   the documentation as a website   make results    measured figures into README.md and docs/
# make hooks  check before each commit         make ci         check, test, docs-check: what CI runs
# make audit  known vulnerabilities            make bench      speed and memory, in two hours
# Every target sets up what it needs and can be run again at no cost.

# The first Python that MediaPipe has wheels for; `make PYTHON=/path/to/python demo` to choose another.
FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell $(name) $(FITS) && echo $(name))))
BIN := .venv/bin
# DVC's stages say `python`: it must be this environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# A process a core, each with a file of tests at a time: fixtures are made once a file. One thread a process: the tests'
# models are so small that a second thread costs as much as it does.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo app test test-fast ui setup check audit bench ci hooks docs docs-check plots screenshots results readme-picture clean
.DEFAULT_GOAL := demo

demo: .venv/installed
	@$(BIN)/dvc repro
	@echo "dance.mp4 is ready: open it. 'make app' takes your own songs; the figures are in reports/index.html."

app: .venv/installed-app
	@$(BIN)/dancing app

test: .venv/installed-dev
	@$(PYTEST)

test-fast: .venv/installed-dev
	@$(PYTEST) -m "not slow"

check: .venv/installed-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q . && $(BIN)/mypy

# Known vulnerabilities of the dependencies, which needs the network, and a search for insecure code. --strict: a package
# that the database did not answer for is a failure; without it, "no known vulnerabilities" could mean that none was asked.
audit: .venv/installed-audit
	@$(BIN)/bandit -q -r -c pyproject.toml src stages docgen data benchmarks
	@$(BIN)/pip-audit --strict -r requirements.lock --no-deps --disable-pip

# One after the other, the quickest first, also with -j.
ci:
	@$(MAKE) -s check
	@$(MAKE) -s test
	@$(MAKE) -s docs-check RUN=cheap

# Nothing else should run beside it. ARGS="--only extraction" runs one, ARGS=--quick shows that all of them work.
bench: .venv/installed-bench
	@$(BIN)/python -m benchmarks $(ARGS)

hooks: .venv/installed-dev
	@$(BIN)/pre-commit install

ui: .venv/installed
	@$(BIN)/dancing ui

setup: .venv/installed

# DVC's plots, in dvc_plots/, without a network; ARGS="HEAD wider" compares revisions or experiments.
plots: .venv/installed-plots
	@$(BIN)/python -m docgen.plots_page $(ARGS)

# Pictures of the page, MLflow, DVC's plots and the report, for the documentation. A Chromium must be installed.
screenshots: .venv/installed-dev .venv/installed-plots
	@$(BIN)/python -m docgen.plots_page
	@$(BIN)/python -m docgen.screenshots

# The website, in site/, with everything in it that is generated brought up to date.
docs: .venv/installed-docs
	@$(BIN)/python -m docgen.fill
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict
	@echo "Open site/index.html. With the search: $(BIN)/python -m http.server -d site"

# What is out of date, links, commands; CI runs the cheap commands too: make docs-check RUN=cheap
docs-check: .venv/installed-docs
	@$(BIN)/python -m docgen.check $(if $(RUN),--run $(RUN))

results: .venv/installed
	@$(BIN)/python -m docgen.record
	@$(BIN)/python -m docgen.fill --only value table

# The README's moving picture, from the demo's video.
readme-picture: .venv/installed
	@$(BIN)/python -m docgen.moving_picture dance.mp4 docs/dance.webp

.venv/installed: pyproject.toml requirements.lock
	@$(MAKE) -s .venv/python
	@echo "Setting up .venv (once; a few minutes) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e .
	@touch $@

.venv/installed-app: pyproject.toml requirements.lock
	@$(MAKE) -s .venv/installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[app]"
	@touch $@

.venv/installed-dev: pyproject.toml requirements.lock
	@$(MAKE) -s .venv/installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[dev]"
	@touch $@

.venv/installed-docs: pyproject.toml requirements.lock
	@$(MAKE) -s .venv/installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[docs]"
	@touch $@

.venv/installed-bench: pyproject.toml requirements.lock
	@$(MAKE) -s .venv/installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[bench]"
	@touch $@

.venv/installed-plots: pyproject.toml requirements.lock
	@$(MAKE) -s .venv/installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[plots]"
	@touch $@

.venv/installed-audit: pyproject.toml requirements.lock
	@$(MAKE) -s .venv/installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[audit]"
	@touch $@

.venv/python:
	@$(or $(PYTHON),false) $(FITS) || { echo "error: Python 3.11 or 3.12 is needed (MediaPipe has no wheels for others);" \
	  "found $$($(or $(PYTHON),python3) --version 2>&1). Install one, or: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv
	@touch $@

clean:
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache site
