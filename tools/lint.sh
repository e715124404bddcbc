#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Style and static checks of the whole repository: runs them all, then fails if one of them did.
cd "$(dirname "$0")/.." || exit 1
PATH="$PWD/.venv/bin:$PATH"
failed=""
check() {
  name=$1
  shift
  if output=$("$@" 2>&1); then
    echo "ok      $name"
  else
    printf 'FAILED  %s\n%s\n' "$name" "$(echo "$output" | head -n 40)"
    failed="$failed $name"
  fi
}

cpp_format() { git ls-files '*.h' '*.cc' '*.cu' '*.cuh' | xargs clang-format --dry-run -Werror; }

# One translation unit of all headers: each is parsed once.
headers() {
  all=$(mktemp --suffix=.cc)
  git ls-files 'src/*.h' | sed 's|^src/\(.*\)|#include "\1"|' >"$all"
  clang-tidy --quiet --config-file=.clang-tidy "$all" -- -std=c++20 -Isrc
  status=$?
  rm -f "$all"
  return $status
}

check clang-format cpp_format
check clang-tidy headers
check ruff ruff check .
check ruff-format ruff format --check .
check mypy mypy
check includes python3 tools/check_deps.py
check sizes python3 tools/check_size.py
[ -z "$failed" ]
