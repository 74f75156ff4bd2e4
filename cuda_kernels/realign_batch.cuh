// A batch of signal on haplotypes, as the kernels and the C interface are given it; every pointer is
// borrowed. bigwig_loader/backend/cpu/library.py declares the same fields in the same order. Contigs
// and samples of the windows are in range, as haplotype_batch.cuh says.
//
// B windows, T tracks, P haplotypes. Row (b, t, p) is one haplotype of one window.
#pragma once

#include "bins.cuh"
#include "haplotype_batch.cuh"
#include "realign.cuh"

extern "C" {

// One track: lists of intervals (offsets not null), or values that were read (dense not null).
struct BwlTrack {
  const int64_t* offsets;      // (table contigs * samples + 1,)
  const int32_t* start;        // intervals, list after list
  const int32_t* end;
  const float* value;
  int64_t n_samples;
  const int32_t* contig;       // (contigs,) that of the table; -1 where it has none
  const int64_t* sample;       // (B,) of the table
  const float* dense;          // (B, dense_bp)
  const int64_t* dense_start;  // (B,) position of the first value
  int64_t dense_bp;
  bwl::Fill fill;
  bwl::Transform transform;
};

struct BwlRealign {
  const BwlHaplotypes* haplotypes;
  const BwlHaplotypeWindows* windows;
  const int64_t* contig_bp;    // (contigs,)
  int64_t n_tracks;
  const BwlTrack* tracks;      // (T,)
  const int32_t* source_track; // (T,) or null: the track that each place has in reversed windows

  // bigwig_loader.plan.realign.RealignOptions
  int64_t bin_size;
  int32_t statistic;           // bwl::Statistic
  int32_t dtype;               // 0 float32, 1 float16, 2 bfloat16
  float uncovered;
  float out_of_bounds;

  uint64_t seed;
  int64_t epoch;
  const int64_t* cell;         // (B,) or null: nothing is drawn

  void* out;
  const int64_t* row_offset;   // (B * T * P + 1,) or null: every row has as many values

  int32_t n_threads;           // the host's; and its outcome
  int32_t status;              // a bwl::RealignStatus
  int64_t failed_window;
  int64_t failed_track;
};

// What a device needs besides, all in its memory.
struct BwlRealignOnDevice {
  const int64_t* dense_stride;  // (T,) values from one dense row of a track to the next
  const int64_t* base_offset;   // (B * P + 1,) bases before each haplotype; null: all of length_bp
  int64_t window_stride;        // of the output, in elements; row_offset goes before them
  int64_t track_stride;
  int64_t ploid_stride;
  int64_t bin_stride;
  float* bases;                 // values of the bases of some windows, where bins are made of them
  unsigned long long* failure;  // the least of (window * T + track) * 8 + RealignStatus
};

}  // extern "C"

namespace bwl {

enum RealignStatus : int32_t {
  kRealigned = 0,
  kNoMemory = 1,
  kBadSample = 2,     // a track has no such sample
  kOutsideDense = 3,  // a haplotype reaches out of the values that were read
  kOtherLength = 4,   // a row has not as many values as `row_offset` says
  kBadRow = 5,        // an entry of a haplotype's list is no variant
};

// Whether the bases of a haplotype are the values of its row.
BWL_HD bool is_plain(const BwlRealign& request) {
  return request.bin_size == 1 && request.statistic != kStd;
}

// The track that stands at a place of the output.
BWL_HD const BwlTrack& track_at(const BwlRealign& request, int64_t window, int64_t place) {
  const BwlHaplotypeWindows& windows = *request.windows;
  const bool is_reversed = windows.reverse != nullptr && windows.reverse[window] != 0;
  const bool is_swapped = is_reversed && request.source_track != nullptr;
  return request.tracks[is_swapped ? request.source_track[place] : place];
}

// How the bases of an insertion are filled: for coverage they count as their anchor.
BWL_HD Fill fill_of(const BwlRealign& request, const BwlTrack& track) {
  return request.statistic == kCoverage ? Fill{kRepeat5p, 0, 0.0f} : track.fill;
}

// What the fills of a window's insertions may look at, of haplotypes that stand for [low, high) of
// the reference.
struct Stretch {
  int64_t low;
  int64_t high;
};

BWL_HD Stretch looked_at(const Fill& fill, int64_t start, int64_t end, int64_t low, int64_t high) {
  const int64_t reach = fill_reach(fill);
  const int64_t least = start < low ? start : low, most = end > high ? end : high;
  return {low - reach > least ? low - reach : least, high + reach < most ? high + reach : most};
}

// The intervals of a track in a window; its sample is one of the track.
BWL_HD IntervalTrack intervals_of(const BwlRealign& request, const BwlTrack& track,
                                  int64_t window) {
  const int32_t contig = request.windows->contig_index[window];
  const bool coverage = request.statistic == kCoverage;
  IntervalTrack found{{nullptr, nullptr, nullptr, 0},
                      {track.transform, coverage ? 0.0f : request.uncovered,
                       coverage ? 0.0f : request.out_of_bounds, request.contig_bp[contig],
                       coverage}};
  const int32_t own = track.contig[contig];
  if (own < 0) return found;
  const int64_t list = own * track.n_samples + track.sample[window], at = track.offsets[list];
  found.list = {track.start + at, track.end + at, track.value + at, track.offsets[list + 1] - at};
  return found;
}

// The value of a base of a segment, of a haplotype that reaches to `reached`.
template <typename Values>
BWL_HD float segment_value(const BwlRealign& request, const Segment& segment, int64_t within,
                           int64_t window, int64_t reached, uint64_t key, const Fill& fill,
                           const Values& values) {
  if (segment.insertion < 0) return values(segment.position + (segment.variant < 0 ? within : 0));
  const Insertion insertion =
      insertion_of(variants_of(*request.haplotypes), segment.insertion,
                   request.windows->start[window], request.windows->end[window], reached, key);
  const int64_t x = segment.insertion == segment.variant ? segment.skipped + within : 0;
  return inserted_value(values, fill, insertion, x);
}

// A track without the intervals that segments laid down, and the fills in them, do not look at.
BWL_HD IntervalTrack narrowed(IntervalTrack track, const LaidDown& laid, const Fill& fill) {
  const Segment& last = laid.segment[laid.n - 1];
  const int64_t reach = fill_reach(fill);
  const int64_t low = first_past(track.list, laid.segment[0].position - reach);
  const int64_t end = last.position + (last.variant < 0 ? last.length : 1) + reach;
  const int64_t high = first_past(track.list, end), n = track.list.n;
  track.list = {track.list.start + low, track.list.end + low, track.list.value + low,
                (high < n ? high + 1 : n) - low};
  return track;
}

// A track that was read base by base: n values from position `first` on, NaN anywhere else.
struct DenseTrack {
  const float* values;
  int64_t first, n;
  bool coverage;

  BWL_HD float operator()(int64_t position) const {
    if (position < first || position - first >= n) return bits_float(0x7FC00000u);
    const float value = values[position - first];
    return coverage ? (is_nan(value) ? 0.0f : 1.0f) : value;
  }
};

// Haplotype `row` (b, p) of a batch, of which the windows from `first_window` on are being made.
struct RealignRow {
  int64_t window, ploid;
  int64_t n_bases;
  int64_t before;  // bases of the haplotypes from first_window on before this one

  BWL_HD RealignRow(const BwlRealign& request, const BwlRealignOnDevice& on, int64_t row,
                    int64_t first_window) {
    const int64_t ploidy = request.haplotypes->ploidy, first = first_window * ploidy;
    window = row / ploidy;
    ploid = row % ploidy;
    n_bases = on.base_offset ? on.base_offset[row + 1] - on.base_offset[row]
                             : request.windows->length_bp;
    before = on.base_offset ? on.base_offset[row] - on.base_offset[first] : (row - first) * n_bases;
  }

  // Its bases at a place, in `on.bases`.
  BWL_HD float* bases(const BwlRealign& request, const BwlRealignOnDevice& on,
                      int64_t place) const {
    return on.bases + before * request.n_tracks + place * n_bases;
  }
};

// Where the finished values of a row go, after the steps of a transform.
struct RealignOutput {
  void* out;
  int32_t dtype;
  int64_t first, stride;
  Transform transform;

  BWL_HD RealignOutput(const BwlRealign& request, const BwlRealignOnDevice& on,
                       const RealignRow& row, int64_t place)
      : out(request.out), dtype(request.dtype), stride(on.bin_stride),
        transform(track_at(request, row.window, place).transform) {
    const int64_t ploidy = request.haplotypes->ploidy;
    if (request.row_offset != nullptr) {
      first = request.row_offset[(row.window * request.n_tracks + place) * ploidy + row.ploid];
      stride = 1;
    } else {
      first = row.window * on.window_stride + place * on.track_stride + row.ploid * on.ploid_stride;
    }
  }

  BWL_HD void put(int64_t i, float value) const {
    const int64_t at = first + i * stride;
    value = apply_transform(transform, value);
    if (dtype == 0) static_cast<float*>(out)[at] = value;
    if (dtype == 1) static_cast<uint16_t*>(out)[at] = to_float16_bits(value);
    if (dtype == 2) static_cast<uint16_t*>(out)[at] = to_bfloat16_bits(value);
  }
};

// The sum of values that are there base by base, or their mean; by four running sums. Bins that
// have a NaN leave it out.
template <int kStatistic>
BWL_HD float sum_of_values(const float* values, int64_t n) {
  double sums[4] = {0.0, 0.0, 0.0, 0.0};
  int64_t k = 0;
  for (; k + 4 <= n; k += 4) {
    for (int64_t j = 0; j < 4; ++j) sums[j] += static_cast<double>(values[k + j]);
  }
  for (; k < n; ++k) sums[0] += static_cast<double>(values[k]);
  const double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  if (sum != sum) return bin_of_values<kStatistic>(values, n);
  return static_cast<float>(kStatistic == kMean ? sum / static_cast<double>(n) : sum);
}

}  // namespace bwl
