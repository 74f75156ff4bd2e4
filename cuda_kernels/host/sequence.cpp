// Sequence on the CPU: one-hot windows, counts of bases.
//
// One-hot is bound by the writes of its output (16 bytes per base in float32 from half a byte);
// bases.h does them.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "api.h"
#include "bases.h"
#include "parallel.h"

namespace {

using bwl::kLetters;
using bwl::Run;

constexpr int64_t kPieceBases = 32768;  // a task; even, so that only a window's ends are odd
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

// The bases of a window that lie inside its contig, and which of the output they are.
struct Inside {
  int64_t from, to;  // output bases
  Run run;
};

Inside inside_of(const WindowSet& set, int64_t window, int64_t from, int64_t to) {
  const int32_t contig = set.contig_index[window];
  const int64_t start = set.start[window], length = set.contig_bp[contig];
  Inside inside;
  inside.run.packed = set.packed[contig];
  const bool reverse = set.reverse != nullptr && set.reverse[window] != 0;
  inside.run.reverse = reverse;
  // Base i lies at start + i, or at start + window_bp - 1 - i in reverse. A window that lies
  // outside as a whole is moved next to its contig first: sums with `start` cannot overflow.
  const int64_t at = std::min(std::max(start, -set.window_bp), length);
  const int64_t before = std::max<int64_t>(0, -at), end = std::min(set.window_bp, length - at);
  const int64_t first = reverse ? set.window_bp - end : before;
  const int64_t last = reverse ? set.window_bp - before : end;
  inside.from = std::min(std::max(from, first), to);
  inside.to = std::max(std::min(to, last), inside.from);
  inside.run.position = reverse ? at + set.window_bp - 1 - inside.from : at + inside.from;
  inside.run.n = inside.to - inside.from;
  return inside;
}

template <typename Element>
using Tables = bwl::Tables<Element, kLetters>;

// Tables of a caller's rows (16, 4), with the complement of a code in reverse.
template <typename Element>
std::unique_ptr<const Tables<Element>> tables_of(const void* table) {
  const auto* forward = static_cast<const Element*>(table);
  Element backward[bwl::kCodes * kLetters];
  for (uint32_t code = 0; code < bwl::kCodes; ++code) {
    std::memcpy(backward + code * kLetters, forward + bwl::complement(code) * kLetters,
                sizeof(Element) * kLetters);
  }
  return std::unique_ptr<const Tables<Element>>(new (std::nothrow) Tables<Element>(forward, backward));
}

// Bases [from, to) of one window into out (L, 4).
template <typename Element>
void fill_bla(const Tables<Element>& tables, const Inside& inside, int64_t from, int64_t to,
              Element* out) {
  std::memset(out + from * kLetters, 0, (inside.from - from) * sizeof(Element) * kLetters);
  std::memset(out + inside.to * kLetters, 0, (to - inside.to) * sizeof(Element) * kLetters);
  bwl::write_rows(tables, inside.run, out + inside.from * kLetters);
}

// Bases [from, to) of one window into out (4, L).
template <typename Element>
void fill_bal(const Tables<Element>& tables, const Inside& inside, int64_t from, int64_t to,
              int64_t window_bp, Element* out) {
  for (int32_t c = 0; c < kLetters; ++c) {
    Element* plane = out + c * window_bp;
    std::memset(plane + from, 0, (inside.from - from) * sizeof(Element));
    std::memset(plane + inside.to, 0, (to - inside.to) * sizeof(Element));
  }
  bwl::write_planes(tables, inside.run, out + inside.from, window_bp);
}

template <typename Element>
int32_t one_hot(const WindowSet& set, const void* table, bool letters_first, void* out,
                int64_t window_stride_bytes, int n_threads) {
  const auto tables = tables_of<Element>(table);
  if (tables == nullptr) return kNoMemory;
  const int64_t pieces = (set.window_bp + kPieceBases - 1) / kPieceBases;
  const double bytes = static_cast<double>(set.n_windows) * set.window_bp * kLetters * sizeof(Element);
  n_threads = static_cast<int>(std::min<double>(n_threads, 1 + bytes / kThreadBytes));
  bwl::parallel_for(set.n_windows * pieces, n_threads, [&](int64_t task, int) {
    const int64_t window = task / pieces, from = (task % pieces) * kPieceBases;
    const int64_t to = std::min(from + kPieceBases, set.window_bp);
    const Inside inside = inside_of(set, window, from, to);
    auto* at = reinterpret_cast<Element*>(static_cast<uint8_t*>(out) + window * window_stride_bytes);
    if (letters_first) {
      fill_bal(*tables, inside, from, to, set.window_bp, at);
    } else {
      fill_bla(*tables, inside, from, to, at);
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
    const Run run = inside_of(set, window, 0, set.window_bp).run;
    const int64_t n_outside = set.window_bp - run.n;
    int64_t n = bwl::is_among(bwl::kNoBase, codes) ? n_outside : 0;
    bwl::visit(
        run, [&](uint32_t code) { n += bwl::is_among(code, codes); },
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
