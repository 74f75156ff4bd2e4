// Deflate streams to fuzz decoders with: made, mutated, and what zlib says of them.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <algorithm>
#include <vector>

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
    case 0: {  // a section of one of the three types, now and then with a wrong header
      const uint32_t type = 1 + static_cast<uint32_t>(random_below(3));
      const Bytes items = make_items(n / 12);
      const uint32_t n_items = static_cast<uint32_t>(n / 12 * (type == 1 ? 1 : type == 2 ? 3 : 6) / 2);
      const uint32_t header[6] = {0, 1u << 20, 1u << 24, static_cast<uint32_t>(random_below(1000)),
                                  50, (random_below(9) ? n_items : 3) << 16 | type};
      Bytes data(sizeof header);
      memcpy(data.data(), header, sizeof header);
      if (random_below(9) == 0) data[static_cast<size_t>(random_below(24))] ^= 1;
      data.insert(data.end(), items.begin(), items.end());
      return data;
    }
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

// A code-length code without any code: zlib reads on and reports what follows from it later, which
// may be past the end. Ours says so at once.
bool reported_late(Verdict zlib, Verdict ours) { return zlib == kTruncated && ours == kBad; }

// Counts of verdicts, as a line.
void print_counts(long long n_cases, const int64_t (&counts)[6]) {
  printf("%lld cases agree with zlib: %lld valid, %lld invalid, %lld truncated, %lld too long\n",
         n_cases, static_cast<long long>(counts[kOk]), static_cast<long long>(counts[kBad]),
         static_cast<long long>(counts[kTruncated]), static_cast<long long>(counts[kTooLong]));
}

int report_failure(long long number, const char* failure, const Bytes& stream, Verdict verdict,
                   size_t n_bytes) {
  fprintf(stderr, "case %lld: differs from zlib: %s (zlib's verdict %d, %zu bytes)\n", number,
          failure, verdict, n_bytes);
  for (size_t k = 0; k < stream.size() && k < 4000; ++k) fprintf(stderr, "%02x", stream[k]);
  fprintf(stderr, "\n");
  return 1;
}

}  // namespace
