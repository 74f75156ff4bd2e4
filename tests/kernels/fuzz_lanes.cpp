// Fuzzes the device's inflate decoder, a lane by itself, against zlib and the host's decoder: the
// same verdict, the same bytes, and as many of them.
//
//   c++ -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -I cuda_kernels
//       tests/kernels/fuzz_lanes.cpp cuda_kernels/host/inflate.cpp -o fuzz_lanes -lz
//   ./fuzz_lanes CASES SEED [CORPUS]
//
// CASES, SEED, CORPUS and how streams are mutated: as for fuzz_inflate.cpp. Streams stand at all
// alignments; input and output have the exact sizes, so that the address sanitizer sees any access
// outside them.
#include "deflate_streams.h"
#include "inflate_lanes.cuh"

#include <memory>

extern "C" int32_t bwl_inflate(const uint8_t* in, int64_t n_in, uint8_t* out, int64_t capacity,
                               int64_t target, int64_t step, int64_t* produced);

namespace {

// A lane as the kernel runs it (inflate.cu), with no others beside it.
void inflate_lane(const BwlBlock& block, BwlOutcome& outcome) {
  uint32_t repeats[bwl::kRepeatWords];
  for (uint32_t i = 0; i < bwl::kRepeatWords; ++i) repeats[i] = bwl::repeat_word(i);
  // From the heap: what is written past it is seen.
  const std::unique_ptr<bwl::LaneMemory> memory(new bwl::LaneMemory);
  memset(memory.get(), 0xcd, sizeof(bwl::LaneMemory));
  bwl::LaneStream s;
  bwl::lane_begin(s, *memory, block, outcome);
  for (;;) {
    if (s.phase == bwl::LanePhase::kEnded) return bwl::lane_finish(s, true);
    if (s.phase == bwl::LanePhase::kHeader) bwl::lane_read_header(s, *memory);
    for (int step = 0; step < 64 && bwl::lane_is_decoding(s); ++step) {
      if (s.phase == bwl::LanePhase::kCodes) {
        bwl::lane_step(s, *memory, repeats);
      } else {
        bwl::lane_careful_step(s, *memory);
      }
    }
    if (bwl::lane_is_decoding(s) && bwl::lane_may_stop(s)) return bwl::lane_finish(s, false);
  }
}

// A block and what it inflates to.
struct Run {
  std::unique_ptr<uint8_t[]> in;
  std::unique_ptr<uint64_t[]> out;
  BwlBlock block = {};
  BwlOutcome outcome = {};

  Run(const Bytes& stream, int64_t capacity) {
    const size_t skip = static_cast<size_t>(random_below(8));
    const size_t n = stream.size() + 6;
    in.reset(new uint8_t[skip + n]);
    uint8_t* const bytes = in.get() + skip;
    bytes[0] = 0x78;
    bytes[1] = 0x9c;
    if (!stream.empty()) memcpy(bytes + 2, stream.data(), stream.size());
    for (size_t i = n - 4; i < n; ++i) bytes[i] = random_byte();
    block.bytes = bytes;
    block.n_bytes = static_cast<int64_t>(n);
    block.capacity = capacity;
    // As much as the contract gives, rounded up to words: the sanitizer knows no smaller unit.
    out.reset(new uint64_t[static_cast<size_t>((capacity + bwl::kSectionSlack + 7) / 8)]);
    block.section = reinterpret_cast<uint8_t*>(out.get());
  }

  Verdict inflate() {
    inflate_lane(block, outcome);
    return static_cast<Verdict>(outcome.status);
  }

  bool same_start(const Bytes& expected) const {
    const size_t n = std::min(static_cast<size_t>(outcome.produced), expected.size());
    return memcmp(block.section, expected.data(), n) == 0;
  }
};

// What is wrong where a stream is left early, or null.
const char* check_stop(const Bytes& stream, const Bytes& expected, Verdict verdict) {
  const int64_t n = static_cast<int64_t>(expected.size());
  Run run(stream, verdict == kTooLong ? kMaxOutput : n);
  run.block.checks = bwl::kMayStop;
  run.block.wanted_end = random_below(2) ? random_below(1ll << 32) : random_below(1 << 29);
  const Verdict found = run.inflate();
  if (!run.same_start(expected)) return "bytes, stopped early";
  if (found != kOk || run.outcome.whole != 0) {
    const bool same = found == verdict || reported_late(verdict, found) || verdict == kTooLong;
    return same ? nullptr : "verdict, may stop";
  }
  bwl::Section section;
  const int64_t produced = run.outcome.produced;
  if (bwl::parse_section(run.block.section, produced, false, &section) != bwl::kOk) {
    return "stopped without a section";
  }
  int64_t n_items = (produced - bwl::kSectionHeaderBytes) / bwl::item_bytes(section.type);
  n_items = std::min<int64_t>(n_items, section.n_items);
  const uint8_t* const items = run.block.section + bwl::kSectionHeaderBytes;
  bool reached = false;  // by the last finished item, or one of the few behind it
  for (int64_t i = std::max<int64_t>(n_items - 3, 0); i < n_items; ++i) {
    reached |= bwl::section_item(section, items, i, false).start >= run.block.wanted_end;
  }
  return reached ? nullptr : "stopped too early";
}

// What is wrong with our handling of a stream, or null.
const char* check(const Bytes& stream, const Bytes& expected, Verdict verdict) {
  const int64_t n = static_cast<int64_t>(expected.size());
  const int64_t spare = random_below(2) ? 0 : random_below(300);
  const int64_t capacity = verdict == kTooLong ? kMaxOutput : n + spare;
  Run run(stream, capacity);
  const Verdict found = run.inflate();
  if (!run.same_start(expected)) return "bytes";
  if (verdict == kTooLong) {
    // zlib stops when its buffer is full, whatever follows.
    if (found == kOk && run.outcome.produced != n) return "too long, but accepted";
  } else if (found != verdict && !reported_late(verdict, found)) {
    return "verdict";
  } else if (run.outcome.produced != n) {
    return "length";
  }
  if ((found == kOk) != (run.outcome.whole != 0)) return "whole";

  // The host's decoder, also where there is too little room: the same to the byte.
  const int64_t room = random_below(2) ? capacity : random_below(n + 1);
  Run small(stream, room);
  const Verdict small_found = small.inflate();
  std::unique_ptr<uint8_t[]> host(new uint8_t[static_cast<size_t>(room)]);
  int64_t produced = -1;
  const Verdict on_host = static_cast<Verdict>(
      bwl_inflate(stream.data(), static_cast<int64_t>(stream.size()), host.get(), room,
                  INT64_MAX / 2, kMaxOutput, &produced));
  if (small_found != on_host) return "verdict, against the host";
  if (small.outcome.produced != produced) return "length, against the host";
  if (memcmp(small.block.section, host.get(), static_cast<size_t>(produced)) != 0) {
    return "bytes, against the host";
  }
  return check_stop(stream, expected, verdict);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s CASES SEED [CORPUS]\n", argv[0]);
    return 2;
  }
  const int64_t n_cases = atoll(argv[1]);
  random_state = static_cast<uint64_t>(atoll(argv[2]));
  std::vector<Bytes> corpus = make_corpus();
  if (argc > 3) read_corpus(argv[3], corpus);

  int64_t counts[6] = {0};
  Bytes expected;
  for (int64_t i = 0; i < n_cases; ++i) {
    Bytes stream = random_stream(corpus);
    mutate(stream, corpus);
    const Verdict verdict = inflate_zlib(stream, expected);
    const char* failure = check(stream, expected, verdict);
    if (failure != nullptr) {
      return report_failure(static_cast<long long>(i), failure, stream, verdict, expected.size());
    }
    ++counts[verdict];
  }
  print_counts(static_cast<long long>(n_cases), counts);
  return 0;
}
