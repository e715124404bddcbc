# SPDX-License-Identifier: Apache-2.0
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET default)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${CCACHE}")
endif()

find_path(FMT_INCLUDE_DIR fmt/format-inl.h REQUIRED)  # compiled in: src/base/format.cc
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)
find_package(dnnl CONFIG QUIET)
find_package(OpenMP QUIET COMPONENTS CXX)  # oneDNN's

# Flags every target of ours is compiled with.
add_library(hugectr_flags INTERFACE)
target_compile_options(hugectr_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-unused-parameter -fno-math-errno -fno-trapping-math -fopenmp-simd>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(hugectr_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=${HUGECTR_ARCH}>)
endif()
if(HUGECTR_SANITIZE)
  target_compile_options(hugectr_flags INTERFACE -fsanitize=${HUGECTR_SANITIZE} -fno-sanitize-recover=all
                         -fno-omit-frame-pointer -g)
  target_link_options(hugectr_flags INTERFACE -fsanitize=${HUGECTR_SANITIZE})
endif()
