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

// One entry of a one-hot row. `fraction` shares 1 between the letters of the set; without it only
// A, C, G and T have a 1 and every other code is all zero.
BWL_HD float one_hot_value(uint32_t code, int32_t letter, bool fraction) {
  if (((code >> letter) & 1) == 0) return 0.0f;
  const uint32_t n = letters_in(code);
  if (n == 1) return 1.0f;
  return fraction ? 1.0f / static_cast<float>(n) : 0.0f;
}

}  // namespace bwl
