// The haplotypes of a data set and windows of them, as the kernels and the C interface are given
// them. bigwig_loader/backend/cpu/library.py declares the same fields in the same order. Contigs,
// samples and offsets are checked by the caller, the entries of the lists as they are met.
#pragma once

#include "haplotype.cuh"

// Who carries which variants: C contigs, S samples, P haplotypes each.
struct BwlHaplotypes {
  const int32_t* position;    // (V,)
  const int32_t* ilen;        // (V,)
  const int64_t* alt_offset;  // (V + 1,)
  const uint8_t* alt;         // 4-bit codes
  const int64_t* list_offset; // (C * S * P + 1,)
  const int32_t* carried;     // rows of the variants, with kWithoutAnchor
  const uint8_t* keep;        // (V,) or null: all
  const uint8_t* free;        // (V,)
  int64_t n_variants;         // V
  int64_t n_samples;
  int64_t ploidy;
  int64_t rule;               // OverlapRule
  int64_t longest_bp;         // see HaplotypeWalk
};

// B windows, each of one sample.
struct BwlHaplotypeWindows {
  int64_t n_windows;
  const int32_t* contig_index;
  const int64_t* start;
  const int64_t* end;
  const int64_t* sample;   // -1: the reference
  const uint8_t* reverse;  // null: none
  const int64_t* shift;    // (B, P) or null: none
  int64_t length_bp;       // -1: as long as it is
};

namespace bwl {

BWL_HD Variants variants_of(const BwlHaplotypes& given) {
  return {given.position, given.ilen, given.alt_offset, given.alt, given.keep, given.free,
          given.n_variants};
}

// The walk over haplotype `ploid` of a window.
BWL_HD HaplotypeWalk walk_of(const BwlHaplotypes& given, const BwlHaplotypeWindows& windows,
                             int64_t window, int64_t ploid) {
  const int64_t sample = windows.sample[window];
  const int32_t* carried = given.carried;
  int64_t n = 0;
  if (sample >= 0) {
    const int64_t list =
        (windows.contig_index[window] * given.n_samples + sample) * given.ploidy + ploid;
    carried += given.list_offset[list];
    n = given.list_offset[list + 1] - given.list_offset[list];
  }
  const int64_t shift =
      windows.shift == nullptr ? 0 : windows.shift[window * given.ploidy + ploid];
  return HaplotypeWalk(variants_of(given), static_cast<int32_t>(given.rule), carried, n,
                       windows.start[window], windows.end[window], windows.length_bp, shift,
                       given.longest_bp);
}

// Segments of a row laid down next to each other, so that many threads can share its bases.
constexpr int32_t kLaidDown = 128;

struct LaidDown {
  Segment segment[kLaidDown];
  int64_t end[kLaidDown];  // base of the row after each segment
  int32_t n;
  bool last;               // no more segments follow
};

// One of `n` shares of the bases of a row.
struct Share {
  int64_t low, high;

  BWL_HD Share(int64_t length, int64_t number, int64_t n) {
    const int64_t each = (length + n - 1) / n;
    low = number * each;
    high = low + each < length ? low + each : length;
  }
};

// Lays down the next segments of a walk whose next base is `at` of its row; none may be left.
BWL_HD void lay_down(HaplotypeWalk* walk, int64_t at, LaidDown* laid) {
  int32_t n = 0;
  while (n < kLaidDown && walk->next(&laid->segment[n])) {
    at += laid->segment[n].length;
    laid->end[n++] = at;
  }
  laid->n = n;
  laid->last = n < kLaidDown;
}

}  // namespace bwl
