// SPDX-License-Identifier: Apache-2.0
#pragma once

// Marks a hot loop for compilation once per instruction set, chosen at load time. The baseline is AVX2 + FMA.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CTR_VECTORIZE __attribute__((target_clones("arch=x86-64-v4", "default")))
#else
#define CTR_VECTORIZE
#endif
