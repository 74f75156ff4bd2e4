// The deflate format (RFC 1951): what its decoders, for host and device, have in common.
#pragma once

#include "common.cuh"

namespace bwl {

constexpr uint32_t kMaxCodeBits = 15;
constexpr uint32_t kLitSymbols = 288;   // 286 and 287 have codes but no meaning
constexpr uint32_t kDistSymbols = 32;   // so have 30 and 31
constexpr uint32_t kMaxLitLengths = 286;
constexpr uint32_t kMaxDistLengths = 30;
constexpr uint32_t kPrecodeSymbols = 19;
constexpr uint32_t kPrecodeBits = 7;
constexpr uint32_t kEndOfBlock = 256;

// Verdict on a set of code lengths. Incomplete codes are invalid (as for zlib), save those of a
// single one-bit code or none, which the literal and distance alphabets may have.
enum class CodeKind { kInvalid, kNone, kSingle, kComplete };

}  // namespace bwl
