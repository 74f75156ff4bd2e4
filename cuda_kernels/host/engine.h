// Reading one batch, for callers inside the library.
#pragma once
#include "../common.cuh"
#include "request.h"

namespace bwl {

// What bwl_read_signal does; throws std::bad_alloc.
void read_signal(BwlRequest* request);

}  // namespace bwl
