// The structures that Python fills: one per collection, one per batch. Mirrored field by field, in
// this order, by bigwig_loader/backend/cpu/library.py; every pointer is borrowed.
//
// B windows, T tracks, K unique data blocks, R reads. Row (t, b) is track t in window b.
#pragma once
#include <stdint.h>

extern "C" {

// bigwig_loader.plan.track_index.TrackIndex, as it stands in memory or in a mapped cache file.
struct BwlIndex {
  void* files;                 // FileTable
  void* cache;                 // BlockCache, or null
  int64_t n_contigs;
  int64_t n_blocks;
  const int64_t* contig_bp;    // (contigs,)
  const uint32_t* chrom_ids;   // (tracks, contigs) the file's own number of each contig
  const int64_t* file_bytes;   // (tracks,)
  const uint8_t* swap;         // (tracks,) big-endian
  const uint32_t* buf_size;    // (tracks,) uncompressBufSize; 0: blocks are not compressed
  const uint64_t* start_key;   // (blocks,) (track * n_contigs + contig) << 32 | first base
  const uint64_t* end_key;     // (blocks,) the same | furthest base so far, exclusive
  const int64_t* offset;       // (blocks,) in the file
  const uint32_t* n_bytes;     // (blocks,)
  const uint8_t* spans;        // (blocks,) 1: may hold sections of several contigs
  uint8_t* state;              // (blocks,) BlockState, updated
};

struct BwlRequest {
  const BwlIndex* index;
  const uint8_t* memory;         // where blocks stand instead of in files; else null
  const int64_t* memory_offset;  // (K,) from `memory`

  // bigwig_loader.plan.blocks.SignalPlan
  int64_t n_blocks;
  const int64_t* block;          // (K,) into the index
  const int64_t* wanted_start;   // (K,) first base any row wants
  const int64_t* wanted_end;     // (K,)
  int64_t n_reads;
  const int64_t* read_block;     // (R + 1,) first block of each read
  int64_t n_windows;
  int64_t n_tracks;
  const int64_t* row_first;      // (T, B) first block
  const int64_t* row_count;      // (T, B)
  const int32_t* window_contig;  // (B,)
  const int64_t* window_start;   // (B,)
  const uint8_t* window_reverse; // (B,) or null
  int64_t length_bp;

  // bigwig_loader.plan.signal.SignalOptions
  const void* transforms;        // (T,) bwl::Transform
  const int32_t* track_swap;     // (T,) or null: output place of each track in reversed windows
  int64_t bin_size;
  int32_t statistic;             // bwl::Statistic
  int32_t dtype;                 // 0 float32, 1 float16, 2 bfloat16
  float uncovered;
  float out_of_bounds;
  void* out;
  int64_t out_stride_window;     // in elements
  int64_t out_stride_bin;
  int64_t out_stride_track;

  int32_t n_threads;
  int32_t verify;                // 0 never, 1 once per block, 2 always
  int32_t fill_cache;            // 1: blocks that are read may be added to the cache

  // outcome; all zero when a request is made
  int64_t failed_block;          // -1, or the first block that failed
  int64_t failed_detail[2];
  int32_t failed_status;         // bwl::Status
  int64_t n_bytes_read;
  int64_t n_bytes_inflated;
  int64_t n_items;               // kept intervals
  int64_t n_reads_made;
  int64_t n_cached_blocks;       // of the K, those that the cache had
  double seconds_read;           // wall time, summed over threads
  double seconds_inflate;
  double seconds_rasterize;
};

}  // extern "C"

namespace bwl {

// What is known of a data block. Only a block in order may be left before its end.
enum BlockState : uint8_t { kUnverified = 0, kInOrder = 1, kIrregular = 2 };

// Track and contig of block k of a request, as one number.
inline uint64_t block_row(const BwlRequest& request, int64_t k) {
  return request.index->start_key[request.block[k]] >> 32;
}

}  // namespace bwl
