// Kernel of smooth.cuh: a block of threads makes the bins of a stretch of one row.
//
// A thread averages one box and puts the result into shared memory, then a thread adds up one bin.
// Neighbouring boxes meet the same piece (see smooth.cuh), so a warp reads the same base at the same
// time. The time goes into the additions: the width of the box for every base.
#include "smooth.cuh"

namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ void store(void* out, int64_t at, double value, int32_t dtype) {
  const float rounded = static_cast<float>(value);
  if (dtype == 0) {
    static_cast<float*>(out)[at] = rounded;
  } else {
    static_cast<uint16_t*>(out)[at] =
        dtype == 1 ? bwl::to_float16_bits(rounded) : bwl::to_bfloat16_bits(rounded);
  }
}

}  // namespace

// signal (n_windows * n_tracks, padded_bp), out (n_windows, n_bins, n_tracks); dtype 0 is float32, 1
// float16, 2 bfloat16. grid.x blocks over the bins, as many of them to a block as 256 bases hold,
// at least one; grid.y strides over the rows. `reverse` (n_windows) and `swap` (n_tracks) may be 0.
extern "C" __global__ void __launch_bounds__(kThreads)
    bwl_smooth_bins(const float* signal, int64_t n_windows, int64_t n_tracks, int64_t padded_bp,
                    int64_t width, int64_t bin_size, int64_t n_bins, const uint8_t* reverse,
                    const int64_t* swap, void* out, int32_t dtype) {
  __shared__ double boxes[kThreads];
  const int64_t bins_here = bin_size < kThreads ? kThreads / bin_size : 1;
  const int64_t mine = threadIdx.x;
  for (int64_t row = blockIdx.y; row < n_windows * n_tracks; row += gridDim.y) {
    const int64_t window = row / n_tracks, track = row % n_tracks;
    const bool flip = reverse != nullptr && reverse[window] != 0;
    for (int64_t first = blockIdx.x * bins_here; first < n_bins; first += gridDim.x * bins_here) {
      const int64_t n = n_bins - first < bins_here ? n_bins - first : bins_here;
      bwl::RunningMean mean = bwl::no_mean();
      for (int64_t done = 0; done < n * bin_size; done += kThreads) {
        if (done + mine < n * bin_size) {
          const int64_t base = first * bin_size + done + mine;
          boxes[mine] = bwl::box_mean(signal + row * padded_bp, base, width);
        }
        __syncthreads();
        if (mine < n) {
          const int64_t from = mine * bin_size - done, to = from + bin_size;
          for (int64_t box = from < 0 ? 0 : from; box < to && box < kThreads; ++box) {
            bwl::add_to(mean, boxes[box]);
          }
        }
        __syncthreads();
      }
      if (mine < n) {
        const int64_t bin = flip ? n_bins - 1 - first - mine : first + mine;
        const int64_t place = flip && swap != nullptr ? swap[track] : track;
        store(out, (window * n_bins + bin) * n_tracks + place, bwl::mean_of(mean), dtype);
      }
    }
  }
}
