// Runs CUDA kernels on the CPU: a fiber per CUDA thread of one block, blocks one after the other.
//
// A thread runs until it waits at a barrier or a collective, lets others go first, or ends. Which
// one runs next is the schedule's choice, so a result that hangs on the order differs between
// schedules. One launch at a time per process: signals are caught while it runs. No variables that
// are static in a function: those of a library are taken for shared memory.
#include <stdlib.h>
#include <string.h>

#include "guards.h"
#include "waiting.h"

namespace emu {
namespace {

void fill_shared() {
  for (int i = 0; i < n_static_shared; ++i) {
    memset(static_shared[i].address, kGarbage, static_shared[i].bytes);
  }
  memset(dynamic_shared, kGarbage, shared_pages + kMaxShared - dynamic_shared);
}

void check_shared() {
  for (const unsigned char* p = dynamic_shared + dynamic_bytes; p < shared_pages + kMaxShared;
       ++p) {
    if (*p == kGarbage) continue;
    char what[128];
    snprintf(what, sizeof what, "wrote past the %zu bytes of dynamic shared memory", dynamic_bytes);
    return set_failure(nullptr, what, {nullptr, 0});
  }
}

void begin_block() {
  fill_shared();
  n_alive = n_threads;
  n_at_barrier = 0;
  for (unsigned w = 0; w < n_warps; ++w) {
    const unsigned n = n_threads - w * kWarp;
    warps[w] = {};
    warps[w].all = warps[w].ready = n >= kWarp ? ~0u : (1u << n) - 1;
  }
  for (unsigned i = 0; i < n_threads; ++i) {
    threads[i].state = kReady;
    threads[i].fiber.started = false;
  }
}

void run_warp(unsigned w) {
  while (warps[w].ready != 0 && !failed) {
    resume(w, pick(warps[w].ready));
    if (schedule == kRandom && (draw() & 7) == 0) return;
  }
}

void run_block() {
  begin_block();
  unsigned order[kMaxThreads / kWarp];
  for (unsigned w = 0; w < n_warps; ++w) order[w] = schedule == kReverse ? n_warps - 1 - w : w;
  while (n_alive > 0 && !failed) {
    if (schedule == kRandom) {
      for (unsigned w = n_warps; w > 1; --w) {
        const unsigned other = draw() % w, kept = order[w - 1];
        order[w - 1] = order[other];
        order[other] = kept;
      }
    }
    for (unsigned k = 0; k < n_warps && !failed; ++k) run_warp(order[k]);
    bool more = false;
    for (unsigned w = 0; w < n_warps; ++w) {
      warps[w].ready |= warps[w].yielded;
      warps[w].yielded = 0;
      more |= warps[w].ready != 0;
    }
    if (failed || more || n_alive == 0) continue;
    if (n_at_barrier == n_alive) {
      release_barrier();
    } else {
      report_deadlock();
    }
  }
  if (!failed) check_shared();
}

uint64_t gcd(uint64_t a, uint64_t b) { return b == 0 ? a : gcd(b, a % b); }

void run_grid() {
  const uint64_t x = gridDim.x, y = gridDim.y, n = x * y * gridDim.z;
  uint64_t step = 1, at = 0;
  if (schedule == kReverse) step = n - 1, at = n - 1;
  if (schedule == kRandom) {
    at = draw() % n;
    do step = draw() % n | 1;
    while (gcd(step, n) != 1);
  }
  for (uint64_t k = 0; k < n && !failed; ++k, at = (at + step) % n) {
    blockIdx = {static_cast<unsigned>(at % x), static_cast<unsigned>(at / x % y),
                static_cast<unsigned>(at / x / y)};
    run_block();
  }
}

void prepare_threads() {
  n_threads = blockDim.x * blockDim.y * blockDim.z;
  n_warps = (n_threads + kWarp - 1) / kWarp;
  for (unsigned i = 0; i < n_threads; ++i) {
    threads[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
  }
  fiber_begin_launch();
}

void place_dynamic_shared(size_t bytes) {
  if (shared_pages == nullptr) {
    shared_pages =
        static_cast<unsigned char*>(mmap(nullptr, kMaxShared + kPage, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    mprotect(shared_pages + kMaxShared, kPage, PROT_NONE);
  }
  dynamic_bytes = bytes;
  dynamic_shared = shared_pages + kMaxShared - (bytes + 127) / 128 * 128;
}

}  // namespace
}  // namespace emu

// ---------------------------------------------------------------------------- called by Python --

extern "C" {

extern const emu::Kernel emu_kernels[] __attribute__((visibility("default")));

// Static variables of shared memory: what is filled with garbage before each block.
__attribute__((visibility("default"))) void emu_set_shared(int n, void* const* addresses,
                                                           const uint64_t* bytes) {
  emu::static_shared =
      static_cast<emu::Shared*>(realloc(emu::static_shared, n * sizeof(emu::Shared)));
  emu::n_static_shared = n;
  for (int i = 0; i < n; ++i) {
    emu::static_shared[i] = {static_cast<unsigned char*>(addresses[i]), bytes[i]};
  }
}

// Runs a grid. 0, or 1 with what went wrong in `text`. `limits`: CPU seconds.
__attribute__((visibility("default"))) int emu_launch(int kernel, const unsigned* grid,
                                                      const unsigned* block, uint64_t shared_bytes,
                                                      void** arguments, int schedule, uint64_t seed,
                                                      double seconds, char* text, int room) {
  using namespace emu;
  emu::kernel = &emu_kernels[kernel];
  kernel_arguments = arguments;
  emu::schedule = static_cast<Schedule>(schedule);
  random_state = seed;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  place_dynamic_shared(shared_bytes);
  prepare_threads();
  failed = false;
  begin_guards(seconds);
  in_launch = true;
  if (sigsetjmp(launched, 1) == 0) run_grid();
  in_launch = false;
  end_guards();
  if (failed) snprintf(text, room, "%s", message);
  return failed ? 1 : 0;
}

}  // extern "C"
