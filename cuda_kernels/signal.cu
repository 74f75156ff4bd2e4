// Kernels of section.cuh and bins.cuh, one thread per item and one per bin: the plain form, which
// a fused one must equal.
#include "bins.cuh"
#include "section.cuh"
#include "transform.cuh"

// Items of inflated data blocks as intervals. Block b stands at data + block_offset[b]; its items
// go to start/end/value + item_offset[b]. status[b] becomes the block's bwl::Status.
extern "C" __global__ void bwl_parse_items(int64_t n_blocks, const uint8_t* data,
                                           const int64_t* block_offset, const int64_t* block_bytes,
                                           const uint32_t* chrom_id, const uint8_t* swap,
                                           const int64_t* item_offset, int64_t* start,
                                           int64_t* end, float* value, int32_t* status) {
  for (int64_t b = blockIdx.x; b < n_blocks; b += gridDim.x) {
    const uint8_t* p = data + block_offset[b];
    const bool big_endian = swap[b] != 0;
    bwl::Section section;
    bwl::Status outcome = bwl::parse_section(p, block_bytes[b], big_endian, &section);
    if (outcome == bwl::kOk && bwl::section_bytes(section) > block_bytes[b]) {
      outcome = bwl::kItemsPastEnd;
    }
    if (outcome == bwl::kOk && section.chrom_id != chrom_id[b]) outcome = bwl::kBadChromId;
    if (threadIdx.x == 0) status[b] = outcome;
    if (outcome != bwl::kOk) continue;
    for (int64_t i = threadIdx.x; i < section.n_items; i += blockDim.x) {
      const bwl::Interval item =
          bwl::section_item(section, p + bwl::kSectionHeaderBytes, i, big_endian);
      start[item_offset[b] + i] = item.start;
      end[item_offset[b] + i] = item.end;
      value[item_offset[b] + i] = item.value;
    }
  }
}

namespace {

// Bins of one row: intervals in order, none overlapping. Thread n makes bin n.
template <int kStatistic>
__device__ __forceinline__ void bins_of_row(int64_t n_items, const int64_t* start,
                                            const int64_t* end, const float* value,
                                            int64_t origin, int64_t contig_bp, int64_t bin_size,
                                            int64_t n_bins, float uncovered, float out_of_bounds,
                                            const bwl::Transform* transform, float* out) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (n >= n_bins) return;
  const int64_t first = origin + n * bin_size, last = first + bin_size;
  const int64_t low = first < 0 ? 0 : first, high = last < contig_bp ? last : contig_bp;
  int64_t at = 0, past = n_items;  // first item that ends past the bin's start
  while (at < past) {
    const int64_t middle = at + (past - at) / 2;
    if (end[middle] <= low) {
      at = middle + 1;
    } else {
      past = middle;
    }
  }
  bwl::Bin bin;
  bwl::bin_clear(&bin);
  for (; at < n_items && start[at] < high; ++at) {
    const int64_t from = start[at] > low ? start[at] : low;
    const int64_t to = end[at] < high ? end[at] : high;
    if (from < to) bwl::bin_add<kStatistic>(&bin, bwl::stored_value(*transform, value[at]), to - from);
  }
  const int64_t n_inside = high > low ? high - low : 0;
  const float x = bwl::bin_finish<kStatistic>(bin, bin_size, n_inside, uncovered, out_of_bounds);
  out[n] = bwl::apply_transform(*transform, x);
}

}  // namespace

#define BWL_BINS_KERNEL(name, statistic)                                                          \
  extern "C" __global__ void name(int64_t n_items, const int64_t* start, const int64_t* end,      \
                                  const float* value, int64_t origin, int64_t contig_bp,          \
                                  int64_t bin_size, int64_t n_bins, float uncovered,              \
                                  float out_of_bounds, const bwl::Transform* transform,           \
                                  float* out) {                                                   \
    bins_of_row<statistic>(n_items, start, end, value, origin, contig_bp, bin_size, n_bins,       \
                           uncovered, out_of_bounds, transform, out);                             \
  }

BWL_BINS_KERNEL(bwl_bins_mean, bwl::kMean)
BWL_BINS_KERNEL(bwl_bins_sum, bwl::kSum)
BWL_BINS_KERNEL(bwl_bins_max, bwl::kMax)
BWL_BINS_KERNEL(bwl_bins_min, bwl::kMin)
BWL_BINS_KERNEL(bwl_bins_std, bwl::kStd)
BWL_BINS_KERNEL(bwl_bins_coverage, bwl::kCoverage)
