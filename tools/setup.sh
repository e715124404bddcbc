#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a checkout ready: missing system packages, .venv with the Python packages, and the build in build/cpu.
# Does only what has changed since the last time, and says only what it does.
#   tools/setup.sh          what training and the tests need
#   tools/setup.sh --lint   also what tools/lint.sh needs
# PYTHON=/path/to/python chooses the interpreter of a new .venv; any Python from 3.9 on will do.
set -e
cd "$(dirname "$0")/.."

say() { echo "setup: $*"; }
have() { command -v "$1" >/dev/null 2>&1; }
have_header() { printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | c++ -x c++ -E - >/dev/null 2>&1; }
have_certificates() { [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -n "$SSL_CERT_FILE" ] || ! have apt-get; }

suitable() { # an interpreter that can make virtual environments and compile extensions
  "$1" -c 'import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(not (sys.version_info >= (3, 9) and os.path.exists(header)))' >/dev/null 2>&1
}
find_python() {
  for name in ${PYTHON:-} python3 python python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
    if suitable "$name"; then command -v "$name" && return; fi
  done
  return 1
}

# Runs a command quietly; shows what it printed if it fails.
quietly() {
  mkdir -p build
  "$@" >build/setup.log 2>&1 || { tail -n 60 build/setup.log >&2; say "failed: $*" >&2; exit 1; }
}

want() { # want PACKAGE TEST...: notes a Debian package whose test fails
  package=$1
  shift
  "$@" || missing="$missing $package"
}
find_missing() {
  missing=""
  want g++ have c++
  want cmake have cmake
  want ninja-build have ninja
  want ccache have ccache
  want git have git
  want ca-certificates have_certificates
  want nlohmann-json3-dev have_header nlohmann/json.hpp
  want libfmt-dev have_header fmt/format-inl.h
  want libdnnl-dev have_header dnnl.h
  want ocl-icd-opencl-dev have_header CL/cl.h # its CMake package asks for it
  want libgtest-dev have_header gtest/gtest.h
  [ -x .venv/bin/python ] || want "python3 python3-venv python3-dev" find_python >/dev/null
  if [ "$1" = --lint ]; then
    want clang-format have clang-format
    want clang-tidy have clang-tidy
  fi
}

install_missing() {
  root=""
  [ "$(id -u)" = 0 ] || root=sudo
  if ! have apt-get || { [ -n "$root" ] && ! have sudo; }; then
    say "these Debian packages, or what they stand for elsewhere, have to be installed first:$missing" >&2
    exit 1
  fi
  say "installing$missing"
  quietly $root apt-get update -q
  # shellcheck disable=SC2086
  quietly $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}

# Everything pyproject.toml asks for, one requirement a line: to build, to run, to develop.
requirements() {
  .venv/bin/python -c 'try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
build = project["build-system"]["requires"]
print(*build, *project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"], sep="\n")'
}

make_venv() {
  if ! .venv/bin/python -c '' 2>/dev/null; then
    rm -rf build/cpu # it may be configured for another interpreter
    quietly "$(find_python)" -m venv --clear .venv
  fi
  say "installing Python packages into .venv"
  requirements >.venv/requirements.txt
  quietly .venv/bin/python -m pip install -q --disable-pip-version-check -r .venv/requirements.txt
  # The environment imports hugectr from the build tree, where the sources are links: always up to date.
  site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo ../../../../build/cpu/python >"$site/hugectr.pth"
}

build() {
  if [ ! -e build/cpu/build.ninja ]; then
    say "compiling (a few minutes the first time)"
    quietly cmake --preset cpu -DPython_EXECUTABLE="$PWD/.venv/bin/python"
  fi
  quietly cmake --build --preset cpu
}

key=$(cat tools/setup.sh pyproject.toml | sha256sum)
done_before() { [ "$(cat ".venv/$1" 2>/dev/null)" = "$key" ]; }

.venv/bin/python -c '' 2>/dev/null || rm -f .venv/python-done .venv/system*-done
if ! done_before "system$1-done"; then
  find_missing "$1"
  [ -z "$missing" ] || install_missing
fi
if ! done_before python-done; then
  make_venv
  echo "$key" >.venv/python-done
fi
echo "$key" >".venv/system$1-done"
build
