// Strips at base resolution: every base has a value of its own. Device code only.
//
// Where items are in order, a strip is filled in two passes. First each item leaves its value at
// its first base and, where it ends, the value of what is uncovered: two writes, whatever its
// length. Then every base takes the nearest value at or before it. So items of one base and one
// item over the whole strip cost about the same.
#pragma once
#include "raster_items.cuh"

#if defined(__CUDACC__)

namespace bwl {

// A strip: in shared memory, since registers are scarce.
struct BaseStrip {
  Row row;
  Place place;                  // where the items of the next step begin, if the row is searched
  Inside bases;                 // of this step
  int n_bases;                  // of this step
  int n_before;                 // those of them that lie before `bases`
  Transform transform;
  uint32_t uncovered, outside;  // bits of the delivered fill values
  bool changes;                 // has_steps(transform)
};

// Lanes that search together where a strip begins, those of all strips at once: each step of a
// search waits for memory.
constexpr int kSearchLanes = 8;
// A lane takes four bases at a time.
constexpr int kFours = kBaseStrip / (4 * kWarp);

// One thread for each strip: what stays the same in all steps.
__device__ __forceinline__ void begin_strip(const BwlRaster& raster, const Tile& tile, int number,
                                            BaseStrip* strip) {
  const int64_t track = track_at(raster, tile, number / tile.strips_per_row);
  strip->row = row_at(raster, track, tile.window);
  strip->transform = in_device_memory(raster.transforms)[track];
  strip->changes = has_steps(strip->transform);
  strip->uncovered = settled(delivered(strip->transform, strip->changes, raster.uncovered));
  strip->outside = settled(delivered(strip->transform, strip->changes, raster.out_of_bounds));
}

// One thread for each strip: the bases of a step.
__device__ __forceinline__ void begin_step(const Tile& tile, int number, int64_t step,
                                           BaseStrip* strip) {
  const int of_row = number % tile.strips_per_row;
  const int64_t begin = tile.origin + first_bin_at<kBaseStrip>(tile, of_row, step);
  strip->n_bases = n_bins_at<kBaseStrip>(tile, of_row, step);
  strip->bases = inside_of(begin, begin + strip->n_bases, tile.contig_bp);
  const bool has_bases = strip->bases.low < strip->bases.high;
  strip->n_before = has_bases ? static_cast<int>(strip->bases.low - begin) : strip->n_bases;
}

// All threads: where the items of the first step begin.
__device__ __forceinline__ void find_places(BaseStrip* strips, int n_strips) {
  constexpr int kPerWarp = kWarp / kSearchLanes;
  // The lanes of a warp stay together.
#pragma unroll 1
  for (int s = static_cast<int>(threadIdx.x) / kSearchLanes; s / kPerWarp * kPerWarp < n_strips;
       s += static_cast<int>(blockDim.x) / kSearchLanes) {
    const BaseStrip& strip = strips[s < n_strips ? s : 0];
    Row row = strip.row;
    if (s >= n_strips || row.kind != kSearched || strip.n_before == strip.n_bases) row.n_blocks = 0;
    const Place place = find_place<kSearchLanes>(row, strip.bases.low);
    if (s < n_strips && threadIdx.x % kSearchLanes == 0) strips[s].place = place;
  }
}

// The bits of an item's delivered value.
__device__ __forceinline__ uint32_t bits_of(const BaseStrip& strip, float x) {
  return settled(delivered(strip.transform, strip.changes, stored_value(strip.transform, x)));
}

// Leaves the items' values at their first bases; returns where the next step's items begin.
__device__ __forceinline__ Place mark_items(const BaseStrip& strip, uint32_t* values) {
  const Inside bases = strip.bases;
  const uint32_t uncovered = strip.uncovered;
  uint32_t* const marks = values + strip.n_before;
  Place place = strip.place;
#pragma unroll 1
  for (; place.block < strip.row.n_blocks; ++place.block, place.item = 0) {
    const BwlItems& block = block_at(strip.row, place.block);
    if (block.low >= bases.high) break;
    const SectionItems s = only_section(block);
#pragma unroll 1
    for (; place.item < s.n_items; place.item += kWarp) {
      const int i = place.item + lane_index();
      const Item item = item_at(s, i < s.n_items ? i : s.n_items - 1);
      const uint32_t from = item.start > bases.low ? item.start : bases.low;
      const uint32_t to = item.end < bases.high ? item.end : bases.high;
      const bool covers = i < s.n_items && from < to;
      if (covers && to < bases.high) marks[to - bases.low] = uncovered;
      __syncwarp();  // the next item may begin there
      if (covers) marks[from - bases.low] = bits_of(strip, item.value);
      // The last one that is there stands in all lanes behind it.
      const uint32_t past = __ballot_sync(kAllLanes, item.end > bases.high);
      if (past != 0) {
        place.item += __ffs(static_cast<int>(past)) - 1;
        return place;
      }
    }
  }
  return place;
}

// Gives every base the nearest value at or before it; the first one has a value.
__device__ __forceinline__ void fill_forward(uint32_t* values) {
  const int lane = lane_index();
  const uint32_t lanes_before = (1u << lane) - 1u;
  uint4* const fours = reinterpret_cast<uint4*>(values) + lane;
  uint32_t last = kNothing;  // of all bases before
#pragma unroll
  for (int k = 0; k < kFours; ++k) {
    uint4 four = fours[k * kWarp];
    uint32_t mine = four.w != kNothing ? four.w : four.z != kNothing ? four.z : four.y;
    mine = mine != kNothing ? mine : four.x;
    const uint32_t before = __ballot_sync(kAllLanes, mine != kNothing) & lanes_before;
    const uint32_t nearest = __shfl_sync(kAllLanes, mine, 31 - __clz(static_cast<int>(before)));
    if (four.x == kNothing) four.x = before != 0 ? nearest : last;
    if (four.y == kNothing) four.y = four.x;
    if (four.z == kNothing) four.z = four.y;
    if (four.w == kNothing) four.w = four.z;
    fours[k * kWarp] = four;
    last = __shfl_sync(kAllLanes, four.w, kWarp - 1);
  }
}

// One warp: a step of a strip whose items are not searched.
__device__ __forceinline__ void paint_strip(const BaseStrip& strip, uint32_t* values) {
  const int n_inside = static_cast<int>(strip.bases.high - strip.bases.low);
#pragma unroll 1
  for (int i = lane_index(); i < strip.n_bases; i += kWarp) {
    const bool is_inside = i >= strip.n_before && i - strip.n_before < n_inside;
    values[i] = is_inside ? strip.uncovered : strip.outside;
  }
  __syncwarp();
  paint_as_written(strip.row, strip.bases, values + strip.n_before,
                   [&](float x) { return bits_of(strip, x); });
}

// One warp: the values of a step of a strip, fill values and transforms included.
__device__ __forceinline__ void fill_base_strip(BaseStrip& strip, uint32_t* values) {
  if (strip.row.kind != kSearched) return paint_strip(strip, values);
  const int lane = lane_index();
  const uint4 nothing = {kNothing, kNothing, kNothing, kNothing};
#pragma unroll
  for (int k = 0; k < kFours; ++k) reinterpret_cast<uint4*>(values)[k * kWarp + lane] = nothing;
  __syncwarp();
  if (lane == 0) {
    const int n_covered = strip.n_before + static_cast<int>(strip.bases.high - strip.bases.low);
    if (strip.n_before > 0) values[0] = strip.outside;
    if (strip.n_before < n_covered) values[strip.n_before] = strip.uncovered;
    if (n_covered < strip.n_bases) values[n_covered] = strip.outside;
  }
  __syncwarp();
  if (strip.n_before < strip.n_bases) {
    const Place next = mark_items(strip, values);
    __syncwarp();
    if (lane == 0) strip.place = next;
  }
  fill_forward(values);
}

// All warps of a block: a step of the strips of a tile.
__device__ __forceinline__ void fill_base_step(BaseStrip* strips, int n_strips, uint32_t* values) {
#pragma unroll 1
  for (int s = static_cast<int>(threadIdx.x) / kWarp; s < n_strips;
       s += static_cast<int>(blockDim.x) / kWarp) {
    if (strips[s].n_bases > 0) fill_base_strip(strips[s], values + s * kStripPitch<kBaseStrip>);
  }
}

}  // namespace bwl

#endif
