// Kernels of sequence.cuh: a thread makes 16 bytes of one-hot output, or counts 16 bases.
//
// Bound by the writes: 16 bytes per base in float32, 8 in the 16-bit types, 4 in the 8-bit ones, from
// half a byte read. So every store is a whole 16-byte word next to that of the neighbouring thread,
// also where rows or planes begin anywhere: the words are those of the memory, and the bases that a
// word needs are fetched by one or two 8-byte loads, which neighbours share in the cache. What codes
// become stands in shared memory, in elements of the output, so only their size is known here.
#include "sequence.cuh"

namespace {

constexpr int kStoreBytes = 16;

// A unit is what one base has next to each other: a row of four letters, or one letter of a plane.
template <typename Element, int kUnit>
struct alignas(kUnit * sizeof(Element)) Unit {
  Element letter[kUnit];
};

template <typename Element, int kUnit>
struct alignas(kStoreBytes) Word {
  static constexpr int kBases = kStoreBytes / (kUnit * sizeof(Element));
  Unit<Element, kUnit> base[kBases];
};

// grid.x blocks over the words of a stripe, grid.y strides over the stripes (it is limited to
// 65,535 blocks, windows are not). A stripe is a window of rows, or one plane of a window.
template <typename Element, int kUnit>
__device__ __forceinline__ void one_hot(int64_t n_windows, int64_t window_bp,
                                        const int32_t* contig_index, const int64_t* start,
                                        const uint8_t* reverse, const uint8_t* const* packed,
                                        const int64_t* contig_bp, const Element* table, uint8_t* out,
                                        int64_t window_bytes) {
  using OutUnit = Unit<Element, kUnit>;
  using OutWord = Word<Element, kUnit>;
  constexpr int kPlanes = bwl::kLetters / kUnit;
  __shared__ OutUnit units[kPlanes][bwl::kCodes];
  for (int i = threadIdx.x; i < kPlanes * bwl::kCodes; i += blockDim.x) {
    const int plane = i / bwl::kCodes, code = i % bwl::kCodes;
    for (int c = 0; c < kUnit; ++c) {
      units[plane][code].letter[c] = table[code * bwl::kLetters + plane + c];
    }
  }
  __syncthreads();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * OutWord::kBases;
  for (int64_t stripe = blockIdx.y; stripe < n_windows * kPlanes; stripe += gridDim.y) {
    const int64_t window = stripe / kPlanes;
    const int plane = static_cast<int>(stripe % kPlanes);
    const int32_t contig = contig_index[window];
    const uint8_t* bases = packed[contig];
    const int64_t length_bp = contig_bp[contig], origin = start[window];
    const bool flip = reverse != nullptr && reverse[window] != 0;
    Element* to = reinterpret_cast<Element*>(out + window * window_bytes) + plane * window_bp;
    // Units between the 16-byte boundary before the stripe and its first one.
    const auto past = static_cast<int64_t>(reinterpret_cast<uint64_t>(to) % kStoreBytes);
    const bool is_aligned = past % sizeof(OutUnit) == 0;
    const int64_t lead = past / static_cast<int64_t>(sizeof(OutUnit));
    int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (first = first * OutWord::kBases - lead; first < window_bp; first += step) {
      const uint64_t codes = bwl::window_run(bases, length_bp, origin, window_bp, flip, first,
                                             OutWord::kBases);
      OutWord word;
      for (int k = 0; k < OutWord::kBases; ++k) word.base[k] = units[plane][codes >> (4 * k) & 15];
      if (is_aligned && first >= 0 && first + OutWord::kBases <= window_bp) {
        *reinterpret_cast<OutWord*>(to + first * kUnit) = word;
        continue;
      }
      for (int k = 0; k < OutWord::kBases; ++k) {
        if (first + k < 0 || first + k >= window_bp) continue;
        for (int c = 0; c < kUnit; ++c) to[(first + k) * kUnit + c] = word.base[k].letter[c];
      }
    }
  }
}

}  // namespace

// Windows stand `window_bytes` apart: (window_bp, 4), or with `letters_first` (4, window_bp). The
// table has 16 rows of 4 letters.
#define BWL_ONE_HOT_KERNEL(name, Element)                                                         \
  extern "C" __global__ void name(int64_t n_windows, int64_t window_bp,                           \
                                  const int32_t* contig_index, const int64_t* start,              \
                                  const uint8_t* reverse, const uint8_t* const* packed,           \
                                  const int64_t* contig_bp, const Element* table,                 \
                                  int32_t letters_first, uint8_t* out, int64_t window_bytes) {    \
    if (letters_first != 0) {                                                                     \
      one_hot<Element, 1>(n_windows, window_bp, contig_index, start, reverse, packed, contig_bp,  \
                          table, out, window_bytes);                                              \
    } else {                                                                                      \
      one_hot<Element, 4>(n_windows, window_bp, contig_index, start, reverse, packed, contig_bp,  \
                          table, out, window_bytes);                                              \
    }                                                                                             \
  }

BWL_ONE_HOT_KERNEL(bwl_one_hot_4, uint32_t)  // float32
BWL_ONE_HOT_KERNEL(bwl_one_hot_2, uint16_t)  // float16, bfloat16
BWL_ONE_HOT_KERNEL(bwl_one_hot_1, uint8_t)   // uint8, int8

// Bases of each window whose code is one of `codes`; those outside the contig have code 0. grid.x
// blocks, of whole warps, over the bases of a window; counts[window] must be zero before the launch.
extern "C" __global__ void bwl_count_bases(int64_t n_windows, int64_t window_bp,
                                           const int32_t* contig_index, const int64_t* start,
                                           const uint8_t* const* packed,
                                           const int64_t* contig_bp, uint32_t codes,
                                           unsigned long long* counts) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * bwl::kRunBases;
  for (int64_t window = blockIdx.y; window < n_windows; window += gridDim.y) {
    const int32_t contig = contig_index[window];
    unsigned long long mine = 0;
    int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (first *= bwl::kRunBases; first < window_bp; first += step) {
      uint64_t run = bwl::packed_run(packed[contig], contig_bp[contig], start[window] + first);
      for (int64_t k = first; k < first + bwl::kRunBases && k < window_bp; ++k, run >>= 4) {
        mine += bwl::is_among(static_cast<uint32_t>(run & 15), codes) ? 1 : 0;
      }
    }
    for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_down_sync(0xFFFFFFFFu, mine, lanes);
    if (threadIdx.x % 32 == 0 && mine != 0) atomicAdd(counts + window, mine);
  }
}
