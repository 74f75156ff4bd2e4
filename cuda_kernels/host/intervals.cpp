// Intervals that overlap or are out of order, as a list that is sorted and has neither: where
// several cover a base, the last one given has it.
#include <stdint.h>

#include <algorithm>
#include <new>
#include <queue>
#include <vector>

#include "api.h"

namespace bwl {
namespace {

// Sweeps over the starts; of the intervals that are open the one given last is on top.
int64_t flatten(int64_t n, const uint32_t* start, const uint32_t* end, const float* value,
                uint32_t* out_start, uint32_t* out_end, float* out_value) {
  std::vector<int64_t> by_start;
  by_start.reserve(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    if (end[i] > start[i]) by_start.push_back(i);
  }
  std::stable_sort(by_start.begin(), by_start.end(),
                   [start](int64_t a, int64_t b) { return start[a] < start[b]; });
  std::priority_queue<int64_t> open;
  int64_t n_out = 0, last = -1;  // last: the interval that the last one put out is a part of
  size_t next = 0;
  uint32_t at = 0;
  while (next < by_start.size() || !open.empty()) {
    if (open.empty()) at = start[by_start[next]];
    while (next < by_start.size() && start[by_start[next]] <= at) open.push(by_start[next++]);
    while (!open.empty() && end[open.top()] <= at) open.pop();
    if (open.empty()) continue;
    const int64_t top = open.top();
    uint32_t until = end[top];
    if (next < by_start.size()) until = std::min(until, start[by_start[next]]);
    if (top == last && out_end[n_out - 1] == at) {
      out_end[n_out - 1] = until;
    } else {
      out_start[n_out] = at;
      out_end[n_out] = until;
      out_value[n_out++] = value[top];
    }
    last = top;
    at = until;
  }
  return n_out;
}

}  // namespace
}  // namespace bwl

// Writes at most 2 * n intervals and returns how many; -1 if there is no memory. n intervals have
// 2 * n ends, and no two pieces begin at the same one.
BWL_API int64_t bwl_flatten_intervals(int64_t n, const uint32_t* start, const uint32_t* end,
                                      const float* value, uint32_t* out_start, uint32_t* out_end,
                                      float* out_value) {
  try {
    return bwl::flatten(n, start, end, value, out_start, out_end, out_value);
  } catch (const std::bad_alloc&) {
    return -1;
  }
}
