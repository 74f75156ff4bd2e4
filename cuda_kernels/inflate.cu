// Inflates many raw deflate streams at once, one stream per thread.
//
// The plain launch: correct on every architecture, and the reference for faster ones. The tables
// lie in global memory, one set per thread of the grid.
#include "inflate.cuh"

namespace {
constexpr int kLitBits = 9;  // smaller tables than on the host: cache is scarce
constexpr int kDistBits = 6;
using Tables = bwl::InflateTables<kLitBits, kDistBits>;
}  // namespace

extern "C" __device__ const int64_t bwl_inflate_tables_bytes = sizeof(Tables);

// in         : bytes of all streams; stream i is in[in_offsets[i] .. in_offsets[i + 1])
// out        : stream i goes to out[out_offsets[i] .. out_offsets[i + 1]), its capacity
// targets    : (n_streams) bytes wanted of each stream; above its length: all of it
// workspace  : bwl_inflate_tables_bytes for every thread of the grid, 16-byte aligned
// produced   : (n_streams) bytes that are valid
// statuses   : (n_streams) bwl::Status
extern "C" __global__ void bwl_inflate_streams(const uint8_t* in, const int64_t* in_offsets,
                                               uint8_t* out, const int64_t* out_offsets,
                                               const int64_t* targets, int64_t n_streams,
                                               uint8_t* workspace, int64_t* produced,
                                               int32_t* statuses) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t n_threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  Tables& tables = reinterpret_cast<Tables*>(workspace)[thread];
  for (int64_t i = thread; i < n_streams; i += n_threads) {
    bwl::InflateState state;
    bwl::inflate_begin(state, in + in_offsets[i], in_offsets[i + 1] - in_offsets[i]);
    statuses[i] = bwl::inflate_until(state, tables, out + out_offsets[i],
                                     out_offsets[i + 1] - out_offsets[i], targets[i]);
    produced[i] = state.out_pos;
  }
}
