// Bases as one byte each, which is half a byte read for every byte written: sixteen codes are looked
// up by one shuffle instruction where the processor has it (all 64-bit x86 of the last fifteen
// years, all 64-bit ARM).
#pragma once
#include "bases.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define BWL_SHUFFLE_X86 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define BWL_SHUFFLE_ARM 1
#include <arm_neon.h>
#endif

namespace bwl {

// Letters of 16 * n_blocks packed bytes, 32 bases a step. `bytes` is the first byte in the order of
// the output; in reverse, bytes are read downwards.
#if defined(BWL_SHUFFLE_X86)
__attribute__((target("ssse3"))) inline void shuffle_letters(const uint8_t* bytes, int64_t n_blocks,
                                                             bool reverse, const uint8_t* table,
                                                             uint8_t* out) {
  const __m128i letters = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  const __m128i backwards = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m128i low_half = _mm_set1_epi8(15);
  for (int64_t k = 0; k < n_blocks; ++k, out += 32) {
    const uint8_t* at = reverse ? bytes - 16 * k - 15 : bytes + 16 * k;
    __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    if (reverse) pairs = _mm_shuffle_epi8(pairs, backwards);
    const __m128i low = _mm_shuffle_epi8(letters, _mm_and_si128(pairs, low_half));
    const __m128i high =
        _mm_shuffle_epi8(letters, _mm_and_si128(_mm_srli_epi16(pairs, 4), low_half));
    const __m128i first = reverse ? high : low, second = reverse ? low : high;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi8(first, second));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), _mm_unpackhi_epi8(first, second));
  }
}

inline bool can_shuffle() {
  static const bool can = __builtin_cpu_supports("ssse3");
  return can;
}
#elif defined(BWL_SHUFFLE_ARM)
inline void shuffle_letters(const uint8_t* bytes, int64_t n_blocks, bool reverse,
                            const uint8_t* table, uint8_t* out) {
  const uint8x16_t letters = vld1q_u8(table);
  for (int64_t k = 0; k < n_blocks; ++k, out += 32) {
    uint8x16_t pairs = vld1q_u8(reverse ? bytes - 16 * k - 15 : bytes + 16 * k);
    if (reverse) {
      pairs = vrev64q_u8(pairs);
      pairs = vextq_u8(pairs, pairs, 8);
    }
    const uint8x16_t low = vqtbl1q_u8(letters, vandq_u8(pairs, vdupq_n_u8(15)));
    const uint8x16_t high = vqtbl1q_u8(letters, vshrq_n_u8(pairs, 4));
    uint8x16x2_t both;
    both.val[0] = reverse ? high : low;
    both.val[1] = reverse ? low : high;
    vst2q_u8(out, both);
  }
}

inline bool can_shuffle() { return true; }
#else
inline void shuffle_letters(const uint8_t*, int64_t, bool, const uint8_t*, uint8_t*) {}

inline bool can_shuffle() { return false; }
#endif

// The bases of a run, a byte each.
inline void write_letters(const Tables<uint8_t, 1>& tables, const Run& run, uint8_t* out) {
  const auto* pair = tables.pair[run.reverse];
  visit(
      run, [&](uint32_t code) { *out++ = tables.row[run.reverse][code][0]; },
      [&](const uint8_t* bytes, int64_t step, int64_t n) {
        const int64_t n_blocks = can_shuffle() ? n / 16 : 0;
        shuffle_letters(bytes, n_blocks, run.reverse, tables.row[run.reverse][0], out);
        out += 32 * n_blocks;
        bytes += step * 16 * n_blocks;
        for (int64_t k = 16 * n_blocks; k < n; ++k, bytes += step, out += 2) {
          std::memcpy(out, pair[*bytes], 2);
        }
      });
}

}  // namespace bwl
