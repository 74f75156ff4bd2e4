// Inflates many zlib streams at once, a stream per lane (inflate_lanes.cuh), and checks checksums.
#include "inflate_lanes.cuh"
#include "warp.cuh"

// Steps of all lanes between two looks at who has come to an end, or far enough.
static constexpr int kSteps = 64;

// Inflates the n blocks order[0 .. n), which have kind kDeflated: `bytes` to `section`, as far as
// their checks ask for.
//
// order: by decreasing work. next: the queue's counter, zero at launch. streams: of each warp, 1 to
// 32. blockDim.x: whole warps; dynamic shared memory: kRepeatWords words and a LaneMemory for each
// stream of the block; the grid: no more than is resident at once.
//
// What holds the lane of a stream up (block headers, new streams) costs the others as much as a
// hundred steps, so it waits until half of the lanes are held up, and is done side by side.
extern "C" __global__ void __launch_bounds__(512)
    bwl_inflate_blocks(const BwlBlock* blocks, const int32_t* order, int64_t n, uint32_t* next,
                       BwlOutcome* outcomes, int64_t streams) {
  extern __shared__ uint64_t shared[];
  uint32_t* const repeats = reinterpret_cast<uint32_t*>(shared);
  if (threadIdx.x < bwl::kRepeatWords) repeats[threadIdx.x] = bwl::repeat_word(threadIdx.x);
  __syncthreads();
  const uint32_t n_lanes = static_cast<uint32_t>(streams);
  const uint32_t lane = threadIdx.x % 32u;
  if (lane >= n_lanes) return;
  const uint32_t lanes = bwl::kAllLanes >> (32u - n_lanes);
  bwl::LaneMemory& memory = reinterpret_cast<bwl::LaneMemory*>(
      repeats + bwl::kRepeatWords)[threadIdx.x / 32u * n_lanes + lane];

  bwl::LaneStream s;
  s.phase = bwl::LanePhase::kIdle;
  bool more = true;  // streams in the queue
  for (;;) {
    if (s.phase == bwl::LanePhase::kEnded) bwl::lane_finish(s, true);
    const uint32_t idle = __ballot_sync(lanes, s.phase == bwl::LanePhase::kIdle && more);
    if (idle != 0) {
      uint32_t first = 0;
      if (lane == 0) first = atomicAdd(next, static_cast<uint32_t>(__popc(idle)));
      first = __shfl_sync(lanes, first, 0);
      if ((idle >> lane & 1u) != 0) {
        const int64_t i = static_cast<int64_t>(first) + __popc(idle & ((1u << lane) - 1u));
        more = i < n;
        if (more) bwl::lane_begin(s, memory, blocks[order[i]], outcomes[order[i]]);
      }
    }
    if (s.phase == bwl::LanePhase::kHeader) bwl::lane_read_header(s, memory);
    if (__ballot_sync(lanes, s.phase != bwl::LanePhase::kIdle || more) == 0) break;

    int n_decoding = __popc(__ballot_sync(lanes, bwl::lane_is_decoding(s)));
    for (const int enough = n_decoding / 2; n_decoding > enough;) {
#pragma unroll 1
      for (int step = 0; step < kSteps; ++step) {
        if (s.phase == bwl::LanePhase::kCodes) {
          bwl::lane_step(s, memory, repeats);
        } else if (bwl::lane_is_decoding(s)) {
          bwl::lane_careful_step(s, memory);
        }
      }
      if (bwl::lane_is_decoding(s) && bwl::lane_may_stop(s)) bwl::lane_finish(s, false);
      n_decoding = __popc(__ballot_sync(lanes, bwl::lane_is_decoding(s)));
    }
  }
}

// Compares the checksums of blocks that ask for it and are whole, a warp per block.
extern "C" __global__ void bwl_check_adler(const BwlBlock* blocks, const int32_t* order, int64_t n,
                                           BwlOutcome* outcomes) {
  for (int64_t i = bwl::warp_index(); i < n; i += bwl::n_warps()) {
    const BwlBlock& block = blocks[order[i]];
    BwlOutcome& outcome = outcomes[order[i]];
    const bool wanted = (block.checks & bwl::kCheckAdler) != 0;
    if (!wanted || outcome.status != bwl::kOk || outcome.whole == 0) continue;
    const int lane = bwl::lane_index();
    bwl::AdlerSums sums =
        bwl::adler_part(block.section, outcome.produced, static_cast<uint32_t>(lane), bwl::kWarp);
    sums.bytes = bwl::warp_sum(sums.bytes);
    sums.weighted = bwl::warp_sum(sums.weighted);
    if (lane == 0) bwl::judge_checksum(block, outcome, bwl::adler_of(sums, outcome.produced));
  }
}
