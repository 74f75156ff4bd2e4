// What wraps deflate data in a zlib stream (RFC 1950): the header check and the Adler-32 checksum.
#pragma once

#include "common.cuh"

namespace bwl {

// Checks the two bytes before the deflate data: method 8, a window of 32 KiB at most, the check
// bits, no preset dictionary.
BWL_HD Status check_zlib_header(uint8_t cmf, uint8_t flg) {
  const bool ok = (cmf & 0x0f) == 8 && (cmf >> 4) <= 7 && ((cmf << 8) | flg) % 31 == 0 &&
                  (flg & 0x20) == 0;
  return ok ? kOk : kBadZlibHeader;
}

constexpr uint32_t kAdlerModulus = 65521;
// What some of the bytes of a section add to its checksum. With b_i the bytes, Adler-32 is made of
// 1 + sum(b_i) and n + sum((n - i) * b_i): sums that can be taken in any order.
struct AdlerSums {
  int64_t bytes;
  int64_t weighted;  // weights are taken modulo kAdlerModulus
};

// The sums over words `part`, part + n_parts, ... of four bytes each. p: 4-byte aligned, readable
// up to a whole word.
BWL_HD AdlerSums adler_part(const uint8_t* p, int64_t n, uint32_t part, uint32_t n_parts) {
  AdlerSums sums = {0, 0};
  const uint32_t* const words = reinterpret_cast<const uint32_t*>(p);
  const uint32_t step = 4u * n_parts % kAdlerModulus;
  // n - i for the first byte of the word, modulo kAdlerModulus.
  uint32_t weight = static_cast<uint32_t>(((n - 4 * static_cast<int64_t>(part)) % kAdlerModulus +
                                           kAdlerModulus) % kAdlerModulus);
  for (int64_t i = part; 4 * i < n; i += n_parts) {
    uint32_t word = words[i];
    if (n - 4 * i < 4) word &= (1u << (8u * static_cast<uint32_t>(n - 4 * i))) - 1u;
    const uint32_t b0 = word & 255u, b1 = word >> 8 & 255u, b2 = word >> 16 & 255u, b3 = word >> 24;
    const uint32_t sum = b0 + b1 + b2 + b3;
    sums.bytes += sum;
    sums.weighted += (weight + kAdlerModulus) * sum - (b1 + 2u * b2 + 3u * b3);
    weight += weight < step ? kAdlerModulus - step : 0u - step;
  }
  return sums;
}

BWL_HD uint32_t adler_of(const AdlerSums& sums, int64_t n) {
  const int64_t a = (1 + sums.bytes) % kAdlerModulus;
  const int64_t b = (n + sums.weighted) % kAdlerModulus;
  return static_cast<uint32_t>(b << 16 | a);
}

}  // namespace bwl
