// Moving average of base-resolution signal and the mean of bins of it.
//
// NaN is left out of both means, and a mean of nothing is NaN. Sums run in double precision and in
// the order of backend/cpu/smooth.py, so both give the same bits. There the bases of a row are cut
// into pieces of the box's width. A box spans at most two of them, and is summed outwards from where
// they meet. Nothing is subtracted: an infinity leaves no trace in boxes that do not hold it.
#pragma once
#include "dtype.cuh"

namespace bwl {

// Adds numbers one by one, from the first on; a NaN counts as 0 that is not there.
struct RunningMean {
  double total;
  int64_t known;
  bool is_empty;
};

BWL_HD RunningMean no_mean() { return RunningMean{0.0, 0, true}; }

BWL_HD void add_to(RunningMean& mean, double value) {
  const bool is_known = value == value;
  const double added = is_known ? value : 0.0;
  // Not 0.0 + added, which would turn -0.0 into 0.0.
  mean.total = mean.is_empty ? added : mean.total + added;
  mean.known += is_known ? 1 : 0;
  mean.is_empty = false;
}

BWL_HD double mean_of(const RunningMean& mean) {
  // 0x7FC00000 is a NaN.
  return mean.known > 0 ? mean.total / static_cast<double>(mean.known)
                        : static_cast<double>(bits_float(0x7FC00000u));
}

// Mean of the `width` bases of a row from `first` on.
BWL_HD double box_mean(const float* row, int64_t first, int64_t width) {
  const int64_t over = first % width;
  const int64_t meet = over == 0 ? first : first - over + width;
  RunningMean left = no_mean(), right = no_mean();
  for (int64_t base = meet - 1; base >= first; --base) {
    add_to(left, static_cast<double>(row[base]));
  }
  for (int64_t base = meet; base < first + width; ++base) {
    add_to(right, static_cast<double>(row[base]));
  }
  right.total = left.total + right.total;
  right.known += left.known;
  return mean_of(right);
}

}  // namespace bwl
