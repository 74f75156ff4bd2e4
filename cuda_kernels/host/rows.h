// Rows of values: filled with runs of one value, and rounded to the output's dtype.
#pragma once
#include <stdint.h>

#include <algorithm>

#include "../dtype.cuh"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace bwl {

// Short runs are written as one block of this many values; the overhang is overwritten by what
// follows, or lies in the row's padding.
constexpr int64_t kRunFloats = 16;

// Fills values[begin, end); may write up to kRunFloats - 1 values more.
inline void fill_run(float* values, int64_t begin, int64_t end, float value) {
#if defined(__SSE2__)
  const __m128 wide = _mm_set1_ps(value);
  for (int64_t i = begin; i < end; i += kRunFloats) {
    _mm_storeu_ps(values + i, wide);
    _mm_storeu_ps(values + i + 4, wide);
    _mm_storeu_ps(values + i + 8, wide);
    _mm_storeu_ps(values + i + 12, wide);
  }
#else
  for (int64_t i = begin; i < end; ++i) values[i] = value;
#endif
}

// Turns n values round in place.
inline void reverse_values(float* values, int64_t n) {
  int64_t i = 0, j = n;  // [i, j) is still to be turned
#if defined(__SSE2__)
  for (; j - i >= 8; i += 4) {
    j -= 4;
    const __m128 low = _mm_loadu_ps(values + i), high = _mm_loadu_ps(values + j);
    _mm_storeu_ps(values + i, _mm_shuffle_ps(high, high, _MM_SHUFFLE(0, 1, 2, 3)));
    _mm_storeu_ps(values + j, _mm_shuffle_ps(low, low, _MM_SHUFFLE(0, 1, 2, 3)));
  }
#endif
  std::reverse(values + i, values + j);
}

struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

template <typename T>
T convert(float value);
template <>
inline float convert<float>(float value) {
  return value;
}
template <>
inline Half convert<Half>(float value) {
  return {to_float16_bits(value)};
}
template <>
inline BFloat convert<BFloat>(float value) {
  return {to_bfloat16_bits(value)};
}

}  // namespace bwl
