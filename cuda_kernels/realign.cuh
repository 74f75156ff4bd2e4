// Signal on haplotypes: the value of every base of a segment (haplotype.cuh). Bases of the reference
// and substitutions have the value at their position; the bases of an insertion are filled.
//
// Where a track's values come from is a type with `float operator()(int64_t position)`, for any
// position: IntervalTrack here, a painted row in host/realign.cpp.
#pragma once
#include "common.cuh"
#include "dtype.cuh"
#include "haplotype.cuh"
#include "philox.cuh"
#include "transform.cuh"

namespace bwl {

// n intervals of one contig, sorted, none overlapping.
struct IntervalList {
  const int32_t* start;
  const int32_t* end;
  const float* value;
  int64_t n;
};

// First interval that ends past `position`. Looked for from where it would be if intervals were
// spread evenly, in growing steps: long lists lie in memory that is far away.
BWL_HD int64_t first_past(const IntervalList& list, int64_t position) {
  int64_t low = 0, high = list.n;
  if (list.n > 64) {
    const int64_t first = list.start[0], span = list.end[list.n - 1] - first + 1;
    int64_t at = position <= first || span <= 0 ? 0
                 : position >= first + span     ? list.n - 1
                                                : (position - first) * (list.n - 1) / span;
    int64_t step = 16;
    if (list.end[at] <= position) {
      for (; low = at + 1, at += step, at < list.n && list.end[at] <= position;) step *= 4;
      if (at < high) high = at;
    } else {
      for (; high = at, at -= step, at >= 0 && list.end[at] > position;) step *= 4;
      if (at >= low) low = at + 1;
    }
  }
  while (low < high) {
    const int64_t middle = low + ((high - low) >> 1);
    if (list.end[middle] <= position) low = middle + 1; else high = middle;
  }
  return low;
}

// What bases without a stored value have, and what is done to stored ones.
struct TrackValues {
  Transform transform;   // nan_to and scale count here
  float uncovered;
  float out_of_bounds;
  int64_t contig_bp;
  bool coverage;         // 1 where there is a stored value that is not NaN, instead of the value
};

BWL_HD float value_of_stored(const TrackValues& values, float x) {
  const float value = stored_value(values.transform, x);
  return values.coverage ? (is_nan(value) ? 0.0f : 1.0f) : value;
}

// The value at a position, looked up in the list.
struct IntervalTrack {
  IntervalList list;
  TrackValues values;

  BWL_HD float operator()(int64_t position) const {
    if (position < 0 || position >= values.contig_bp) return values.out_of_bounds;
    const int64_t at = first_past(list, position);
    if (at >= list.n || list.start[at] > position) return values.uncovered;
    return value_of_stored(values, list.value[at]);
  }
};

enum FillKind : int32_t {
  kRepeat5p = 0,
  kRepeat5pNormalized = 1,
  kConstant = 2,
  kFlankSample = 3,
  kInterpolate = 4
};

struct Fill {  // laid out as bigwig_loader.plan.fills.packed_fill()
  int32_t kind;
  int32_t width;  // kFlankSample: bases on each side; kInterpolate: order
  float value;    // kConstant
};

// Bases on either side of an insertion that its fill may look at.
BWL_HD int64_t fill_reach(const Fill& fill) {
  return fill.kind == kFlankSample ? fill.width : fill.kind == kInterpolate ? 2 : 0;
}

// An insertion of `inserted` bases behind the one at `position`. The fill looks at [low, high).
struct Insertion {
  int64_t position;
  int64_t inserted;
  int64_t low;
  int64_t high;
  uint64_t key;  // random bits of the (seed, epoch, cell, ploid)
};

BWL_HD uint64_t flank_key(uint64_t seed, uint32_t epoch, uint64_t cell, uint32_t ploid) {
  return random_u64(seed, epoch, cell, kFlankStream, ploid, 0);
}

BWL_HD int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x >= high ? high - 1 : x;
}

// Lagrange's polynomial at x in [1, inserted]. A term whose factor is 0 is left out, so that what
// is not finite there does not matter.
template <typename Track>
BWL_HD float interpolated(const Track& track, int32_t order, const Insertion& in, int64_t x) {
  const int k = order > 1 ? 2 : 1;
  double sum = 0.0;
  for (int i = 0; i < 2 * k; ++i) {
    const double at = static_cast<double>(i < k ? -i : in.inserted + 1 + i - k);
    double factor = 1.0;
    for (int j = 0; j < 2 * k; ++j) {
      const double other = static_cast<double>(j < k ? -j : in.inserted + 1 + j - k);
      if (j != i) factor *= (static_cast<double>(x) - other) / (at - other);
    }
    const int64_t base = in.position + (i < k ? -i : 1 + i - k);
    if (factor != 0.0) sum += factor * static_cast<double>(track(clamp(base, in.low, in.high)));
  }
  return static_cast<float>(sum);
}

// Base x of an insertion: 0 is the anchor, 1 to `inserted` come after it.
template <typename Track>
BWL_HD float inserted_value(const Track& track, const Fill& fill, const Insertion& in, int64_t x) {
  if (fill.kind == kConstant) return fill.value;
  if (fill.kind == kRepeat5pNormalized) {
    return track(in.position) / static_cast<float>(in.inserted + 1);
  }
  if (fill.kind == kFlankSample) {
    const int64_t low = clamp(in.position - fill.width, in.low, in.high);
    const int64_t n = clamp(in.position + fill.width, in.low, in.high) - low + 1;
    const uint64_t index = static_cast<uint64_t>(x) << 32 | static_cast<uint64_t>(in.position);
    return track(low + static_cast<int64_t>(random_below(static_cast<uint64_t>(n), in.key, 0, index,
                                                         kFlankStream, 0)));
  }
  if (fill.kind == kInterpolate && x > 0) return interpolated(track, fill.width, in, x);
  return track(in.position);
}

// What a fill may look at: the window, or what the haplotype reaches for an insertion behind it.
BWL_HD Insertion insertion_of(const Variants& variants, int32_t row, int64_t start, int64_t end,
                              int64_t reached, uint64_t key) {
  Insertion in;
  in.position = variants.position[row];
  in.inserted = variants.ilen[row];
  in.low = start < in.position ? start : in.position;
  in.high = in.position < end ? end : reached;
  if (in.high <= in.position) in.high = in.position + 1;
  in.key = key;
  return in;
}

}  // namespace bwl
