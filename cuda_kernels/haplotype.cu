// Kernels of haplotype.cuh: one block per row, which is one haplotype of one window.
//
// The first thread walks over the variants and lays the next segments down in shared memory; then
// all threads write the bases of these segments, neighbours next to each other. A row of 2,048 bp
// has a handful of segments, so the walk is short beside the writes.
#include "haplotype.cuh"
#include "sequence.cuh"

namespace {

constexpr int kSegments = 128;  // laid down at a time

// What the kernels are given; the arrays are those of host/haplotypes.h.
struct Rows {
  bwl::Variants variants;
  const int64_t* list_offset;
  const int32_t* carried;
  int64_t n_samples, ploidy, longest_bp;
  int32_t rule;
  const int32_t* contig_index;
  const int64_t* start;
  const int64_t* end;
  const int64_t* sample;
  const uint8_t* reverse;
  const int64_t* shift;
  int64_t length_bp;
};

__device__ bwl::HaplotypeWalk walk_of(const Rows& rows, int64_t row) {
  const int64_t window = row / rows.ploidy, sample = rows.sample[window];
  const int32_t* carried = rows.carried;
  int64_t n = 0;
  if (sample >= 0) {
    const int64_t list =
        (rows.contig_index[window] * rows.n_samples + sample) * rows.ploidy + row % rows.ploidy;
    carried += rows.list_offset[list];
    n = rows.list_offset[list + 1] - rows.list_offset[list];
  }
  return bwl::HaplotypeWalk(rows.variants, rows.rule, carried, n, rows.start[window],
                            rows.end[window], rows.length_bp,
                            rows.shift == nullptr ? 0 : rows.shift[row], rows.longest_bp);
}

template <typename Element, int K>
__device__ __forceinline__ void encode(const Rows& rows, int64_t n_rows,
                                       const uint8_t* const* packed, const int64_t* contig_bp,
                                       const int64_t* row_offset, const Element* tables,
                                       int32_t planes, Element* out) {
  __shared__ bwl::Segment segments[kSegments];
  __shared__ int n_segments;
  for (int64_t row = blockIdx.x; row < n_rows; row += gridDim.x) {
    const int64_t window = row / rows.ploidy;
    const int32_t contig = rows.contig_index[window];
    const bool flip = rows.reverse != nullptr && rows.reverse[window] != 0;
    const Element* table = tables + (flip ? bwl::kCodes * K : 0);
    const int64_t first = row_offset != nullptr ? row_offset[row] : row * rows.length_bp;
    const int64_t length = row_offset != nullptr ? row_offset[row + 1] - first : rows.length_bp;
    bwl::HaplotypeWalk walk = walk_of(rows, row);
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
                  : rows.variants.alt[rows.variants.alt_offset[segment.variant] +
                                      segment.skipped + i];
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

#define BWL_ROWS_PARAMETERS                                                                      \
  int64_t n_rows, const int32_t *position, const int32_t *ilen, const int64_t *alt_offset,       \
      const uint8_t *alt, const uint8_t *keep, const uint8_t *free, int64_t n_variants,          \
      const int64_t *list_offset,                                                                \
      const int32_t *carried, int64_t n_samples, int64_t ploidy, int64_t longest_bp,             \
      int32_t rule, const int32_t *contig_index, const int64_t *start, const int64_t *end,       \
      const int64_t *sample, const uint8_t *reverse, const int64_t *shift, int64_t length_bp

#define BWL_ROWS                                                                              \
  Rows {                                                                                      \
    {position, ilen, alt_offset, alt, keep, free, n_variants}, list_offset, carried,          \
        n_samples, ploidy,                                                                   \
        longest_bp, rule, contig_index, start, end, sample, reverse, shift, length_bp                           \
  }

// Natural length of each row, or with `ends` the reference base after its last one. One thread each.
extern "C" __global__ void bwl_measure_haplotypes(BWL_ROWS_PARAMETERS, int32_t ends,
                                                  int64_t* measured) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= n_rows) return;
  const Rows rows = BWL_ROWS;
  const bwl::HaplotypeWalk walk = walk_of(rows, row);
  measured[row] = ends != 0 ? bwl::haplotype_end(walk, start[row / ploidy])
                            : bwl::haplotype_length(walk);
}

#define BWL_HAPLOTYPE_KERNEL(name, Element, K)                                                    \
  extern "C" __global__ void name(BWL_ROWS_PARAMETERS, const uint8_t* const* packed,              \
                                  const int64_t* contig_bp, const int64_t* row_offset,            \
                                  const void* tables, int32_t planes, void* out) {                \
    encode<Element, K>(BWL_ROWS, n_rows, packed, contig_bp, row_offset,                           \
                       static_cast<const Element*>(tables), planes, static_cast<Element*>(out));  \
  }

BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_4, uint32_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_2, uint16_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_1, uint8_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_8, uint64_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_4, uint32_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_2, uint16_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_1, uint8_t, 1)
