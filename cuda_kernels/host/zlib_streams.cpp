#include "zlib_streams.h"

#include <new>
#include <vector>

#include "../section.cuh"
#include "adler.h"
#include "api.h"
#include "libdeflate.h"
#include "parallel.h"

namespace bwl {
namespace {

constexpr int64_t kZlibHeaderBytes = 2;
constexpr int64_t kAdlerBytes = 4;

}  // namespace

ZlibInflater::~ZlibInflater() {
  if (libdeflate_ != nullptr) libdeflate().free_decompressor(libdeflate_);
}

HostInflateTables& ZlibInflater::tables() {
  if (!tables_) tables_.reset(new HostInflateTables);
  return *tables_;
}

Status ZlibInflater::check_header(const uint8_t* bytes, int64_t n_bytes, int64_t detail[2]) {
  if (n_bytes < kZlibHeaderBytes + kAdlerBytes) {
    detail[0] = kZlibHeaderBytes + kAdlerBytes;
    detail[1] = 0;
    return kTruncatedDeflate;
  }
  detail[0] = bytes[0];
  detail[1] = bytes[1];
  return check_zlib_header(bytes[0], bytes[1]);
}

Status ZlibInflater::inflate(const uint8_t* bytes, int64_t n_bytes, uint8_t* out, int64_t room,
                             int64_t* n, int64_t detail[2]) {
  if (libdeflate().zlib_decompress != nullptr) {
    if (libdeflate_ == nullptr) libdeflate_ = libdeflate().alloc_decompressor();
    size_t actual = 0;
    if (libdeflate_ != nullptr &&
        libdeflate().zlib_decompress(libdeflate_, bytes, static_cast<size_t>(n_bytes), out,
                                     static_cast<size_t>(room), &actual) == 0) {
      *n = static_cast<int64_t>(actual);
      return kOk;
    }
  }
  // Without libdeflate, or to find out what is wrong with the stream.
  InflateState state;
  inflate_begin(state, bytes + kZlibHeaderBytes, n_bytes - kZlibHeaderBytes - kAdlerBytes);
  const Status status = inflate_until_host(state, tables(), out, room, room + 1);
  detail[0] = room;
  detail[1] = state.out_pos;
  if (status != kOk) return status;
  const uint32_t expected = load_u32(bytes + n_bytes - kAdlerBytes, true);
  const uint32_t got = adler32(1, out, state.out_pos);
  detail[0] = expected;
  detail[1] = got;
  if (expected != got) return kBadChecksum;
  *n = state.out_pos;
  return kOk;
}

}  // namespace bwl

// Inflates n zlib streams on threads, stream i to out[i], of which room[i] bytes may be written.
// status, produced: (n,); detail: (n, 2).
BWL_API void bwl_inflate_zlib(int64_t n, const uint8_t* const* in, const int64_t* n_in,
                              uint8_t* const* out, const int64_t* room, int64_t* produced,
                              int32_t* status, int64_t* detail, int32_t n_threads) {
  std::vector<std::unique_ptr<bwl::ZlibInflater>> inflaters(
      static_cast<size_t>(n_threads > 1 ? n_threads : 1));
  bwl::parallel_for(n, n_threads, [&](int64_t i, int thread) {
    produced[i] = 0;
    int64_t* const found = detail + 2 * i;
    try {
      auto& inflater = inflaters[static_cast<size_t>(thread)];
      if (!inflater) inflater.reset(new bwl::ZlibInflater);
      status[i] = bwl::ZlibInflater::check_header(in[i], n_in[i], found);
      if (status[i] != bwl::kOk) return;
      status[i] = inflater->inflate(in[i], n_in[i], out[i], room[i], &produced[i], found);
    } catch (const std::bad_alloc&) {
      status[i] = bwl::kOutOfMemory;
    }
  });
}
