#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the C++ tests under the address + undefined behaviour and the thread sanitizer, and the Python tests
# given as arguments under the first; those of readers and ranks then run under the thread sanitizer as well:
#   tools/sanitize.sh                           C++ tests, both sanitizers
#   tools/sanitize.sh tests/data tests/layers   C++ tests, and these Python tests
set -e
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
python=$([ $# -gt 0 ] && echo ON || echo OFF)

build() {
  cmake --preset "$1" -DHUGECTR_PYTHON="$2" >"build/$1.log"
  cmake --build --preset "$1" >>"build/$1.log" || { cat "build/$1.log"; exit 1; }
}

mkdir -p build
build cpu-asan "$python"
build/cpu-asan/tests/cpp/hugectr_cpp_tests --gtest_brief=1
build cpu-tsan "$python"
build/cpu-tsan/tests/cpp/hugectr_cpp_tests --gtest_brief=1

[ $# -gt 0 ] || exit 0
# Python itself is not built with a sanitizer: its runtime comes first, and Python's own leaks do not count.
# libstdc++ has to be there before the first C++ exception is caught.
export PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)" \
  PYTHONPATH=build/cpu-asan/python:tests python -m pytest -q -p no:cacheprovider "$@"
# The thread sanitizer does not know what Arrow does inside, and wants addresses where they always were.
export OMP_NUM_THREADS=1 HUGECTR_NUM_THREADS=1 TSAN_OPTIONS=ignore_noninstrumented_modules=1
LD_PRELOAD="$(g++ -print-file-name=libtsan.so)" PYTHONPATH=build/cpu-tsan/python:tests \
  setarch -R "$PWD/.venv/bin/python" -m pytest -q -p no:cacheprovider tests/data tests/model/test_ranks.py
