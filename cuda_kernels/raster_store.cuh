// Tiles to the output, and which rows are regular. Device code only.
#pragma once
#include "rasterize.cuh"

#if defined(__CUDACC__)

namespace bwl {

// From so many tracks on, which have one strip each, a warp has a lane for each.
constexpr int kManyTracks = kTileStrips / 2 + 1;

// Where the first bin of a tile goes, and how far it is from bin to bin; of a step, too.
template <typename Element>
struct Target {
  Element* first;
  int64_t bin;
  int64_t track;
  int32_t dtype;
};

// Tracks next to each other in the output, one strip each: a lane for each, four bins at a time.
template <int kBins, typename Element>
__device__ __forceinline__ void store_across(const Target<Element>& target, const Tile& tile,
                                             int64_t step, const uint32_t* values) {
  const int lane = lane_index();
  if (lane >= tile.n_tracks) return;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int bins_at_once = 4 * static_cast<int>(blockDim.x) / kWarp;
  const int n_bins = n_bins_at<kBins>(tile, 0, step);
  const uint32_t* const strip = values + lane * kStripPitch<kBins>;
  const int64_t stride = target.bin;
  Element* to = target.first + lane * target.track + (step * kBins + 4 * warp) * stride;
  int bin = 4 * warp;
#pragma unroll 1
  for (; bin + 4 <= n_bins; bin += bins_at_once) {
    const uint4 four = *reinterpret_cast<const uint4*>(strip + bin);
    to[0] = element_of<Element>(four.x, target.dtype);
    to[stride] = element_of<Element>(four.y, target.dtype);
    to[2 * stride] = element_of<Element>(four.z, target.dtype);
    to[3 * stride] = element_of<Element>(four.w, target.dtype);
    to += bins_at_once * stride;
  }
#pragma unroll 1
  for (; bin < n_bins; ++bin, to += stride) {  // up to three, of one warp
    *to = element_of<Element>(strip[bin], target.dtype);
  }
}

// Any strides: `across` lanes (a power of two) go along the tracks, the others along the bins.
template <int kBins, typename Element>
__device__ __forceinline__ void store_along(const Target<Element>& target, const Tile& tile,
                                            int64_t step, int across, const uint32_t* values) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int n_warps_here = static_cast<int>(blockDim.x) / kWarp;
  const int along = kWarp / across;
  // Warps share out the strips where there are many, else the bins.
  const int n_groups = (tile.n_tracks + across - 1) / across * tile.strips_per_row;
  const bool by_strips = n_groups >= n_warps_here;
  const int bins_at_once = by_strips ? along : along * n_warps_here;
  const int first_bin = (by_strips ? 0 : warp * along) + lane_index() / across;
#pragma unroll 1
  for (int g = by_strips ? warp : 0; g < n_groups; g += by_strips ? n_warps_here : 1) {
    const int number = g % tile.strips_per_row;
    const int track = g / tile.strips_per_row * across + lane_index() % across;
    if (track >= tile.n_tracks) continue;
    const int n_bins = n_bins_at<kBins>(tile, number, step);
    const uint32_t* const strip =
        values + (track * tile.strips_per_row + number) * kStripPitch<kBins>;
    Element* to = target.first + track * target.track +
                  (first_bin_at<kBins>(tile, number, step) + first_bin) * target.bin;
#pragma unroll 1
    for (int bin = first_bin; bin < n_bins; bin += bins_at_once) {
      *to = element_of<Element>(strip[bin], target.dtype);
      to += bins_at_once * target.bin;
    }
  }
}

template <int kBins, typename Element>
__device__ __forceinline__ void store_elements(const BwlRaster& raster, const Tile& tile,
                                               int64_t step, const uint32_t* values) {
  Target<Element> target;
  target.track = raster.stride_track;
  target.dtype = raster.dtype;
  target.bin = tile.reverse ? -raster.stride_bin : raster.stride_bin;
  const int64_t first_bin = tile.first_bin + (tile.reverse ? tile.n_bins - 1 : 0);
  target.first = in_device_memory(static_cast<Element*>(raster.out)) +
                 tile.window * raster.stride_window + first_bin * raster.stride_bin +
                 tile.first_track * raster.stride_track;
  const int64_t bin = raster.stride_bin < 0 ? -raster.stride_bin : raster.stride_bin;
  const int64_t track = raster.stride_track < 0 ? -raster.stride_track : raster.stride_track;
  if (track < bin && tile.n_tracks >= kManyTracks) {
    return store_across<kBins>(target, tile, step, values);
  }
  int across = 1;
  while (track < bin && across < tile.n_tracks) across *= 2;
  store_along<kBins>(target, tile, step, across, values);
}

// All threads of a block: a step of a tile to where it belongs.
template <int kBins>
__device__ __forceinline__ void store_step(const BwlRaster& raster, const Tile& tile, int64_t step,
                                           const uint32_t* values) {
  if (raster.dtype == 0) {
    store_elements<kBins, uint32_t>(raster, tile, step, values);
  } else {
    store_elements<kBins, uint16_t>(raster, tile, step, values);
  }
}

// One warp: how the items of a row of n blocks are to be found.
__device__ __forceinline__ RowKind kind_of_row(const BwlItems* blocks, int64_t n) {
  bool irregular = false, walked = false;
  int64_t reach = 0;  // of all blocks before
  for (int64_t first = 0; first < n; first += kWarp) {
    const bool there = first + lane_index() < n;
    const BwlItems& block = blocks[there ? first + lane_index() : n - 1];
    const bool has_items = there && block.low < block.high;
    int64_t furthest = has_items ? block.high : 0;
    for (int step = 1; step < kWarp; step *= 2) {
      const int64_t other = __shfl_up_sync(kAllLanes, furthest, step);
      if (lane_index() >= step && other > furthest) furthest = other;
    }
    int64_t before = __shfl_up_sync(kAllLanes, furthest, 1);
    if (lane_index() == 0 || before < reach) before = reach;
    irregular = irregular || (there && block.in_order == 0) || (has_items && block.low < before);
    walked = walked || (there && (block.type == 0 || !has_items));
    const int64_t all = __shfl_sync(kAllLanes, furthest, kWarp - 1);
    reach = all > reach ? all : reach;
  }
  if (__any_sync(kAllLanes, irregular)) return kIrregular;
  return __any_sync(kAllLanes, walked) ? kWalked : kSearched;
}

}  // namespace bwl

#endif
