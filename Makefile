# Two commands: `make demo` and `make test`. Everything they install goes into .venv.
#
# PYTHON  the Python that .venv is made with; by default the first of python3, python3.13,
#         python3.12, python3.11 that is 3.11 or newer
# DEMO    the command that `make demo` runs
# PYTEST  the arguments of pytest, as in `make unit PYTEST=tests/kernels`
# UPGRADE `make lock UPGRADE=--upgrade` moves every pin to its newest allowed version

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell \
            $(p) -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $(p))) python3)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
LOCK := .venv/lock/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
          --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
          --custom-compile-command "make lock" $(UPGRADE)

DEMO ?= $(BIN)/tierlab demo -o out/demo

# .venv holds absolute paths: one that was moved, whose Python is gone, or is not the one that
# was asked for by PYTHON=, is made anew.
VERSION := -c 'import sys; print(sys.version)'
ASKED = $(if $(filter file,$(origin PYTHON)),,test "$$($(BIN)/python $(VERSION))" = "$$("$(PYTHON)" $(VERSION))" &&)
STALE := $(shell $(BIN)/python -c '' 2>/dev/null && $(ASKED) \
           test "$$(cat .venv/made-in 2>/dev/null)" = "$$(pwd -P)" || echo stale)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo install test lint types unit bench lock packages clean stale

help:  ## list the targets
	@echo "usage: make TARGET [PYTHON=/path/to/python]"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-12s%s\n", $$1, $$2}'

demo: install  ## answer the built-in question; writes out/demo/
	$(DEMO)

install: .venv/project.done  ## make .venv with the pinned dependencies and tierlab itself

test: lint types unit  ## install what the tests need, then lint, types and unit

lint: .venv/test.done  ## ruff: rules and format
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: .venv/test.done  ## mypy, strict
	$(BIN)/python -m mypy

unit: .venv/test.done  ## pytest, a file of tests on each of at most 8 cores
	$(BIN)/python -P -m pytest -n auto --maxprocesses 8 --dist loadfile $(PYTEST)

bench: .venv/test.done  ## print the speed benchmarks (minutes)
	@for f in benchmarks/bench_*.py; do echo "== $$f"; $(BIN)/python -P "$$f" || exit 1; done

lock: .venv/base.done  ## make the lock files in requirements/ again from pyproject.toml
	@test -x .venv/lock/bin/uv || { "$(BIN)/python" -m venv --clear .venv/lock \
	  && .venv/lock/bin/python -m pip --quiet --disable-pip-version-check install uv; }
	$(LOCK) pyproject.toml requirements/base.in -o requirements/base.txt
	$(LOCK) pyproject.toml --extra test -c requirements/base.txt -o requirements/test.txt

packages:  ## rewrite the package list of pyproject.toml from the tree
	@$(if $(STALE),"$(PYTHON)",$(BIN)/python) .ci/packages.py --write

clean:  ## remove .venv, caches, build output and out/demo
	rm -rf .venv build dist out/demo ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find benchmarks hwmodels kernels policies simulator tests traces -name __pycache__ -prune -exec rm -rf {} +

# A stamp is written last, so whatever was interrupted is done again. The base starts from an
# empty .venv: what is installed is what the lock names. Compiling afterwards, on all cores and
# without the packages' own tests, takes 4 s where pip takes 10 s.
.venv/base.done: requirements/base.txt $(if $(STALE),stale)
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { echo "make: tierlab needs Python 3.11 or newer and" \
	  "'$(PYTHON)' is not one; try make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "make: '$(PYTHON)' has no venv" \
	  "module; install it (Debian, Ubuntu: python3-venv) or set PYTHON" >&2; exit 1; }
	@echo "making .venv with $$("$(PYTHON)" -V): installing requirements/base.txt" >&2
	@rm -rf .venv && "$(PYTHON)" -m venv .venv
	@$(PIP) install --no-compile --require-hashes -r requirements/base.txt
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' .venv/lib || true
	@pwd -P > .venv/made-in
	@touch $@

.venv/project.done: .venv/base.done pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/test.done: .venv/project.done requirements/test.txt
	@echo "installing requirements/test.txt" >&2
	@$(PIP) install --no-compile --require-hashes -r requirements/test.txt
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' .venv/lib || true
	@touch $@
