// Inflate on the device: a stream per lane, many per multiprocessor.
//
// A step of a lane decodes up to two literals and one match. It has few branches, and nothing in it
// waits for memory: input comes through a ring in shared memory, and a match that reaches back
// further than the bytes in registers is loaded a step before it is copied. Block headers take as
// long as a hundred steps; the warp lets the lanes that have come to one read them side by side
// (inflate.cu). What is accepted is what zlib accepts. README.md has figures and reasons.
#pragma once

#include "blocks.cuh"
#include "lane_header.cuh"
#include "lane_output.cuh"
#include "zlib_wrapper.cuh"

namespace bwl {

constexpr uint32_t kZlibBytes = 6;  // of the wrapper: 2 before the stream, 4 behind it

// A stream that is being inflated.
struct LaneStream {
  LaneBits in;
  LaneOutput out;
  LanePhase phase;
  Status status;
  bool final_block;
  uint32_t stored_left;
  const BwlBlock* block;
  BwlOutcome* outcome;
};

BWL_HD_INLINE bool lane_is_decoding(const LaneStream& s) {
  return s.phase >= LanePhase::kStored;
}

// Notes why a stream ends before its end.
BWL_HD_INLINE void lane_fail(LaneStream& s, Status status) {
  s.status = status;
  s.phase = LanePhase::kEnded;
}

BWL_HD_INLINE uint32_t clamp_u32(int64_t n) {
  return n > 0xffffffffll ? 0xffffffffu : n < 0 ? 0u : static_cast<uint32_t>(n);
}

// Begins to inflate a block. What the format allows fits 32 bits: a block inflates to at most
// uncompressBufSize bytes, a uint32.
BWL_HD_INLINE void lane_begin(LaneStream& s, LaneMemory& m, const BwlBlock& block,
                              BwlOutcome& outcome) {
  s.block = &block;
  s.outcome = &outcome;
  s.status = kOk;
  s.final_block = false;
  s.stored_left = 0;
  s.out.begin(block.section, clamp_u32(block.capacity));
  const int64_t n_bytes = block.n_bytes;
  if (n_bytes < kZlibBytes) return lane_fail(s, kTruncatedDeflate);
  s.phase = LanePhase::kHeader;
  if (check_zlib_header(block.bytes[0], block.bytes[1]) != kOk) return lane_fail(s, kBadZlibHeader);
  s.in.begin(block.bytes + 2, clamp_u32(n_bytes - kZlibBytes), m.ring);
}

// What comes behind a deflate block.
BWL_HD_INLINE void lane_end_block(LaneStream& s) {
  s.phase = s.final_block ? LanePhase::kEnded : LanePhase::kHeader;
}

BWL_HD_INLINE void lane_read_header(LaneStream& s, LaneMemory& m) {
  const Status status = read_block_header(s.in, m, s.final_block, s.phase, s.stored_left);
  if (status != kOk) return lane_fail(s, status);
  if (s.phase == LanePhase::kStored && s.stored_left == 0) lane_end_block(s);
}

// The entry of the literal or length whose code `bits` begins with.
BWL_HD_INLINE uint32_t find_lit(const LaneMemory& m, uint32_t bits) {
  uint32_t index = bits & (kLaneLitRoot - 1u);
  const uint32_t entry = m.lit[index];
  // Some lane of a warp has a code of two levels nearly always: a second look for all of them is
  // cheaper than a branch.
  const uint32_t second = kLaneLitRoot + (entry >> 2 & 0x3feu) +
                          (bits >> kLaneLitBits & ((1u << (entry & 7u)) - 1u));
  index = (entry & 0xf000u) == kLaneSecond ? second : index;
  return m.lit[index];
}

// The entry of a distance with a code longer than kLaneDistBits.
BWL_HD_INLINE uint32_t find_long_distance(const LaneMemory& m, uint32_t bits) {
  const uint32_t code = reverse_15(bits);
  const uint64_t packed = static_cast<uint64_t>(m.dist_counts[1]) << 32 | m.dist_counts[0];
  uint32_t first = static_cast<uint32_t>(packed) & 255u;
  uint64_t counts = packed >> 8;
  uint32_t place = 0;
  uint32_t shift = kMaxCodeBits - kLaneDistBits - 1u;
  for (; shift > 0; --shift, counts >>= 6) {
    const uint32_t n = static_cast<uint32_t>(counts) & 63u;
    if ((code >> shift) - first < n) break;
    place += n;
    first = (first + n) * 2u;
  }
  return m.long_dist[(place + (code >> shift) - first) % 32u];
}

struct LaneMatch {
  uint32_t length, distance;
  uint32_t n_bits;  // that it takes, the code of its length included
  bool is_match;    // else its distance has no meaning
};

// The match whose length has `entry`; `bits` begin with the code of that.
BWL_HD_INLINE LaneMatch find_match(const LaneMemory& m, uint32_t entry, uint64_t bits) {
  LaneMatch match;
  bits >>= entry & 15u;
  const uint32_t length_bits = entry >> 12 & 7u;
  match.length = 3u + ((entry >> 4 & 255u) << length_bits) +
                 (static_cast<uint32_t>(bits) & ((1u << length_bits) - 1u));
  bits >>= length_bits;
  uint32_t dist = m.dist[static_cast<uint32_t>(bits) & ((1u << kLaneDistBits) - 1u)];
  if (dist == kLaneLongDistance) dist = find_long_distance(m, static_cast<uint32_t>(bits));
  const uint32_t dist_bits = dist >> 4 & 15u;
  const uint32_t extra = static_cast<uint32_t>(bits >> (dist & 15u)) & ((1u << dist_bits) - 1u);
  match.distance = 1u + ((dist >> 8 & 3u) << dist_bits) + extra;
  match.n_bits = (entry & 15u) + length_bits + (dist & 15u) + dist_bits;
  match.is_match = (dist & kLaneNoDistance) == 0;
  return match;
}

// Decodes a single literal, match or end of a block, with a look at all that may be wrong, in the
// order in which it shows. Returns the number of bytes (0 or 1) for `bytes`.
BWL_HD_INLINE uint32_t read_symbol(LaneStream& s, const LaneMemory& m, Bytes8& bytes) {
  const uint64_t window = s.in.window();
  const uint32_t entry = find_lit(m, static_cast<uint32_t>(window));
  const uint32_t room = s.out.capacity - s.out.size;
  s.phase = LanePhase::kCodes;
  if (s.in.lacks(entry & 15u)) {
    lane_fail(s, kTruncatedDeflate);
  } else if (entry < kLaneNotLiteral) {
    if (room == 0) {
      lane_fail(s, kTooLong);
      return 0;
    }
    s.in.advance(entry & 15u);
    bytes.low = entry >> 4;
    return 1;
  } else if ((entry & ~15u) == kLaneEndOfBlock) {
    s.in.advance(entry & 15u);
    lane_end_block(s);
  } else if (entry >= kLaneSecond) {
    lane_fail(s, kBadDeflate);
  } else {
    const LaneMatch match = find_match(m, entry, window);
    if (s.in.lacks(match.n_bits)) {
      lane_fail(s, kTruncatedDeflate);
    } else if (!match.is_match || match.distance > s.out.size) {
      lane_fail(s, kBadDeflate);
    } else if (match.length > room) {
      lane_fail(s, kTooLong);
    } else {
      s.in.advance(match.n_bits);
      s.out.copy_left = match.length;
      s.out.distance = match.distance;
    }
  }
  return 0;
}

// Takes up to seven bytes of a stored block. Checks one limit at a time, so that the reason is
// right.
BWL_HD_INLINE uint32_t read_stored(LaneStream& s, Bytes8& bytes) {
  const uint64_t window = s.in.window();
  bytes = {static_cast<uint32_t>(window), static_cast<uint32_t>(window >> 32)};
  uint32_t n = s.stored_left < 7u ? s.stored_left : 7u;
  if (s.in.lacks(8u * n)) {
    n = s.in.left / 8u;
    lane_fail(s, kTruncatedDeflate);
  }
  if (n > s.out.capacity - s.out.size) {
    n = s.out.capacity - s.out.size;
    lane_fail(s, kTooLong);
  }
  s.in.advance(8u * n);
  s.stored_left -= n;
  if (s.stored_left == 0 && s.status == kOk) lane_end_block(s);
  return n;
}

// A step of a lane that has a stored block, or in whose symbols something is not as usual. There is
// no match that is not copied.
BWL_HD_INLINE void lane_careful_step(LaneStream& s, const LaneMemory& m) {
  const uint32_t before = s.out.size;
  Bytes8 bytes = {0, 0};
  const uint32_t n =
      s.phase == LanePhase::kStored ? read_stored(s, bytes) : read_symbol(s, m, bytes);
  s.out.append(bytes, n);
  s.out.store_word(before);
  s.out.load_far();
}

// A step of a lane amid the codes of a block: copies a piece of its current match, and where that
// is the last one, decodes up to two literals and a match. What cannot be right, and the end of a
// block, is left to lane_careful_step.
BWL_HD_INLINE void lane_step(LaneStream& s, const LaneMemory& m, const uint32_t* repeats) {
  const uint32_t before = s.out.size;
  const uint32_t distance = s.out.distance;
  const uint32_t piece = s.out.copy_left < kLanePiece ? s.out.copy_left : kLanePiece;
  const uint32_t copy_left = s.out.copy_left - piece;
  const uint32_t room = s.out.capacity - before - piece;

  const uint64_t window = s.in.window();
  const uint32_t first = find_lit(m, static_cast<uint32_t>(window));
  uint32_t n = first < kLaneNotLiteral ? 1u : 0u;
  uint32_t n_bits = n != 0 ? first & 15u : 0u;
  const uint32_t second = find_lit(m, static_cast<uint32_t>(window >> n_bits));
  // No more than fills the word in work and one more: one store is enough then.
  const bool two = n != 0 && second < kLaneNotLiteral && before % 8u + piece < 14u;
  n += two ? 1u : 0u;
  n_bits += two ? second & 15u : 0u;
  const uint32_t third = find_lit(m, static_cast<uint32_t>(window >> n_bits));
  const LaneMatch match = find_match(m, third, window >> n_bits);
  const uint32_t all_bits = n_bits + match.n_bits;

  const bool decodes = copy_left == 0 && n <= room && n_bits <= s.in.left;
  const bool matches = decodes && third >= kLaneNotLiteral && third < kLaneSecond &&
                       match.is_match && all_bits <= 64u && all_bits <= s.in.left &&
                       match.distance <= before + piece + n && match.length <= room - n;
  n = decodes ? n : 0u;
  n_bits = matches ? all_bits : decodes ? n_bits : 0u;
  if (copy_left == 0 && n_bits == 0) s.phase = LanePhase::kCareful;
  s.in.advance(n_bits);

  // Only now, so that what load_far has begun to load is there.
  s.out.append(s.out.next_piece(distance, repeats), piece);
  s.out.append({first >> 4 | (two ? second >> 4 << 8 : 0u), 0}, n);
  s.out.copy_left = matches ? match.length : copy_left;
  s.out.distance = matches ? match.distance : distance;
  s.out.store_word(before);
  s.out.load_far();
}

// Whether all that is wanted of a block is there: its last finished item starts past it. Looks at
// bytes in memory only.
BWL_HD_INLINE bool lane_may_stop(const LaneStream& s) {
  const BwlBlock& block = *s.block;
  const int64_t n_bytes = s.out.size & ~7u;
  if ((block.checks & kMayStop) == 0) return false;
  Section section;
  if (parse_section(block.section, n_bytes, block.swap != 0, &section) != kOk) return false;
  int64_t n_items = (n_bytes - kSectionHeaderBytes) / item_bytes(section.type);
  if (n_items > section.n_items) n_items = section.n_items;
  if (n_items == 0) return false;
  const uint8_t* const items = block.section + kSectionHeaderBytes;
  return section_item(section, items, n_items - 1, block.swap != 0).start >= block.wanted_end;
}

// Writes what became of a stream. Of one that is whole, detail[0] is where its checksum stands.
BWL_HD_INLINE void lane_finish(LaneStream& s, bool whole) {
  s.out.store_rest();
  BwlOutcome outcome = {};
  outcome.produced = s.out.size;
  outcome.status = s.status;
  outcome.whole = whole && s.status == kOk ? 1 : 0;
  if (outcome.whole != 0) {
    outcome.detail[0] = s.block->n_bytes - 4 - s.in.unread_bytes();
  } else if (s.status == kBadZlibHeader) {
    outcome.detail[0] = s.block->bytes[0];
    outcome.detail[1] = s.block->bytes[1];
  } else if (s.status == kTruncatedDeflate && s.block->n_bytes < kZlibBytes) {
    outcome.detail[0] = kZlibBytes;
  } else if (s.status != kOk) {
    outcome.detail[0] = s.block->capacity;
    outcome.detail[1] = s.out.size;
  }
  *s.outcome = outcome;
  s.phase = LanePhase::kIdle;
}

// Compares the checksum of a whole block: behind its stream (libdeflate), or at the end of the block
// should something lie between the two (host/blocks.cpp).
BWL_HD_INLINE void judge_checksum(const BwlBlock& block, BwlOutcome& outcome, uint32_t got) {
  const int64_t at = outcome.detail[0];
  const uint32_t expected = load_u32(block.bytes + block.n_bytes - 4, true);
  if (got == expected || (at != 0 && got == load_u32(block.bytes + at, true))) return;
  outcome.status = kBadChecksum;
  outcome.detail[0] = expected;
  outcome.detail[1] = got;
}

}  // namespace bwl
