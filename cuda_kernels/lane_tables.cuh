// Decoding tables of one lane of the device's inflate decoder: small enough that more than a
// hundred streams fit the shared memory of a multiprocessor.
//
// Literals and lengths have a table of two levels. Distances have one, and for the few codes that
// are longer, a search by code length. A table is filled in two passes: each code is written once,
// then what is empty is copied from the entry that differs in the highest bit (which shorter codes
// leave free).
//
// Entry of a literal or length:      entry of a distance:
//   bits 0..3   code length            bits 0..3  code length; 0: the code is longer
//   bits 4..11  literal, or base       bits 4..7  extra bits
//   bits 12..14 extra bits             bits 8..9  base
//   bit  15     not a literal          bit  15    no distance
// A length is 3 + (base << extra bits) + the extra bits, a distance 1 + the same. Extra bits of 6
// or 7 mark exceptions of lengths.
#pragma once

#include "deflate.cuh"
#include "lane_bits.cuh"

namespace bwl {

constexpr uint32_t kLaneLitBits = 8;
constexpr uint32_t kLaneDistBits = 7;
constexpr uint32_t kLaneLitRoot = 1u << kLaneLitBits;
// Both levels, at worst: zlib's examples/enough.c for 286 symbols, 8 bits and codes of 15.
constexpr uint32_t kLaneLitEntries = 660;

constexpr uint32_t kLaneNotLiteral = 0x8000;
constexpr uint32_t kLaneSecond = 0xe000;   // bits 0..2: its index bits; 3..11: half its first index
constexpr uint32_t kLaneEndOfBlock = 0xf000;
constexpr uint32_t kLaneInvalid = 0xf010;
constexpr uint32_t kLaneNoDistance = 0x8000;
constexpr uint32_t kLaneLongDistance = 0x4000;

// What a lane has in shared memory. An odd number of 8 bytes: lanes that build their tables side by
// side then write to different banks, or to half of them.
struct alignas(8) LaneMemory {
  uint32_t ring[kRingWords];
  union {
    uint32_t lit_words[kLaneLitEntries / 2];
    uint16_t lit[kLaneLitEntries];  // first level, then the second
    uint32_t precode_words[32];     // while code lengths are read
    uint8_t precode[128];
  };
  union {
    uint32_t lengths[42];  // of the codes, four bits each: literals, then distances
    struct {               // once these are built
      union {
        uint32_t dist_words[64];
        uint16_t dist[128];
      };
      uint16_t long_dist[32];  // entries of codes longer than kLaneDistBits, in order
      // Bits 0..7: the first such code; then six bits for each length: how many codes it has.
      uint32_t dist_counts[2];
    };
  };
  uint16_t scratch[16];  // by code length: counts, then the next code
  uint32_t padding[2];
};
static_assert(sizeof(LaneMemory) % 16 == 8, "an odd number of 8 bytes");

BWL_HD_INLINE uint32_t lane_lit_entry(uint32_t symbol) {
  if (symbol < kEndOfBlock) return symbol << 4;
  if (symbol == kEndOfBlock) return kLaneEndOfBlock;
  if (symbol >= 286u) return kLaneInvalid;
  if (symbol == 285u) return kLaneNotLiteral | 255u << 4;
  const uint32_t s = symbol - 257u;
  if (s < 8u) return kLaneNotLiteral | s << 4;
  return kLaneNotLiteral | ((s >> 2) - 1u) << 12 | (4u + (s & 3u)) << 4;
}

BWL_HD_INLINE uint32_t lane_dist_entry(uint32_t symbol) {
  if (symbol >= 30u) return kLaneNoDistance;
  if (symbol < 4u) return symbol << 8;
  return (2u | (symbol & 1u)) << 8 | ((symbol >> 1) - 1u) << 4;
}

// Of bytes (kUnit = 8) or 16-bit units in `word`: ones where the unit is zero.
template <uint32_t kUnit>
BWL_HD_INLINE uint32_t empty_units(uint32_t word) {
  constexpr uint32_t kLow = kUnit == 8 ? 0x7f7f7f7fu : 0x7fff7fffu;
  const uint32_t top = ~(((word & kLow) + kLow) | word | kLow);
  return (top >> (kUnit - 1u)) * ((1u << kUnit) - 1u);
}

// Fills what is empty of a table of n_words words, in which each code stands once.
template <uint32_t kUnit>
BWL_HD_INLINE void fill_gaps(uint32_t* words, uint32_t n_words) {
  uint32_t first = words[0];
  for (uint32_t shift = kUnit; shift < 32u; shift *= 2u) {
    first |= (first << shift) & empty_units<kUnit>(first) & (0xffffffffu >> (32u - 2u * shift));
  }
  words[0] = first;
  for (uint32_t half = 1; half < n_words; half *= 2u) {
    for (uint32_t i = 0; i < half; ++i) {
      const uint32_t word = words[half + i];
      words[half + i] = word | (words[i] & empty_units<kUnit>(word));
    }
  }
}

// Counts of code lengths 1 to 15, six bits each: no more than 32 distances have one.
struct DistanceCounts {
  uint64_t low = 0, high = 0;  // lengths 0 to 8, 9 to 15

  BWL_HD_INLINE void add(uint32_t length) {
    const uint64_t one = 1ull << (6u * (length < 9u ? length : length - 9u));
    low += length < 9u ? one : 0u;
    high += length < 9u ? 0u : one;
  }
  BWL_HD_INLINE uint32_t of(uint32_t length) const {
    const uint64_t word = length < 9u ? low : high;
    return static_cast<uint32_t>(word >> (6u * (length < 9u ? length : length - 9u))) & 63u;
  }
};

// The verdict on `n_codes` code lengths that take up `space`, of 2^kMaxCodeBits.
BWL_HD_INLINE CodeKind judge_code(uint32_t space, uint32_t n_codes) {
  if (space == 1u << kMaxCodeBits) return CodeKind::kComplete;
  if (n_codes == 0) return CodeKind::kNone;
  return n_codes == 1 && space == 1u << (kMaxCodeBits - 1u) ? CodeKind::kSingle
                                                            : CodeKind::kInvalid;
}

// Enters second-level tables into the first level: for each prefix of codes longer than it, which
// begin at code `prefix`. `counts` has nine bits for each length above kLaneLitBits.
BWL_HD_INLINE void place_second_level(LaneMemory& m, uint32_t prefix, uint64_t counts) {
  constexpr uint32_t kAll = 511u;
  uint32_t width = 1;  // of the codes that come next, behind the prefix
  uint32_t codes = static_cast<uint32_t>(counts) & kAll;
  uint32_t end = kLaneLitRoot;
  for (; prefix < kLaneLitRoot; ++prefix) {
    while (codes == 0) codes = static_cast<uint32_t>(counts >> (9u * width++)) & kAll;
    uint32_t table_width = width;
    for (uint32_t filled = codes; filled < 1u << table_width; ++table_width) {
      filled = filled * 2u + (static_cast<uint32_t>(counts >> (9u * table_width)) & kAll);
    }
    m.lit[reverse_16(prefix) >> (16u - kLaneLitBits)] =
        static_cast<uint16_t>(kLaneSecond | (end - kLaneLitRoot) << 2 | table_width);
    end += 1u << table_width;
    for (uint32_t space = 1u << width;;) {  // in codes of `width` bits
      const uint32_t used = codes < space ? codes : space;
      codes -= used;
      space -= used;
      if (space == 0) break;
      space *= 2u;
      codes = static_cast<uint32_t>(counts >> (9u * width++)) & kAll;
    }
  }
}

BWL_HD_INLINE void place_lit(LaneMemory& m, uint32_t symbol, uint32_t length) {
  const uint32_t code = m.scratch[length]++;
  const uint32_t reversed = reverse_16(code) >> (16u - length);
  const uint16_t entry = static_cast<uint16_t>(lane_lit_entry(symbol) | length);
  if (length <= kLaneLitBits) {
    m.lit[reversed] = entry;
    return;
  }
  const uint32_t second = m.lit[reversed & (kLaneLitRoot - 1u)];
  uint16_t* const table = m.lit + kLaneLitRoot + ((second >> 2) & 0x3feu);
  const uint32_t end = 1u << (second & 7u);
  const uint32_t step = 1u << (length - kLaneLitBits);
  for (uint32_t i = reversed >> kLaneLitBits; i < end; i += step) table[i] = entry;
}

// Builds the table of literals and lengths from `lengths` and their counts in `scratch`.
BWL_HD_INLINE void build_lit(LaneMemory& m, uint32_t n_lit, CodeKind kind) {
  if (kind != CodeKind::kComplete) {  // the only code is that of the end of the block
    const uint32_t words = (kLaneInvalid | 1u) << 16 | kLaneEndOfBlock | 1u;
    for (uint32_t i = 0; i < kLaneLitRoot / 2u; ++i) m.lit_words[i] = words;
    return;
  }
  for (uint32_t i = 0; i < kLaneLitRoot / 2u; ++i) m.lit_words[i] = 0;
  uint32_t code = 0;
  uint64_t long_counts = 0;
  uint32_t prefix = 0;
  for (uint32_t length = 1; length <= kMaxCodeBits; ++length) {
    const uint32_t count = m.scratch[length];
    m.scratch[length] = static_cast<uint16_t>(code);
    if (length > kLaneLitBits) {
      long_counts |= static_cast<uint64_t>(count) << (9u * (length - kLaneLitBits - 1u));
    }
    code += count;
    if (length == kLaneLitBits) prefix = code;
    code *= 2u;
  }
  place_second_level(m, prefix, long_counts);
  for (uint32_t symbol = 0; symbol < n_lit; symbol += 8u) {
    uint32_t word = m.lengths[symbol / 8u];
    for (uint32_t i = symbol; i < symbol + 8u && i < n_lit; ++i, word >>= 4) {
      if ((word & 15u) != 0) place_lit(m, i, word & 15u);
    }
  }
  fill_gaps<16>(m.lit_words, kLaneLitRoot / 2u);
}

// Builds the table of distances from `lengths`, four bits each, which stand in registers by now.
BWL_HD_INLINE void build_dist(LaneMemory& m, const uint32_t (&lengths)[4],
                              const DistanceCounts& counts, CodeKind kind) {
  const uint32_t no_code = (kLaneNoDistance | 1u) * 0x00010001u;
  for (uint32_t i = 0; i < 64u; ++i) m.dist_words[i] = kind == CodeKind::kComplete ? 0u : no_code;
  uint32_t code = 0;
  uint32_t first_long = 0;
  uint32_t n_long = 0;
  uint64_t long_counts = 0;
  for (uint32_t length = 1; length <= kMaxCodeBits; ++length) {
    const uint32_t count = counts.of(length);
    if (length == kLaneDistBits + 1u) first_long = code;
    // For long codes the place in long_dist stands for the code.
    m.scratch[length] = static_cast<uint16_t>(length <= kLaneDistBits ? code : n_long);
    if (length > kLaneDistBits) {
      long_counts |= static_cast<uint64_t>(count) << (6u * (length - kLaneDistBits - 1u));
      n_long += count;
    }
    code = (code + count) * 2u;
  }
  if (kind == CodeKind::kComplete) {
    for (uint32_t i = first_long / 2u; i < 1u << kLaneDistBits; ++i) {
      m.dist[reverse_16(i) >> (16u - kLaneDistBits)] = kLaneLongDistance;
    }
  }
  const uint64_t packed = long_counts << 8 | (first_long & 255u);
  m.dist_counts[0] = static_cast<uint32_t>(packed);
  m.dist_counts[1] = static_cast<uint32_t>(packed >> 32);
  for (uint32_t part = 0; part < 4u; ++part) {
    uint32_t word = lengths[part];
    for (uint32_t symbol = 8u * part; word != 0; ++symbol, word >>= 4) {
      const uint32_t length = word & 15u;
      if (length == 0) continue;
      const uint32_t place = m.scratch[length]++;
      const uint16_t entry = static_cast<uint16_t>(lane_dist_entry(symbol) | length);
      if (length > kLaneDistBits) {
        m.long_dist[place] = entry;
      } else if (kind == CodeKind::kSingle) {
        const uint32_t words = (no_code & 0xffff0000u) | entry;
        for (uint32_t i = 0; i < 64u; ++i) m.dist_words[i] = words;
      } else {
        m.dist[reverse_16(place) >> (16u - length)] = entry;
      }
    }
  }
  if (kind == CodeKind::kComplete) fill_gaps<16>(m.dist_words, 64u);
}

}  // namespace bwl
