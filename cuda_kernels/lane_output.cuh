// The output of one lane of the device's inflate decoder.
//
// The last 16 bytes stay in registers: most matches in data blocks reach back no further, and need
// no memory. A match is copied in pieces of up to seven bytes, the length of nearly all of them,
// one piece in a step of the decoder. Bytes reach memory as aligned words of eight.
#pragma once

#include "lane_bits.cuh"

namespace bwl {

constexpr uint32_t kLaneHistory = 16;
constexpr uint32_t kLanePiece = 7;
constexpr uint32_t kRepeatWords = 8;

// By distance (7 for all from 7 on): which bytes a match repeats, four bits for each of eight.
BWL_HD_INLINE uint32_t repeat_word(uint32_t distance) {
  uint32_t word = 0;
  for (uint32_t i = 0; i < 8u; ++i) {
    word |= (distance == 0 || distance >= 7u ? i : i % distance) << (4u * i);
  }
  return word;
}

// Bytes of two words, chosen by the four low half-bytes (0 to 7) of `selector`.
BWL_HD_INLINE uint32_t choose_bytes(uint32_t low, uint32_t high, uint32_t selector) {
#if defined(__CUDA_ARCH__)
  return __byte_perm(low, high, selector);
#else
  const uint64_t both = static_cast<uint64_t>(high) << 32 | low;
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < 4u; ++i) {
    bytes |= (static_cast<uint32_t>(both >> (8u * (selector >> 4u * i & 7u))) & 255u) << (8u * i);
  }
  return bytes;
#endif
}

// Eight bytes; not a 64-bit number, since it is handled by halves.
struct Bytes8 {
  uint32_t low, high;
};

// Eight bytes of 16, from byte `first` (0 to 15) on; those behind the end have no meaning.
BWL_HD_INLINE Bytes8 bytes_from(const uint32_t (&words)[4], uint32_t first) {
  const bool second_half = (first & 8u) != 0;
  uint32_t a = second_half ? words[2] : words[0];
  uint32_t b = second_half ? words[3] : words[1];
  uint32_t c = second_half ? words[3] : words[2];
  if ((first & 4u) != 0) {
    a = b;
    b = c;
    c = words[3];
  }
  const uint32_t shift = first % 4u * 8u;
  return {shift_words(a, b, shift), shift_words(b, c, shift)};
}

struct LaneOutput {
  uint8_t* section;   // 8-byte aligned, room for `capacity` bytes and a word more
  uint32_t size;      // bytes so far
  uint32_t capacity;
  uint32_t last[4];   // the last 16 bytes, the newest on top
  uint32_t copy_left; // bytes of the current match
  uint32_t distance;  // of it
  uint32_t far[4];    // two aligned words with the next piece, where the match reaches back further

  BWL_HD_INLINE void begin(uint8_t* to, uint32_t room) {
    section = to;
    size = 0;
    capacity = room;
    copy_left = 0;
    distance = 0;
    for (int i = 0; i < 4; ++i) last[i] = far[i] = 0;
  }

  // The next piece of a match, loaded by load_far where that is far. `repeats`: repeat_word of 0 to 7.
  BWL_HD_INLINE Bytes8 next_piece(uint32_t distance_back, const uint32_t* repeats) const {
    const bool near = distance_back <= kLaneHistory;
    const uint32_t from[4] = {near ? last[0] : far[0], near ? last[1] : far[1],
                              near ? last[2] : far[2], near ? last[3] : far[3]};
    const uint32_t first = near ? kLaneHistory - distance_back : (size - distance_back) % 8u;
    const Bytes8 found = bytes_from(from, first % kLaneHistory);
    const uint32_t selector = repeats[distance_back < 7u ? distance_back : 7u];
    return {choose_bytes(found.low, found.high, selector),
            choose_bytes(found.low, found.high, selector >> 16)};
  }

  // Appends the first `n` of eight bytes, n <= 7, to what is in registers.
  BWL_HD_INLINE void append(Bytes8 bytes, uint32_t n) {
    const bool word = (n & 4u) != 0;
    const uint32_t a = word ? last[1] : last[0], b = word ? last[2] : last[1];
    const uint32_t c = word ? last[3] : last[2], d = word ? bytes.low : last[3];
    const uint32_t e = word ? bytes.high : bytes.low;
    const uint32_t shift = n % 4u * 8u;
    last[0] = shift_words(a, b, shift);
    last[1] = shift_words(b, c, shift);
    last[2] = shift_words(c, d, shift);
    last[3] = shift_words(d, e, shift);
    size += n;
  }

  // Stores the word that was completed since the size was `before`, of which there is one at most.
  BWL_HD_INLINE void store_word(uint32_t before) {
    if (((size ^ before) & ~7u) == 0) return;
    const Bytes8 bytes = bytes_from(last, 8u - size % 8u);
    put(size / 8u - 1u, bytes);
  }

  // Stores the bytes behind the last whole word. What follows them in their word is overwritten.
  BWL_HD_INLINE void store_rest() {
    if (size % 8u != 0) put(size / 8u, bytes_from(last, kLaneHistory - size % 8u));
  }

  // Begins to load what next_piece will need.
  BWL_HD_INLINE void load_far() {
    if (copy_left == 0 || distance <= kLaneHistory) return;
    const uint64_t* const from =
        reinterpret_cast<const uint64_t*>(section) + (size - distance) / 8u;
    const uint64_t low = from[0], high = from[1];
    far[0] = static_cast<uint32_t>(low);
    far[1] = static_cast<uint32_t>(low >> 32);
    far[2] = static_cast<uint32_t>(high);
    far[3] = static_cast<uint32_t>(high >> 32);
  }

 private:
  BWL_HD_INLINE void put(uint32_t word, Bytes8 bytes) {
    reinterpret_cast<uint64_t*>(section)[word] =
        static_cast<uint64_t>(bytes.high) << 32 | bytes.low;
  }
};

}  // namespace bwl
