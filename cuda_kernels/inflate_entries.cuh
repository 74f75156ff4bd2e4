// Entries of the decoding tables of inflate: all that there is to know about a code, in 32 bits, so
// that a symbol costs one load.
//
//   bits  0..5   bits to drop: codes plus extra bits (second level: without the first kBits)
//   bit   6      kEntryException: not a literal, nor a whole match; nor, in the distance table, a
//                distance
//   bits  8..13  where the extra bits begin (entry of a second-level table: its index width)
//   bits 14..15  with kEntryException: neither kEntryEndOfBlock nor kEntrySubtable for a length
//                alone, one of them, or both for an invalid code
//   bits 16..28  literal byte; base distance of a whole match; base length; start of the
//                second-level table. The distance table uses bits 16..30.
//   bits 29..31  bytes that the entry makes: 1 for a literal, 3 to 7 for a whole match
#pragma once

#include "bit_reader.cuh"
#include "deflate.cuh"

namespace bwl {

constexpr uint32_t kEntryException = 1u << 6;
constexpr uint32_t kEntryEndOfBlock = 1u << 14;
constexpr uint32_t kEntrySubtable = 1u << 15;
constexpr uint32_t kEntryInvalid = kEntryEndOfBlock | kEntrySubtable;
constexpr uint32_t kPrecodePrevious = 1u << 31;  // code-length alphabet: repeat the one before

constexpr uint32_t kFirstWholeMatch = 3;  // lengths that share an entry with their distance
constexpr uint32_t kWholeMatches = 5;
constexpr uint32_t kMaxWholeBase = (1u << 13) - 1u;
constexpr uint32_t kMaxWholeBits = 22;  // bits that a literal or a whole match may drop

BWL_HD_INLINE constexpr uint32_t bits_to_drop(uint32_t entry) { return entry & 0x3fu; }
BWL_HD_INLINE constexpr uint32_t extra_begin(uint32_t entry) { return (entry >> 8) & 0x3fu; }
BWL_HD_INLINE constexpr bool is_subtable(uint32_t entry) {
  return (entry & (kEntryException | kEntryInvalid)) == (kEntryException | kEntrySubtable);
}
// What a code of `length` bits adds to its symbol's entry.
BWL_HD_INLINE constexpr uint32_t with_code(uint32_t length) { return length * 0x101u; }

enum class Alphabet { kLitLen, kDist, kPrecode };

// The entry of a symbol before its code length is known (RFC 1951, 3.2.5 and 3.2.7).
template <Alphabet kAlphabet>
BWL_HD_INLINE constexpr uint32_t make_symbol_entry(uint32_t symbol) {
  if (kAlphabet == Alphabet::kLitLen) {
    if (symbol < kEndOfBlock) return (1u << 29) | (symbol << 16);
    if (symbol == kEndOfBlock) return kEntryException | kEntryEndOfBlock;
    if (symbol >= 286u) return kEntryException | kEntryInvalid;
    if (symbol == 285u) return kEntryException | (258u << 16);
    const uint32_t s = symbol - 257u;
    if (s < 8u) return kEntryException | ((3u + s) << 16);
    const uint32_t extra = (s >> 2) - 1u;
    return kEntryException | ((3u + ((4u + (s & 3u)) << extra)) << 16) | extra;
  }
  if (kAlphabet == Alphabet::kDist) {
    if (symbol >= 30u) return kEntryException | kEntryInvalid;
    if (symbol < 4u) return (1u + symbol) << 16;
    const uint32_t extra = (symbol >> 1) - 1u;
    return ((1u + ((2u + (symbol & 1u)) << extra)) << 16) | extra;
  }
  // Code lengths: the length in bits 24..27, in bits 16..23 how often it comes (at least).
  if (symbol < 16u) return (symbol << 24) | (1u << 16);
  if (symbol == 16u) return kPrecodePrevious | (3u << 16) | 2u;
  return symbol == 17u ? (3u << 16) | 3u : (11u << 16) | 7u;
}

template <Alphabet kAlphabet>
struct SymbolEntries {
  uint32_t value[kLitSymbols];
  constexpr SymbolEntries() : value() {
    const uint32_t n = kAlphabet == Alphabet::kLitLen ? kLitSymbols
                       : kAlphabet == Alphabet::kDist ? kDistSymbols
                                                      : kPrecodeSymbols;
    for (uint32_t i = 0; i < n; ++i) value[i] = make_symbol_entry<kAlphabet>(i);
  }
};
template <Alphabet kAlphabet>
inline constexpr SymbolEntries<kAlphabet> kSymbolEntries{};

template <Alphabet kAlphabet>
BWL_HD_INLINE uint32_t symbol_entry(uint32_t symbol) {
  return kSymbolEntries<kAlphabet>.value[symbol];
}

}  // namespace bwl
