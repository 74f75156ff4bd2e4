// Kernels of sequence.cuh: one thread per base of the output.
//
// The table holds 16 rows of 4 letters in the output's dtype, so a kernel only copies elements and
// needs to know their size, not their type. One row is one 4-, 8- or 16-byte load and store in the
// BLA layout; in BAL the threads of a warp write neighbours of one letter's plane.
#include "sequence.cuh"

namespace {

template <typename Element>
struct alignas(4 * sizeof(Element)) Row {
  Element letter[bwl::kLetters];
};

// grid.x blocks over the bases of a window, grid.y strides over the windows (it is limited to
// 65,535 blocks, windows are not).
template <typename Element>
__device__ __forceinline__ void one_hot(int64_t n_windows, int64_t window_bp,
                                        const int32_t* contig_index, const int64_t* start,
                                        const uint8_t* reverse, const uint8_t* const* packed,
                                        const int64_t* contig_bp, const Row<Element>* table,
                                        int32_t letters_first, void* out) {
  const int64_t base = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (base >= window_bp) return;
  for (int64_t window = blockIdx.y; window < n_windows; window += gridDim.y) {
    const int32_t contig = contig_index[window];
    const bool flip = reverse != nullptr && reverse[window] != 0;
    const uint32_t code = bwl::window_base(packed[contig], contig_bp[contig], start[window],
                                           window_bp, flip, base);
    const Row<Element> row = table[code];
    if (letters_first == 0) {
      static_cast<Row<Element>*>(out)[window * window_bp + base] = row;
      continue;
    }
    Element* plane = static_cast<Element*>(out) + window * bwl::kLetters * window_bp + base;
    for (int32_t c = 0; c < bwl::kLetters; ++c) plane[c * window_bp] = row.letter[c];
  }
}

}  // namespace

#define BWL_ONE_HOT_KERNEL(name, Element)                                                        \
  extern "C" __global__ void name(int64_t n_windows, int64_t window_bp,                          \
                                  const int32_t* contig_index, const int64_t* start,             \
                                  const uint8_t* reverse, const uint8_t* const* packed,          \
                                  const int64_t* contig_bp, const void* table,                   \
                                  int32_t letters_first, void* out) {                            \
    one_hot<Element>(n_windows, window_bp, contig_index, start, reverse, packed, contig_bp,      \
                     static_cast<const Row<Element>*>(table), letters_first, out);               \
  }

BWL_ONE_HOT_KERNEL(bwl_one_hot_4, uint32_t)  // float32
BWL_ONE_HOT_KERNEL(bwl_one_hot_2, uint16_t)  // float16, bfloat16
BWL_ONE_HOT_KERNEL(bwl_one_hot_1, uint8_t)   // uint8, int8

// Bases of each window whose code is one of `codes`; those outside the contig have code 0. One block
// per window; counts[window] must be zero before the launch.
extern "C" __global__ void bwl_count_bases(int64_t n_windows, int64_t window_bp,
                                           const int32_t* contig_index, const int64_t* start,
                                           const uint8_t* const* packed,
                                           const int64_t* contig_bp, uint32_t codes,
                                           unsigned long long* counts) {
  for (int64_t window = blockIdx.x; window < n_windows; window += gridDim.x) {
    const int32_t contig = contig_index[window];
    unsigned long long mine = 0;
    for (int64_t i = threadIdx.x; i < window_bp; i += blockDim.x) {
      const uint32_t code = bwl::packed_base(packed[contig], contig_bp[contig], start[window] + i);
      mine += bwl::is_among(code, codes) ? 1 : 0;
    }
    if (mine != 0) atomicAdd(counts + window, mine);
  }
}
