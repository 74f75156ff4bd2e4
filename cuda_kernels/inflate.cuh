// Inflate (RFC 1951) on the host, that can stop early and go on later. On the device:
// inflate_lanes.cuh.
//
// A window of training data needs on average half of a data block. So the decoder is a state, asked
// for output up to a target as often as needed:
//
//   InflateState s;
//   inflate_begin(s, in, n_in);                          // raw deflate, no zlib wrapper
//   Status status = inflate_until(s, t, out, capacity, 24);   // the section header
//   ...
//   status = inflate_until(s, t, out, capacity, 24 + 12 * n); // and the first n items
//
// `out`, `capacity` and the tables `t` must stay the same between the calls for one stream: matches
// are copied from the output written so far. What is accepted is what zlib accepts.
#pragma once

#include "inflate_tables.cuh"

namespace bwl {

enum class InflatePhase : int32_t { kBlockHeader, kStored, kCodes };

// A stream between two calls. Trivially copyable.
struct InflateState {
  BitReader in;
  int64_t out_pos;       // bytes of output that are valid
  uint32_t stored_left;  // bytes of the stored block still to copy
  InflatePhase phase;    // what comes next in the input
  bool fixed_codes;      // the current block uses the fixed codes
  bool final_block;      // the current block is the last one
  bool done;             // the stream has ended; `in.next` is the first byte behind it
};

BWL_HD void inflate_begin(InflateState& s, const uint8_t* in, int64_t n_in) {
  s.in = BitReader{in, in + n_in, 0, 0};
  s.out_pos = 0;
  s.stored_left = 0;
  s.phase = InflatePhase::kBlockHeader;
  s.fixed_codes = false;
  s.final_block = false;
  s.done = false;
}

// One turn of the fast loop refills once, decodes three symbols, and writes a word for each.
constexpr int64_t kFastInRoom = 8;
constexpr int64_t kFastOutRoom = 2 * (kFirstWholeMatch + kWholeMatches - 1) + 8;
static_assert(2 * kMaxWholeBits <= 56, "two symbols without a look at the bits left");

// Where the bytes of an entry come from: `literal` if it makes one byte, else `match`. The choice
// is as good as random, so it must not become a branch.
BWL_HD_INLINE const uint8_t* choose_source(uint64_t length, const uint8_t* literal,
                                           const uint8_t* match) {
#if BWL_X86_ASM
  __asm__("cmpq $1, %1\n\tcmoveq %2, %0" : "+r"(match) : "r"(length), "r"(literal) : "cc");
  return match;
#else
  return length == 1 ? literal : match;
#endif
}

// Decodes one literal or whole match to `to`. Returns false, and takes nothing, if the next symbol
// is anything else or its distance reaches back too far.
template <bool kBmi2, uint32_t kBits>
BWL_HD_INLINE bool decode_fast_symbol(const uint32_t* table, const uint8_t* out, uint8_t*& to,
                                      uint64_t& bits, uint64_t& count) {
  const uint64_t index = low_bits<kBmi2>(bits, kBits);
  const uint64_t entry = table[index];
  if (BWL_UNLIKELY((entry & kEntryException) != 0)) return false;
  const uint64_t length = entry >> 29;
  // A literal has no extra bits, so that its "distance" is its value.
  const uint64_t extra = low_bits<kBmi2>(bits, entry) >> extra_begin(entry);
  const uint64_t distance = ((entry >> 16) & kMaxWholeBase) + extra;
  if (BWL_UNLIKELY(distance > static_cast<uint64_t>(to - out))) {
#if BWL_X86_ASM
    __asm__ volatile("");  // keeps the two tests apart: the second alone would be mispredicted
#endif
    if (length != 1) return false;
  }
  const uint8_t* const literal = reinterpret_cast<const uint8_t*>(&table[index]) + 2;
  store_u64(to, load_u64(choose_source(length, literal, to - distance)));
  to += length;
  bits >>= bits_to_drop(entry);
  count -= entry;
  return true;
}

// Decodes literals and whole matches while whole words may be read and written and `target` is not
// reached. Leaves the first symbol that is anything else, or is in error, in the input.
template <bool kBmi2, int kLitBits, int kDistBits>
BWL_HD_INLINE void decode_fast(BitReader& in, const InflateTables<kLitBits, kDistBits>& t,
                               uint8_t* const out, int64_t& out_pos, int64_t capacity,
                               int64_t target) {
  const int64_t room = capacity - kFastOutRoom + 1;
  const int64_t stop = target < room ? target : room;
  if (out_pos >= stop || in.end - in.next < kFastInRoom) return;
  const uint8_t* const last_next = in.end - kFastInRoom;
  const uint8_t* const last_to = out + (stop - 1);
  const uint8_t* next = in.next;
  uint8_t* to = out + out_pos;
  uint64_t bits = in.bits;
  uint64_t count = in.count;  // its low byte is exact: entries are subtracted whole
  do {
    bits |= load_u64(next) << (count & 63u);
    next += (~count >> 3) & 7u;
    count |= 56u;
    if (!decode_fast_symbol<kBmi2, kLitBits>(t.lit, out, to, bits, count)) break;
    if (!decode_fast_symbol<kBmi2, kLitBits>(t.lit, out, to, bits, count)) break;
    if (BWL_UNLIKELY(static_cast<uint8_t>(count) < kMaxWholeBits)) continue;
    if (!decode_fast_symbol<kBmi2, kLitBits>(t.lit, out, to, bits, count)) break;
  } while (to <= last_to && next <= last_next);
  in.next = next;
  in.bits = bits;
  in.count = static_cast<uint32_t>(count) & 63u;
  in.give_back_bytes();
  out_pos = to - out;
}

// Looks a symbol up with its second level. False where the input ends within its code or its extra
// bits; else `entry` is the symbol's and its bits are still to be dropped.
BWL_HD_INLINE bool find_symbol(BitReader& in, const uint32_t* table, uint32_t bits,
                               uint32_t& entry) {
  entry = table[in.peek(bits)];
  if (is_subtable(entry)) {
    if (in.count < bits) return false;
    in.drop(bits);
    entry = table[(entry >> 16) + in.peek(extra_begin(entry))];
  }
  return bits_to_drop(entry) <= in.count;
}

// A base value with its extra bits; drops the bits of `entry`.
BWL_HD_INLINE uint32_t take_value(BitReader& in, uint32_t base, uint32_t entry) {
  const uint32_t value = base + (in.peek(bits_to_drop(entry)) >> extra_begin(entry));
  in.drop(bits_to_drop(entry));
  return value;
}

// Copies a match within `out`, by words if there is room for what these overrun.
BWL_HD_INLINE void copy_match(uint8_t* out, int64_t out_pos, int64_t capacity, int64_t distance,
                              int64_t length) {
  uint8_t* const to = out + out_pos;
  const uint8_t* const from = to - distance;
  if (BWL_UNLIKELY(capacity - out_pos < length + 8)) {
    for (int64_t i = 0; i < length; ++i) to[i] = from[i];
  } else if (distance >= 8) {
    for (int64_t i = 0; i < length; i += 8) store_u64(to + i, load_u64(from + i));
  } else {  // the match repeats a pattern shorter than a word: fill a word with it first
    const uint32_t n = static_cast<uint32_t>(distance);
    uint64_t pattern = load_u64(from) & ((1ull << (8u * n)) - 1u);
    for (uint32_t bits = 8u * n; bits < 64u; bits *= 2u) pattern |= pattern << bits;
    const int64_t step = n * (8u / n);  // whole patterns in a word
    for (int64_t i = 0; i < length; i += step) store_u64(to + i, pattern);
  }
}

// Decodes one symbol of any kind, or a whole match, with every check.
template <int kLitBits, int kDistBits>
BWL_HD Status decode_one(BitReader& in, const InflateTables<kLitBits, kDistBits>& t, uint8_t* out,
                         int64_t& out_pos, int64_t capacity, bool& block_ended) {
  uint32_t entry;
  in.refill();  // 48 bits are the most that a match takes
  if (!find_symbol(in, t.lit, kLitBits, entry)) return kTruncatedDeflate;
  int64_t length = entry >> 29;
  int64_t distance;
  if (entry & kEntryException) {
    if (entry & kEntryInvalid) {
      in.drop(bits_to_drop(entry));
      block_ended = (entry & kEntryInvalid) == kEntryEndOfBlock;
      return block_ended ? kOk : kBadDeflate;
    }
    length = take_value(in, (entry >> 16) & 0x1ffu, entry);
    if (!find_symbol(in, t.dist, kDistBits, entry)) return kTruncatedDeflate;
    if (entry & kEntryException) return kBadDeflate;
    distance = take_value(in, entry >> 16, entry);
  } else if (length == 1) {
    if (out_pos >= capacity) return kTooLong;
    in.drop(bits_to_drop(entry));
    out[out_pos++] = static_cast<uint8_t>(entry >> 16);
    return kOk;
  } else {
    distance = take_value(in, (entry >> 16) & kMaxWholeBase, entry);
  }
  if (distance > out_pos) return kBadDeflate;
  if (length > capacity - out_pos) return kTooLong;
  copy_match(out, out_pos, capacity, distance, length);
  out_pos += length;
  return kOk;
}

// Reads a block's header and prepares what its contents need.
template <int kLitBits, int kDistBits>
BWL_HD Status begin_block(InflateState& s, InflateTables<kLitBits, kDistBits>& t) {
  s.in.refill();
  if (s.in.count < 3) return kTruncatedDeflate;
  s.final_block = s.in.take(1) != 0;
  const uint32_t type = s.in.take(2);
  if (type == 0) {
    s.in.align_to_byte();
    if (s.in.end - s.in.next < 4) return kTruncatedDeflate;
    const uint8_t* const p = s.in.next;
    s.stored_left = p[0] | (static_cast<uint32_t>(p[1]) << 8);
    if ((s.stored_left ^ 0xffffu) != (p[2] | (static_cast<uint32_t>(p[3]) << 8))) {
      return kBadDeflate;
    }
    s.in.next += 4;
    s.phase = InflatePhase::kStored;
    return kOk;
  }
  s.phase = InflatePhase::kCodes;
  s.fixed_codes = type == 1;
  if (s.fixed_codes) return kOk;
  return type == 2 ? read_dynamic_tables(s.in, t) : kBadDeflate;
}

// The tables of the current block: all streams share those of the fixed codes.
template <int kLitBits, int kDistBits>
BWL_HD_INLINE const InflateTables<kLitBits, kDistBits>& block_tables(
    const InflateState& s, const InflateTables<kLitBits, kDistBits>& t) {
  return s.fixed_codes ? shared_fixed_tables<kLitBits, kDistBits>() : t;
}

// Copies a stored block up to `target`. Checks one limit at a time, so that the reason is right.
BWL_HD Status copy_stored(InflateState& s, uint8_t* out, int64_t capacity, int64_t target) {
  int64_t n = s.stored_left;
  if (n > target - s.out_pos) n = target - s.out_pos;
  Status status = kOk;
  if (n > s.in.end - s.in.next) {
    n = s.in.end - s.in.next;
    status = kTruncatedDeflate;
  }
  if (n > capacity - s.out_pos) {
    n = capacity - s.out_pos;
    status = kTooLong;
  }
  const uint8_t* const from = s.in.next;
  uint8_t* const to = out + s.out_pos;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) store_u64(to + i, load_u64(from + i));
  for (; i < n; ++i) to[i] = from[i];
  s.in.next += n;
  s.out_pos += n;
  s.stored_left -= static_cast<uint32_t>(n);
  return status;
}

// Decodes until at least `target` bytes of output are valid or the stream has ended.
//
// May decode up to one match and a few literals past `target`, and may write any byte of
// [out, out + capacity) behind `out_pos`, but no other. Errors behind the point where it stops are
// not seen. To see that a stream ends where it should, give a target above the length expected, and
// look at `s.done`.
//
// kBmi2: see low_bits. Host code calls inflate_until_host (host/inflate.h), which knows.
//
// Returns kOk, or kBadDeflate, kTruncatedDeflate, or kTooLong (output for more than `capacity`);
// after these the first `s.out_pos` bytes are valid and the stream cannot be resumed.
template <bool kBmi2 = false, int kLitBits, int kDistBits>
BWL_HD_INLINE Status inflate_until(InflateState& s, InflateTables<kLitBits, kDistBits>& t,
                                   uint8_t* out, int64_t capacity, int64_t target) {
  Status status = kOk;
  while (status == kOk && s.out_pos < target && !s.done) {
    bool block_ended = false;
    if (s.phase == InflatePhase::kBlockHeader) {
      status = begin_block(s, t);
      continue;
    }
    if (s.phase == InflatePhase::kStored) {
      status = copy_stored(s, out, capacity, target);
      block_ended = s.stored_left == 0;
    } else {
      // The fast loop leaves to decode_one what is rare, or too near to an end of input or output.
      const InflateTables<kLitBits, kDistBits>& codes = block_tables(s, t);
      while (status == kOk && !block_ended && s.out_pos < target) {
        decode_fast<kBmi2>(s.in, codes, out, s.out_pos, capacity, target);
        if (s.out_pos < target) {
          status = decode_one(s.in, codes, out, s.out_pos, capacity, block_ended);
        }
      }
    }
    if (status == kOk && block_ended) {
      s.phase = InflatePhase::kBlockHeader;
      s.done = s.final_block;
      if (s.done) s.in.align_to_byte();
    }
  }
  return status;
}

}  // namespace bwl
