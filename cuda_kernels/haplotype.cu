// Kernels of haplotype.cuh: a block for each share of a row, which is one haplotype of one window.
//
// The first thread walks over the variants and lays the next segments down in shared memory; then
// all threads write bases, neighbours next to each other, whatever segments they are of. The walk is
// short beside the writes, which are as many bytes as those of plain sequence.
#include "haplotype_batch.cuh"
#include "sequence.cuh"

namespace {

constexpr int32_t kLeftPad = -1, kRightPad = 2147483647;

// Rows stand at row_offset (B * P + 1,) in bases, or, where that is null, are all of length_bp.
struct Output {
  const int64_t* row_offset;
  int32_t planes;         // letters first
  void* bases;
  const int32_t* records; // (V,) what variant_out has for a variant
  int32_t* variant_out;   // null: not wanted
  int32_t* position_out;
  int32_t* status;        // becomes 1 where an entry of a list is no variant
};

template <typename Element, int K>
struct alignas(K * sizeof(Element)) Letters {
  Element letter[K];
};

// What base `i` of a row is: its code, and where it comes from.
struct Place {
  uint32_t code;
  int64_t position;
  int32_t variant;
};

__device__ __forceinline__ Place place_of(const BwlHaplotypes& of, const bwl::Segment& segment,
                                          int64_t i, const uint8_t* packed, int64_t contig_bp) {
  if (segment.variant < 0) {
    const int64_t position = segment.position + i;
    return {bwl::packed_base(packed, contig_bp, position), position, -1};
  }
  return {of.alt[of.alt_offset[segment.variant] + segment.skipped + i], segment.position,
          segment.variant};
}

__device__ __forceinline__ void annotate(const Output& out, const Place& place, int64_t contig_bp,
                                         int64_t to) {
  out.variant_out[to] = place.variant < 0 ? -1 : out.records[place.variant];
  const bool is_inside = place.variant >= 0 || (place.position >= 0 && place.position < contig_bp);
  const int32_t pad = place.position < 0 ? kLeftPad : kRightPad;
  out.position_out[to] = is_inside ? static_cast<int32_t>(place.position) : pad;
}

template <typename Element, int K>
__device__ __forceinline__ void encode(const BwlHaplotypes& of, const BwlHaplotypeWindows& windows,
                                       const uint8_t* const* packed, const int64_t* contig_bp,
                                       const Element* tables, const Output& out) {
  using Row = Letters<Element, K>;
  __shared__ bwl::LaidDown laid;
  Element* bases = static_cast<Element*>(out.bases);
  const bool whole = out.planes == 0 && reinterpret_cast<uint64_t>(bases) % sizeof(Row) == 0;
  for (int64_t row = blockIdx.x; row < windows.n_windows * of.ploidy; row += gridDim.x) {
    const int64_t window = row / of.ploidy;
    const int32_t contig = windows.contig_index[window];
    const bool flip = windows.reverse != nullptr && windows.reverse[window] != 0;
    const Element* table = tables + (flip ? bwl::kCodes * K : 0);
    const int64_t first = out.row_offset ? out.row_offset[row] : row * windows.length_bp;
    const int64_t length = out.row_offset ? out.row_offset[row + 1] - first : windows.length_bp;
    const bwl::Share share(length, blockIdx.y, gridDim.y);
    bwl::HaplotypeWalk walk = bwl::walk_of(of, windows, window, row % of.ploidy);
    for (int64_t at = 0, next = 0;; at = next) {
      __syncthreads();  // all are done with the segments before
      if (threadIdx.x == 0) {
        bwl::lay_down(&walk, at, &laid);
        if (walk.bad()) *out.status = 1;
      }
      __syncthreads();
      next = laid.n > 0 ? laid.end[laid.n - 1] : at;
      const int64_t from = at > share.low ? at : share.low;
      const int64_t to = next < share.high ? next : share.high;
      for (int64_t i = from + threadIdx.x, k = 0; i < to; i += blockDim.x) {
        while (i >= laid.end[k]) ++k;
        const bwl::Segment& segment = laid.segment[k];
        const Place place = place_of(of, segment, i - (laid.end[k] - segment.length),
                                     packed[contig], contig_bp[contig]);
        const int64_t base = flip ? length - 1 - i : i;
        const Element* letters = table + place.code * K;
        if (whole) {
          reinterpret_cast<Row*>(bases)[first + base] = *reinterpret_cast<const Row*>(letters);
        } else {
          Element* place_in = bases + first * K + (out.planes != 0 ? base : base * K);
          for (int c = 0; c < K; ++c) place_in[out.planes != 0 ? c * length : c] = letters[c];
        }
        if (out.variant_out != nullptr) annotate(out, place, contig_bp[contig], first + base);
      }
      if (laid.last || next >= share.high) break;
    }
  }
}

}  // namespace

// `tables` (2, 16, K): what each code becomes, forward and in reverse complement. grid.y shares.
#define BWL_HAPLOTYPE_KERNEL(name, Element, K)                                                    \
  extern "C" __global__ void name(const BwlHaplotypes* of, const BwlHaplotypeWindows* windows,    \
                                  const uint8_t* const* packed, const int64_t* contig_bp,         \
                                  const int64_t* row_offset, const void* tables, int32_t planes,  \
                                  void* out, const int32_t* records, int32_t* variant_out,        \
                                  int32_t* position_out, int32_t* status) {                       \
    encode<Element, K>(*of, *windows, packed, contig_bp, static_cast<const Element*>(tables),     \
                       {row_offset, planes, out, records, variant_out, position_out, status});    \
  }

BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_4, uint32_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_2, uint16_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_one_hot_1, uint8_t, 4)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_8, uint64_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_4, uint32_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_2, uint16_t, 1)
BWL_HAPLOTYPE_KERNEL(bwl_haplotype_1, uint8_t, 1)
