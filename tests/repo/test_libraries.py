# SPDX-License-Identifier: Apache-2.0
"""The shared libraries: what they export, and what they do on a machine that they are not for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import hugectr
import pytest

PACKAGE = Path(hugectr.__file__).absolute().parent
LIBRARIES = sorted(path for path in PACKAGE.iterdir() if re.fullmatch(r"_core\..*so|lib\w+\.so", path.name))
OURS = re.compile(r"PyInit__core|hugectr_\w+|_ZT[ISVT]N3ctr\w+|_ZNK?3ctr[\w.]+")


def exported(library: Path) -> list[str]:
    listing = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True)
    return [line.split()[-1] for line in listing.stdout.splitlines()]


def test_the_libraries_are_there() -> None:
    names = [path.name for path in LIBRARIES]
    assert "libhugectr_core.so" in names and any(name.startswith("_core.") for name in names)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_exports_nothing_that_others_may_bind_to(library: Path) -> None:
    """No symbol of the libraries compiled in, nor templates of the standard library."""
    names = exported(library)
    assert names and [name for name in names if not OURS.fullmatch(name)] == []


def test_the_module_exports_its_entry_alone() -> None:
    (module,) = (path for path in LIBRARIES if path.name.startswith("_core."))
    assert exported(module) == ["PyInit__core"]


# A machine's processor

FAKE_PROCESSOR = """
import builtins, io, sys
real = open

def fake(path, *args, **kwargs):
    if path == "/proc/cpuinfo":
        return io.StringIO({text!r})
    return real(path, *args, **kwargs)

builtins.open = fake
try:
    import hugectr
    print("imported", hugectr.__version__)
except ImportError as error:
    print(error)
    print("core loaded:", any("_core" in name for name in sys.modules))
"""


def import_on(cpuinfo: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", FAKE_PROCESSOR.format(text=cpuinfo)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.skipif(not hugectr.build.PROCESSOR_FLAGS, reason="this build asks nothing of its processor")
def test_an_older_processor_gets_one_clear_line() -> None:
    lines = import_on("processor : 0\nflags : fpu sse2 pni ssse3 sse4_1 sse4_2 popcnt avx movbe bmi1 bmi2 abm f16c\n")
    assert lines == [
        f"this build of hugectr is for {hugectr.build.ARCHITECTURE} processors, and this one lacks avx2, fma: build it "
        "from source with HUGECTR_ARCH=x86-64 or what fits",
        "core loaded: False",
    ]


def test_a_processor_that_fits_or_says_nothing() -> None:
    for cpuinfo in ("", "model : 1\n", f"flags : fpu {' '.join(hugectr.build.PROCESSOR_FLAGS)} more\n"):
        assert import_on(cpuinfo) == [f"imported {hugectr.__version__}"]


# A machine's GPU: a driver and a plug-in that do nothing

DRIVER = """
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : 6; return 0; }
"""
PLUGIN = """
#include <stdio.h>
const char hugectr_build[] = "%s";
const int hugectr_oldest_gpu = %d;
void hugectr_register(void) { puts("registered"); }
"""


def core_build() -> str:
    """The build that the core asks of its plug-in: version and digest."""
    (name,) = set(re.findall(rb"\d+\.\d+\.\d+\+[0-9a-f]{12}", (PACKAGE / "libhugectr_core.so").read_bytes()))
    return name.decode()


ASK = "import hugectr; print(hugectr._core.default_device())"
ASK_IN_CHILD = (
    ASK
    + """
import os, sys
sys.stdout.flush()
if os.fork() == 0:
    try:
        hugectr._core.default_device()
    except hugectr.DeviceError as error:
        print("child:", error, flush=True)
    os._exit(0)
os.wait()
"""
)


def device_with(folder: Path, plugin: str, script: str = ASK, **environment: str) -> str:
    """What `script` prints in a process that finds that driver and the plug-in."""
    package = folder / "site/hugectr"
    package.mkdir(parents=True)
    for path in PACKAGE.iterdir():
        if path in LIBRARIES:
            if path.name != "libhugectr_cuda.so":
                shutil.copy(path, package / path.name)
        elif path.name != "__pycache__":
            (package / path.name).symlink_to(path.resolve())
    for name, text in (("driver/libcuda.so.1", DRIVER), ("site/hugectr/libhugectr_cuda.so", plugin)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / "source.c").write_text(text)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", name, "source.c"], cwd=folder, check=True)
    command = [sys.executable, "-c", script]
    variables = {name: value for name, value in os.environ.items() if name != "HUGECTR_DEVICE"}
    variables |= {"PYTHONPATH": str(folder / "site"), "LD_LIBRARY_PATH": str(folder / "driver"), **environment}
    return subprocess.run(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def test_a_plugin_that_fits(tmp_path: Path) -> None:
    assert sorted(device_with(tmp_path, PLUGIN % (core_build(), 80)).splitlines()) == ["cuda", "registered"]


def test_a_gpu_after_a_fork(tmp_path: Path) -> None:
    lines = device_with(tmp_path, PLUGIN % (core_build(), 80), ASK_IN_CHILD).splitlines()
    (child,) = (line for line in lines if line.startswith("child: "))
    assert "CUDA does not survive a fork" in child and '"spawn"' in child and "cuda" in lines


UNFIT = [
    (lambda: PLUGIN % ("0.0.1+0123456789ab", 80), "is of build 0.0.1+0123456789ab, the core of build "),
    (lambda: PLUGIN % (core_build(), 90), "is built for compute capability 9.0 and newer, the GPU has 8.6"),
    (lambda: "void hugectr_register(void) {}", "libhugectr_cuda.so is no plug-in of this version"),
    (lambda: "extern int missing; int *hugectr_x = &missing;", "undefined symbol: missing"),
]


@pytest.mark.parametrize("plugin, problem", UNFIT, ids=["build", "gpu", "entry", "symbol"])
def test_a_plugin_that_does_not_fit(tmp_path: Path, plugin: object, problem: str) -> None:
    """One warning and the CPU, or an error where the GPU was asked for by name."""
    assert callable(plugin)
    warning, device = device_with(tmp_path / "free", plugin()).splitlines()
    assert device == "cpu" and "so the CPU is used: " in warning and problem in warning
    last = device_with(tmp_path / "forced", plugin(), HUGECTR_DEVICE="cuda").splitlines()[-1]
    assert last.startswith("hugectr.errors.DeviceError: HUGECTR_DEVICE=cuda, but the back end does not load: ")
    assert problem in last


IMPORT = """
import sys, hugectr
heavy = {"pyarrow", "pandas", "polars", "tqdm"} & set(sys.modules)
assert not heavy, heavy
assert "tools" in dir(hugectr) and hugectr.tools.to_parquet and not hasattr(hugectr, "tool")
"""


def test_importing_brings_no_more_in_than_models_need() -> None:
    subprocess.run([sys.executable, "-c", IMPORT], check=True)
