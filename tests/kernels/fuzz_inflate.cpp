// Fuzzes the inflate decoder against zlib: the same verdict and the same bytes for every stream.
//
//   c++ -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
//       tests/kernels/fuzz_inflate.cpp cuda_kernels/host/inflate.cpp -o fuzz_inflate -lz
//   ./fuzz_inflate CASES SEED [CORPUS]
//
// Valid streams (made here, and those of CORPUS: little-endian uint32 length, then that many bytes
// of raw deflate data, again and again) are mutated, then inflated from and into heap buffers of
// the exact sizes, so that the address sanitizer sees any access outside them.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <algorithm>
#include <memory>
#include <vector>

extern "C" int32_t bwl_inflate(const uint8_t* in, int64_t n_in, uint8_t* out, int64_t capacity,
                               int64_t target, int64_t step, int64_t* produced);

namespace {

using Bytes = std::vector<uint8_t>;

enum Verdict : int32_t { kOk = 0, kBad = 3, kTruncated = 4, kTooLong = 5 };
constexpr int64_t kMaxOutput = 1 << 18;

uint64_t random_state;

uint64_t random_u64() {  // splitmix64
  uint64_t x = random_state += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

int64_t random_below(int64_t n) {
  return static_cast<int64_t>(random_u64() % static_cast<uint64_t>(n));
}

uint8_t random_byte() { return static_cast<uint8_t>(random_u64()); }

const Bytes& random_stream(const std::vector<Bytes>& corpus) {
  return corpus[static_cast<size_t>(random_below(static_cast<int64_t>(corpus.size())))];
}

Bytes deflate_raw(const Bytes& data, int level, int strategy, int window_bits, int mem_level) {
  z_stream z = {};
  if (deflateInit2(&z, level, Z_DEFLATED, -window_bits, mem_level, strategy) != Z_OK) abort();
  Bytes out(deflateBound(&z, data.size()) + 64);
  z.next_in = const_cast<uint8_t*>(data.data());
  z.avail_in = static_cast<uInt>(data.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) abort();
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

// What a data block holds: items of (start, end, value) that follow one another.
Bytes make_items(int64_t n) {
  Bytes data;
  uint32_t position = static_cast<uint32_t>(random_below(1 << 28));
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t end = position + 1 + static_cast<uint32_t>(random_below(40));
    const float value = static_cast<float>(random_below(200)) * 0.13573f;
    uint32_t item[3] = {position, end, 0};
    memcpy(&item[2], &value, 4);
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(item);
    data.insert(data.end(), bytes, bytes + sizeof item);
    position = end + (random_below(8) == 0 ? static_cast<uint32_t>(random_below(500)) : 0);
  }
  return data;
}

Bytes make_data() {
  const int64_t n = random_below(16) == 0 ? random_below(16000) : random_below(1500);
  switch (random_below(5)) {
    case 0:
      return make_items(n / 12);
    case 1: {  // noise
      Bytes data(static_cast<size_t>(n));
      for (uint8_t& byte : data) byte = static_cast<uint8_t>(random_u64());
      return data;
    }
    case 2: {  // runs and short patterns
      Bytes data;
      while (static_cast<int64_t>(data.size()) < n) {
        const int64_t period = 1 + random_below(11);
        const size_t from = data.size();
        for (int64_t i = 0; i < period; ++i) data.push_back(random_byte());
        for (int64_t i = random_below(600); i > 0; --i) data.push_back(data[data.size() - period]);
        if (from == data.size()) break;
      }
      return data;
    }
    case 3: {  // few symbols, unequally often
      Bytes data(static_cast<size_t>(n));
      for (uint8_t& byte : data) {
        byte = static_cast<uint8_t>(__builtin_ctzll(random_u64() | (1ull << 40)) * 5);
      }
      return data;
    }
    default: {  // noise with far repeats
      Bytes data;
      while (static_cast<int64_t>(data.size()) < n) {
        for (int64_t i = random_below(60); i >= 0; --i) data.push_back(random_byte());
        size_t from = static_cast<size_t>(random_below(static_cast<int64_t>(data.size())));
        for (int64_t i = random_below(90); i > 0; --i) data.push_back(data[from++]);
      }
      return data;
    }
  }
}

std::vector<Bytes> make_corpus() {
  static const int kStrategies[] = {Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED};
  std::vector<Bytes> corpus = {{0x03, 0x00}, {0x01, 0x00, 0x00, 0xff, 0xff}};
  for (int i = 0; i < 400; ++i) {
    const int level = static_cast<int>(random_below(10));
    const int window_bits = 9 + static_cast<int>(random_below(7));
    const int mem_level = 1 + static_cast<int>(random_below(9));
    const int strategy = kStrategies[random_below(5)];
    corpus.push_back(deflate_raw(make_data(), level, strategy, window_bits, mem_level));
  }
  return corpus;
}

void read_corpus(const char* path, std::vector<Bytes>& corpus) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) {
    fprintf(stderr, "cannot open %s\n", path);
    exit(2);
  }
  uint32_t n;
  while (fread(&n, sizeof n, 1, file) == 1) {
    Bytes stream(n);
    if (fread(stream.data(), 1, n, file) != n) break;
    corpus.push_back(stream);
  }
  fclose(file);
}

void mutate(Bytes& s, const std::vector<Bytes>& corpus) {
  for (int64_t turns = random_below(5); turns > 0 && !s.empty(); --turns) {
    const int64_t n = static_cast<int64_t>(s.size());
    // Headers and code lengths stand at the front; that is where most can go wrong.
    const int64_t front = random_below(2) ? std::min<int64_t>(n, 90) : n;
    const size_t at = static_cast<size_t>(random_below(front));
    switch (random_below(6)) {
      case 0:
      case 1:
        s[at] ^= static_cast<uint8_t>(1u << random_below(8));
        break;
      case 2:
        s[at] = static_cast<uint8_t>(random_u64());
        break;
      case 3:
        s.resize(at);
        break;
      case 4: {
        const Bytes& other = random_stream(corpus);
        s.resize(at);
        s.insert(s.end(), other.begin() + random_below(static_cast<int64_t>(other.size())),
                 other.end());
        break;
      }
      default:
        s.erase(s.begin() + static_cast<int64_t>(at));
    }
  }
}

// zlib's verdict; `out` receives what it inflates, kMaxOutput bytes at most.
Verdict inflate_zlib(const Bytes& stream, Bytes& out) {
  out.resize(kMaxOutput);
  z_stream z = {};
  if (inflateInit2(&z, -15) != Z_OK) abort();
  z.next_in = const_cast<uint8_t*>(stream.data());
  z.avail_in = static_cast<uInt>(stream.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  const int code = inflate(&z, Z_SYNC_FLUSH);
  out.resize(z.total_out);
  const bool full = z.avail_out == 0;
  inflateEnd(&z);
  if (code == Z_STREAM_END) return kOk;
  if (code == Z_DATA_ERROR) return kBad;
  return full ? kTooLong : kTruncated;
}

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

// A code-length code without any code: zlib reads on and reports what follows from it later, which
// may be past the end. Ours says so at once.
bool reported_late(Verdict zlib, Verdict ours) { return zlib == kTruncated && ours == kBad; }

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
      fprintf(stderr, "case %lld: differs from zlib: %s (zlib's verdict %d, %zu bytes)\n",
              static_cast<long long>(i), failure, verdict, expected.size());
      for (size_t k = 0; k < stream.size() && k < 4000; ++k) fprintf(stderr, "%02x", stream[k]);
      fprintf(stderr, "\n");
      return 1;
    }
    ++counts[verdict];
  }
  printf("%lld cases agree with zlib: %lld valid, %lld invalid, %lld truncated, %lld too long\n",
         static_cast<long long>(n_cases), static_cast<long long>(counts[kOk]),
         static_cast<long long>(counts[kBad]), static_cast<long long>(counts[kTruncated]),
         static_cast<long long>(counts[kTooLong]));
  return 0;
}
