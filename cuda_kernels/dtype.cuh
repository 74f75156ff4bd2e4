// Rounding float32 to the 16-bit types with integer code: nearest, ties to even.
//
// Integer code because CuPy's wheels ship no cuda_bf16.h, and because host and device then agree
// on every input, NaN payloads, infinities and subnormals included.
#pragma once
#include "common.cuh"

namespace bwl {

BWL_HD uint32_t float_bits(float x) {
  union {
    float f;
    uint32_t u;
  } pun;
  pun.f = x;
  return pun.u;
}

BWL_HD float bits_float(uint32_t u) {
  union {
    uint32_t u;
    float f;
  } pun;
  pun.u = u;
  return pun.f;
}

// A NaN stays a NaN: its quiet bit is set, since rounding could carry its payload into infinity.
BWL_HD uint16_t to_bfloat16_bits(float x) {
  const uint32_t u = float_bits(x);
  const uint32_t rounded = u + 0x7FFFu + ((u >> 16) & 1u);
  const bool is_nan = (u & 0x7FFFFFFFu) > 0x7F800000u;
  return static_cast<uint16_t>(is_nan ? ((u >> 16) | 0x0040u) : (rounded >> 16));
}

BWL_HD uint16_t to_float16_bits(float x) {
  const uint32_t u = float_bits(x);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u | ((u >> 13) & 0x3FFu));
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7C00u);  // 65536 and more
  if (magnitude >= 0x38800000u) {
    // Normal: re-bias the exponent from 127 to 15; a carry out of 65504 + 16 gives infinity.
    const uint32_t rounded = magnitude - 0x38000000u + 0x0FFFu + ((magnitude >> 13) & 1u);
    return static_cast<uint16_t>(sign | (rounded >> 13));
  }
  if (magnitude < 0x33000000u) return static_cast<uint16_t>(sign);  // below half the least
  const uint32_t shift = 126u - (magnitude >> 23);  // 14 (largest subnormals) to 24
  const uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
  const uint32_t kept = mantissa >> shift;
  const uint32_t rest = mantissa & ((1u << shift) - 1u);
  const uint32_t half = 1u << (shift - 1u);
  return static_cast<uint16_t>(sign | (kept + ((rest > half || (rest == half && (kept & 1u))) ? 1u : 0u)));
}

}  // namespace bwl
