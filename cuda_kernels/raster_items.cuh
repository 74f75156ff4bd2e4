// The items of a row: found, walked along, and painted. Device code only.
#pragma once
#include "rasterize.cuh"
#include "section.cuh"

#if defined(__CUDACC__)

namespace bwl {

// The blocks of one track in one window.
struct Row {
  const BwlItems* blocks;
  int64_t n_blocks;
  uint8_t kind;  // RowKind
};

__device__ __forceinline__ Row row_at(const BwlRaster& raster, int64_t track, int64_t window) {
  const int64_t at = track * raster.n_windows + window;
  return {in_device_memory(raster.items) + in_device_memory(raster.row_first)[at],
          in_device_memory(raster.row_count)[at], in_device_memory(raster.row_kind)[at]};
}

__device__ __forceinline__ const BwlItems& block_at(const Row& row, int64_t b) {
  return in_device_memory(row.blocks)[b];
}

// A section, and where its items stand.
struct SectionItems {
  Section section;
  const uint8_t* items;
  int n_items;  // 65,535 at most
  bool swap;
};

// The only section of a block.
__device__ __forceinline__ SectionItems only_section(const BwlItems& block) {
  SectionItems s;
  s.section = {block.chrom_id, block.start, block.step, block.span, block.type, 0};
  s.items = in_device_memory(block.items);
  s.n_items = static_cast<int>(block.n_items);
  s.swap = block.swap != 0;
  return s;
}

// An item, its positions clamped at kLastPosition.
struct Item {
  uint32_t start, end;
  float value;
};

__device__ __forceinline__ uint32_t clamped(int64_t position) {
  return (position >> 32) != 0 ? static_cast<uint32_t>(kLastPosition)
                               : static_cast<uint32_t>(position);
}

// With its type settled, the compiler sees which positions cannot be too large.
template <uint32_t kType>
__device__ __forceinline__ Item item_of(SectionItems s, int i) {
  s.section.type = kType;
  const Interval item =
      section_item<true>(s.section, s.items, static_cast<uint32_t>(i), s.swap);
  return {clamped(item.start), clamped(item.end), item.value};
}

__device__ __forceinline__ Item item_at(const SectionItems& s, int i) {
  if (s.section.type == kBedGraph) return item_of<kBedGraph>(s, i);
  if (s.section.type == kVariableStep) return item_of<kVariableStep>(s, i);
  return item_of<kFixedStep>(s, i);
}

// Calls f(section) for the sections of a block that belong to its contig, until one returns false.
template <typename F>
__device__ __forceinline__ bool for_sections(const BwlItems& block, F f) {
  if (block.type != 0) return f(only_section(block));
  int64_t left = block.n_items;
  const uint8_t* at = in_device_memory(block.items);
#pragma unroll 1
  while (left >= kSectionHeaderBytes) {
    SectionItems s;
    s.swap = block.swap != 0;
    s.items = at + kSectionHeaderBytes;
    const Status status = parse_section(at, left, s.swap, &s.section);
    const int64_t n_bytes = section_bytes(s.section);
    if (status != kOk || n_bytes > left) return true;  // never: describe.cuh has checked them
    s.n_items = static_cast<int>(s.section.n_items);
    if (s.section.chrom_id == block.chrom_id && !f(s)) return false;
    at += n_bytes;
    left -= n_bytes;
  }
  return true;
}

// What of an item lies inside some bases.
struct Piece {
  uint32_t from, to;
  float value;
};

// Calls f(piece) for each item of a section from `first` on that reaches into some bases: the same
// one in all lanes, in order. Items in order are left once one starts behind the bases: false.
template <bool kInOrder, typename F>
__device__ __forceinline__ bool for_pieces(const SectionItems& s, int first, const Inside& bases,
                                           F f) {
#pragma unroll 1
  for (; first < s.n_items; first += kWarp) {
    const bool there = first + lane_index() < s.n_items;
    const Item item = item_at(s, there ? first + lane_index() : s.n_items - 1);
    const uint32_t from = item.start > bases.low ? item.start : bases.low;
    const uint32_t to = item.end < bases.high ? item.end : bases.high;
    uint32_t wanted = __ballot_sync(kAllLanes, there && from < to);
#pragma unroll 1
    for (; wanted != 0; wanted &= wanted - 1) {
      const int lane = __ffs(static_cast<int>(wanted)) - 1;
      f(Piece{__shfl_sync(kAllLanes, from, lane), __shfl_sync(kAllLanes, to, lane),
              __shfl_sync(kAllLanes, item.value, lane)});
    }
    if (kInOrder && __any_sync(kAllLanes, there && item.start >= bases.high)) return false;
  }
  return true;
}

// Where the items of a searched row begin to reach past a position: in which block, at which item.
struct Place {
  int64_t block;
  int item;
};

template <int kLanes>
__device__ __forceinline__ Place find_place(const Row& row, uint32_t position) {
  Place place = {0, 0};
  place.block = search_together<kLanes>(int64_t{0}, row.n_blocks, [&](int64_t b) {
    return block_at(row, b).high > position;
  });
  SectionItems s = {};
  if (place.block < row.n_blocks) s = only_section(block_at(row, place.block));
  place.item = search_together<kLanes>(0, s.n_items, [&](int i) {
    return item_at(s, i).end > position;
  });
  return place;
}

// Calls f(piece) for the items of a row in order that reach into some bases, in order.
template <typename F>
__device__ __forceinline__ void for_row_pieces(const Row& row, const Inside& bases, F f) {
  Place place = {0, 0};
  if (row.kind == kSearched) place = find_place<kWarp>(row, bases.low);
#pragma unroll 1
  for (int64_t b = place.block; b < row.n_blocks; ++b) {
    const BwlItems& block = block_at(row, b);
    if (block.high <= bases.low || block.low >= bases.high) continue;
    const int first = b == place.block ? place.item : 0;
    const bool goes_on = for_sections(block, [&](const SectionItems& s) {
      return for_pieces<true>(s, first, bases, f);
    });
    if (!goes_on) return;
  }
}

// The block of a row that was written next after the one given, of those that reach into some
// bases; -1 if there is none. All lanes have the same answer.
__device__ __forceinline__ int64_t next_written(const Row& row, const Inside& bases,
                                                int64_t after) {
  const int64_t written_after = after >= 0 ? block_at(row, after).written : -1;
  int64_t found = -1, written = 0;
#pragma unroll 1
  for (int64_t b = lane_index(); b < row.n_blocks; b += kWarp) {
    const BwlItems& block = block_at(row, b);
    if (block.low >= bases.high || block.high <= bases.low) continue;
    const bool is_later =
        block.written > written_after || (block.written == written_after && b > after);
    if (is_later && (found < 0 || block.written < written)) {
      found = b;
      written = block.written;
    }
  }
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const int64_t other = __shfl_xor_sync(kAllLanes, found, step);
    const int64_t other_written = __shfl_xor_sync(kAllLanes, written, step);
    const bool is_earlier = other_written < written || (other_written == written && other < found);
    if (other >= 0 && (found < 0 || is_earlier)) {
      found = other;
      written = other_written;
    }
  }
  return found;
}

// Paints the items of any row that reach into some bases in the order in which they were written:
// paint(value) at values + (position - bases.low), over what stands there. One warp.
template <typename Paint>
__device__ __forceinline__ void paint_as_written(const Row& row, const Inside& bases,
                                                 uint32_t* values, Paint paint) {
  int64_t b = -1;
  while ((b = next_written(row, bases, b)) >= 0) {
    for_sections(block_at(row, b), [&](const SectionItems& s) {
      return for_pieces<false>(s, 0, bases, [&](const Piece& piece) {
        const uint32_t bits = paint(piece.value);
        const uint32_t from = piece.from - bases.low, to = piece.to - bases.low;
        // A position is always the same lane's, so that what is written later stays.
#pragma unroll 1
        for (uint32_t i = from + (lane_index() - from) % kWarp; i < to; i += kWarp) {
          values[i] = bits;
        }
      });
    });
  }
}

}  // namespace bwl

#endif
