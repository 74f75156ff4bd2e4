// Kernels of haplotype.cuh: one block per row, which is one haplotype of one window.
//
// The first thread walks over the variants and lays the next segments down in shared memory; then
// all threads write the bases of these segments, neighbours next to each other. A row of 2,048 bp
// has a handful of segments, so the walk is short beside the writes.
#include "haplotype_batch.cuh"
#include "sequence.cuh"

namespace {

constexpr int kSegments = 128;  // laid down at a time

template <typename Element, int K>
__device__ __forceinline__ void encode(const BwlHaplotypes& of, const BwlHaplotypeWindows& windows,
                                       const uint8_t* const* packed, const int64_t* contig_bp,
                                       const int64_t* row_offset, const Element* tables,
                                       int32_t planes, Element* out) {
  const int64_t n_rows = windows.n_windows * of.ploidy;
  __shared__ bwl::Segment segments[kSegments];
  __shared__ int n_segments;
  for (int64_t row = blockIdx.x; row < n_rows; row += gridDim.x) {
    const int64_t window = row / of.ploidy;
    const int32_t contig = windows.contig_index[window];
    const bool flip = windows.reverse != nullptr && windows.reverse[window] != 0;
    const Element* table = tables + (flip ? bwl::kCodes * K : 0);
    const int64_t first = row_offset != nullptr ? row_offset[row] : row * windows.length_bp;
    const int64_t length = row_offset != nullptr ? row_offset[row + 1] - first : windows.length_bp;
    bwl::HaplotypeWalk walk = bwl::walk_of(of, windows, window, row % of.ploidy);
    int64_t at = 0;
    do {
      __syncthreads();
      if (threadIdx.x == 0) {
        int n = 0;
        while (n < kSegments && walk.next(&segments[n])) ++n;
        n_segments = n;
      }
      __syncthreads();
      for (int k = 0; k < n_segments; ++k) {
        const bwl::Segment segment = segments[k];
        for (int64_t i = threadIdx.x; i < segment.length; i += blockDim.x) {
          const uint32_t code =
              segment.variant < 0
                  ? bwl::packed_base(packed[contig], contig_bp[contig], segment.position + i)
                  : of.alt[of.alt_offset[segment.variant] + segment.skipped + i];
          const int64_t base = flip ? length - 1 - at - i : at + i;
          for (int32_t c = 0; c < K; ++c) {
            const int64_t to = planes != 0 ? first * K + c * length + base : (first + base) * K + c;
            out[to] = table[code * K + c];
          }
        }
        at += segment.length;
      }
    } while (n_segments == kSegments);
  }
}

}  // namespace

// Natural length of each row, or with `ends` the reference base after its last one. One thread each.
extern "C" __global__ void bwl_measure_haplotypes(const BwlHaplotypes* of,
                                                  const BwlHaplotypeWindows* windows,
                                                  int32_t ends, int64_t* measured) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= windows->n_windows * of->ploidy) return;
  const int64_t window = row / of->ploidy;
  const bwl::HaplotypeWalk walk = bwl::walk_of(*of, *windows, window, row % of->ploidy);
  measured[row] = ends != 0 ? bwl::haplotype_end(walk, windows->start[window])
                            : bwl::haplotype_length(walk);
}

#define BWL_HAPLOTYPE_KERNEL(name, Element, K)                                                    \
  extern "C" __global__ void name(const BwlHaplotypes* of, const BwlHaplotypeWindows* windows,    \
                                  const uint8_t* const* packed, const int64_t* contig_bp,         \
                                  const int64_t* row_offset, const void* tables, int32_t planes,  \
                                  void* out) {                                                    \
    encode<Element, K>(*of, *windows, packed, contig_bp, row_offset,                              \
                       static_cast<const Element*>(tables), planes, static_cast<Element*>(out));  \
  }

BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_4, uint32_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_2, uint16_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_1, uint8_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_8, uint64_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_4, uint32_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_2, uint16_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_1, uint8_t, 1)
