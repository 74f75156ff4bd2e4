// Unaligned loads and stores, and the bit reader of the host's inflate decoder.
//
// Deflate packs its codes from the low bit of each byte upwards, so a 64-bit buffer that takes
// bytes in at the top and gives bits out at the bottom holds them in reading order on a
// little-endian machine (every host that this library builds for).
#pragma once

#include "bits.cuh"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the bit reader needs a little-endian machine"
#endif

#define BWL_LIKELY(x) __builtin_expect(!!(x), 1)

// Where the compiler's choice of instructions has to be overruled.
#if defined(__x86_64__) && defined(__GNUC__)
#define BWL_X86_ASM 1
#else
#define BWL_X86_ASM 0
#endif

namespace bwl {

// Eight bytes at any address, as a little-endian number.
BWL_HD_INLINE uint64_t load_u64(const uint8_t* p) {
  uint64_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return word;
}

BWL_HD_INLINE void store_u64(uint8_t* p, uint64_t word) {
  __builtin_memcpy(p, &word, sizeof word);
}

// The lowest `n` bits of `bits`, n < 64 (only the low six bits of `n` count, or with kBmi2 the low
// eight). kBmi2 promises that the processor has the instruction for it; compilers do not find it.
template <bool kBmi2>
BWL_HD_INLINE uint64_t low_bits(uint64_t bits, uint64_t n) {
#if BWL_X86_ASM
  if constexpr (kBmi2) {
    uint64_t low;
    __asm__("bzhiq %2, %1, %0" : "=r"(low) : "r"(bits), "r"(n) : "cc");
    return low;
  }
#endif
  return bits & ((1ull << (n & 63u)) - 1u);
}

// Reads bits from [next, end) and never touches a byte outside it.
//
// `count` bits of `bits` are ready to be used. The bits above them are either zero or equal to the
// input bits that belong there (a refill by whole words leaves them behind), so a later refill may
// OR the same input over them, and giving bytes back needs no masking.
struct BitReader {
  const uint8_t* next;
  const uint8_t* end;
  uint64_t bits;
  uint32_t count;

  BWL_HD_INLINE uint32_t peek(uint32_t n) const {
    return static_cast<uint32_t>(bits) & ((1u << n) - 1u);
  }

  BWL_HD_INLINE void drop(uint32_t n) {
    bits >>= n;
    count -= n;
  }

  BWL_HD_INLINE uint32_t take(uint32_t n) {
    const uint32_t value = peek(n);
    drop(n);
    return value;
  }

  // Afterwards 56 to 63 bits are ready. Needs count <= 63 and eight readable bytes at `next`.
  BWL_HD_INLINE void refill_word() {
    bits |= load_u64(next) << count;
    next += (63u - count) >> 3;
    count |= 56u;
  }

  // Afterwards at least 56 bits are ready, or all that is left of the input. Needs count <= 63.
  BWL_HD_INLINE void refill() {
    if (BWL_LIKELY(end - next >= 8)) {
      refill_word();
    } else {
      while (count <= 55u && next < end) {
        bits |= static_cast<uint64_t>(*next++) << count;
        count += 8u;
      }
    }
  }

  // Puts whole unused bytes back, so that `next` is the first byte of which no bit has been used
  // and fewer than eight bits stay buffered.
  BWL_HD_INLINE void give_back_bytes() {
    next -= count >> 3;
    count &= 7u;
  }

  // Skips to the next byte boundary and empties the buffer: `next` is then the byte to read.
  BWL_HD_INLINE void align_to_byte() {
    give_back_bytes();
    bits = 0;
    count = 0;
  }
};

}  // namespace bwl
