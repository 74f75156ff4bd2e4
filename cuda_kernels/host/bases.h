// Packed bases to output rows: what sequence.cpp and haplotypes.cpp share.
//
// A table gives every 4-bit code its output: `K` elements, 4 for a one-hot row and 1 for a letter, a
// code or a token. It is made in the caller's dtype, so these functions know element sizes and no
// dtypes. Two bases share a byte, so one input byte selects the ready output of both. With the
// letters first, each of the four planes is a comparison of unpacked codes with one letter, which
// compilers turn into vector instructions.
#pragma once
#include <stdint.h>

#include <algorithm>
#include <cstring>

#include "../sequence.cuh"

namespace bwl {

constexpr int64_t kUnpackedBases = 4096;

// Bases of a contig in a row, and how to walk them.
struct Run {
  const uint8_t* packed;
  int64_t position;  // of the first base
  int64_t n;
  bool reverse;      // positions descend and letters are complemented
};

inline uint32_t code_at(const uint8_t* packed, int64_t position) {
  return (packed[position >> 1] >> ((position & 1) * 4)) & 15u;
}

// Visit the bases of a run: `one(code)` for a single base at either end, `many(bytes, step, n)`
// for n whole bytes in between. Codes and bytes come as they are stored.
template <typename One, typename Many>
void visit(const Run& run, One&& one, Many&& many) {
  int64_t n = run.n, position = run.position;
  const int64_t direction = run.reverse ? -1 : 1;
  // Ascending, a byte begins at an even position; descending, at an odd one.
  if (n > 0 && ((position & 1) != 0) != run.reverse) {
    one(code_at(run.packed, position));
    position += direction;
    --n;
  }
  if (n >= 2) many(run.packed + (position >> 1), direction, n / 2);
  position += direction * (n & ~int64_t{1});
  if (n & 1) one(code_at(run.packed, position));
}

template <typename Element, int K>
struct Tables {
  Element row[2][kCodes][K];      // [reverse][code]
  Element pair[2][256][2][K];     // [reverse][byte][base]
  Element one;                    // what a letter's own column has
  bool letters_only;              // K == 4: every other entry is zero, in both directions

  // Rows (16, K) of the codes as they are, and as they are in reverse complement.
  Tables(const Element* forward, const Element* backward) {
    std::memcpy(row[0], forward, sizeof(row[0]));
    std::memcpy(row[1], backward, sizeof(row[1]));
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t low = byte & 15, high = byte >> 4;
      std::memcpy(pair[0][byte][0], row[0][low], sizeof(row[0][0]));
      std::memcpy(pair[0][byte][1], row[0][high], sizeof(row[0][0]));
      std::memcpy(pair[1][byte][0], row[1][high], sizeof(row[0][0]));
      std::memcpy(pair[1][byte][1], row[1][low], sizeof(row[0][0]));
    }
    one = row[0][1][0];
    letters_only = K == kLetters;
    for (uint32_t code = 0; code < kCodes; ++code) {
      for (int32_t c = 0; c < K; ++c) {
        const uint32_t letter = 1u << c;
        letters_only &= row[0][code][c] == (code == letter ? one : Element{0});
        letters_only &= row[1][code][c] == (code == complement(letter) ? one : Element{0});
      }
    }
  }
};

// The bases of a run, into out (n, K).
template <typename Element, int K>
void write_rows(const Tables<Element, K>& tables, const Run& run, Element* out) {
  visit(
      run,
      [&](uint32_t code) {
        std::memcpy(out, tables.row[run.reverse][code], sizeof(Element) * K);
        out += K;
      },
      [&](const uint8_t* bytes, int64_t step, int64_t n) {
        const auto* pair = tables.pair[run.reverse];
        for (int64_t k = 0; k < n; ++k, bytes += step, out += 2 * K) {
          std::memcpy(out, pair[*bytes], sizeof(Element) * 2 * K);
        }
      });
}

// Codes of the n bases from `position` on, in ascending order.
inline void unpack(const uint8_t* packed, int64_t position, int64_t n, uint8_t* codes) {
  if (n > 0 && (position & 1) != 0) {
    *codes++ = static_cast<uint8_t>(code_at(packed, position++));
    --n;
  }
  const uint8_t* bytes = packed + (position >> 1);
  for (int64_t k = 0; k < n / 2; ++k) {
    codes[2 * k] = bytes[k] & 15;
    codes[2 * k + 1] = bytes[k] >> 4;
  }
  if (n & 1) codes[n - 1] = bytes[n / 2] & 15;
}

// One plane for each column: n codes, given in output order, into out[c * plane + i].
template <typename Element, int K>
void write_codes_in_planes(const Tables<Element, K>& tables, const uint8_t* codes, int64_t n,
                           bool reverse, Element* out, int64_t plane) {
  for (int32_t c = 0; c < K; ++c) {
    Element* at = out + c * plane;
    if (tables.letters_only) {
      const uint32_t letter = 1u << c;
      const auto code = static_cast<uint8_t>(reverse ? complement(letter) : letter);
      const Element one = tables.one;
      for (int64_t i = 0; i < n; ++i) at[i] = codes[i] == code ? one : Element{0};
    } else {
      const auto* row = tables.row[reverse];
      for (int64_t i = 0; i < n; ++i) at[i] = row[codes[i]][c];
    }
  }
}

// The bases of a run, into planes. A piece of unpacked codes stays in the first-level cache while
// the planes are written.
template <typename Element, int K>
void write_planes(const Tables<Element, K>& tables, const Run& run, Element* out, int64_t plane) {
  uint8_t codes[kUnpackedBases];
  for (int64_t done = 0; done < run.n; done += kUnpackedBases) {
    const int64_t n = std::min(kUnpackedBases, run.n - done);
    if (run.reverse) {
      unpack(run.packed, run.position - done - (n - 1), n, codes);
      std::reverse(codes, codes + n);
    } else {
      unpack(run.packed, run.position + done, n, codes);
    }
    write_codes_in_planes(tables, codes, n, run.reverse, out + done, plane);
  }
}

}  // namespace bwl
