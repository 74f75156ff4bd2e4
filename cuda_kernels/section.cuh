// Sections: what a data block holds once it is inflated. A 24-byte header, then items.
//
// Kent et al. 2010, supplement, table 13 (header) and tables 14 to 16 (bedGraph, variableStep,
// fixedStep items). Both byte orders.
#pragma once
#include "common.cuh"
#include "dtype.cuh"

namespace bwl {

const int64_t kSectionHeaderBytes = 24;

enum SectionType : uint8_t { kBedGraph = 1, kVariableStep = 2, kFixedStep = 3 };

struct Section {
  uint32_t chrom_id;
  uint32_t start;
  uint32_t step;
  uint32_t span;
  uint32_t type;
  uint32_t n_items;
};

// One stored interval; 0-based half-open. 64 bits, since start + i * step may pass 2^32.
struct Interval {
  int64_t start;
  int64_t end;
  float value;
};

BWL_HD uint32_t load_u32(const uint8_t* p, bool swap) {
  const uint32_t a = p[0], b = p[1], c = p[2], d = p[3];
  return swap ? (a << 24 | b << 16 | c << 8 | d) : (d << 24 | c << 16 | b << 8 | a);
}

// The same; where p is known to be a multiple of 4, it is one load on a device.
template <bool kAligned>
BWL_HD uint32_t load_word(const uint8_t* p, bool swap) {
#if defined(__CUDA_ARCH__)
  if (kAligned) {
    return __byte_perm(*reinterpret_cast<const uint32_t*>(p), 0, swap ? 0x0123u : 0x3210u);
  }
#endif
  return load_u32(p, swap);
}

BWL_HD uint32_t load_u16(const uint8_t* p, bool swap) {
  const uint32_t a = p[0], b = p[1];
  return swap ? (a << 8 | b) : (b << 8 | a);
}

BWL_HD int64_t item_bytes(uint32_t type) {
  return type == kBedGraph ? 12 : type == kVariableStep ? 8 : 4;
}

// Reads the header at p; n_bytes are there. Does not check that the items are there too.
BWL_HD Status parse_section(const uint8_t* p, int64_t n_bytes, bool swap, Section* section) {
  if (n_bytes < kSectionHeaderBytes) return kShortSection;
  section->chrom_id = load_u32(p, swap);
  section->start = load_u32(p + 4, swap);
  section->step = load_u32(p + 12, swap);
  section->span = load_u32(p + 16, swap);
  section->type = p[20];
  section->n_items = load_u16(p + 22, swap);
  return section->type >= kBedGraph && section->type <= kFixedStep ? kOk : kBadSectionType;
}

BWL_HD int64_t section_bytes(const Section& section) {
  return kSectionHeaderBytes + section.n_items * item_bytes(section.type);
}

// Item i of the section whose first item stands at p, which kAligned says is a multiple of 4.
template <bool kAligned = false>
BWL_HD Interval section_item(const Section& section, const uint8_t* p, int64_t i, bool swap) {
  Interval item;
  if (section.type == kBedGraph) {
    p += i * 12;
    item.start = load_word<kAligned>(p, swap);
    item.end = load_word<kAligned>(p + 4, swap);
    item.value = bits_float(load_word<kAligned>(p + 8, swap));
  } else if (section.type == kVariableStep) {
    p += i * 8;
    item.start = load_word<kAligned>(p, swap);
    item.end = item.start + section.span;
    item.value = bits_float(load_word<kAligned>(p + 4, swap));
  } else {
    item.start = section.start + i * static_cast<int64_t>(section.step);
    item.end = item.start + section.span;
    item.value = bits_float(load_word<kAligned>(p + i * 4, swap));
  }
  return item;
}

// Whether items come in order. Some overlap, go back or end before they start: illegal, but
// present in public files. Those that end before they start, or where they start, cover nothing.
struct SectionOrder {
  bool sorted;
  int64_t last_end;
};

BWL_HD void check_order(const Interval& item, SectionOrder* order) {
  order->sorted = order->sorted && item.start >= order->last_end && item.end >= item.start;
  order->last_end = item.end > order->last_end ? item.end : order->last_end;
}

// First item whose start is at or past `position`. The items must be in order.
BWL_HD int64_t first_item_from(const Section& section, const uint8_t* items, int64_t n_items,
                               int64_t position, bool swap) {
  int64_t low = 0, high = n_items;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (section_item(section, items, middle, swap).start < position) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace bwl
