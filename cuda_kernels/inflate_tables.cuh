// The decoding tables of the inflate decoder: how they are built, and a dynamic block's header.
//
// A table has two levels. The low `kBits` bits of the bit buffer index the first level; codes that
// are longer continue in a second-level table that the entry found there points to.
//
// In data blocks most matches are 3 to 7 bytes long and have short codes. So where the codes of a
// length and of its distance fit the first level of the literal/length table together, the entry
// holds both: one lookup decodes a whole match, and a literal and a match are handled by the same
// instructions, without a branch that the processor would often mispredict.
#pragma once

#include "inflate_entries.cuh"

namespace bwl {

// Room that two levels with 2^bits entries in the first can need for `symbols` symbols.
//
// Second-level tables are filled in order of code length. One that holds a single length has as
// many entries as symbols. One that holds several has 2^(longest - bits) entries, and no two of
// those share their longest length, which is bits + 2 at least. So the second level needs at most
// symbols + (4 + 8 + ... + 2^(15 - bits)).
BWL_HD constexpr uint32_t table_entries(uint32_t bits, uint32_t symbols) {
  return (1u << bits) + symbols + (1u << (kMaxCodeBits + 1u - bits)) - 4u;
}

// The symbols of an alphabet in the order of their codes: by code length, then by value. Those
// without a code come first.
template <uint32_t kSymbols>
struct CodeOrder {
  uint16_t count[kMaxCodeBits + 1];  // symbols of each code length
  uint16_t next[kMaxCodeBits + 1];   // scratch: where the next symbol of each length goes
  uint16_t symbol[kSymbols];
};

// All that a decoder keeps besides its state: the tables of the current block and the scratch to
// build them. The contents stay valid between calls that resume a stream.
template <int kLitBits, int kDistBits>
struct InflateTables {
  static_assert(kLitBits >= int(kPrecodeBits) && kLitBits <= 12, "first-level width");
  static_assert(kDistBits >= 5 && kDistBits <= 12, "first-level width");
  uint32_t lit[table_entries(kLitBits, kLitSymbols)];
  uint32_t dist[table_entries(kDistBits, kDistSymbols)];
  CodeOrder<kLitSymbols> lit_order;
  CodeOrder<kDistSymbols> dist_order;
  uint16_t dist_code[kDistSymbols];    // of the symbols in dist_order
  uint16_t match_code[kWholeMatches];  // of the lengths that share entries, and
  uint8_t match_bits[kWholeMatches];   // their sizes; 0: not (yet) in the table
  uint8_t lengths[kMaxLitLengths + kMaxDistLengths + 18];  // + what a 16-byte store may overrun
};

// Counts the symbols of each code length.
template <uint32_t kSymbols>
BWL_HD_INLINE void count_lengths(CodeOrder<kSymbols>& order, const uint8_t* lengths, uint32_t n) {
  for (uint32_t i = 0; i <= kMaxCodeBits; ++i) order.count[i] = 0;
  for (uint32_t i = 0; i < n; ++i) ++order.count[lengths[i]];
}

// Sorts `n` symbols by their code lengths, which have been counted, and judges these.
template <uint32_t kSymbols>
BWL_HD_INLINE CodeKind order_codes(CodeOrder<kSymbols>& order, const uint8_t* lengths, uint32_t n) {
  int32_t unused = 1 << kMaxCodeBits;  // code space
  uint32_t next = 0;
  for (uint32_t length = 0; length <= kMaxCodeBits; ++length) {
    order.next[length] = static_cast<uint16_t>(next);
    next += order.count[length];
    if (length != 0) unused -= order.count[length] << (kMaxCodeBits - length);
  }
  for (uint32_t i = 0; i < n; ++i) {
    order.symbol[order.next[lengths[i]]++] = static_cast<uint16_t>(i);
  }
  if (unused == 0) return CodeKind::kComplete;
  if (order.count[0] == n) return CodeKind::kNone;
  return order.count[0] + 1u == n && order.count[1] == 1 ? CodeKind::kSingle : CodeKind::kInvalid;
}

// The first level where there is at most one code: `symbol` for a zero bit, nothing for a one.
template <Alphabet kAlphabet>
BWL_HD void fill_single(uint32_t* table, uint32_t bits, bool has_code, uint32_t symbol) {
  const uint32_t invalid = (kEntryException | kEntryInvalid) + with_code(1);
  const uint32_t valid = has_code ? symbol_entry<kAlphabet>(symbol) + with_code(1) : invalid;
  for (uint32_t i = 0; i < (1u << bits); i += 2) {
    table[i] = valid;
    table[i + 1] = invalid;
  }
}

// Adds the whole matches whose two codes have `bits` bits together to the first level, which has
// 2^bits entries so far.
template <int kLitBits, int kDistBits>
BWL_HD_INLINE void add_whole_matches(InflateTables<kLitBits, kDistBits>& t, uint32_t bits) {
  for (uint32_t m = 0; m < kWholeMatches; ++m) {
    const uint32_t own_bits = t.match_bits[m];
    if (own_bits == 0 || own_bits >= bits) continue;
    const uint32_t dist_bits = bits - own_bits;
    const uint32_t n = t.dist_order.count[dist_bits];
    const uint32_t end = t.dist_order.next[dist_bits];
    const uint32_t length = kFirstWholeMatch + m;
    for (uint32_t i = end - n; i < end; ++i) {
      const uint32_t symbol = t.dist_order.symbol[i];
      const uint32_t entry = symbol_entry<Alphabet::kDist>(symbol) + with_code(bits);
      const uint32_t base = entry >> 16;
      // A match that overlaps itself cannot be copied as one word.
      const bool whole = (base >= length) & (base <= kMaxWholeBase) &
                         ((entry & kEntryException) == 0) & (bits_to_drop(entry) <= kMaxWholeBits);
      uint32_t& slot = t.lit[t.match_code[m] | (static_cast<uint32_t>(t.dist_code[i]) << own_bits)];
      slot = whole ? entry | (length << 29) : slot;
    }
  }
}

// Fills the second-level tables. `next` is the index of the first symbol in `order`, `code` its
// code, left-justified in 16 bits.
template <uint32_t kBits, Alphabet kAlphabet, uint32_t kSymbols>
BWL_HD void fill_second_level(uint32_t* table, const CodeOrder<kSymbols>& order, uint32_t next,
                              uint32_t code) {
  const uint32_t root_mask = (1u << kBits) - 1u;
  uint32_t prefix = root_mask + 1u;  // none
  uint32_t start = 0;
  uint32_t end = 1u << kBits;
  for (uint32_t length = kBits + 1; length <= kMaxCodeBits; ++length) {
    const uint32_t own_bits = length - kBits;
    for (uint32_t left = order.count[length]; left > 0; --left) {
      const uint32_t reversed = reverse_16(code);
      if ((reversed & root_mask) != prefix) {
        prefix = reversed & root_mask;
        uint32_t width = own_bits;  // widen until the codes to come fill the table
        for (uint32_t filled = left; filled < (1u << width);) {
          ++width;
          filled = (filled << 1) + order.count[kBits + width];
        }
        start = end;
        end = start + (1u << width);
        table[prefix] = (start << 16) | kEntryException | kEntrySubtable | (width << 8) | kBits;
      }
      const uint32_t entry =
          symbol_entry<kAlphabet>(order.symbol[next++]) + with_code(own_bits);
      for (uint32_t i = start + (reversed >> kBits); i < end; i += 1u << own_bits) table[i] = entry;
      code += 0x10000u >> length;
    }
  }
}

// Fills both levels for a complete code.
//
// The first level grows with the code length: for one bit more, what is there is doubled (the new
// bit does not matter to shorter codes), then the codes of that length get their entries.
template <uint32_t kBits, Alphabet kAlphabet, uint32_t kSymbols, class Tables>
BWL_HD_INLINE void fill_table(Tables& t, uint32_t* table, const CodeOrder<kSymbols>& order) {
  if constexpr (kAlphabet == Alphabet::kLitLen) {
    for (uint32_t m = 0; m < kWholeMatches; ++m) t.match_bits[m] = 0;
  }
  const uint32_t first = order.count[0];
  uint32_t next = first;
  uint32_t code = 0;  // left-justified in 16 bits
  for (uint32_t length = 1; length <= kBits; ++length) {
    const uint32_t half = 1u << (length - 1);
    if (next != first) {
      for (uint32_t i = 0; i < half; ++i) table[half + i] = table[i];
    }
    const uint32_t end = next + order.count[length];
    for (; next < end; ++next) {
      table[reverse_16(code)] = symbol_entry<kAlphabet>(order.symbol[next]) + with_code(length);
      code += 0x10000u >> length;
    }
    if constexpr (kAlphabet == Alphabet::kLitLen) {
      add_whole_matches(t, length);
      uint32_t back = code;
      for (uint32_t i = next; i > end - order.count[length] && order.symbol[i - 1] > kEndOfBlock;
           --i) {
        back -= 0x10000u >> length;
        const uint32_t m = order.symbol[i - 1] - (kEndOfBlock + 1u);
        if (m < kWholeMatches) {
          t.match_bits[m] = static_cast<uint8_t>(length);
          t.match_code[m] = static_cast<uint16_t>(reverse_16(back));
        }
      }
    }
  }
  if (code < 0x10000u) fill_second_level<kBits, kAlphabet>(table, order, next, code);
}

// Builds the tables of a block from its code lengths, those of the literals first, of which
// `t.lit_order` has the counts (literals and distances together). The distances come first here,
// because the literal table takes them in.
template <int kLitBits, int kDistBits>
BWL_HD_INLINE Status build_tables(InflateTables<kLitBits, kDistBits>& t, uint32_t n_lit,
                                  uint32_t n_dist) {
  count_lengths(t.dist_order, t.lengths + n_lit, n_dist);
  for (uint32_t i = 0; i <= kMaxCodeBits; ++i) {
    t.lit_order.count[i] = static_cast<uint16_t>(t.lit_order.count[i] - t.dist_order.count[i]);
  }
  const CodeKind dist = order_codes(t.dist_order, t.lengths + n_lit, n_dist);
  const CodeKind lit = order_codes(t.lit_order, t.lengths, n_lit);
  if (dist == CodeKind::kInvalid || lit == CodeKind::kInvalid) return kBadDeflate;

  uint32_t code = 0;
  uint32_t i = t.dist_order.count[0];
  for (uint32_t length = 1; length <= kMaxCodeBits; ++length) {
    for (const uint32_t end = t.dist_order.next[length]; i < end; ++i) {
      t.dist_code[i] = static_cast<uint16_t>(reverse_16(code));
      code += 0x10000u >> length;
    }
  }
  if (dist == CodeKind::kComplete) {
    fill_table<kDistBits, Alphabet::kDist>(t, t.dist, t.dist_order);
  } else {
    fill_single<Alphabet::kDist>(t.dist, kDistBits, dist == CodeKind::kSingle,
                                 t.dist_order.symbol[n_dist - 1]);
  }
  if (lit == CodeKind::kComplete) {
    fill_table<kLitBits, Alphabet::kLitLen>(t, t.lit, t.lit_order);
  } else {
    fill_single<Alphabet::kLitLen>(t.lit, kLitBits, lit == CodeKind::kSingle,
                                   t.lit_order.symbol[n_lit - 1]);
  }
  return kOk;
}

// Reads the code lengths of a dynamic block (RFC 1951, 3.2.7) and builds its tables.
template <int kLitBits, int kDistBits>
BWL_HD Status read_dynamic_tables(BitReader& in, InflateTables<kLitBits, kDistBits>& t) {
  in.refill();
  if (in.count < 14) return kTruncatedDeflate;
  const uint32_t n_lit = in.take(5) + 257u;
  const uint32_t n_dist = in.take(5) + 1u;
  const uint32_t n_precode = in.take(4) + 4u;
  if (n_lit > kMaxLitLengths || n_dist > kMaxDistLengths) return kBadDeflate;

  // Their order is 16, 17, 18, 0, then 8 and outwards from it by turns: 7, 9, 6, 10, ... 1, 15.
  uint8_t* const lengths = t.lengths;
  for (uint32_t i = 0; i < kPrecodeSymbols; ++i) lengths[i] = 0;
  for (uint32_t i = 0; i < n_precode; ++i) {
    if (in.count < 3) in.refill();
    if (in.count < 3) return kTruncatedDeflate;
    const uint32_t half = (i - 3u) / 2u;
    const uint32_t symbol = i < 3u ? 16u + i : i == 3u ? 0u : (i & 1u) ? 8u - half : 8u + half;
    lengths[symbol] = static_cast<uint8_t>(in.take(3));
  }
  // The precode borrows room of the tables that are built once it is dead.
  count_lengths(t.lit_order, lengths, kPrecodeSymbols);
  if (order_codes(t.lit_order, lengths, kPrecodeSymbols) != CodeKind::kComplete) return kBadDeflate;
  fill_table<kPrecodeBits, Alphabet::kPrecode>(t, t.lit, t.lit_order);

  const uint32_t n = n_lit + n_dist;
  uint32_t length = 0;
  for (uint32_t i = 0; i <= kMaxCodeBits; ++i) t.lit_order.count[i] = 0;
  for (uint32_t i = 0; i < n;) {
    in.refill();
    for (int turn = 0; turn < 4 && i < n; ++turn) {  // four times 14 bits
      const uint32_t entry = t.lit[in.peek(kPrecodeBits)];
      const uint32_t total = bits_to_drop(entry);
      if (BWL_UNLIKELY(in.count < total)) return kTruncatedDeflate;
      const uint32_t repeat = ((entry >> 16) & 0xffu) + (in.peek(total) >> extra_begin(entry));
      in.drop(total);
      if (BWL_UNLIKELY(repeat > n - i)) return kBadDeflate;
      if (BWL_UNLIKELY(i == 0) && (entry & kPrecodePrevious) != 0) return kBadDeflate;
      // No branch on what it is, nor (mostly) on how often it comes: both are hard to predict.
      const uint32_t keep = 0u - (entry >> 31);
      length = (length & keep) | ((entry >> 24) & 0xfu);
      const uint64_t word = length * 0x0101010101010101ull;
      store_u64(lengths + i, word);
      store_u64(lengths + i + 8, word);
      for (uint32_t j = 16; BWL_UNLIKELY(j < repeat); j += 8) store_u64(lengths + i + j, word);
      t.lit_order.count[length] = static_cast<uint16_t>(t.lit_order.count[length] + repeat);
      i += repeat;
    }
  }
  if (lengths[kEndOfBlock] == 0) return kBadDeflate;
  return build_tables(t, n_lit, n_dist);
}

// Builds the tables of the fixed codes (RFC 1951, 3.2.6).
template <int kLitBits, int kDistBits>
BWL_HD void build_fixed_tables(InflateTables<kLitBits, kDistBits>& t) {
  for (uint32_t i = 0; i < kLitSymbols; ++i) {
    t.lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  }
  for (uint32_t i = 0; i < kDistSymbols; ++i) t.lengths[kLitSymbols + i] = 5;
  count_lengths(t.lit_order, t.lengths, kLitSymbols + kDistSymbols);
  build_tables(t, kLitSymbols, kDistSymbols);
}

// The fixed codes' tables, built at first use: small blocks often use them, and building takes
// longer than decoding such a block.
template <int kLitBits, int kDistBits>
inline const InflateTables<kLitBits, kDistBits>& shared_fixed_tables() {
  struct Holder {
    InflateTables<kLitBits, kDistBits> tables;
    Holder() { build_fixed_tables(tables); }
  };
  static const Holder holder;
  return holder.tables;
}

}  // namespace bwl
