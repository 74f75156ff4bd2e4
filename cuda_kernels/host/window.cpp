// One window, planned here instead of in NumPy: for a single window the calls that planning takes
// there cost more than reading does. Finds what bigwig_loader/plan/blocks.py finds, and goes on as
// any batch does.
#include <algorithm>
#include <new>
#include <vector>

#include "api.h"
#include "engine.h"

namespace bwl {
namespace {

// The arrays of a request that a plan would have brought.
struct WindowPlan {
  std::vector<int64_t> block, wanted_start, wanted_end, read_block, row_first, row_count;
};

void add_track(const BwlRequest& request, int64_t track, int64_t start, int64_t end,
               WindowPlan* plan) {
  const BwlIndex& index = *request.index;
  const uint64_t row = static_cast<uint64_t>(track * index.n_contigs + *request.window_contig) << 32;
  plan->row_first.push_back(static_cast<int64_t>(plan->block.size()));
  int64_t n = 0;
  if (start < end) {
    const uint64_t* const ends = index.end_key + index.n_blocks;
    int64_t i = std::upper_bound(index.end_key, ends, row | static_cast<uint64_t>(start)) -
                index.end_key;
    for (; i < index.n_blocks && index.start_key[i] < (row | static_cast<uint64_t>(end)); ++i, ++n) {
      plan->block.push_back(i);
    }
  }
  plan->row_count.push_back(n);
}

// Blocks of one file that lie close together are read together.
void add_reads(const BwlRequest& request, int64_t gap_bytes, int64_t read_bytes, WindowPlan* plan) {
  const BwlIndex& index = *request.index;
  int64_t read_start = 0, last_end = 0;
  for (size_t k = 0; k < plan->block.size(); ++k) {
    const int64_t i = plan->block[k];
    const bool new_row = k == 0 || plan->block[k - 1] != i - 1 ||
                         index.start_key[i] >> 32 != index.start_key[i - 1] >> 32;
    const int64_t gap = index.offset[i] - last_end;
    if (new_row || gap < 0 || gap > gap_bytes || index.offset[i] - read_start >= read_bytes) {
      plan->read_block.push_back(static_cast<int64_t>(k));
      read_start = index.offset[i];
    }
    last_end = index.offset[i] + index.n_bytes[i];
  }
  plan->read_block.push_back(static_cast<int64_t>(plan->block.size()));
}

void read_window(BwlRequest* request, const int64_t* tracks, int64_t gap_bytes, int64_t read_bytes) {
  const int64_t contig_bp = request->index->contig_bp[*request->window_contig];
  const int64_t first = *request->window_start;
  const int64_t start = std::min(std::max<int64_t>(first, 0), contig_bp);
  const int64_t end = std::min(std::max<int64_t>(first + request->length_bp, 0), contig_bp);
  WindowPlan plan;
  for (int64_t t = 0; t < request->n_tracks; ++t) add_track(*request, tracks[t], start, end, &plan);
  add_reads(*request, gap_bytes, read_bytes, &plan);
  plan.wanted_start.assign(plan.block.size(), start);
  plan.wanted_end.assign(plan.block.size(), end);
  request->n_blocks = static_cast<int64_t>(plan.block.size());
  request->block = plan.block.data();
  request->wanted_start = plan.wanted_start.data();
  request->wanted_end = plan.wanted_end.data();
  request->n_reads = static_cast<int64_t>(plan.read_block.size()) - 1;
  request->read_block = plan.read_block.data();
  request->row_first = plan.row_first.data();
  request->row_count = plan.row_count.data();
  read_signal(request);
  if (request->failed_block >= 0) request->failed_block = plan.block[request->failed_block];
}

}  // namespace
}  // namespace bwl

// What bwl_read_signal does, for n_windows = 1 and tracks (T,), without a plan: the fields from
// n_blocks to row_count are ignored, but for n_windows and n_tracks. failed_block counts the index.
BWL_API void bwl_read_window(BwlRequest* request, const int64_t* tracks, int64_t gap_bytes,
                             int64_t read_bytes) {
  try {
    bwl::read_window(request, tracks, gap_bytes, read_bytes);
  } catch (const std::bad_alloc&) {
    request->failed_block = 0;
    request->failed_status = bwl::kOutOfMemory;
  }
}
