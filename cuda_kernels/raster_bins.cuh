// Strips of larger bins, and of every statistic that one base does not show. Device code only.
//
// A lane takes a bin and adds its items in order, so that the sums are those of the CPU, bit by
// bit. Where a strip has but a few bins, the whole warp fetches their items for them.
#pragma once
#include "raster_items.cuh"

#if defined(__CUDACC__)

namespace bwl {

// Up to so many bins are filled together: then 32 items fetched at once are worth more than 32
// lanes that each add to a bin of their own.
constexpr int kFewBins = 8;

// Statistics that share a kernel, for the compiler's time: they add the same, or nearly.
enum BinFamily : int32_t {
  kSums,      // kMean, kSum, kCoverage
  kExtremes,  // kMax, kMin
  kSpreads,   // kStd
};

template <int kFamily>
BWL_HD void add_bases_to(Bin* bin, int32_t statistic, float value, int64_t n) {
  if (kFamily == kSums) return bin_add<kSum>(bin, value, n);
  if (kFamily == kSpreads) return bin_add<kStd>(bin, value, n);
  if (statistic == kMax) {
    bin_add<kMax>(bin, value, n);
  } else {
    bin_add<kMin>(bin, value, n);
  }
}

template <int kFamily>
BWL_HD float finished(const Bin& bin, int32_t statistic, int64_t bin_size, int64_t n_inside,
                      const BwlRaster& raster) {
  const float uncovered = raster.uncovered, outside = raster.out_of_bounds;
  if (kFamily == kSpreads) return bin_finish<kStd>(bin, bin_size, n_inside, uncovered, outside);
  if (kFamily == kExtremes) {
    return statistic == kMax ? bin_finish<kMax>(bin, bin_size, n_inside, uncovered, outside)
                             : bin_finish<kMin>(bin, bin_size, n_inside, uncovered, outside);
  }
  if (statistic == kMean) return bin_finish<kMean>(bin, bin_size, n_inside, uncovered, outside);
  if (statistic == kSum) return bin_finish<kSum>(bin, bin_size, n_inside, uncovered, outside);
  return bin_finish<kCoverage>(bin, bin_size, n_inside, uncovered, outside);
}

// The strip that a warp works on; in shared memory, since registers are scarce.
struct BinStrip {
  Row row;
  int64_t begin;     // first base
  int64_t bin_size;
  int64_t contig_bp;
  int n_bins;
  Inside bases;      // of the bins that the lanes fill together
  Transform transform;
  int32_t statistic;
};

// The first item from `place` on that ends past a position; `place` stands at or before it.
__device__ __forceinline__ Place place_from(const Row& row, Place place, uint32_t position) {
  if (place.block >= row.n_blocks) return place;
  if (block_at(row, place.block).high <= position) {
    int64_t low = place.block + 1, high = row.n_blocks;
#pragma unroll 1
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (block_at(row, middle).high > position) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    place = {low, 0};
    if (low == row.n_blocks) return place;
  }
  const SectionItems s = only_section(block_at(row, place.block));
  // By steps that double, since small bins find theirs close by; then halving the last one.
  int low = place.item, high = s.n_items;
#pragma unroll 1
  for (int step = 1; low + step <= high; step *= 2) {
    if (item_at(s, low + step - 1).end > position) {
      high = low + step - 1;
      break;
    }
    low += step;
  }
#pragma unroll 1
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (item_at(s, middle).end > position) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return {place.block, low};
}

// Adds n bases of an item.
template <int kFamily>
__device__ __forceinline__ void add(const BinStrip& strip, float stored, uint32_t n, Bin* bin) {
  add_bases_to<kFamily>(bin, strip.statistic, stored_value(strip.transform, stored), n);
}

// Adds the items of a searched row to a lane's own bin.
template <int kFamily>
__device__ __forceinline__ void add_items(const BinStrip& strip, Place place, const Inside& own,
                                          Bin* bin) {
#pragma unroll 1
  for (; place.block < strip.row.n_blocks; ++place.block, place.item = 0) {
    const BwlItems& block = block_at(strip.row, place.block);
    if (block.low >= own.high) return;
    const SectionItems s = only_section(block);
#pragma unroll 1
    for (; place.item < s.n_items; ++place.item) {
      const Item item = item_at(s, place.item);
      if (item.start >= own.high) return;
      const uint32_t from = item.start > own.low ? item.start : own.low;
      const uint32_t to = item.end < own.high ? item.end : own.high;
      if (from < to) add<kFamily>(strip, item.value, to - from, bin);
    }
  }
}

// Adds items to the bins of all lanes, which look at the same item.
template <int kFamily>
__device__ __forceinline__ void add_together(const BinStrip& strip, const Inside& own, Bin* bin) {
  for_row_pieces(strip.row, strip.bases, [&](const Piece& piece) {
    const uint32_t from = piece.from > own.low ? piece.from : own.low;
    const uint32_t to = piece.to < own.high ? piece.to : own.high;
    if (from < to) add<kFamily>(strip, piece.value, to - from, bin);
  });
}

// The same for irregular rows, base by base: what stands there is only known when all items have
// been painted. `painted` is the warp's own, kPieceBases of them.
template <int kFamily>
__device__ __forceinline__ void add_bases(const BinStrip& strip, const Inside& own,
                                          uint32_t* painted, Bin* bin) {
  Inside bases = {strip.bases.low, strip.bases.low};
#pragma unroll 1
  while (bases.high < strip.bases.high) {
    bases.low = bases.high;
    bases.high += strip.bases.high - bases.low < kPieceBases ? strip.bases.high - bases.low
                                                             : static_cast<uint32_t>(kPieceBases);
    for (int i = lane_index(); i < kPieceBases; i += kWarp) painted[i] = kNothing;
    __syncwarp();
    paint_as_written(strip.row, bases, painted, [&](float x) {
      return settled(stored_value(strip.transform, x));
    });
    __syncwarp();
    const uint32_t from = bases.low > own.low ? bases.low : own.low;
    const uint32_t to = bases.high < own.high ? bases.high : own.high;
#pragma unroll 1
    for (uint32_t at = from; at < to; ++at) {
      const uint32_t bits = painted[at - bases.low];
      if (bits != kNothing) add_bases_to<kFamily>(bin, strip.statistic, bits_float(bits), 1);
    }
    __syncwarp();
  }
}

__device__ __forceinline__ Inside inside_of_bins(const BinStrip& strip, int first, int last) {
  return inside_of(strip.begin + first * strip.bin_size, strip.begin + last * strip.bin_size,
                   strip.contig_bp);
}

// The delivered value of bin i.
template <int kFamily>
__device__ __forceinline__ uint32_t finish_bin(const BwlRaster& raster, const BinStrip& strip,
                                               int i, const Bin& bin) {
  const Inside own = inside_of_bins(strip, i, i + 1);
  const float x =
      finished<kFamily>(bin, strip.statistic, strip.bin_size, own.high - own.low, raster);
  return float_bits(delivered(strip.transform, has_steps(strip.transform), x));
}

// One warp: the bins of a row that is not searched, or a few.
template <int kFamily>
__device__ __forceinline__ void fill_together(const BwlRaster& raster, BinStrip& strip,
                                              uint32_t* painted, uint32_t* values) {
#pragma unroll 1
  for (int first = 0; first < strip.n_bins; first += kWarp) {
    const int last = first + kWarp < strip.n_bins ? first + kWarp : strip.n_bins;
    const int i = first + lane_index() < last ? first + lane_index() : last - 1;
    __syncwarp();  // the bins before are done
    if (lane_index() == 0) strip.bases = inside_of_bins(strip, first, last);
    __syncwarp();
    const Inside own = inside_of_bins(strip, i, i + 1);
    Bin bin;
    bin_clear(&bin);
    if (strip.bases.low < strip.bases.high) {
      if (strip.row.kind == kIrregular) {
        add_bases<kFamily>(strip, own, painted, &bin);
      } else {
        add_together<kFamily>(strip, own, &bin);
      }
    }
    if (first + lane_index() < last) values[i] = finish_bin<kFamily>(raster, strip, i, bin);
  }
}

// One warp: the bins of a searched row, one for each lane.
template <int kFamily>
__device__ __forceinline__ void fill_apart(const BwlRaster& raster, const BinStrip& strip,
                                           uint32_t* values) {
  Place place = find_place<kWarp>(strip.row, inside_of_bins(strip, 0, strip.n_bins).low);
#pragma unroll 1
  for (int i = lane_index(); i < strip.n_bins; i += kWarp) {
    const Inside own = inside_of_bins(strip, i, i + 1);
    Bin bin;
    bin_clear(&bin);
    if (own.low < own.high) {
      place = place_from(strip.row, place, own.low);
      add_items<kFamily>(strip, place, own, &bin);
    }
    values[i] = finish_bin<kFamily>(raster, strip, i, bin);
  }
}

// All warps of a block: a step of the strips of a tile. Each warp has a BinStrip and kPieceBases of
// `painted`.
template <int kFamily>
__device__ __forceinline__ void fill_bin_step(const BwlRaster& raster, const Tile& tile,
                                              int64_t step, int32_t statistic,
                                              BinStrip* of_warps, uint32_t* painted,
                                              uint32_t* values) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int n_strips = tile.n_tracks * tile.strips_per_row;
  BinStrip& strip = of_warps[warp];
#pragma unroll 1
  for (int s = warp; s < n_strips; s += static_cast<int>(blockDim.x) / kWarp) {
    __syncwarp();  // the strip before is done
    if (lane_index() == 0) {
      const int row = s / tile.strips_per_row, number = s % tile.strips_per_row;
      const int64_t track = track_at(raster, tile, row);
      const int64_t first = first_bin_at<kBinStrip>(tile, number, step);
      strip = {row_at(raster, track, tile.window), tile.origin + first * raster.bin_size,
               raster.bin_size, tile.contig_bp, n_bins_at<kBinStrip>(tile, number, step), {0, 0},
               in_device_memory(raster.transforms)[track], statistic};
    }
    __syncwarp();
    uint32_t* const of_strip = values + s * kStripPitch<kBinStrip>;
    if (strip.row.kind == kSearched && strip.n_bins > kFewBins) {
      fill_apart<kFamily>(raster, strip, of_strip);
    } else {
      fill_together<kFamily>(raster, strip, painted + warp * kPieceBases, of_strip);
    }
  }
}

}  // namespace bwl

#endif
