// Fuzzes the inflate decoder against zlib: the same verdict and the same bytes for every stream.
//
//   c++ -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
//       tests/kernels/fuzz_inflate.cpp cuda_kernels/host/inflate.cpp -o fuzz_inflate -lz
//   ./fuzz_inflate CASES SEED [CORPUS]
//
// Valid streams (made here, and those of CORPUS: little-endian uint32 length, then that many bytes
// of raw deflate data, again and again) are mutated, then inflated from and into heap buffers of
// the exact sizes, so that the address sanitizer sees any access outside them.
#include "deflate_streams.h"

#include <memory>

extern "C" int32_t bwl_inflate(const uint8_t* in, int64_t n_in, uint8_t* out, int64_t capacity,
                               int64_t target, int64_t step, int64_t* produced);

namespace {

struct Run {
  Verdict verdict;
  int64_t produced;
  std::unique_ptr<uint8_t[]> out;
};

Run inflate_ours(const Bytes& stream, int64_t capacity, int64_t target, int64_t step) {
  std::unique_ptr<uint8_t[]> in(new uint8_t[stream.size()]);
  if (!stream.empty()) memcpy(in.get(), stream.data(), stream.size());
  Run run = {kOk, -1, std::unique_ptr<uint8_t[]>(new uint8_t[static_cast<size_t>(capacity)])};
  const int64_t n_in = static_cast<int64_t>(stream.size());
  run.verdict = static_cast<Verdict>(
      bwl_inflate(in.get(), n_in, run.out.get(), capacity, target, step, &run.produced));
  return run;
}

// Whether the bytes are zlib's, as far as both go.
bool same_start(const Run& run, const Bytes& expected) {
  const size_t n = std::min(static_cast<size_t>(run.produced), expected.size());
  return memcmp(run.out.get(), expected.data(), n) == 0;
}

// What is wrong with our handling of a stream, or null.
const char* check(const Bytes& stream, const Bytes& expected, Verdict verdict) {
  const int64_t n = static_cast<int64_t>(expected.size());
  const int64_t sign = random_below(2) ? 1 : -1;
  const int64_t step = sign * (random_below(2) ? kMaxOutput : 1 + random_below(2000));
  const int64_t all = INT64_MAX / 2;

  const int64_t spare = random_below(2) ? 0 : random_below(300);
  const int64_t capacity = verdict == kTooLong ? kMaxOutput : n + spare;
  Run run = inflate_ours(stream, capacity, all, step);
  if (run.produced < 0 || run.produced > capacity) return "count of bytes";
  if (!same_start(run, expected)) return "bytes";
  if (verdict == kTooLong) {
    // zlib stops when its buffer is full, whatever follows.
    if (run.verdict == kOk && run.produced != n) return "too long, but accepted";
  } else if (run.verdict != verdict && !reported_late(verdict, run.verdict)) {
    return "verdict";
  } else if (run.produced != n) {
    return "length";
  }
  if (verdict == kOk && n > 0) {
    run = inflate_ours(stream, random_below(n), all, step);
    if (run.verdict != kTooLong) return "verdict, buffer too small";
  }
  const int64_t target = random_below(n + 2);
  run = inflate_ours(stream, capacity, target, step);
  if (!same_start(run, expected)) return "bytes, stopped early";
  if (run.verdict == kOk && run.produced < std::min(target, n)) return "stopped too early";
  if (run.produced > target + 258 + 32) return "stopped too late";
  if (verdict == kOk && run.verdict != kOk) return "verdict, stopped early";
  return nullptr;
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
