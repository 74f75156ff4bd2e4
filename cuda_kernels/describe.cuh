// What the sections of data blocks hold: checked, and described for the rasterizer.
//
// A warp takes a block. Where its items are known to be in order only the header and two items are
// read; else all are looked at, 32 at a time. Details of failures are those of the CPU's reader
// (host/blocks.cpp).
#pragma once
#include "blocks.cuh"
#include "warp.cuh"

#if defined(__CUDACC__)

namespace bwl {

constexpr int64_t kNowhere = 0x7fffffffffffffffLL;

// Positions end at UINT32_MAX: what lies further is in no contig.
__device__ __forceinline__ int64_t last_position(int64_t position) {
  return position < 0xFFFFFFFFLL ? position : 0xFFFFFFFFLL;
}

struct Failure {
  Status status;
  int64_t detail[2];
};

__device__ __forceinline__ Failure failure(Status status, int64_t a = 0, int64_t b = 0) {
  return {status, {a, b}};
}

// What is found out about the items of a block. `low`, `high`, `n_wanted` and `in_order` are a
// lane's own until `join`; the others are the same in all lanes.
struct Description {
  Section section;    // the first one of the block's contig
  int64_t n_sections;
  int64_t n_items;    // of `section`, as far as they are there
  int64_t low, high;  // hull
  int64_t n_wanted;
  int64_t last_start;  // of the last item looked at
  int64_t last_end;
  bool in_order;
};

__device__ __forceinline__ void clear(Description* d) {
  d->section = {0, 0, 0, 0, 0, 0};
  d->n_sections = d->n_items = d->n_wanted = 0;
  d->low = kNowhere;
  d->high = 0;
  d->last_start = d->last_end = 0;
  d->in_order = true;
}

// Looks at n_items items, 32 at a time; what lanes find is theirs until `join`.
__device__ __forceinline__ void look_at(const BwlBlock& block, const Section& section,
                                        const uint8_t* items, int64_t n_items, Description* d) {
  const int lane = lane_index();
  for (int64_t first = 0; first < n_items; first += kWarp) {
    const bool there = first + lane < n_items;
    const int64_t i = there ? first + lane : n_items - 1;
    const Interval item = section_item<true>(section, items, i, block.swap != 0);
    int64_t end_before = __shfl_up_sync(kAllLanes, item.end, 1);
    if (lane == 0) end_before = d->last_end;
    if (there) {
      d->in_order = d->in_order && item.start >= end_before && item.end >= item.start;
      const int64_t end = last_position(item.end);
      if (item.start < end) {
        d->low = item.start < d->low ? item.start : d->low;
        d->high = end > d->high ? end : d->high;
        d->n_wanted += item.start < block.wanted_end && end > block.wanted_start ? 1 : 0;
      }
    }
    // The lanes behind the last item have that one, too.
    d->last_start = __shfl_sync(kAllLanes, item.start, kWarp - 1);
    d->last_end = __shfl_sync(kAllLanes, item.end, kWarp - 1);
  }
}

// Makes one of what the lanes found.
__device__ __forceinline__ void join(Description* d) {
  d->in_order = __all_sync(kAllLanes, d->in_order) != 0;
  d->low = warp_min(d->low);
  d->high = warp_max(d->high);
  d->n_wanted = warp_sum(d->n_wanted);
}

// The same for one section whose items are in order: its first and last item tell.
__device__ __forceinline__ void look_at_ends(const BwlBlock& block, const uint8_t* items,
                                             Description* d) {
  if (d->n_items == 0) return;
  const Section section = d->section;
  const bool swap = block.swap != 0;
  const Interval last = section_item<true>(section, items, d->n_items - 1, swap);
  d->low = section_item<true>(section, items, 0, swap).start;
  d->high = last_position(last.end);
  d->last_start = last.start;
  const int64_t from = search_together<kWarp>(int64_t{0}, d->n_items, [&](int64_t i) {
    return section_item<true>(section, items, i, swap).end > block.wanted_start;
  });
  const int64_t to = search_together<kWarp>(from, d->n_items, [&](int64_t i) {
    return section_item<true>(section, items, i, swap).start >= block.wanted_end;
  });
  d->n_wanted = to - from;
}

// Whether the rest of a block is filled with zeros, less than a header of them.
__device__ __forceinline__ bool is_padding(const uint8_t* rest, int64_t n_bytes) {
  if (n_bytes >= kSectionHeaderBytes) return false;
  const int lane = lane_index();
  return __all_sync(kAllLanes, lane >= n_bytes || rest[lane < n_bytes ? lane : 0] == 0) != 0;
}

// Reads a section's header; `left` bytes are there.
__device__ __forceinline__ Failure read_header(const BwlBlock& block, const uint8_t* at,
                                               int64_t left, Section* section) {
  const Status status = parse_section(at, left, block.swap != 0, section);
  if (status == kShortSection) return failure(status, kSectionHeaderBytes, left);
  if (status != kOk) return failure(status, 3, section->type);
  return failure(kOk);
}

// Describes a block of which all `n_bytes` are there.
__device__ __forceinline__ Failure describe_whole(const BwlBlock& block, int64_t n_bytes,
                                                  Description* d) {
  const bool is_known = (block.checks & kKnownInOrder) != 0;
  clear(d);
  for (int64_t at = 0; at < n_bytes || d->n_sections == 0; ++d->n_sections) {
    const uint8_t* const begin = block.section + at;
    const int64_t left = n_bytes - at;
    if (d->n_sections > 0 && is_padding(begin, left)) break;
    Section section;
    const Failure failed = read_header(block, begin, left, &section);
    if (failed.status != kOk) return failed;
    if (section_bytes(section) > left) return failure(kItemsPastEnd, section_bytes(section), left);
    at += section_bytes(section);
    if (section.chrom_id != block.chrom_id) {
      if (block.spans == 0) return failure(kBadChromId, block.chrom_id, section.chrom_id);
      continue;
    }
    d->section = section;
    d->n_items = section.n_items;
    if (is_known) {
      look_at_ends(block, begin + kSectionHeaderBytes, d);
      d->n_sections = 1;
      return failure(kOk);
    }
    look_at(block, section, begin + kSectionHeaderBytes, section.n_items, d);
  }
  join(d);
  return failure(kOk);
}

// Describes what is there of a block's first section, if that is all that is wanted.
__device__ __forceinline__ Failure describe_start(const BwlBlock& block, int64_t n_bytes,
                                                  Description* d) {
  clear(d);
  const Failure failed = read_header(block, block.section, n_bytes, &d->section);
  if (failed.status != kOk) return failed;
  const Section section = d->section;
  if (section.chrom_id != block.chrom_id) {
    return failure(kBadChromId, block.chrom_id, section.chrom_id);
  }
  const uint8_t* const items = block.section + kSectionHeaderBytes;
  const int64_t n_there = (n_bytes - kSectionHeaderBytes) / item_bytes(section.type);
  d->n_sections = 1;
  d->n_items = n_there < section.n_items ? n_there : section.n_items;
  const bool is_known = (block.checks & kKnownInOrder) != 0;
  if (is_known) {
    look_at_ends(block, items, d);
  } else {
    look_at(block, section, items, d->n_items, d);
    join(d);
  }
  // Another section may follow; where this one reaches past what is wanted, that does not matter.
  if (d->in_order && d->n_items > 0 && d->last_start >= block.wanted_end) return failure(kOk);
  if (!is_known) return failure(kNeedsWhole);
  if (d->n_items == section.n_items) return failure(kOk);
  return failure(kItemsPastEnd, section_bytes(section), n_bytes);
}

// One warp: what became of a block, and its items.
__device__ __forceinline__ void describe_block(const BwlBlock& block, BwlOutcome* outcome,
                                               BwlItems* items) {
  const int64_t produced = outcome->produced;
  const bool is_whole = outcome->whole != 0;
  Failure found = {static_cast<Status>(outcome->status),
                   {outcome->detail[0], outcome->detail[1]}};
  Description d;
  clear(&d);
  bool uses_start = !is_whole;
  if (found.status == kOk) {
    found = is_whole ? describe_whole(block, produced, &d) : describe_start(block, produced, &d);
  }
  if (found.status != kOk && (block.checks & kForgiveBehind) != 0 && block.spans == 0) {
    uses_start = describe_start(block, produced, &d).status == kOk;
    if (uses_start) found = failure(kOk);
  }
  if (found.status != kOk) clear(&d);
  if (lane_index() != 0) return;
  outcome->status = found.status;
  outcome->detail[0] = found.detail[0];
  outcome->detail[1] = found.detail[1];
  outcome->whole = is_whole && !uses_start ? 1 : 0;
  outcome->in_order = found.status == kOk && d.in_order && d.n_sections == 1 ? 1 : 0;
  const bool is_single = d.n_sections <= 1;
  items->items = block.section + (is_single ? kSectionHeaderBytes : 0);
  items->n_items = is_single ? d.n_items : produced;
  items->low = d.low < d.high ? d.low : 0;
  items->high = d.low < d.high ? d.high : 0;
  items->written = block.written;
  items->chrom_id = block.chrom_id;
  items->start = d.section.start;
  items->step = d.section.step;
  items->span = d.section.span;
  // A block without items has no type, but must not look like one of several sections.
  const uint32_t type = d.n_items > 0 ? d.section.type : static_cast<uint32_t>(kBedGraph);
  items->type = static_cast<uint8_t>(is_single ? type : 0);
  items->swap = block.swap;
  items->in_order = d.in_order ? 1 : 0;
  items->unused = 0;
  items->n_wanted = static_cast<uint32_t>(d.n_wanted);
}

}  // namespace bwl

#endif
