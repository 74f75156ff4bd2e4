// Haplotypes on the CPU: which variants are applied, how long windows become, and their bases.
//
// A window of a haplotype is a few long pieces of the reference with short alleles between them. So
// a row costs its walk, tens of nanoseconds a variant, and the writes of its output, as plain
// sequence does; bases.h has those. Rows are tasks: one thread writes one row.
#include "../haplotype_batch.cuh"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>

#include "api.h"
#include "bases.h"
#include "letters.h"
#include "parallel.h"

namespace {

using bwl::HaplotypeWalk;
using bwl::Run;
using bwl::Segment;

constexpr int64_t kThreadBytes = 1 << 18;  // output that is worth starting a thread for
constexpr int64_t kThreadLists = 256;
constexpr int32_t kLeftPad = -1, kRightPad = 2147483647;

enum HaplotypeStatus : int32_t { kHaplotypeOk = 0, kBadElement = 1, kNoMemory = 2, kNotLoaded = 3, kBadRow = 4 };

int threads_for(double work, double per_thread, int n_threads) {
  return static_cast<int>(std::min<double>(n_threads, 1 + work / per_thread));
}

struct Request {
  const BwlHaplotypes* haplotypes;
  const BwlHaplotypeWindows* windows;
  const uint8_t* const* packed;
  const uint8_t* const* loaded;  // of each contig: which pages are; null: all
  int64_t page_bp;
  const int64_t* contig_bp;
  const int64_t* row_offset;  // (B * P + 1,) in bases; null: rows of length_bp
  const int32_t* records;
  int32_t* variant_out;       // null: not wanted
  int32_t* position_out;

  // Whether the bases [low, high) of a contig are there.
  bool has(int32_t contig, int64_t low, int64_t high) const {
    const uint8_t* pages = loaded[contig];
    if (pages == nullptr) return true;
    const int64_t first = low / page_bp;
    return std::memchr(pages + first, 0, (high - 1) / page_bp + 1 - first) == nullptr;
  }
};

// Where a piece of a row goes: `n` bases from base `at` of the row on, in the order of the output.
struct Row {
  int64_t first, length;  // in bases
  bool reverse;

  int64_t place(int64_t at, int64_t n) const { return first + (reverse ? length - at - n : at); }
};

// Writes the bases of rows: letters last, or one plane per letter.
template <typename Element, int K>
struct Writer {
  const bwl::Tables<Element, K>& tables;
  Element* out;
  bool planes;

  // `n` bases of no contig.
  void outside(const Row& row, int64_t at, int64_t n) const {
    const int64_t place = row.place(at, n);
    const Element* code = tables.row[row.reverse][bwl::kNoBase];
    if (planes) {
      for (int32_t c = 0; c < K; ++c) {
        Element* begin = out + row.first * K + c * row.length + (place - row.first);
        std::fill(begin, begin + n, code[c]);
      }
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(out + (place + i) * K, code, sizeof(Element) * K);
    }
  }

  void reference(const Row& row, int64_t at, const uint8_t* packed, int64_t position,
                 int64_t n) const {
    const int64_t place = row.place(at, n);
    const Run run{packed, row.reverse ? position + n - 1 : position, n, row.reverse};
    if (planes) {
      write_planes(tables, run, out + row.first * K + (place - row.first), row.length);
    } else if constexpr (K == 1 && sizeof(Element) == 1) {
      bwl::write_letters(tables, run, out + place);
    } else {
      write_rows(tables, run, out + place * K);
    }
  }

  void alternative(const Row& row, int64_t at, const uint8_t* codes, int64_t n) const {
    const int64_t place = row.place(at, n);
    for (int64_t i = 0; i < n; ++i) {
      const Element* from = tables.row[row.reverse][codes[row.reverse ? n - 1 - i : i]];
      if (planes) {
        Element* to = out + row.first * K + (place - row.first) + i;
        for (int32_t c = 0; c < K; ++c) to[c * row.length] = from[c];
      } else {
        std::memcpy(out + (place + i) * K, from, sizeof(Element) * K);
      }
    }
  }
};

// Variant and reference position of the bases of a segment.
void annotate(const Request& request, const Row& row, int64_t at, const Segment& segment,
              int64_t contig_bp) {
  const int64_t place = row.place(at, segment.length);
  int32_t* variant = request.variant_out + place;
  int32_t* position = request.position_out + place;
  const int64_t n = segment.length;
  if (segment.variant >= 0) {
    std::fill(variant, variant + n, request.records[segment.variant]);
    std::fill(position, position + n, static_cast<int32_t>(segment.position));
    return;
  }
  std::fill(variant, variant + n, -1);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t base = segment.position + (row.reverse ? n - 1 - i : i);
    position[i] = base < 0 ? kLeftPad : base >= contig_bp ? kRightPad : static_cast<int32_t>(base);
  }
}

template <typename Element, int K>
HaplotypeStatus encode_row(const Request& request, const Writer<Element, K>& writer, int64_t index) {
  const BwlHaplotypeWindows& windows = *request.windows;
  const int64_t ploidy = request.haplotypes->ploidy, window = index / ploidy;
  Row row;
  row.first = request.row_offset ? request.row_offset[index] : index * windows.length_bp;
  row.length = request.row_offset ? request.row_offset[index + 1] - row.first : windows.length_bp;
  row.reverse = windows.reverse != nullptr && windows.reverse[window] != 0;
  const int32_t contig = windows.contig_index[window];
  const int64_t contig_bp = request.contig_bp[contig];
  HaplotypeWalk walk = bwl::walk_of(*request.haplotypes, windows, window, index % ploidy);
  int64_t at = 0;
  for (Segment segment; walk.next(&segment); at += segment.length) {
    if (request.variant_out != nullptr) annotate(request, row, at, segment, contig_bp);
    if (segment.variant >= 0) {
      const int64_t first = request.haplotypes->alt_offset[segment.variant] + segment.skipped;
      writer.alternative(row, at, request.haplotypes->alt + first, segment.length);
      continue;
    }
    const int64_t end = segment.position + segment.length;
    const int64_t low = std::min(std::max<int64_t>(segment.position, 0), end);
    const int64_t high = std::max(std::min(end, contig_bp), low);
    const int64_t before = low - segment.position;
    if (before > 0) writer.outside(row, at, before);
    if (high > low && !request.has(contig, low, high)) return kNotLoaded;
    if (high > low) writer.reference(row, at + before, request.packed[contig], low, high - low);
    if (end > high) writer.outside(row, at + (high - segment.position), end - high);
  }
  return walk.bad() ? kBadRow : kHaplotypeOk;
}

template <typename Element, int K>
int32_t encode(const Request& request, const void* tables, bool planes, void* out, int n_threads) {
  using Made = bwl::Tables<Element, K>;
  const auto* rows = static_cast<const Element*>(tables);
  const std::unique_ptr<const Made> made(
      new (std::nothrow) Made(rows, rows + bwl::kCodes * K));
  if (made == nullptr) return kNoMemory;
  const int64_t n_rows = request.windows->n_windows * request.haplotypes->ploidy;
  const double bases = request.row_offset
                           ? static_cast<double>(request.row_offset[n_rows])
                           : static_cast<double>(n_rows) * request.windows->length_bp;
  const double annotated = request.variant_out != nullptr ? 8 : 0;
  const Writer<Element, K> writer{*made, static_cast<Element*>(out), planes};
  n_threads = threads_for(bases * (sizeof(Element) * K + annotated), kThreadBytes, n_threads);
  std::atomic<int32_t> status{kHaplotypeOk};
  bwl::parallel_for(n_rows, n_threads, [&](int64_t row, int) {
    const HaplotypeStatus found = encode_row(request, writer, row);
    if (found != kHaplotypeOk) status.store(found, std::memory_order_relaxed);
  });
  return status.load();
}

}  // namespace

// Which of the carried variants are applied, of n_lists lists. With `applied` null only the counts
// are made; otherwise list i is written from applied_offset[i] on.
BWL_API void bwl_apply_variants(const BwlHaplotypes* haplotypes, int64_t n_lists, int64_t* counts,
                                const int64_t* applied_offset, int32_t* applied,
                                int32_t n_threads) {
  const bwl::Variants variants = bwl::variants_of(*haplotypes);
  const auto rule = static_cast<int32_t>(haplotypes->rule);
  const double n_carried = static_cast<double>(haplotypes->list_offset[n_lists]);
  n_threads = threads_for(n_carried, 65536, n_threads);
  bwl::parallel_for(n_lists, n_threads, [&](int64_t i, int) {
    const int64_t first = haplotypes->list_offset[i];
    const int64_t n = haplotypes->list_offset[i + 1] - first;
    int32_t* to = applied == nullptr ? nullptr : applied + applied_offset[i];
    counts[i] = bwl::apply(variants, rule, haplotypes->carried + first, n, to);
  });
}

// Natural lengths (B, P) of the windows, or with `ends` the reference bases after their last ones.
BWL_API void bwl_measure_haplotypes(const BwlHaplotypes* haplotypes,
                                    const BwlHaplotypeWindows* windows, int32_t ends,
                                    int64_t* measured, int32_t n_threads) {
  const int64_t ploidy = haplotypes->ploidy, n = windows->n_windows * ploidy;
  n_threads = threads_for(static_cast<double>(n), kThreadLists, n_threads);
  bwl::parallel_for(n, n_threads, [&](int64_t row, int) {
    const int64_t window = row / ploidy;
    const HaplotypeWalk walk = bwl::walk_of(*haplotypes, *windows, window, row % ploidy);
    measured[row] = ends != 0 ? bwl::haplotype_end(walk, windows->start[window])
                              : bwl::haplotype_length(walk);
  });
}

// Bases of the windows: row (window, ploid) of `out` is (L, columns), or (columns, L) with `planes`.
// `tables` (2, 16, columns): what each code becomes, forward and in reverse complement, in elements
// of `element_bytes`. `records` (V,) is what variant_out has for a variant. Where bases are wanted
// of which loaded[contig] says that they are not there, the status is kNotLoaded; where an entry of
// a list is no variant, kBadRow.
BWL_API int32_t bwl_encode_haplotypes(const BwlHaplotypes* haplotypes,
                                      const BwlHaplotypeWindows* windows,
                                      const uint8_t* const* packed, const uint8_t* const* loaded,
                                      int64_t page_bp, const int64_t* contig_bp,
                                      const int64_t* row_offset, const void* tables,
                                      int32_t element_bytes, int32_t columns, int32_t planes,
                                      void* out, const int32_t* records, int32_t* variant_out,
                                      int32_t* position_out, int32_t n_threads) {
  const Request request{haplotypes, windows, packed,      loaded,      page_bp, contig_bp,
                        row_offset, records, variant_out, position_out};
  const bool apart = planes != 0;
  switch (element_bytes * 8 + columns) {
    case 8 + 1: return encode<uint8_t, 1>(request, tables, apart, out, n_threads);
    case 16 + 1: return encode<uint16_t, 1>(request, tables, apart, out, n_threads);
    case 32 + 1: return encode<uint32_t, 1>(request, tables, apart, out, n_threads);
    case 64 + 1: return encode<uint64_t, 1>(request, tables, apart, out, n_threads);
    case 8 + 4: return encode<uint8_t, 4>(request, tables, apart, out, n_threads);
    case 16 + 4: return encode<uint16_t, 4>(request, tables, apart, out, n_threads);
    case 32 + 4: return encode<uint32_t, 4>(request, tables, apart, out, n_threads);
    default: return kBadElement;
  }
}

BWL_API int64_t bwl_haplotypes_bytes() { return sizeof(BwlHaplotypes); }
BWL_API int64_t bwl_haplotype_windows_bytes() { return sizeof(BwlHaplotypeWindows); }
