// A deflate block's header, read by one lane of the device's inflate decoder.
#pragma once

#include "lane_tables.cuh"

namespace bwl {

// The table of the code-length alphabet, from three bits for each of its symbols. Bits 0..2 of an
// entry are its code length, bits 3..7 its symbol.
BWL_HD_INLINE Status build_precode(LaneMemory& m, uint64_t lengths) {
  uint64_t counts = 0;  // of each code length, eight bits
  for (uint32_t i = 0; i < kPrecodeSymbols; ++i) {
    counts += 1ull << (8u * (static_cast<uint32_t>(lengths >> (3u * i)) & 7u));
  }
  uint64_t next = 0;  // code of each length, eight bits
  uint32_t code = 0;
  for (uint32_t length = 1; length <= kPrecodeBits; ++length) {
    next |= static_cast<uint64_t>(code & 255u) << (8u * length);
    code += static_cast<uint32_t>(counts >> (8u * length)) & 255u;
    if (code > 1u << length) return kBadDeflate;
    code *= 2u;
  }
  if (code != 2u << kPrecodeBits) return kBadDeflate;
  for (uint32_t i = 0; i < 32u; ++i) m.precode_words[i] = 0;
  for (uint32_t i = 0; i < kPrecodeSymbols; ++i) {
    const uint32_t length = static_cast<uint32_t>(lengths >> (3u * i)) & 7u;
    if (length == 0) continue;
    const uint32_t own = static_cast<uint32_t>(next >> (8u * length)) & 255u;
    next += 1ull << (8u * length);
    m.precode[reverse_16(own) >> (16u - length)] = static_cast<uint8_t>(i << 3 | length);
  }
  fill_gaps<8>(m.precode_words, 32u);
  return kOk;
}

// Reads the code lengths of a dynamic block to `lengths`, and counts them in `scratch`.
BWL_HD_INLINE Status read_code_lengths(LaneBits& in, LaneMemory& m, uint32_t n) {
  for (uint32_t i = 0; i < 42u; ++i) m.lengths[i] = 0;
  for (uint32_t i = 0; i <= kMaxCodeBits; ++i) m.scratch[i] = 0;
  uint32_t length = 0;
  for (uint32_t i = 0; i < n;) {
    const uint64_t window = in.window();
    const uint32_t there = in.lacks(64) ? in.left : 64u;
    uint32_t used = 0;
    for (int turn = 0; turn < 4 && i < n; ++turn) {  // four times 14 bits
      const uint32_t bits = static_cast<uint32_t>(window >> used);
      const uint32_t entry = m.precode[bits & ((1u << kPrecodeBits) - 1u)];
      const uint32_t symbol = entry >> 3;
      const uint32_t extra = symbol < 16u ? 0u : symbol == 16u ? 2u : symbol == 17u ? 3u : 7u;
      const uint32_t repeat = (bits >> (entry & 7u) & ((1u << extra) - 1u)) +
                              (symbol < 16u ? 1u : symbol < 18u ? 3u : 11u);
      used += (entry & 7u) + extra;
      if (used > there) return kTruncatedDeflate;
      if (repeat > n - i || (i == 0 && symbol == 16u)) return kBadDeflate;
      length = symbol < 16u ? symbol : symbol == 16u ? length : 0u;
      m.scratch[length] = static_cast<uint16_t>(m.scratch[length] + repeat);
      // What is no zero comes six times at most.
      const uint32_t run = length * 0x111111u & ((1u << (repeat < 6u ? 4u * repeat : 24u)) - 1u);
      const uint64_t placed = static_cast<uint64_t>(run) << i % 8u * 4u;
      m.lengths[i / 8u] |= static_cast<uint32_t>(placed);
      m.lengths[i / 8u + 1u] |= static_cast<uint32_t>(placed >> 32);
      i += repeat;
    }
    in.advance(used);
  }
  return kOk;
}

// Builds the tables from `lengths`, counted in `scratch` (literals and distances together).
BWL_HD_INLINE Status build_lane_tables(LaneMemory& m, uint32_t n_lit, uint32_t n_dist) {
  uint32_t dist_lengths[4];  // their place becomes that of the table of distances
  DistanceCounts dist_counts;
  for (uint32_t i = 0; i < 4u; ++i) {
    const uint32_t at = n_lit / 8u + i;
    uint32_t word = shift_words(m.lengths[at], m.lengths[at + 1u], n_lit % 8u * 4u);
    if (n_dist < 8u * i + 8u) word &= n_dist <= 8u * i ? 0u : (1u << (n_dist - 8u * i) * 4u) - 1u;
    dist_lengths[i] = word;
    for (; word != 0; word >>= 4) dist_counts.add(word & 15u);
  }
  uint32_t lit_space = 0, dist_space = 0, n_lit_codes = 0, n_dist_codes = 0;
  for (uint32_t length = 1; length <= kMaxCodeBits; ++length) {
    const uint32_t dist = dist_counts.of(length);
    const uint32_t lit = m.scratch[length] - dist;
    m.scratch[length] = static_cast<uint16_t>(lit);
    lit_space += lit << (kMaxCodeBits - length);
    dist_space += dist << (kMaxCodeBits - length);
    n_lit_codes += lit;
    n_dist_codes += dist;
  }
  const CodeKind lit = judge_code(lit_space, n_lit_codes);
  const CodeKind dist = judge_code(dist_space, n_dist_codes);
  if (lit == CodeKind::kInvalid || dist == CodeKind::kInvalid) return kBadDeflate;
  build_lit(m, n_lit, lit);
  build_dist(m, dist_lengths, dist_counts, dist);
  return kOk;
}

BWL_HD_INLINE Status read_dynamic_codes(LaneBits& in, LaneMemory& m, uint32_t& n_lit,
                                        uint32_t& n_dist) {
  if (in.lacks(14)) return kTruncatedDeflate;
  n_lit = in.take(5) + 257u;
  n_dist = in.take(5) + 1u;
  const uint32_t n_precode = in.take(4) + 4u;
  if (n_lit > kMaxLitLengths || n_dist > kMaxDistLengths) return kBadDeflate;
  // Their order is 16, 17, 18, 0, then 8 and outwards from it by turns: 7, 9, 6, 10, ... 1, 15.
  uint64_t lengths = 0;
  for (uint32_t i = 0; i < n_precode; ++i) {
    if (in.lacks(3)) return kTruncatedDeflate;
    const uint32_t half = (i - 3u) / 2u;
    const uint32_t symbol = i < 3u ? 16u + i : i == 3u ? 0u : (i & 1u) ? 8u - half : 8u + half;
    lengths |= static_cast<uint64_t>(in.take(3)) << (3u * symbol);
  }
  Status status = build_precode(m, lengths);
  if (status == kOk) status = read_code_lengths(in, m, n_lit + n_dist);
  if (status == kOk && (m.lengths[kEndOfBlock / 8u] & 15u) == 0) status = kBadDeflate;
  return status;
}

// The lengths of the fixed codes (RFC 1951, 3.2.6).
BWL_HD_INLINE void set_fixed_codes(LaneMemory& m, uint32_t& n_lit, uint32_t& n_dist) {
  n_lit = kLitSymbols;
  n_dist = kDistSymbols;
  for (uint32_t i = 0; i < 40u; ++i) {
    const uint32_t length = i < 18u ? 8u : i < 32u ? 9u : i < 35u ? 7u : i < 36u ? 8u : 5u;
    m.lengths[i] = length * 0x11111111u;
  }
  for (uint32_t i = 0; i <= kMaxCodeBits; ++i) m.scratch[i] = 0;
  m.scratch[5] = 32;
  m.scratch[7] = 24;
  m.scratch[8] = 152;
  m.scratch[9] = 112;
}

// What a lane does next: nothing, a block's header, the end of its stream; or it decodes a stored
// block, a single symbol with a look at all that may be wrong, or as many as go into a step.
enum class LanePhase : uint32_t { kIdle, kHeader, kEnded, kStored, kCareful, kCodes };

// Reads a block's header and builds its tables. `phase` receives what comes next, `stored_left` the
// bytes of a stored block.
BWL_HD_INLINE Status read_block_header(LaneBits& in, LaneMemory& m, bool& final_block,
                                       LanePhase& phase, uint32_t& stored_left) {
  if (in.lacks(3)) return kTruncatedDeflate;
  final_block = in.take(1) != 0;
  const uint32_t type = in.take(2);
  if (type == 0) {
    in.skip_to_byte();
    if (in.lacks(32)) return kTruncatedDeflate;
    stored_left = in.take(16);
    if ((stored_left ^ 0xffffu) != in.take(16)) return kBadDeflate;
    phase = LanePhase::kStored;
    return kOk;
  }
  if (type == 3u) return kBadDeflate;
  phase = LanePhase::kCodes;
  uint32_t n_lit, n_dist;
  if (type == 1u) {
    set_fixed_codes(m, n_lit, n_dist);
  } else {
    const Status status = read_dynamic_codes(in, m, n_lit, n_dist);
    if (status != kOk) return status;
  }
  return build_lane_tables(m, n_lit, n_dist);
}

}  // namespace bwl
