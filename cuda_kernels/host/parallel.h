// Threads for the length of one call.
//
// Threads are started by a call and joined before it returns: nothing outlives the call, so that
// fork, interpreter exit and unloading need no care. Starting one costs about what inflating one
// data block does; callers ask for no more threads than there is work for.
#pragma once
#include <stdint.h>

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace bwl {

// Calls f(index, thread) for every index in [0, n), handing out indices in order.
template <typename F>
void parallel_for(int64_t n, int n_threads, F&& f) {
  if (n_threads > n) n_threads = static_cast<int>(n);
  if (n_threads <= 1) {
    for (int64_t i = 0; i < n; ++i) f(i, 0);
    return;
  }
  std::atomic<int64_t> next{0};
  auto work = [&](int thread) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) f(i, thread);
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(n_threads - 1));
  for (int t = 1; t < n_threads; ++t) {
    try {
      threads.emplace_back(work, t);
    } catch (const std::system_error&) {
      break;  // no more threads to be had: those there do the work
    }
  }
  work(0);
  for (auto& thread : threads) thread.join();
}

}  // namespace bwl
