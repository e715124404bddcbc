#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything that needs a GPU, in under ten minutes: builds, tests, memory and race checks, benchmarks; a table last.
#
#   tools/gpu_check.sh [FOLDER]
#
# FOLDER holds a finished build (its Python package in python/, and both programs), so that a machine can be spared the
# compilation; without it the preset "cuda" is built. Logs go to $OUT, or build/gpu-check.
cd "$(dirname "$0")/.." || exit 1
out=${OUT:-build/gpu-check}
mkdir -p "$out"
PYTHON=${PYTHON:-python3}
table=$out/table.txt
: >"$table"

if [ -n "$1" ]; then
  tests=$1/hugectr_cpp_tests bench=$1/hugectr_bench_gpu package=$1/python
else
  cmake --preset cuda -DPython_EXECUTABLE="$(command -v "$PYTHON")" >"$out/build.log" &&
    cmake --build --preset cuda --target all hugectr_bench_gpu >>"$out/build.log" || exit 1
  tests=build/cuda/tests/cpp/hugectr_cpp_tests bench=build/cuda/benchmarks/hugectr_bench_gpu package=build/cuda/python
fi
export PYTHONPATH="$package:tests" HUGECTR_DEVICE=cuda

# step NAME PATTERN COMMAND...: runs it, and puts the last line of its log that has PATTERN into the table.
step() {
  name=$1 pattern=$2
  shift 2
  start=$(date +%s)
  "$@" >"$out/$name.log" 2>&1
  status=$?
  line=$(grep -E "$pattern" "$out/$name.log" | tail -n 1)
  printf '%-12s exit %-3s %4s s  %s\n' "$name" $status $(($(date +%s) - start)) "$line" | tee -a "$table"
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee -a "$table"
step cpp 'PASSED|FAILED' timeout 120 "$tests" --gtest_brief=1
step python 'passed|failed' timeout 240 "$PYTHON" -m pytest -n 12 tests/layers tests/embedding tests/optim \
  tests/metrics tests/model tests/compat
step adult 'distance' timeout 120 "$PYTHON" benchmarks/gpu/adult_auc.py --seeds 2
step bench 'samples' timeout 300 "$PYTHON" benchmarks/gpu/bench.py --embedding-bench "$bench" --write "$out/bench.json"
step kernels 'a step' timeout 60 "$PYTHON" benchmarks/gpu/kernel_times.py dcn:512 dcn:16384 dlrm_one_hot:65536
reduced='StepGraph*Replays*:CudaEmbedding*Dumps*:CudaEmbedding*EveryKey*:CudaEmbedding*Overflow*:Layers/*'
for tool in memcheck racecheck initcheck synccheck; do
  step $tool 'SUMMARY' timeout 120 compute-sanitizer --tool $tool "$tests" --gtest_brief=1 --gtest_filter="$reduced"
done
echo
cat "$table"
grep -h '^FAILED\|^ERROR\|^\[  FAILED' "$out/cpp.log" "$out/python.log"
sed -n '/TFLOP/,$p' "$out/bench.log"
grep -v '^=\|HCTR\|^$' "$out/kernels.log"
