# SPDX-License-Identifier: Apache-2.0
# Enables CUDA where there is a compiler for it; sets HUGECTR_WITH_CUDA.
set(HUGECTR_CUDA AUTO CACHE STRING "Build the CUDA back end: AUTO (where nvcc is found), ON or OFF")
set(HUGECTR_CUDA_ARCHITECTURES 90 CACHE STRING "Machine code for these, and PTX for later ones")

set(HUGECTR_WITH_CUDA OFF)
if(HUGECTR_CUDA STREQUAL "AUTO" AND NOT HUGECTR_SANITIZE)
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(HUGECTR_WITH_CUDA ON)
  endif()
elseif(HUGECTR_CUDA AND NOT HUGECTR_CUDA STREQUAL "AUTO")
  set(HUGECTR_WITH_CUDA ON)
endif()

if(NOT HUGECTR_WITH_CUDA)
  message(STATUS "hugectr: CUDA back end left out (HUGECTR_CUDA=${HUGECTR_CUDA})")
  return()
endif()

set(CMAKE_CUDA_ARCHITECTURES "${HUGECTR_CUDA_ARCHITECTURES}")
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.25.2 does not know that nvcc 12 speaks C++20
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
find_package(CUDAToolkit REQUIRED)
message(STATUS "hugectr: CUDA back end by nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
