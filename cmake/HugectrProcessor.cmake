# SPDX-License-Identifier: Apache-2.0
# Sets processor_flags: what a processor needs to run code for HUGECTR_ARCH, in the names of /proc/cpuinfo. The compiler
# says it by its macros.
set(processor_flags "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -march=${HUGECTR_ARCH} -dM -E -x c++ /dev/null
                  OUTPUT_VARIABLE macros COMMAND_ERROR_IS_FATAL ANY)
  foreach(entry SSE3=pni SSSE3=ssse3 SSE4_1=sse4_1 SSE4_2=sse4_2 POPCNT=popcnt AVX=avx AVX2=avx2 FMA=fma F16C=f16c
                BMI=bmi1 BMI2=bmi2 LZCNT=abm MOVBE=movbe AVX512F=avx512f AVX512BW=avx512bw AVX512CD=avx512cd
                AVX512DQ=avx512dq AVX512VL=avx512vl)
    string(REPLACE "=" ";" entry "${entry}")
    list(GET entry 0 macro)
    list(GET entry 1 flag)
    if(macros MATCHES "#define __${macro}__ 1")
      string(APPEND processor_flags " ${flag}")
    endif()
  endforeach()
  string(STRIP "${processor_flags}" processor_flags)
endif()
