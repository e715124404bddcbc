// SPDX-License-Identifier: Apache-2.0
#pragma once

// Marks what kernels of every back end call.
#ifdef __CUDACC__
#define CTR_HOST_DEVICE __host__ __device__
#else
#define CTR_HOST_DEVICE
#endif
