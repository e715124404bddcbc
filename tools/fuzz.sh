#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets with clang and runs each for some seconds:
#   tools/fuzz.sh SECONDS [TARGET...]
# What they learn is kept in build/fuzz/corpus; an input that fails is left in build/fuzz.
set -e
cd "$(dirname "$0")/.."
seconds=${1:?usage: tools/fuzz.sh SECONDS [TARGET...]}
shift
cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DHUGECTR_FUZZ=ON -DHUGECTR_PYTHON=OFF >/dev/null
cmake --build build/fuzz --target fuzz
cd build/fuzz
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls -d fuzz_* | grep -v '\.')
for target; do
  mkdir -p "corpus/$target"
  echo "== $target"
  "tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 -print_funcs=0 -verbosity=0 \
    -artifact_prefix="$target-" "corpus/$target" ../../tests/golden
done
