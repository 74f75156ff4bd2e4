// Bits in reverse order: deflate packs its codes from their high bit on, all else from the low one.
#pragma once

#include "common.cuh"

// In inner loops a missed inlining costs more than any of the code that is inlined.
#if defined(__CUDACC__)
#define BWL_HD_INLINE __host__ __device__ __forceinline__
#else
#define BWL_HD_INLINE inline __attribute__((always_inline))
#endif

namespace bwl {

#if !defined(__CUDA_ARCH__)
struct ReversedBytes {
  uint8_t value[256];
  constexpr ReversedBytes() : value() {
    for (int i = 0; i < 256; ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        value[i] = static_cast<uint8_t>(value[i] | (((i >> bit) & 1) << (7 - bit)));
      }
    }
  }
};
inline constexpr ReversedBytes kReversedBytes{};
#endif

// The low 16 bits in reverse order.
BWL_HD_INLINE uint32_t reverse_16(uint32_t x) {
#if defined(__CUDA_ARCH__)
  return __brev(x) >> 16;
#else
  return (static_cast<uint32_t>(kReversedBytes.value[x & 0xffu]) << 8) |
         kReversedBytes.value[(x >> 8) & 0xffu];
#endif
}

}  // namespace bwl
