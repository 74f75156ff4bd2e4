// A clock for the stages of a batch: 25 ns a look, so around reads and tiles, not around items.
#pragma once
#include <chrono>

namespace bwl {

// Seconds since some moment; never goes back.
inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace bwl
