// Bins of values that are there base by base: what comes after realign.cu. A thread makes a bin.
#include "realign_batch.cuh"

namespace {

template <int kStatistic>
__device__ __forceinline__ float bin_of(const float* values, int64_t n) {
  if (kStatistic == bwl::kMean || kStatistic == bwl::kSum) {
    return bwl::sum_of_values<kStatistic>(values, n);
  }
  return bwl::bin_of_values<kStatistic>(values, n);
}

// grid.x blocks over the bins of a row, grid.y strides over the rows (window, place, ploid).
template <int kStatistic>
__device__ __forceinline__ void bins_of_windows(const BwlRealign& request,
                                                const BwlRealignOnDevice& on,
                                                int64_t first_window, int64_t n_windows) {
  const int64_t ploidy = request.haplotypes->ploidy, bin_size = request.bin_size;
  const int64_t n_rows = n_windows * request.n_tracks * ploidy;
  for (int64_t r = blockIdx.y; r < n_rows; r += gridDim.y) {
    const int64_t place = r / ploidy % request.n_tracks;
    const int64_t window = first_window + r / ploidy / request.n_tracks;
    const bwl::RealignRow row(request, on, window * ploidy + r % ploidy, first_window);
    const bwl::RealignOutput output(request, on, row, place);
    const float* bases = row.bases(request, on, place);
    const int64_t n_bins = row.n_bases / bin_size;
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; i < n_bins; i += step) output.put(i, bin_of<kStatistic>(bases + i * bin_size, bin_size));
  }
}

}  // namespace

// Coverage is a mean of ones and zeros.
#define BWL_VALUE_BINS_KERNEL(name, statistic)                                                    \
  extern "C" __global__ void name(const BwlRealign* request, const BwlRealignOnDevice* on,        \
                                  int64_t first_window, int64_t n_windows) {                      \
    bins_of_windows<statistic>(*request, *on, first_window, n_windows);                           \
  }

BWL_VALUE_BINS_KERNEL(bwl_value_bins_mean, bwl::kMean)
BWL_VALUE_BINS_KERNEL(bwl_value_bins_sum, bwl::kSum)
BWL_VALUE_BINS_KERNEL(bwl_value_bins_max, bwl::kMax)
BWL_VALUE_BINS_KERNEL(bwl_value_bins_min, bwl::kMin)
BWL_VALUE_BINS_KERNEL(bwl_value_bins_std, bwl::kStd)
