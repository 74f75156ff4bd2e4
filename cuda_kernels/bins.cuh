// From intervals to the value of a bin.
//
// Every base of a bin has a value: a stored one, `uncovered` where the file has no data, or
// `out_of_bounds` outside the contig. A statistic is over the bases whose value is not NaN; a bin
// without such a base is NaN. Sums run in double precision, relative to the bin's first value for
// the standard deviation, so that the result does not depend on the size of the values.
#pragma once
#include "common.cuh"
#include "dtype.cuh"
#include "transform.cuh"

namespace bwl {

enum Statistic : int32_t { kMean = 0, kSum = 1, kMax = 2, kMin = 3, kStd = 4, kCoverage = 5 };

struct Bin {
  double sum;      // of values (kMean, kSum), or of value - shift (kStd)
  double squares;  // of (value - shift)^2 (kStd)
  double shift;    // first value (kStd)
  float extreme;   // kMax, kMin
  int64_t n_covered;  // bases with a stored value that is not NaN
  int64_t n_nan;      // bases with a stored NaN
};

BWL_HD void bin_clear(Bin* bin) {
  bin->sum = bin->squares = bin->shift = 0.0;
  bin->extreme = 0.0f;
  bin->n_covered = bin->n_nan = 0;
}

// Adds n bases of one value to `n_before` bases already there.
template <int kStatistic>
BWL_HD void bin_add_value(Bin* bin, float value, int64_t n, int64_t n_before) {
  if (kStatistic == kMean || kStatistic == kSum) {
    bin->sum += static_cast<double>(value) * static_cast<double>(n);
  } else if (kStatistic == kMax) {
    if (n_before == 0 || value > bin->extreme) bin->extreme = value;
  } else if (kStatistic == kMin) {
    if (n_before == 0 || value < bin->extreme) bin->extreme = value;
  } else if (kStatistic == kStd) {
    if (n_before == 0) bin->shift = value;
    const double d = static_cast<double>(value) - bin->shift;
    bin->sum += d * static_cast<double>(n);
    bin->squares += d * d * static_cast<double>(n);
  }
}

// Adds n bases of a stored interval.
template <int kStatistic>
BWL_HD void bin_add(Bin* bin, float value, int64_t n) {
  if (is_nan(value)) {
    bin->n_nan += n;
  } else {
    bin_add_value<kStatistic>(bin, value, n, bin->n_covered);
    bin->n_covered += n;
  }
}

// The bin's value: `n_inside` of its `bin_size` bases lie inside the contig.
template <int kStatistic>
BWL_HD float bin_finish(Bin bin, int64_t bin_size, int64_t n_inside, float uncovered,
                        float out_of_bounds) {
  if (kStatistic == kCoverage) {
    return static_cast<float>(static_cast<double>(bin.n_covered) / static_cast<double>(bin_size));
  }
  int64_t n = bin.n_covered;
  const int64_t n_uncovered = n_inside - bin.n_covered - bin.n_nan;
  if (n_uncovered > 0 && !is_nan(uncovered)) {
    bin_add_value<kStatistic>(&bin, uncovered, n_uncovered, n);
    n += n_uncovered;
  }
  if (n_inside < bin_size && !is_nan(out_of_bounds)) {
    bin_add_value<kStatistic>(&bin, out_of_bounds, bin_size - n_inside, n);
    n += bin_size - n_inside;
  }
  if (n == 0) return bits_float(0x7FC00000u);
  const double count = static_cast<double>(n);
  if (kStatistic == kMean) return static_cast<float>(bin.sum / count);
  if (kStatistic == kSum) return static_cast<float>(bin.sum);
  if (kStatistic == kStd) {
    const double mean = bin.sum / count;
    const double variance = bin.squares / count - mean * mean;
    return static_cast<float>(variance > 0.0 ? sqrt(variance) : variance == variance ? 0.0 : variance);
  }
  return bin.extreme;
}

// The bin of bases whose values are there one by one, fill values included.
template <int kStatistic>
BWL_HD float bin_of_values(const float* values, int64_t bin_size) {
  Bin bin;
  bin_clear(&bin);
  for (int64_t i = 0; i < bin_size; ++i) bin_add<kStatistic>(&bin, values[i], 1);
  return bin_finish<kStatistic>(bin, bin_size, bin_size, 0.0f, 0.0f);
}

}  // namespace bwl
