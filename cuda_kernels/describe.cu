// From bytes that have been inflated, are not compressed, or were kept, to described items.
//
// Grids of any size: warps go on to further blocks. Blocks of threads are whole warps.
#include "describe.cuh"

namespace {

// Copies n bytes to a place that is 16-byte aligned, with room behind it, from any address: by
// words of the source that hold a byte wanted, and none else.
__device__ __forceinline__ void copy_words(uint8_t* to, const uint8_t* from, int64_t n) {
  const int64_t shift = static_cast<int64_t>(reinterpret_cast<uint64_t>(from) & 3);
  const uint32_t* const words = reinterpret_cast<const uint32_t*>(from - shift);
  for (int64_t i = bwl::lane_index(); i * 4 < n; i += bwl::kWarp) {
    const uint32_t low = words[i];
    const uint32_t high = shift != 0 && i * 4 + 4 - shift < n ? words[i + 1] : 0;
    const uint32_t word = __funnelshift_r(low, high, static_cast<uint32_t>(8 * shift));
    reinterpret_cast<uint32_t*>(to)[i] = word;
  }
}

}  // namespace

// Copies blocks that are not compressed to their sections, and says of these and of kept ones that
// all is there. Leaves compressed blocks and their outcomes alone.
extern "C" __global__ void bwl_place_blocks(const BwlBlock* blocks, int64_t n,
                                            BwlOutcome* outcomes) {
  for (int64_t b = bwl::warp_index(); b < n; b += bwl::n_warps()) {
    const BwlBlock& block = blocks[b];
    if (block.kind == bwl::kDeflated) continue;
    BwlOutcome outcome = {block.n_section, {0, 0}, bwl::kOk, 1, 0, {0, 0}};
    if (block.kind == bwl::kPlain) {
      outcome.produced = block.n_bytes;
      if (block.n_bytes <= block.capacity) {
        copy_words(block.section, block.bytes, block.n_bytes);
      } else {
        outcome = {0, {block.capacity, block.n_bytes}, bwl::kTooLong, 0, 0, {0, 0}};
      }
    }
    if (bwl::lane_index() == 0) outcomes[b] = outcome;
  }
}

// Checks what the blocks hold, and describes it: items[b] for all n blocks, without items for those
// that failed. Behind the kernels that fill `outcomes`.
extern "C" __global__ void bwl_describe_blocks(const BwlBlock* blocks, int64_t n,
                                               BwlOutcome* outcomes, BwlItems* items) {
  for (int64_t b = bwl::warp_index(); b < n; b += bwl::n_warps()) {
    bwl::describe_block(blocks[b], outcomes + b, items + b);
  }
}

// record: the first block that failed, or -1; its status and two details; bytes inflated; items
// wanted. One block of threads.
extern "C" __global__ void bwl_first_failure(const BwlBlock* blocks, const BwlOutcome* outcomes,
                                             const BwlItems* items, int64_t n, int64_t* record) {
  __shared__ int64_t parts[3][bwl::kWarp];
  int64_t first = n, n_inflated = 0, n_wanted = 0;
#pragma unroll 4
  for (int64_t b = threadIdx.x; b < n; b += blockDim.x) {
    if (outcomes[b].status != bwl::kOk && b < first) first = b;
    if (blocks[b].kind == bwl::kDeflated) n_inflated += outcomes[b].produced;
    n_wanted += items[b].n_wanted;
  }
  const int warp = static_cast<int>(threadIdx.x) / bwl::kWarp, lane = bwl::lane_index();
  first = bwl::warp_min(first);
  n_inflated = bwl::warp_sum(n_inflated);
  n_wanted = bwl::warp_sum(n_wanted);
  if (lane == 0) {
    parts[0][warp] = first;
    parts[1][warp] = n_inflated;
    parts[2][warp] = n_wanted;
  }
  __syncthreads();
  if (warp != 0) return;
  const bool there = lane < static_cast<int>(blockDim.x) / bwl::kWarp;
  first = bwl::warp_min(there ? parts[0][lane] : n);
  n_inflated = bwl::warp_sum(there ? parts[1][lane] : 0);
  n_wanted = bwl::warp_sum(there ? parts[2][lane] : 0);
  if (lane != 0) return;
  const bool failed = first < n;
  record[0] = failed ? first : -1;
  record[1] = failed ? outcomes[first].status : bwl::kOk;
  record[2] = failed ? outcomes[first].detail[0] : 0;
  record[3] = failed ? outcomes[first].detail[1] : 0;
  record[4] = n_inflated;
  record[5] = n_wanted;
}
