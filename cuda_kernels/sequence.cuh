// Bases: 4-bit codes and one-hot rows. No memory is written here; sequence.cu and
// host/sequence.cpp loop over these functions.
//
// A base is a set of letters in four bits: bit 0 A, bit 1 C, bit 2 G, bit 3 T (U reads as T). An
// IUPAC code is the set it stands for, N is 15, and 0 is no base at all (a gap, a digit, anything
// that is not a nucleotide letter). Two bases share a byte, the even position in the low half.
#pragma once

#include "common.cuh"

namespace bwl {

constexpr uint32_t kNoBase = 0;
constexpr int32_t kCodes = 16;    // rows of a one-hot table
constexpr int32_t kLetters = 4;   // columns of a one-hot table: A, C, G, T
constexpr int32_t kRunBases = 16;  // bases in 8 bytes

// Code of the complementary base: A <-> T and C <-> G, which is the order of the bits reversed.
BWL_HD uint32_t complement(uint32_t code) {
  return ((code & 1) << 3) | ((code & 2) << 1) | ((code & 4) >> 1) | ((code & 8) >> 3);
}

// Number of letters a code stands for.
BWL_HD uint32_t letters_in(uint32_t code) {
  return (code & 1) + ((code >> 1) & 1) + ((code >> 2) & 1) + ((code >> 3) & 1);
}

// Whether a code is one of `codes`: a set of codes, bit c for code c.
BWL_HD bool is_among(uint32_t code, uint32_t codes) { return ((codes >> code) & 1) != 0; }

// Code at `position` of a packed contig of `length_bp` bases; no base outside of it.
BWL_HD uint32_t packed_base(const uint8_t* packed, int64_t length_bp, int64_t position) {
  if (position < 0 || position >= length_bp) return kNoBase;
  return (packed[position >> 1] >> ((position & 1) * 4)) & 15u;
}

// Code of base i of a window, as delivered: the reverse complement counts from the window's end.
BWL_HD uint32_t window_base(const uint8_t* packed, int64_t length_bp, int64_t start,
                            int64_t window_bp, bool reverse, int64_t i) {
  if (!reverse) return packed_base(packed, length_bp, start + i);
  return complement(packed_base(packed, length_bp, start + window_bp - 1 - i));
}

// Codes of the kRunBases bases from `position` on, four bits each and the first one lowest; no base
// outside the contig. `packed` is 8-byte aligned, and its memory ends at a multiple of 8 bytes.
BWL_HD uint64_t packed_run(const uint8_t* packed, int64_t length_bp, int64_t position) {
  if (position <= -kRunBases || position >= length_bp) return 0;
  const uint64_t* words = reinterpret_cast<const uint64_t*>(packed);
  const int64_t word = position >> 4;
  const int32_t shift = static_cast<int32_t>(position & 15) * 4;
  uint64_t run = word < 0 ? 0 : words[word] >> shift;
  if (shift != 0 && (word + 1) * kRunBases < length_bp) run |= words[word + 1] << (64 - shift);
  const int64_t there = length_bp - position;
  return there < kRunBases ? run & ((uint64_t{1} << (4 * there)) - 1) : run;
}

BWL_HD uint64_t reversed_bits(uint64_t x) {
#if defined(__CUDA_ARCH__)
  return __brevll(x);
#else
  x = (x >> 1 & 0x5555555555555555u) | (x & 0x5555555555555555u) << 1;
  x = (x >> 2 & 0x3333333333333333u) | (x & 0x3333333333333333u) << 2;
  x = (x >> 4 & 0x0F0F0F0F0F0F0F0Fu) | (x & 0x0F0F0F0F0F0F0F0Fu) << 4;
  x = (x >> 8 & 0x00FF00FF00FF00FFu) | (x & 0x00FF00FF00FF00FFu) << 8;
  x = (x >> 16 & 0x0000FFFF0000FFFFu) | (x & 0x0000FFFF0000FFFFu) << 16;
  return x >> 32 | x << 32;
#endif
}

// Codes of the n bases (1 to kRunBases) of a window from base i on, as delivered; above them, what
// comes. `packed` as for packed_run. A reverse complement is the bits read backwards.
BWL_HD uint64_t window_run(const uint8_t* packed, int64_t length_bp, int64_t start,
                           int64_t window_bp, bool reverse, int64_t i, int32_t n) {
  if (!reverse) return packed_run(packed, length_bp, start + i);
  const uint64_t run = packed_run(packed, length_bp, start + window_bp - i - n);
  return reversed_bits(run) >> (4 * (kRunBases - n));
}

// One entry of a one-hot row. `fraction` shares 1 between the letters of the set; without it only
// A, C, G and T have a 1 and every other code is all zero.
BWL_HD float one_hot_value(uint32_t code, int32_t letter, bool fraction) {
  if (((code >> letter) & 1) == 0) return 0.0f;
  const uint32_t n = letters_in(code);
  if (n == 1) return 1.0f;
  return fraction ? 1.0f / static_cast<float>(n) : 0.0f;
}

}  // namespace bwl
