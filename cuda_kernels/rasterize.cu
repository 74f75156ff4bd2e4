// From described items to the output: which rows are regular, and one kernel per family of
// statistics.
//
// launch.py of the CUDA backend says how a window is cut into tiles. Grid: x over the tiles of a
// window, y over the windows; both may be smaller, then blocks of threads go on to further ones.
#include "raster_bases.cuh"
#include "raster_bins.cuh"
#include "raster_store.cuh"

namespace {

// Threads of a block; and blocks on a multiprocessor that registers have to be left for.
constexpr int kThreads = 256;
constexpr int kBaseBlocks = 4;
constexpr int kBinBlocks = 3;

// The request, where all threads of a block read it.
__device__ __forceinline__ void load_raster(const BwlRaster* from, BwlRaster* to) {
  static_assert(sizeof(BwlRaster) % 8 == 0 && sizeof(BwlRaster) / 8 <= bwl::kWarp,
                "a word for each lane of a warp");
  if (threadIdx.x < sizeof(BwlRaster) / 8) {
    reinterpret_cast<uint64_t*>(to)[threadIdx.x] =
        reinterpret_cast<const uint64_t*>(from)[threadIdx.x];
  }
  __syncthreads();
}

template <int kFamily>
__device__ __forceinline__ void rasterize_bins(const BwlRaster* raster_at, int32_t statistic,
                                               const bwl::TileShape& shape) {
  __shared__ BwlRaster raster;
  __shared__ bwl::Tile tile;
  __shared__ bwl::BinStrip of_warps[kThreads / bwl::kWarp];
  __shared__ uint32_t painted[kThreads / bwl::kWarp * bwl::kPieceBases];
  extern __shared__ uint4 bwl_values[];
  uint32_t* const values = reinterpret_cast<uint32_t*>(bwl_values);
  load_raster(raster_at, &raster);
  for (int64_t window = blockIdx.y; window < raster.n_windows; window += gridDim.y) {
    for (int64_t at = blockIdx.x; at < shape.n_tiles; at += gridDim.x) {
      if (threadIdx.x == 0) tile = bwl::tile_at<bwl::kBinStrip>(raster, shape, window, at);
      __syncthreads();
      for (int64_t step = 0; bwl::n_bins_at<bwl::kBinStrip>(tile, 0, step) > 0; ++step) {
        bwl::fill_bin_step<kFamily>(raster, tile, step, statistic, of_warps, painted, values);
        __syncthreads();
        bwl::store_step<bwl::kBinStrip>(raster, tile, step, values);
        __syncthreads();
      }
      __syncthreads();  // all have seen that there are no more steps of this tile
    }
  }
}

}  // namespace

// row_kind[i] becomes bwl::RowKind of row i of n; a warp for each.
extern "C" __global__ void bwl_link_rows(const BwlItems* items, const int64_t* row_first,
                                         const int64_t* row_count, int64_t n, uint8_t* row_kind) {
  for (int64_t row = bwl::warp_index(); row < n; row += bwl::n_warps()) {
    const bwl::RowKind kind = bwl::kind_of_row(items + row_first[row], row_count[row]);
    if (bwl::lane_index() == 0) row_kind[row] = kind;
  }
}

// Dynamic shared memory of all kernels below: kStripPitch floats for every strip of a tile.

// Mean, sum, maximum and minimum of bins of one base; `statistic` makes no difference.
extern "C" __global__ void __launch_bounds__(kThreads, kBaseBlocks)
    bwl_rasterize_bases(const BwlRaster* raster_at, int32_t, int64_t group_tracks,
                        int64_t n_groups, int64_t strips_per_row, int64_t n_steps,
                        int64_t n_tiles) {
  __shared__ BwlRaster raster;
  __shared__ bwl::Tile tile;
  __shared__ bwl::BaseStrip strips[bwl::kTileStrips];
  extern __shared__ uint4 bwl_values[];
  uint32_t* const values = reinterpret_cast<uint32_t*>(bwl_values);
  const bwl::TileShape shape = {group_tracks, n_groups, strips_per_row, n_steps, n_tiles};
  load_raster(raster_at, &raster);
  for (int64_t window = blockIdx.y; window < raster.n_windows; window += gridDim.y) {
    for (int64_t at = blockIdx.x; at < shape.n_tiles; at += gridDim.x) {
      if (threadIdx.x == 0) tile = bwl::tile_at<bwl::kBaseStrip>(raster, shape, window, at);
      __syncthreads();
      const int n_strips = tile.n_tracks * tile.strips_per_row;
      const int s = static_cast<int>(threadIdx.x);
      if (s < n_strips) bwl::begin_strip(raster, tile, s, strips + s);
      for (int64_t step = 0; bwl::n_bins_at<bwl::kBaseStrip>(tile, 0, step) > 0; ++step) {
        if (s < n_strips) bwl::begin_step(tile, s, step, strips + s);
        __syncthreads();
        if (step == 0) {
          bwl::find_places(strips, n_strips);
          __syncthreads();
        }
        bwl::fill_base_step(strips, n_strips, values);
        __syncthreads();
        bwl::store_step<bwl::kBaseStrip>(raster, tile, step, values);
      }
      __syncthreads();
    }
  }
}

#define BWL_RASTERIZE_KERNEL(name, family)                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads, kBinBlocks)                           \
      name(const BwlRaster* raster, int32_t statistic, int64_t group_tracks, int64_t n_groups, \
           int64_t strips_per_row, int64_t n_steps, int64_t n_tiles) {                         \
    rasterize_bins<family>(raster, statistic,                                                  \
                           {group_tracks, n_groups, strips_per_row, n_steps, n_tiles});        \
  }

// `statistic` is one of the family (bwl::Statistic).
BWL_RASTERIZE_KERNEL(bwl_rasterize_sums, bwl::kSums)
BWL_RASTERIZE_KERNEL(bwl_rasterize_extremes, bwl::kExtremes)
BWL_RASTERIZE_KERNEL(bwl_rasterize_spreads, bwl::kSpreads)
