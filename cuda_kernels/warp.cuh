// What the lanes of a warp do together. Device code only.
#pragma once
#include "common.cuh"

#if defined(__CUDACC__)

namespace bwl {

constexpr int kWarp = 32;
constexpr uint32_t kAllLanes = 0xFFFFFFFFu;

__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) % kWarp; }

// This thread's warp among all of the grid, and how many there are; blocks are one-dimensional.
__device__ __forceinline__ int64_t warp_index() {
  return (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
}
__device__ __forceinline__ int64_t n_warps() {
  return static_cast<int64_t>(gridDim.x) * blockDim.x / kWarp;
}

// A pointer that was read from memory: the compiler is told that it points to device memory.
template <typename T>
__device__ __forceinline__ T* in_device_memory(T* p) {
  __builtin_assume(__isGlobal(p));
  return p;
}

__device__ __forceinline__ int64_t warp_min(int64_t x) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const int64_t other = __shfl_xor_sync(kAllLanes, x, step);
    x = other < x ? other : x;
  }
  return x;
}

__device__ __forceinline__ int64_t warp_max(int64_t x) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const int64_t other = __shfl_xor_sync(kAllLanes, x, step);
    x = other > x ? other : x;
  }
  return x;
}

__device__ __forceinline__ int64_t warp_sum(int64_t x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
  return x;
}

// The first i in [low, high) for which past(i), or high; none may be past before one that is not.
// kLanes lanes next to each other search together, the groups of a warp each for their own.
template <int kLanes, typename Index, typename Past>
__device__ __forceinline__ Index search_together(Index low, Index high, Past past) {
  const int place = lane_index() % kLanes;
  const int first_lane = lane_index() - place;
#pragma unroll 1
  while (__any_sync(kAllLanes, low < high)) {
    const Index stride = (high - low + kLanes - 1) / kLanes;
    const Index probe = low + place * stride;
    const bool is_before = probe < high && !past(probe);
    const uint32_t votes = __ballot_sync(kAllLanes, is_before) >> first_lane;
    const int n_before = __popc(kLanes == kWarp ? votes : votes & ((1u << kLanes % kWarp) - 1));
    if (n_before == 0) {
      high = low;
    } else {
      const Index next = low + n_before * stride;
      high = next < high ? next : high;
      low = next - stride + 1;
    }
  }
  return low;
}

}  // namespace bwl

#endif
