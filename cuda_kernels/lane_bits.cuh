// The input of one lane of the device's inflate decoder: a window of 64 bits over a ring.
//
// Lanes stand at different places of different streams, so a warp that waited for each word would
// wait for memory at every step. The ring, in shared memory, is filled well before it is read
// (`cp.async`), and reading it takes a fixed, short time.
#pragma once

#include "bits.cuh"

#if defined(__CUDA_ARCH__) && defined(__CUDACC_VER_MAJOR__) && __CUDA_ARCH__ >= 800
#define BWL_ASYNC_COPY 1
#else
#define BWL_ASYNC_COPY 0
#endif

namespace bwl {

constexpr uint32_t kRingWords = 16;
constexpr uint32_t kRingParts = kRingWords / 2;  // of eight bytes, copied at once

// Two words as one, shifted right; shift < 32.
BWL_HD_INLINE uint32_t shift_words(uint32_t low, uint32_t high, uint32_t shift) {
#if defined(__CUDA_ARCH__)
  return __funnelshift_r(low, high, shift);
#else
  return static_cast<uint32_t>((static_cast<uint64_t>(high) << 32 | low) >> shift);
#endif
}

// The low 15 bits in reverse order: a code as RFC 1951 numbers it, left-justified.
BWL_HD_INLINE uint32_t reverse_15(uint32_t x) { return reverse_16(x & 0x7fffu) >> 1; }

// Copies n_bytes (1 to 8) to shared memory, where they may be read after wait_for_parts(). Both
// addresses are multiples of 8; the rest of the eight bytes becomes zero.
BWL_HD_INLINE void begin_copy(uint32_t* to, const uint8_t* from, uint32_t n_bytes) {
#if BWL_ASYNC_COPY
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;"
               :
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
                 "l"(__cvta_generic_to_global(from)), "r"(n_bytes)
               : "memory");
#else
  uint64_t part = 0;
  if (n_bytes == 8u) {
    part = *reinterpret_cast<const uint64_t*>(from);
  } else {
    for (uint32_t i = 0; i < n_bytes; ++i) part |= static_cast<uint64_t>(from[i]) << (8u * i);
  }
  to[0] = static_cast<uint32_t>(part);
  to[1] = static_cast<uint32_t>(part >> 32);
#endif
}

// Ends a group of copies, and waits for all groups but the last kNewest.
template <int kNewest>
BWL_HD_INLINE void wait_for_parts() {
#if BWL_ASYNC_COPY
  asm volatile("cp.async.commit_group;\n\tcp.async.wait_group %0;" : : "n"(kNewest) : "memory");
#endif
}

// Reads a deflate stream that stands in global memory at any alignment, and no byte outside it.
//
// What `window` has beyond the end of the stream is without meaning: whoever takes bits asks
// `lacks` before.
struct LaneBits {
  uint32_t* ring;        // shared memory, kRingWords, a multiple of 8
  const uint8_t* fetch;  // what goes to the ring next
  uint32_t to_fetch;     // bytes of it
  uint32_t at;           // bits since the start of the part in which the stream begins; may wrap
  uint32_t left;         // bits of the stream that are not taken,
  uint32_t left_high;    // and this many times 2^31 more
  uint32_t words[3];     // of the ring, from the one with the next bit on

  BWL_HD_INLINE void begin(const uint8_t* stream, uint32_t n_bytes, uint32_t* ring_memory) {
    wait_for_parts<0>();  // copies for the stream before this one, which may have been left early
    const uint32_t skip = static_cast<uint32_t>(reinterpret_cast<uint64_t>(stream) & 7u);
    const uint32_t n_first = n_bytes < 8u - skip ? n_bytes : 8u - skip;
    uint64_t first = 0;
    for (uint32_t i = 0; i < n_first; ++i) {
      first |= static_cast<uint64_t>(stream[i]) << (8u * (skip + i));
    }
    ring = ring_memory;
    ring[0] = static_cast<uint32_t>(first);
    ring[1] = static_cast<uint32_t>(first >> 32);
    fetch = stream + (8u - skip);
    to_fetch = n_bytes - n_first;
    for (uint32_t part = 1; part < kRingParts; ++part) fetch_part(part);
    wait_for_parts<0>();
    at = 8u * skip;
    left = (n_bytes % (1u << 28)) * 8u;
    left_high = n_bytes >> 28;
    load_words();
  }

  // The next 64 bits.
  BWL_HD_INLINE uint64_t window() const {
    return static_cast<uint64_t>(shift_words(words[1], words[2], at % 32u)) << 32 |
           shift_words(words[0], words[1], at % 32u);
  }

  // Takes n bits, n <= 64, of those that are left.
  BWL_HD_INLINE void advance(uint32_t n) {
    const uint32_t before = at;
    at += n;
    left -= n;
    if (((at ^ before) & ~63u) != 0) {
      fetch_part(before / 64u % kRingParts);  // its place is free now
      // The window may need the next but one. It was asked for kRingParts - 2 parts ago.
      wait_for_parts<kRingParts - 2>();
    }
    load_words();
  }

  // Whether fewer than n bits are left, n <= 2^31.
  BWL_HD_INLINE bool lacks(uint32_t n) {
    if (left >= n) return false;
    if (left_high == 0) return true;
    --left_high;
    left += 1u << 31;
    return false;
  }

  BWL_HD_INLINE uint32_t peek(uint32_t n) const {
    return shift_words(words[0], words[1], at % 32u) & ((1u << n) - 1u);
  }

  BWL_HD_INLINE uint32_t take(uint32_t n) {
    const uint32_t value = peek(n);
    advance(n);
    return value;
  }

  BWL_HD_INLINE void skip_to_byte() { advance((0u - at) % 8u); }

  // Bytes of the stream of which no bit has been taken.
  BWL_HD_INLINE int64_t unread_bytes() const {
    return left / 8u + static_cast<int64_t>(left_high) * (1 << 28);
  }

 private:
  BWL_HD_INLINE void fetch_part(uint32_t part) {
    const uint32_t n_bytes = to_fetch < 8u ? to_fetch : 8u;
    if (n_bytes != 0) begin_copy(ring + 2u * part, fetch, n_bytes);
    fetch += 8;
    to_fetch -= n_bytes;
  }

  BWL_HD_INLINE void load_words() {
    for (uint32_t i = 0; i < 3u; ++i) words[i] = ring[(at / 32u + i) % kRingWords];
  }
};

}  // namespace bwl
