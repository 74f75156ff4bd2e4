// Bins of values that are there base by base: what comes after realign.cu. One block per row.
#include "bins.cuh"
#include "transform.cuh"

namespace {

template <int kStatistic>
__device__ __forceinline__ void bins_of_values(int64_t n_rows, const float* values,
                                               const int64_t* value_offset,
                                               const int64_t* row_offset, int64_t bin_size,
                                               const bwl::Transform* transforms, int64_t n_tracks,
                                               int64_t ploidy, float* out) {
  for (int64_t row = blockIdx.x; row < n_rows; row += gridDim.x) {
    const bwl::Transform transform = transforms[row / ploidy % n_tracks];
    const int64_t first = row_offset[row], n = row_offset[row + 1] - first;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      const float bin =
          bwl::bin_of_values<kStatistic>(values + value_offset[row] + i * bin_size, bin_size);
      out[first + i] = bwl::apply_transform(transform, bin);
    }
  }
}

}  // namespace

// Row r has its values from value_offset[r] and its bins from row_offset[r] on. Rows are (b, t, p).
#define BWL_VALUE_BINS_KERNEL(name, statistic)                                                   \
  extern "C" __global__ void name(int64_t n_rows, const float* values,                           \
                                  const int64_t* value_offset, const int64_t* row_offset,        \
                                  int64_t bin_size, const bwl::Transform* transforms,            \
                                  int64_t n_tracks, int64_t ploidy, float* out) {                \
    bins_of_values<statistic>(n_rows, values, value_offset, row_offset, bin_size, transforms,    \
                              n_tracks, ploidy, out);                                            \
  }

BWL_VALUE_BINS_KERNEL(bwl_value_bins_mean, bwl::kMean)
BWL_VALUE_BINS_KERNEL(bwl_value_bins_sum, bwl::kSum)
BWL_VALUE_BINS_KERNEL(bwl_value_bins_max, bwl::kMax)
BWL_VALUE_BINS_KERNEL(bwl_value_bins_min, bwl::kMin)
BWL_VALUE_BINS_KERNEL(bwl_value_bins_std, bwl::kStd)
