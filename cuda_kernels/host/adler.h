// Adler-32 on the host, 16 bytes at a time.
#pragma once

#include "../bit_reader.cuh"
#include "../zlib_wrapper.cuh"

namespace bwl {

constexpr int64_t kAdlerRun = 256;

// Adds kAdlerRun bytes to the two sums of Adler-32, 16 bytes side by side in lanes of 16 bits,
// which just hold the sums of 16 steps. With x_j the sum of every 16th byte from the j-th on, and
// y_j that of its values before each step, the run adds sum(x) to a, and
// 16 * (16 * a + sum(y)) + sum((16 - j) * x_j) to b.
inline void add_adler_run(uint32_t& a, uint32_t& b, const uint8_t* p) {
  constexpr uint64_t kEven = 0x00ff00ff00ff00ffull;
  uint64_t x[4] = {0, 0, 0, 0};  // bytes 0, 2, 4, 6; 1, 3, 5, 7; 8, 10, ...; 9, 11, ...
  uint64_t y[4] = {0, 0, 0, 0};
  for (int64_t i = 0; i < kAdlerRun; i += 16) {
    const uint64_t low = load_u64(p + i);
    const uint64_t high = load_u64(p + i + 8);
    for (int k = 0; k < 4; ++k) y[k] += x[k];
    x[0] += low & kEven;
    x[1] += (low >> 8) & kEven;
    x[2] += high & kEven;
    x[3] += (high >> 8) & kEven;
  }
  b += static_cast<uint32_t>(kAdlerRun) * a;
  for (uint32_t k = 0; k < 4; ++k) {
    for (uint32_t lane = 0; lane < 4; ++lane) {
      const uint32_t j = 8u * (k / 2u) + 2u * lane + k % 2u;
      const uint32_t sum = static_cast<uint32_t>(x[k] >> (16u * lane)) & 0xffffu;
      a += sum;
      b += 16u * (static_cast<uint32_t>(y[k] >> (16u * lane)) & 0xffffu) + (16u - j) * sum;
    }
  }
}

// Continues the Adler-32 checksum `adler` (1 for the start) over `n` bytes.
inline uint32_t adler32(uint32_t adler, const uint8_t* p, int64_t n) {
  constexpr int64_t kMaxBytes = 21 * kAdlerRun;  // sums of so many still fit 32 bits
  uint32_t a = adler & 0xffffu;
  uint32_t b = adler >> 16;
  while (n > 0) {
    const int64_t part = n < kMaxBytes ? n : kMaxBytes;
    int64_t i = 0;
    for (; i + kAdlerRun <= part; i += kAdlerRun) add_adler_run(a, b, p + i);
    for (; i < part; ++i) {
      a += p[i];
      b += a;
    }
    a %= kAdlerModulus;
    b %= kAdlerModulus;
    p += part;
    n -= part;
  }
  return (b << 16) | a;
}

}  // namespace bwl
