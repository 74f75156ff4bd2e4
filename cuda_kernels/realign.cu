// Kernel of realign.cuh: a block for each haplotype of a window, group of tracks and share of bases.
//
// As in haplotype.cu the first thread lays segments down in shared memory, once for all its tracks.
// A base looks its value up in those intervals of its track that lie where the segments do.
#include "realign_batch.cuh"

namespace {

// What all threads of a block know of their haplotype. The walk is the first thread's: in registers
// it would take a fifth of those of all threads.
struct Shared {
  alignas(8) char walk[sizeof(bwl::HaplotypeWalk)];
  bwl::LaidDown laid;
  int64_t first;    // reference base of the first segment
  int64_t reached;  // reference base after the last one
  uint64_t key;     // of random numbers, where there is a cell
};

template <typename Values>
__device__ void write_bases(const BwlRealign& request, const BwlRealignOnDevice& on,
                            const bwl::RealignRow& row, int64_t place, const Shared& shared,
                            int64_t at, const bwl::Fill& fill, const Values& values) {
  const BwlHaplotypeWindows& windows = *request.windows;
  const bool flip = windows.reverse != nullptr && windows.reverse[row.window] != 0;
  const bool is_plain = bwl::is_plain(request);
  const bwl::RealignOutput output(request, on, row, place);
  float* bases = is_plain ? nullptr : row.bases(request, on, place);
  const bwl::LaidDown& laid = shared.laid;
  const bwl::Share share(row.n_bases, blockIdx.z, gridDim.z);
  const int64_t from = at > share.low ? at : share.low, next = laid.end[laid.n - 1];
  const int64_t to = next < share.high ? next : share.high;
  for (int64_t i = from + threadIdx.x, k = 0; i < to; i += blockDim.x) {
    while (i >= laid.end[k]) ++k;
    const bwl::Segment& segment = laid.segment[k];
    const int64_t within = i - (laid.end[k] - segment.length);
    const float value = bwl::segment_value(request, segment, within, row.window, shared.reached,
                                           shared.key, fill, values);
    const int64_t base = flip ? row.n_bases - 1 - i : i;
    if (is_plain) output.put(base, value); else bases[base] = value;
  }
}

__device__ void fail(const BwlRealign& request, const BwlRealignOnDevice& on, int64_t window,
                     int64_t place, bwl::RealignStatus status) {
  const int64_t failure = (window * request.n_tracks + place) * 8 + status;
  atomicMin(on.failure, static_cast<unsigned long long>(failure));
}

// What the first thread does before all others: the next segments, and at first what the row is.
__device__ void lay_down_next(const BwlRealign& request, const BwlRealignOnDevice& on,
                              const bwl::RealignRow& row, int64_t at, Shared* shared) {
  auto* walk = reinterpret_cast<bwl::HaplotypeWalk*>(shared->walk);
  const bwl::LaidDown& laid = shared->laid;
  if (at == 0) *walk = bwl::walk_of(*request.haplotypes, *request.windows, row.window, row.ploid);
  bwl::lay_down(walk, at, &shared->laid);
  if (walk->bad()) fail(request, on, row.window, 0, bwl::kBadRow);
  if (at > 0) return;
  bwl::Segment last{0, request.windows->start[row.window], -1, 0, -1};
  shared->first = laid.n > 0 ? laid.segment[0].position : last.position;
  if (laid.n > 0) last = laid.segment[laid.n - 1];
  bwl::HaplotypeWalk rest = *walk;
  while (!laid.last && rest.next(&last)) {
  }
  shared->reached = last.position + (last.variant < 0 ? last.length : 1);
  if (request.cell == nullptr) return;
  shared->key = bwl::flank_key(request.seed, static_cast<uint32_t>(request.epoch),
                               static_cast<uint64_t>(request.cell[row.window]),
                               static_cast<uint32_t>(row.ploid));
}

// The segments laid down, on one track.
__device__ void write_track(const BwlRealign& request, const BwlRealignOnDevice& on,
                            const bwl::RealignRow& row, int64_t place, const Shared& shared,
                            int64_t at) {
  const int64_t window = row.window;
  const BwlTrack& track = bwl::track_at(request, window, place);
  const bwl::Fill fill = bwl::fill_of(request, track);
  if (track.dense == nullptr) {
    if (shared.laid.n == 0) return;
    write_bases(request, on, row, place, shared, at, fill,
                bwl::narrowed(bwl::intervals_of(request, track, window), shared.laid, fill));
    return;
  }
  const bwl::Stretch stretch =
      bwl::looked_at(fill, request.windows->start[window], request.windows->end[window],
                     shared.first, shared.reached);
  const int64_t first = track.dense_start[window];
  if (stretch.low < first || stretch.high > first + track.dense_bp) {
    if (threadIdx.x == 0) fail(request, on, window, place, bwl::kOutsideDense);
  } else if (shared.laid.n > 0) {
    const float* values = track.dense + window * on.dense_stride[&track - request.tracks];
    write_bases(request, on, row, place, shared, at, fill,
                bwl::DenseTrack{values, first, track.dense_bp, request.statistic == bwl::kCoverage});
  }
}

}  // namespace

// Windows [first_window, first_window + n_windows): their values, or, where these are bins, the
// values of their bases, which value_bins.cu goes on with. grid.y groups of tracks, grid.z shares of
// the bases of a row.
extern "C" __global__ void bwl_realign_bases(const BwlRealign* of, const BwlRealignOnDevice* on,
                                             int64_t first_window, int64_t n_windows) {
  const BwlRealign& request = *of;
  const int64_t ploidy = request.haplotypes->ploidy;
  __shared__ Shared shared;
  for (int64_t r = blockIdx.x; r < n_windows * ploidy; r += gridDim.x) {
    const bwl::RealignRow row(request, *on, first_window * ploidy + r, first_window);
    for (int64_t at = 0, next = 0;; at = next) {
      __syncthreads();  // all are done with the segments before
      if (threadIdx.x == 0) lay_down_next(request, *on, row, at, &shared);
      __syncthreads();
      next = shared.laid.n > 0 ? shared.laid.end[shared.laid.n - 1] : at;
      for (int64_t place = blockIdx.y; place < request.n_tracks; place += gridDim.y) {
        write_track(request, *on, row, place, shared, at);
      }
      if (shared.laid.last) break;
    }
  }
}
