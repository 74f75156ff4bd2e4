// What nvCOMP's batched Deflate needs around it: streams at aligned places before, outcomes after.
//
// nvCOMP wants raw deflate data at a multiple of 4 bytes or more, and a data block has it 2 bytes
// behind any address. So streams are copied to places of their own, a warp each; that is a fiftieth
// of the bytes that inflating them moves.
#include "blocks.cuh"
#include "zlib_wrapper.cuh"

namespace {

constexpr int kWarp = 32;
constexpr int64_t kZlibHeaderBytes = 2;
constexpr int64_t kWrapperBytes = 6;  // the header, and a checksum of 4 bytes
constexpr int32_t kNeverWritten = -1;  // no status of nvCOMP's, which is 0 for success
// A last block of fixed codes with nothing in it, as a little-endian word.
constexpr uint32_t kEmptyStream = 0x0003;
constexpr int64_t kEmptyStreamBytes = 2;

// Four bytes at any address, as much of them as lies in [p, end); zero behind. What may be read
// begins at `low`, and ends where the checksum behind `end` does.
__device__ __forceinline__ uint32_t word_at(const uint8_t* p, const uint8_t* end,
                                            const uint8_t* low) {
  const int64_t shift = static_cast<int64_t>(reinterpret_cast<uint64_t>(p) & 3);
  uint32_t word = 0;
  if (p - low >= shift && end - p >= 4) {
    const uint32_t* aligned = reinterpret_cast<const uint32_t*>(p - shift);
    word = aligned[0] >> (8 * shift);
    if (shift != 0) word |= aligned[1] << (32 - 8 * shift);
    return word;
  }
  for (int64_t i = 0; i < 4 && i < end - p; ++i) word |= static_cast<uint32_t>(p[i]) << (8 * i);
  return word;
}

// Whether the block begins as a zlib stream does; if not, the outcome says so.
__device__ __forceinline__ bool has_header(const BwlBlock& block, BwlOutcome* outcome) {
  if (block.n_bytes < kWrapperBytes) {
    outcome->status = bwl::kTruncatedDeflate;
    outcome->detail[0] = kWrapperBytes;
    return false;
  }
  outcome->status = bwl::check_zlib_header(block.bytes[0], block.bytes[1]);
  if (outcome->status == bwl::kOk) return true;
  outcome->detail[0] = block.bytes[0];
  outcome->detail[1] = block.bytes[1];
  return false;
}

}  // namespace

// Makes stream i, of block order[i], ready for nvCOMP. A block without a zlib header gets its
// outcome here and an empty stream. Every checksum is to be compared afterwards: nvCOMP does not
// notice all that is wrong. Whole warps in a block of threads.
//
// place      : (n + 1) from `scratch`: where stream i goes, and where room for it ends; multiples of
//              16, and 16 bytes or more for each
// inputs, input_bytes, outputs, capacities, produced, statuses : (n) the arrays of nvCOMP's call
// outcomes   : of all blocks, by block
extern "C" __global__ void bwl_align_streams(BwlBlock* blocks, const int32_t* order, int64_t n,
                                             const int64_t* place, uint8_t* scratch,
                                             const uint8_t** inputs, uint64_t* input_bytes,
                                             uint8_t** outputs, uint64_t* capacities,
                                             uint64_t* produced, int32_t* statuses,
                                             BwlOutcome* outcomes) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t n_warps = static_cast<int64_t>(gridDim.x) * blockDim.x / kWarp;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  for (int64_t i = thread / kWarp; i < n; i += n_warps) {
    BwlBlock& block = blocks[order[i]];
    BwlOutcome outcome = {};
    const bool is_good = has_header(block, &outcome);
    const uint8_t* from = block.bytes + kZlibHeaderBytes;
    const int64_t n_bytes = is_good ? block.n_bytes - kWrapperBytes : kEmptyStreamBytes;
    uint8_t* const to = scratch + place[i];
    uint32_t* const words = reinterpret_cast<uint32_t*>(to);
    const int64_t n_words = (place[i + 1] - place[i]) / 4;
    for (int64_t w = lane; w < n_words; w += kWarp) {
      if (is_good) {
        words[w] = 4 * w < n_bytes ? word_at(from + 4 * w, from + n_bytes, block.bytes) : 0;
      } else {
        words[w] = w == 0 ? kEmptyStream : 0;
      }
    }
    if (lane != 0) continue;
    inputs[i] = to;
    input_bytes[i] = static_cast<uint64_t>(n_bytes);
    outputs[i] = block.section;
    capacities[i] = static_cast<uint64_t>(block.capacity);
    produced[i] = 0;
    statuses[i] = kNeverWritten;
    outcomes[order[i]] = outcome;
    block.checks |= bwl::kCheckAdler;
  }
}

// Turns what nvCOMP says of stream i into the outcome of block order[i], unless that has failed
// before. What it refuses is kBadDeflate (detail: its status, bytes it says it made).
extern "C" __global__ void bwl_nvcomp_outcomes(const int32_t* order, int64_t n,
                                               const uint64_t* capacities,
                                               const uint64_t* produced, const int32_t* statuses,
                                               BwlOutcome* outcomes) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t n_threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = thread; i < n; i += n_threads) {
    BwlOutcome& outcome = outcomes[order[i]];
    if (outcome.status != bwl::kOk) continue;
    const bool fits = produced[i] <= capacities[i];
    const int64_t n_bytes = fits ? static_cast<int64_t>(produced[i]) : 0;
    if (statuses[i] == 0 && fits) {
      outcome.produced = n_bytes;
      outcome.whole = 1;
    } else {
      outcome.status = bwl::kBadDeflate;
      outcome.detail[0] = statuses[i];
      outcome.detail[1] = n_bytes;
    }
  }
}
