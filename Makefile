# Everything from a bare checkout, with only Python >= 3.11, pip and a C++ compiler:
#
#   make demo     environment, install, example data; trains a small model and draws what it predicts
#   make test     lint, types, layers and the test suite
#   make help     the other targets
#
# The environment lies in .venv. It is made once and brought up to date when pyproject.toml or a
# native source changes.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Which Python makes the environment; the newest one from 3.11 on is found by itself.
PYTHON ?=
VENV ?= .venv
# What pip is asked for first. On a machine with a GPU, torch and the CUDA libraries:
#   make demo TORCH=torch EXTRAS=torch,cuda12,test
# Without a GPU, where the registry's torch wheel carries CUDA, PyTorch's own CPU builds:
#   make demo TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
TORCH_ARGS ?=
EXTRAS ?= torch,test
PYTEST_ARGS ?=
# Files of tests are shared out among processes; nothing else runs beside tests on a GPU.
PYTEST_PROCESSES ?= -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
DEMO_ARGS ?=
# On a machine with a GPU, whose Python has CuPy and PyTorch: wheels of what that Python lacks, where
# the results and the output of the steps go, and the steps wanted (all), e.g.
#   make gpu PYTHON=python3 WHEELS=wheels RESULTS=out/gpu.jsonl LOGS=out ONLY="tests memcheck"
WHEELS ?=
RESULTS ?=
LOGS ?=
COMMIT ?=
ONLY ?=
# What `make gpu` needs beside CuPy, PyTorch and the packages of this project; for Python 3.12 on
# Linux x86-64, where `make gpu-wheels` fetches them for a machine without a network.
GPU_WHEELS ?= deflate kvikio-cu13 libkvikio-cu13 rapids-logger nvidia-nvcomp-cu13 \
  nvidia-libnvcomp-cu13 numcodecs
GPU_PLATFORMS := manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_24_x86_64 \
  manylinux_2_17_x86_64 manylinux2014_x86_64

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Stamps; their names carry the choice, so that another choice is installed when it is asked for.
comma := ,
MADE := $(VENV)/.made
TORCH_STAMP := $(VENV)/.$(subst =,-,$(subst /,-,$(TORCH)))
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))
NATIVE := CMakeLists.txt $(wildcard cuda_kernels/*.cuh cuda_kernels/*.cu cuda_kernels/host/*)

$(MADE):
	@set -e; \
	found="$(PYTHON)"; \
	if [ -z "$$found" ]; then \
	  for name in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	    if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	      found=$$name; break; \
	    fi; \
	  done; \
	fi; \
	if [ -z "$$found" ]; then \
	  echo 'Missing: Python 3.11 or newer. None of python3.14 ... python3.11, python3 is one.'; \
	  echo '  Debian, Ubuntu: sudo apt-get install python3 python3-venv'; \
	  echo '  Fedora:         sudo dnf install python3.12'; \
	  echo '  macOS:          brew install python@3.12'; \
	  echo '  or name one:    make PYTHON=/path/to/python3.12 demo'; \
	  exit 1; \
	fi; \
	if ! $$found -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	  echo "PYTHON=$$found cannot be run, or is older than 3.11."; exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' >/dev/null 2>&1; then \
	  echo "Missing: the venv module of $$found."; \
	  echo '  Debian, Ubuntu: sudo apt-get install python3-venv'; \
	  exit 1; \
	fi; \
	if ! command -v $${CXX:-c++} >/dev/null 2>&1 && ! command -v g++ >/dev/null 2>&1 \
	    && ! command -v clang++ >/dev/null 2>&1; then \
	  echo 'Missing: a C++17 compiler (g++ or clang++).'; \
	  echo '  Debian, Ubuntu: sudo apt-get install g++'; \
	  echo '  Fedora:         sudo dnf install gcc-c++'; \
	  echo '  macOS:          xcode-select --install'; \
	  exit 1; \
	fi; \
	echo "== making $(VENV) with $$($$found --version 2>&1)"; \
	$$found -m venv $(VENV); \
	$(PIP) install --quiet --upgrade pip; \
	touch $@

# torch comes first and by itself, so that no later requirement can choose another build of it.
$(TORCH_STAMP): $(MADE)
	@echo "== installing $(TORCH)"
	@$(PIP) install --quiet $(TORCH_ARGS) "$(TORCH)"
	@touch $@

$(STAMP): $(TORCH_STAMP) pyproject.toml $(NATIVE)
	@echo "== building and installing bigwig-loader[$(EXTRAS)]"
	@$(PIP) install --quiet --editable ".[$(EXTRAS)]"
	@touch $@

.PHONY: install demo test pytest lint types layers bench kernels test-gpu gpu gpu-wheels wheel \
  clean help

install: $(STAMP) ## make the environment and install the package into it, editable

demo: $(STAMP) ## train a small model on made data (about a minute), draw predicted against true
	@$(BIN)/bigwig-loader demo $(DEMO_ARGS)

# All of them run, also when one fails, so that one round shows everything.
test: $(STAMP) ## lint, types, layers and the test suite
	@$(MAKE) --no-print-directory --keep-going lint types layers pytest

pytest: $(STAMP) ## the test suite alone, e.g. make pytest PYTEST_ARGS=tests/formats
	$(BIN)/python -m pytest -m "not gpu" $(PYTEST_PROCESSES) $(PYTEST_ARGS)

test-gpu: $(STAMP) ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu $(PYTEST_ARGS)

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

layers: $(STAMP) ## the import layers of the package
	$(BIN)/lint-imports

kernels: $(STAMP) ## compile the CUDA kernels for every architecture (NVRTC or nvcc)
	$(BIN)/python -m pytest tests/kernels $(PYTEST_ARGS)

bench: $(STAMP) ## compare with pyBigWig, pybigtools and figwig
	@$(PIP) install --quiet --editable ".[bench]"
	$(BIN)/python -m benchmarks

# Makes no environment: what there is is used, and nothing is fetched.
gpu: ## on a machine with a GPU, without a network: tests, sanitizers, benchmarks (9 minutes)
	@$(or $(PYTHON),python3) -m benchmarks.gpu.run_all $(if $(WHEELS),--wheels $(WHEELS)) \
	  $(if $(RESULTS),--results $(RESULTS)) $(if $(LOGS),--logs $(LOGS)) \
	  $(if $(COMMIT),--commit $(COMMIT)) $(if $(ONLY),--only $(ONLY))

gpu-wheels: ## fetch what `make gpu` needs into WHEELS, for a machine without a network
	@test -n "$(WHEELS)" || { echo 'Name a folder: make gpu-wheels WHEELS=wheels'; exit 1; }
	$(or $(PYTHON),python3) -m pip download --quiet --no-deps --only-binary=:all: \
	  --python-version 3.12 --implementation cp \
	  $(addprefix --platform ,$(GPU_PLATFORMS)) --dest $(WHEELS) $(GPU_WHEELS)

wheel: $(STAMP) ## build the sdist and the wheel into dist/
	$(BIN)/python -m build --outdir dist

clean: ## remove the environment, everything built, and the demo's data
	rm -rf $(VENV) build dist demo bigwig_loader/_native .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  variables: PYTHON, VENV, TORCH, TORCH_ARGS, EXTRAS, PYTEST_ARGS, DEMO_ARGS,'
	@echo '    WHEELS, RESULTS, LOGS, COMMIT, ONLY, GPU_WHEELS (see the top of Makefile)'
