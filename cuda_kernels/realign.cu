// Kernels of realign.cuh: one block per row, which is one track on one haplotype of one window.
//
// As in haplotype.cu the first thread lays segments down in shared memory, and all threads write
// their bases. Values are looked up base by base: the plain form, which a fused one must equal.
#include "haplotype_batch.cuh"
#include "realign.cuh"

namespace {

constexpr int kSegments = 128;  // laid down at a time

// What the kernel is given; the arrays are those of host/realign.h.
struct Batch {
  BwlHaplotypes haplotypes;
  BwlHaplotypeWindows windows;
  const int64_t* contig_bp;
  int64_t n_tracks;
  float uncovered, out_of_bounds;
  int32_t coverage;
  uint64_t seed;
  uint32_t epoch;
  const int64_t* cell;
};

struct Track {
  const int64_t* offsets;
  const int32_t* start;
  const int32_t* end;
  const float* value;
  int64_t n_samples;
  const int32_t* contig;
  const int64_t* sample;
  bwl::Fill fill;
  bwl::Transform transform;
};

__device__ bwl::IntervalTrack track_of(const Batch& batch, const Track& track, int64_t window) {
  const int32_t contig = batch.windows.contig_index[window];
  bwl::IntervalTrack found{{nullptr, nullptr, nullptr, 0},
                           {track.transform, batch.uncovered, batch.out_of_bounds,
                            batch.contig_bp[contig], batch.coverage != 0}};
  const int32_t own = track.contig[contig];
  const int64_t sample = track.sample[window];
  if (own < 0 || sample < 0 || sample >= track.n_samples) return found;
  const int64_t list = own * track.n_samples + sample, at = track.offsets[list];
  found.list = {track.start + at, track.end + at, track.value + at, track.offsets[list + 1] - at};
  return found;
}

}  // namespace

// Values of all bases, rows (b, t, p) from row_offset[row] on, before bins (value_bins.cu) and the
// steps of a transform that come after them. status[row]: 1 where a list has an entry that is no variant.
extern "C" __global__ void bwl_realign_bases(const Batch* of_batch, const Track* tracks,
                                             int64_t n_rows, const int64_t* row_offset,
                                             float* out, int32_t* status) {
  const Batch& batch = *of_batch;
  const BwlHaplotypes& of = batch.haplotypes;
  const BwlHaplotypeWindows& windows = batch.windows;
  __shared__ bwl::Segment segments[kSegments];
  __shared__ int n_segments;
  for (int64_t row = blockIdx.x; row < n_rows; row += gridDim.x) {
    const int64_t ploid = row % of.ploidy, window = row / of.ploidy / batch.n_tracks;
    const Track& track = tracks[row / of.ploidy % batch.n_tracks];
    const bwl::IntervalTrack values = track_of(batch, track, window);
    const bool flip = windows.reverse != nullptr && windows.reverse[window] != 0;
    const int64_t first = row_offset[row], length = row_offset[row + 1] - first;
    const int64_t start = windows.start[window];
    const int64_t reached = bwl::haplotype_end(bwl::walk_of(of, windows, window, ploid), start);
    const uint64_t key =
        batch.cell == nullptr ? 0 : bwl::flank_key(batch.seed, batch.epoch, batch.cell[window], ploid);
    bwl::HaplotypeWalk walk = bwl::walk_of(of, windows, window, ploid);
    int64_t at = 0;
    do {
      __syncthreads();
      if (threadIdx.x == 0) {
        int n = 0;
        while (n < kSegments && walk.next(&segments[n])) ++n;
        n_segments = n;
        status[row] = walk.bad() ? 1 : 0;
      }
      __syncthreads();
      for (int k = 0; k < n_segments; ++k) {
        const bwl::Segment& segment = segments[k];
        for (int64_t i = threadIdx.x; i < segment.length && at + i < length; i += blockDim.x) {
          float value;
          if (segment.insertion < 0) {
            value = values(segment.position + (segment.variant < 0 ? i : 0));
          } else {
            const bwl::Insertion insertion = bwl::insertion_of(
                bwl::variants_of(of), segment.insertion, start, windows.end[window], reached, key);
            const int64_t x = segment.insertion == segment.variant ? segment.skipped + i : 0;
            value = bwl::inserted_value(values, track.fill, insertion, x);
          }
          out[first + (flip ? length - 1 - at - i : at + i)] = value;
        }
        at += segment.length;
      }
    } while (n_segments == kSegments);
  }
}
