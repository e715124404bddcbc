#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the C++ tests under the address + undefined behaviour and the thread sanitizer, and the Python tests
# given as arguments under the address sanitizer:
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
build cpu-tsan OFF
build/cpu-tsan/tests/cpp/hugectr_cpp_tests --gtest_brief=1

if [ $# -gt 0 ]; then
  # Python itself is not built with the sanitizer: its runtime comes first, and Python's own leaks do not count.
  # libstdc++ has to be there before the first C++ exception is caught.
  LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
    PYTHONPATH=build/cpu-asan/python:tests PYTHONMALLOC=malloc python -m pytest -q -p no:cacheprovider "$@"
fi
