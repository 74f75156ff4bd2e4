// Overlap search on the CPU: overlap.cuh over many queries, on threads.
#include "../overlap.cuh"

#include <algorithm>

#include "api.h"
#include "parallel.h"

namespace {

// Queries that a thread takes at a time: some tens of microseconds of work.
constexpr int64_t kQueriesPerTask = 4096;
// Queries that are looked ahead, so that memory is on its way when it is needed.
constexpr int64_t kAhead = 16;

template <typename F>
void for_tasks(int64_t n_queries, int32_t n_threads, F&& f) {
  const int64_t n_tasks = (n_queries + kQueriesPerTask - 1) / kQueriesPerTask;
  bwl::parallel_for(n_tasks, n_threads, [&](int64_t task, int) {
    f(task * kQueriesPerTask, std::min(n_queries, (task + 1) * kQueriesPerTask));
  });
}

// The bucket entry that regions_before looks at first; null where it needs none.
const uint32_t* bucket_entry(const bwl::BwlOverlapIndex& index, int32_t contig, int64_t position) {
  if (contig < 0 || contig >= index.n_contigs || position <= 0) return nullptr;
  const int64_t first = index.bucket_first[contig];
  const int64_t bucket = (position - 1) >> index.bucket_shift[contig];
  return bucket < index.bucket_first[contig + 1] - first - 1 ? index.buckets + first + bucket
                                                             : nullptr;
}

}  // namespace

BWL_API void bwl_count_overlaps(const bwl::BwlOverlapIndex* index, int64_t n_queries,
                                const int32_t* contig, const int64_t* start, const int64_t* end,
                                uint32_t* before, int32_t* counts, int32_t n_threads) {
  for_tasks(n_queries, n_threads, [&](int64_t first, int64_t last) {
    for (int64_t query = first; query < last; ++query) {
      const int64_t far = query + 2 * kAhead, near = query + kAhead;
      if (far < last) {
        const uint32_t* entry = bucket_entry(*index, contig[far], end[far]);
        if (entry != nullptr) __builtin_prefetch(entry);
      }
      if (near < last) {
        const uint32_t* entry = bucket_entry(*index, contig[near], end[near]);
        if (entry != nullptr) {
          __builtin_prefetch(index->regions + index->contig_first[contig[near]] + *entry);
        }
      }
      counts[query] =
          bwl::count_overlaps(*index, contig[query], start[query], end[query], before + query);
    }
  });
}

// As the kernel of this name (overlap.cu).
BWL_API void bwl_write_overlaps(const bwl::BwlOverlapIndex* index, int64_t n_queries,
                                const int32_t* contig, const int64_t* start,
                                const uint32_t* before, const int32_t* counts,
                                const int64_t* offsets, int32_t unknown, int32_t* ids,
                                int32_t n_threads) {
  for_tasks(n_queries, n_threads, [&](int64_t first, int64_t last) {
    for (int64_t query = first; query < last; ++query) {
      bwl::write_overlaps(*index, contig[query], start[query], before[query], counts[query],
                          unknown, ids + offsets[query]);
    }
  });
}

BWL_API int64_t bwl_overlap_index_bytes() { return sizeof(bwl::BwlOverlapIndex); }
