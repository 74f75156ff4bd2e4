// Data blocks of a batch on a device: what the host says of each, and what becomes of it.
//
// Mirrored field by field by bigwig_loader/backend/cuda/records.py. The stages of a batch are
// inflate.cu (bytes -> section), describe.cu (section -> items) and rasterize.cu (items -> values).
#pragma once
#include "common.cuh"
#include "section.cuh"

namespace bwl {

// Room behind a section that may be written to: copies run over by whole words.
constexpr int64_t kSectionSlack = 16;
// Of a block's `wanted_end`: all of it.
constexpr int64_t kWholeBlock = 0x7fffffffffffffffLL;

enum BlockKind : uint8_t {
  kDeflated = 0,  // `bytes` is a zlib stream, inflated to `section`
  kPlain = 1,     // `bytes` is the section, copied to `section`, where it is aligned
  kResident = 2,  // `section` holds the section, `n_section` bytes of it
};

enum BlockCheck : uint8_t {
  kMayStop = 1,        // leave the stream once an item starts at or past wanted_end
  kCheckAdler = 2,     // compare the checksum (whole blocks only)
  kKnownInOrder = 4,   // items have been found in order before, in one section
  kForgiveBehind = 8,  // what is wrong behind the items wanted does not matter, if these are in order
};

}  // namespace bwl

extern "C" {

// One data block. The pointers are in device memory.
struct BwlBlock {
  const uint8_t* bytes;  // as in the file; any alignment
  uint8_t* section;      // 16-byte aligned, room for capacity + kSectionSlack bytes
  int64_t n_bytes;       // of `bytes`
  int64_t capacity;      // most it may inflate to
  int64_t n_section;     // kResident: bytes in `section`; else 0
  int64_t wanted_start;  // first base that some window wants
  int64_t wanted_end;    // past the last one
  int64_t written;       // offset in the file: blocks stand by start, and were written by offset
  uint32_t chrom_id;
  uint8_t kind;          // bwl::BlockKind
  uint8_t checks;        // bits of bwl::BlockCheck
  uint8_t swap;          // big-endian
  uint8_t spans;         // may hold sections of several contigs
};

// What became of a block.
struct BwlOutcome {
  int64_t produced;    // valid bytes of the section
  int64_t detail[2];   // of a failure
  int32_t status;      // bwl::Status
  uint8_t whole;       // the stream has ended where it should: all of the block is there
  uint8_t in_order;    // one section, items in order as far as they are there
  uint8_t unused[2];
};

// The items of a block, as the rasterizer reads them.
struct BwlItems {
  const uint8_t* items;  // first item of the only section; a whole block with several: its start
  int64_t n_items;       // of the only section, as far as they are there; several: bytes of the block
  int64_t low, high;     // hull of the items; low >= high: none
  int64_t written;
  uint32_t chrom_id;
  uint32_t start, step, span;  // of the section
  uint8_t type;          // bwl::SectionType; 0: several sections, to be walked through
  uint8_t swap;
  uint8_t in_order;
  uint8_t unused;
  uint32_t n_wanted;     // items of the contig that overlap [wanted_start, wanted_end)
};

}  // extern "C"
