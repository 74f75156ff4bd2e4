// Whole zlib streams, with libdeflate where there is one.
#pragma once
#include <stdint.h>

#include <memory>

#include "../common.cuh"
#include "inflate.h"

namespace bwl {

// Inflates one stream after another; one per thread. Both decoders are made when first needed.
class ZlibInflater {
 public:
  ZlibInflater() = default;
  ~ZlibInflater();
  ZlibInflater(const ZlibInflater&) = delete;
  ZlibInflater& operator=(const ZlibInflater&) = delete;

  // Whether the stream has a header and room for a checksum; `detail` says what is wrong.
  static Status check_header(const uint8_t* bytes, int64_t n_bytes, int64_t detail[2]);

  // Inflates a stream of at most `room` bytes to `out` and compares its checksum. The header must
  // have been checked.
  Status inflate(const uint8_t* bytes, int64_t n_bytes, uint8_t* out, int64_t room, int64_t* n,
                 int64_t detail[2]);

  HostInflateTables& tables();

 private:
  void* libdeflate_ = nullptr;
  std::unique_ptr<HostInflateTables> tables_;
};

}  // namespace bwl
