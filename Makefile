# SPDX-License-Identifier: Apache-2.0
# Every target sets up by itself what it needs; `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench cuda format check clean
PYTHON := .venv/bin/python

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## Install system and Python packages and build the library
	@tools/setup.sh

demo: setup ## Train three models on real data and draw the result to output/
	@$(PYTHON) examples/adult/demo.py

test: setup ## Run the C++ and Python tests
	@build/cpu/tests/cpp/hugectr_cpp_tests --gtest_brief=1
	@$(PYTHON) -m pytest

bench: setup ## Measure operations, readers and training on this machine (ARGS=--all: everything)
	@cmake --build --preset cpu --target hugectr_bench >/dev/null
	@$(PYTHON) benchmarks/train/bench.py $(ARGS)

cuda: setup ## Compile the CUDA back end, where there is a CUDA compiler
	@if ! command -v nvcc >/dev/null; then echo "cuda: no nvcc, nothing compiled"; exit; fi; \
	cmake --preset cuda -DHUGECTR_PYTHON=OFF >/dev/null && cmake --build --preset cuda >build/cuda.log 2>&1 \
	&& echo "cuda: compiled" || { tail -n 40 build/cuda.log; exit 1; }

format: ## Format all C++ and Python files
	@tools/setup.sh --lint
	@git ls-files '*.h' '*.cc' '*.cu' '*.cuh' | xargs clang-format -i
	@$(PYTHON) -m ruff format -q . && $(PYTHON) -m ruff check -q --fix .

check: ## Check style, types, include directions and sizes
	@tools/setup.sh --lint
	@tools/lint.sh

clean: ## Remove everything that was built or installed into this folder
	@rm -rf build .venv output .*_cache
