// Random numbers as a pure function of what they are for: Philox4x32-10 (Salmon, Moraes, Dror and
// Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11). The words of the counter mean what
// bigwig_loader/sampling/rng.py says: a number drawn here equals the one drawn there.
#pragma once
#include "common.cuh"

namespace bwl {

enum RandomStream : uint32_t { kFlankStream = 8, kContextStream = 11 };

BWL_HD uint64_t multiply_high(uint64_t a, uint64_t b) {
  const uint64_t a_low = a & 0xFFFFFFFFu, a_high = a >> 32;
  const uint64_t b_low = b & 0xFFFFFFFFu, b_high = b >> 32;
  const uint64_t low = a_low * b_low, high_low = a_high * b_low, low_high = a_low * b_high;
  const uint64_t middle = (low >> 32) + (high_low & 0xFFFFFFFFu) + (low_high & 0xFFFFFFFFu);
  return a_high * b_high + (high_low >> 32) + (low_high >> 32) + (middle >> 32);
}

// The first 64 bits for counter (c0, c1, c2, c3) under `key`.
BWL_HD uint64_t philox_u64(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(c0) * 0xD2511F53u;
    const uint64_t p1 = static_cast<uint64_t>(c2) * 0xCD9E8D57u;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return static_cast<uint64_t>(c1) << 32 | c0;
}

BWL_HD uint64_t random_u64(uint64_t seed, uint32_t epoch, uint64_t index, RandomStream stream,
                           uint32_t lane, uint32_t redraw) {
  return philox_u64(static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), epoch,
                    static_cast<uint32_t>(stream) << 28 | lane << 8 | redraw, seed);
}

// Unbiased, in [0, n): multiply-high with rejection (Lemire 2019). n >= 1.
BWL_HD uint64_t random_below(uint64_t n, uint64_t seed, uint32_t epoch, uint64_t index,
                             RandomStream stream, uint32_t lane) {
  const uint64_t first_fair = (~n + 1) % n;  // 2^64 % n
  uint64_t word = 0;
  for (uint32_t redraw = 0; redraw < 256; ++redraw) {
    word = random_u64(seed, epoch, index, stream, lane, redraw);
    if (word * n >= first_fair) break;
  }
  return multiply_high(word, n);
}

}  // namespace bwl
