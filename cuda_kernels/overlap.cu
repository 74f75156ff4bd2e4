// Kernels of overlap.cuh: one thread per query, in two passes. The first counts, the counts are added
// up to offsets, the second writes.
#include "overlap.cuh"

extern "C" __global__ void bwl_count_overlaps(const bwl::BwlOverlapIndex* index, int64_t n_queries,
                                              const int32_t* contig, const int64_t* start,
                                              const int64_t* end, uint32_t* before,
                                              int32_t* counts) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  int64_t query = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; query < n_queries; query += stride) {
    counts[query] =
        bwl::count_overlaps(*index, contig[query], start[query], end[query], before + query);
  }
}

// The ids of a query are written from offsets[query] on. A query without a hit writes `unknown` there
// if that is not negative; the offsets then have room for it.
extern "C" __global__ void bwl_write_overlaps(const bwl::BwlOverlapIndex* index, int64_t n_queries,
                                              const int32_t* contig, const int64_t* start,
                                              const uint32_t* before, const int32_t* counts,
                                              const int64_t* offsets, int32_t unknown,
                                              int32_t* ids) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  int64_t query = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; query < n_queries; query += stride) {
    bwl::write_overlaps(*index, contig[query], start[query], before[query], counts[query], unknown,
                        ids + offsets[query]);
  }
}
