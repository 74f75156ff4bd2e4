// What Python fills for one batch of signal on haplotypes. Mirrored field by field, in this order,
// by bigwig_loader/backend/cpu/realign.py; every pointer is borrowed. Contigs and samples of the
// windows are in range, as haplotype_batch.cuh says; those of the tracks are looked at here.
//
// B windows, T tracks, P haplotypes. Row (b, t, p) is one haplotype of one window.
#pragma once
#include <stdint.h>

#include "../realign.cuh"
#include "../haplotype_batch.cuh"

extern "C" {

// One track: lists of intervals (offsets not null), or values that were read (dense not null).
struct BwlTrack {
  const int64_t* offsets;      // (table contigs * samples + 1,)
  const int32_t* start;        // intervals, list after list
  const int32_t* end;
  const float* value;
  int64_t n_samples;
  const int32_t* contig;       // (contigs,) that of the table; -1 where it has none
  const int64_t* sample;       // (B,) of the table
  const float* dense;          // (B, dense_bp)
  const int64_t* dense_start;  // (B,) position of the first value
  int64_t dense_bp;
  bwl::Fill fill;
  bwl::Transform transform;
};

struct BwlRealign {
  const BwlHaplotypes* haplotypes;
  const BwlHaplotypeWindows* windows;
  const int64_t* contig_bp;    // (contigs,)
  int64_t n_tracks;
  const BwlTrack* tracks;      // (T,)
  const int32_t* source_track; // (T,) or null: the track that each place has in reversed windows

  // bigwig_loader.plan.realign.RealignOptions
  int64_t bin_size;
  int32_t statistic;           // bwl::Statistic
  int32_t dtype;               // 0 float32, 1 float16, 2 bfloat16
  float uncovered;
  float out_of_bounds;

  uint64_t seed;
  int64_t epoch;
  const int64_t* cell;         // (B,) or null: nothing is drawn

  void* out;
  const int64_t* row_offset;   // (B * T * P + 1,) or null: every row has as many values

  int32_t n_threads;
  int32_t status;              // outcome, a bwl::RealignStatus
  int64_t failed_window;
  int64_t failed_track;
};

}  // extern "C"

namespace bwl {

enum RealignStatus : int32_t {
  kRealigned = 0,
  kNoMemory = 1,
  kBadSample = 2,     // a track has no such sample
  kOutsideDense = 3,  // a haplotype reaches out of the values that were read
  kOtherLength = 4,   // a row has not as many values as `row_offset` says
  kBadRow = 5,        // an entry of a haplotype's list is no variant
};

}  // namespace bwl
