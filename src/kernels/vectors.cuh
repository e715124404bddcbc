// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/storage.cuh"
#include "kernels/vector_places.h"

namespace ctr::cuda {

// The vectors of a tensor [..., dim], as the host hands them to a kernel.
struct Vectors {
  Vectors() = default;
  explicit Vectors(const Tensor& t)
      : data(t.raw()),
        places(t),
        packed(t.is_packed()),
        wide(places.begin_at_multiples(4) &&
             reinterpret_cast<uintptr_t>(t.raw()) % (4 * size_of(t.dtype())) == 0) {}

  void* data;
  VectorPlaces places;
  bool packed;
  bool wide;  // four elements may be read or written at once
};

// Reading and writing them, V elements at once. The way is chosen before the loop over vectors: a question at
// each of them makes the update of rows a twentieth slower.
template <class T>
struct PackedVectors {  // that are wide
  T* data;
  int dim;

  template <int V>
  __device__ Pack<T, V>& at(uint32_t i, int element) const {
    return *reinterpret_cast<Pack<T, V>*>(data + int64_t{i} * dim + element);
  }
  template <int V>
  __device__ Pack<T, V> read(uint32_t i, int element) const {
    return at<V>(i, element);
  }
  template <int V>
  __device__ void write(uint32_t i, int element, const Pack<T, V>& values) const {
    at<V>(i, element) = values;
  }
};

template <class T>
struct PlacedVectors {
  T* data;
  VectorPlaces places;
  bool wide;  // a constant where the caller knows it

  __device__ T* at(uint32_t i, int element) const { return data + places(i) + element; }
  template <int V>
  __device__ Pack<T, V> read(uint32_t i, int element) const {
    const T* first = at(i, element);
    if (wide) return *reinterpret_cast<const Pack<T, V>*>(first);
    Pack<T, V> values;
    for (int k = 0; k < V; ++k) values.v[k] = first[k];
    return values;
  }
  template <int V>
  __device__ void write(uint32_t i, int element, const Pack<T, V>& values) const {
    T* first = at(i, element);
    if (wide)
      *reinterpret_cast<Pack<T, V>*>(first) = values;
    else
      for (int k = 0; k < V; ++k) first[k] = values.v[k];
  }
};

}  // namespace ctr::cuda
