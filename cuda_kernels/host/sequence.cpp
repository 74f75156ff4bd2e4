// Sequence on the CPU: one-hot windows, counts of bases.
//
// One-hot is bound by the writes of its output (16 bytes per base in float32 from half a byte). With
// the letters last, the loop is a table look-up of two bases at a time: one input byte selects a
// ready row of 2 x 4 output elements. With the letters first, each of the four planes is a
// comparison of unpacked codes with one letter, which compilers turn into vector instructions. The
// tables are made per call from the caller's 16 x 4 one, in the output's dtype, so this file knows
// element sizes and no dtypes.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "../sequence.cuh"
#include "api.h"
#include "parallel.h"

namespace {

using bwl::kLetters;

constexpr int64_t kPieceBases = 32768;  // a task; even, so that only a window's ends are odd
constexpr int64_t kUnpackedBases = 4096;
constexpr int64_t kThreadBytes = 1 << 20;  // output that is worth starting a thread for

enum SequenceStatus : int32_t { kSequenceOk = 0, kBadElementSize = 1, kNoMemory = 2 };

struct WindowSet {
  int64_t n_windows, window_bp;
  const int32_t* contig_index;
  const int64_t* start;
  const uint8_t* reverse;  // null: none
  const uint8_t* const* packed;
  const int64_t* contig_bp;
};

// Where output bases [from, to) of a window lie inside its contig, and how to walk them.
struct Walk {
  int64_t from, to;        // output bases that have a base in the contig
  const uint8_t* packed;
  int64_t position;        // of output base `from`
  bool reverse;            // positions descend and letters are complemented
};

Walk walk_of(const WindowSet& set, int64_t window, int64_t from, int64_t to) {
  const int32_t contig = set.contig_index[window];
  const int64_t start = set.start[window], length = set.contig_bp[contig];
  Walk walk;
  walk.packed = set.packed[contig];
  walk.reverse = set.reverse != nullptr && set.reverse[window] != 0;
  // Base i lies at start + i, or at start + window_bp - 1 - i in reverse. A window that lies
  // outside as a whole is moved next to its contig first: sums with `start` cannot overflow.
  const int64_t at = std::min(std::max(start, -set.window_bp), length);
  const int64_t before = std::max<int64_t>(0, -at), end = std::min(set.window_bp, length - at);
  const int64_t first = walk.reverse ? set.window_bp - end : before;
  const int64_t last = walk.reverse ? set.window_bp - before : end;
  walk.from = std::min(std::max(from, first), to);
  walk.to = std::max(std::min(to, last), walk.from);
  walk.position = walk.reverse ? at + set.window_bp - 1 - walk.from : at + walk.from;
  return walk;
}

uint32_t code_at(const uint8_t* packed, int64_t position) {
  return (packed[position >> 1] >> ((position & 1) * 4)) & 15u;
}

// Visit the bases of a walk: `one(code)` for a single base at either end, `many(bytes, step, n)`
// for n whole bytes in between. Codes and bytes come as they are stored.
template <typename One, typename Many>
void visit(const Walk& walk, One&& one, Many&& many) {
  int64_t n = walk.to - walk.from, position = walk.position;
  const int64_t direction = walk.reverse ? -1 : 1;
  // Ascending, a byte begins at an even position; descending, at an odd one.
  if (n > 0 && ((position & 1) != 0) != walk.reverse) {
    one(code_at(walk.packed, position));
    position += direction;
    --n;
  }
  if (n >= 2) many(walk.packed + (position >> 1), direction, n / 2);
  position += direction * (n & ~int64_t{1});
  if (n & 1) one(code_at(walk.packed, position));
}

template <typename Element>
struct Tables {
  Element row[2][bwl::kCodes][kLetters];       // [reverse][code][letter]
  Element pair[2][256][2][kLetters];           // [reverse][byte][base][letter]
  Element one;                                 // what a letter's own column has
  bool letters_only;                           // every other entry is zero

  explicit Tables(const void* table) {
    const auto* given = static_cast<const Element*>(table);
    for (uint32_t code = 0; code < bwl::kCodes; ++code) {
      for (int32_t c = 0; c < kLetters; ++c) {
        row[0][code][c] = given[code * kLetters + c];
        row[1][code][c] = given[bwl::complement(code) * kLetters + c];
      }
    }
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t low = byte & 15, high = byte >> 4;
      for (int32_t c = 0; c < kLetters; ++c) {
        pair[0][byte][0][c] = row[0][low][c];
        pair[0][byte][1][c] = row[0][high][c];
        pair[1][byte][0][c] = row[1][high][c];
        pair[1][byte][1][c] = row[1][low][c];
      }
    }
    one = row[0][1][0];
    letters_only = true;
    for (uint32_t code = 0; code < bwl::kCodes; ++code) {
      for (int32_t c = 0; c < kLetters; ++c) {
        letters_only &= row[0][code][c] == (code == (1u << c) ? one : Element{0});
      }
    }
  }
};

// Bases [from, to) of one window into out (L, 4).
template <typename Element>
void fill_bla(const Tables<Element>& tables, const Walk& walk, int64_t from, int64_t to,
              Element* out) {
  std::memset(out + from * kLetters, 0, (walk.from - from) * sizeof(Element) * kLetters);
  std::memset(out + walk.to * kLetters, 0, (to - walk.to) * sizeof(Element) * kLetters);
  Element* at = out + walk.from * kLetters;
  visit(
      walk,
      [&](uint32_t code) {
        std::memcpy(at, tables.row[walk.reverse][code], sizeof(Element) * kLetters);
        at += kLetters;
      },
      [&](const uint8_t* bytes, int64_t step, int64_t n) {
        const auto* pair = tables.pair[walk.reverse];
        for (int64_t k = 0; k < n; ++k, bytes += step, at += 2 * kLetters) {
          std::memcpy(at, pair[*bytes], sizeof(Element) * 2 * kLetters);
        }
      });
}

// Codes of the n bases from `position` on, in ascending order.
void unpack(const uint8_t* packed, int64_t position, int64_t n, uint8_t* codes) {
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

// Bases [from, to) of one window into out (4, L). A piece of unpacked codes stays in the
// first-level cache while the four planes are written.
template <typename Element>
void fill_bal(const Tables<Element>& tables, const Walk& walk, int64_t from, int64_t to,
              int64_t window_bp, Element* out) {
  for (int32_t c = 0; c < kLetters; ++c) {
    Element* plane = out + c * window_bp;
    std::memset(plane + from, 0, (walk.from - from) * sizeof(Element));
    std::memset(plane + walk.to, 0, (to - walk.to) * sizeof(Element));
  }
  uint8_t codes[kUnpackedBases];
  for (int64_t done = walk.from; done < walk.to; done += kUnpackedBases) {
    const int64_t n = std::min(kUnpackedBases, walk.to - done);
    const int64_t passed = done - walk.from;
    if (walk.reverse) {
      unpack(walk.packed, walk.position - passed - (n - 1), n, codes);
      std::reverse(codes, codes + n);
    } else {
      unpack(walk.packed, walk.position + passed, n, codes);
    }
    for (int32_t c = 0; c < kLetters; ++c) {
      Element* at = out + c * window_bp + done;
      if (tables.letters_only) {
        const uint32_t letter = 1u << c;
        const auto code = static_cast<uint8_t>(walk.reverse ? bwl::complement(letter) : letter);
        const Element one = tables.one;
        for (int64_t i = 0; i < n; ++i) at[i] = codes[i] == code ? one : Element{0};
      } else {
        const auto* row = tables.row[walk.reverse];
        for (int64_t i = 0; i < n; ++i) at[i] = row[codes[i]][c];
      }
    }
  }
}

template <typename Element>
int32_t one_hot(const WindowSet& set, const void* table, bool letters_first, void* out,
                int64_t window_stride_bytes, int n_threads) {
  const std::unique_ptr<const Tables<Element>> tables(new (std::nothrow) Tables<Element>(table));
  if (tables == nullptr) return kNoMemory;
  const int64_t pieces = (set.window_bp + kPieceBases - 1) / kPieceBases;
  const double bytes = static_cast<double>(set.n_windows) * set.window_bp * kLetters * sizeof(Element);
  n_threads = static_cast<int>(std::min<double>(n_threads, 1 + bytes / kThreadBytes));
  bwl::parallel_for(set.n_windows * pieces, n_threads, [&](int64_t task, int) {
    const int64_t window = task / pieces, from = (task % pieces) * kPieceBases;
    const int64_t to = std::min(from + kPieceBases, set.window_bp);
    const Walk walk = walk_of(set, window, from, to);
    auto* at = reinterpret_cast<Element*>(static_cast<uint8_t*>(out) + window * window_stride_bytes);
    if (letters_first) {
      fill_bal(*tables, walk, from, to, set.window_bp, at);
    } else {
      fill_bla(*tables, walk, from, to, at);
    }
  });
  return kSequenceOk;
}

// How many of the two bases of a byte are counted.
struct ByteCounts {
  uint8_t of[256];

  explicit ByteCounts(uint32_t codes) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      of[byte] = static_cast<uint8_t>(bwl::is_among(byte & 15, codes) + bwl::is_among(byte >> 4, codes));
    }
  }

  int64_t count(const uint8_t* bytes, int64_t n) const {
    int64_t total = 0, k = 0;
    for (; k + 8 <= n; k += 8) {
      uint32_t sum = 0;
      for (int64_t j = 0; j < 8; ++j) sum += of[bytes[k + j]];
      total += sum;
    }
    for (; k < n; ++k) total += of[bytes[k]];
    return total;
  }
};

// Counts of the windows [window, end).
void count_windows(const WindowSet& set, int64_t window, int64_t end, uint32_t codes,
                   const ByteCounts& pairs, int64_t* counts) {
  for (; window < end; ++window) {
    const Walk walk = walk_of(set, window, 0, set.window_bp);
    const int64_t n_outside = set.window_bp - (walk.to - walk.from);
    int64_t n = bwl::is_among(bwl::kNoBase, codes) ? n_outside : 0;
    visit(
        walk, [&](uint32_t code) { n += bwl::is_among(code, codes); },
        [&](const uint8_t* bytes, int64_t, int64_t n_bytes) { n += pairs.count(bytes, n_bytes); });
    counts[window] = n;
  }
}

}  // namespace

// One-hot rows of every 4-bit code: out (16, 4) float32, letters A, C, G, T.
BWL_API void bwl_one_hot_table(int32_t fraction, float* out) {
  for (uint32_t code = 0; code < bwl::kCodes; ++code) {
    for (int32_t c = 0; c < kLetters; ++c) {
      out[code * kLetters + c] = bwl::one_hot_value(code, c, fraction != 0);
    }
  }
}

// One-hot encode windows: out[window] is (window_bp, 4), or (4, window_bp) with `letters_first`,
// each contiguous, `window_stride_bytes` apart. Bases outside the contig are all zero.
// `table` (16, 4) holds the row of every code in the output's dtype of `element_bytes` 1, 2 or 4.
// Contig indices must be valid: packed[contig] is only read where the window overlaps the contig.
BWL_API int32_t bwl_one_hot(int64_t n_windows, int64_t window_bp,
                            const int32_t* contig_index, const int64_t* start,
                            const uint8_t* reverse, const uint8_t* const* packed,
                            const int64_t* contig_bp, const void* table,
                            int32_t element_bytes, int32_t letters_first, void* out,
                            int64_t window_stride_bytes, int32_t n_threads) {
  const WindowSet set{n_windows, window_bp, contig_index, start, reverse, packed, contig_bp};
  const bool first = letters_first != 0;
  switch (element_bytes) {
    case 1: return one_hot<uint8_t>(set, table, first, out, window_stride_bytes, n_threads);
    case 2: return one_hot<uint16_t>(set, table, first, out, window_stride_bytes, n_threads);
    case 4: return one_hot<uint32_t>(set, table, first, out, window_stride_bytes, n_threads);
    default: return kBadElementSize;
  }
}

// Bases of each window whose code c has bit c set in `codes`: counts (B,). Those outside the contig
// have code 0.
BWL_API void bwl_count_bases(int64_t n_windows, int64_t window_bp, const int32_t* contig_index,
                             const int64_t* start, const uint8_t* const* packed,
                             const int64_t* contig_bp, uint32_t codes, int64_t* counts,
                             int32_t n_threads) {
  const WindowSet set{n_windows, window_bp, contig_index, start, nullptr, packed, contig_bp};
  const ByteCounts pairs(codes);
  const int64_t per_task = std::max<int64_t>(kPieceBases / window_bp, 1);
  const int64_t n_tasks = (n_windows + per_task - 1) / per_task;
  bwl::parallel_for(n_tasks, n_threads, [&](int64_t task, int) {
    const int64_t end = std::min((task + 1) * per_task, n_windows);
    count_windows(set, task * per_task, end, codes, pairs, counts);
  });
}
