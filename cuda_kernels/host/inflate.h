// The inflate decoder as host code calls it: with the instructions of the processor it runs on.
#pragma once

#include "../inflate.cuh"

namespace bwl {

using HostInflateTables = InflateTables<11, 8>;

// inflate_until (inflate.cuh), for the host.
Status inflate_until_host(InflateState& s, HostInflateTables& t, uint8_t* out, int64_t capacity,
                          int64_t target);

}  // namespace bwl
