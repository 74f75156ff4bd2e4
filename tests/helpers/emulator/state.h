// The block that runs: its threads and warps, the schedule, what has gone wrong.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "fiber.h"
#include "runtime.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emu {

unsigned char* dynamic_shared;

namespace {

constexpr unsigned kMaxThreads = 1024, kWarp = 32;
constexpr size_t kMaxShared = 256 << 10, kPage = 4096;
constexpr int kGarbage = 0xCD;

enum State : uint8_t { kReady, kAtBarrier, kAtCollective, kExited };
enum Schedule { kForward, kReverse, kRandom };

struct Thread {
  Fiber fiber;
  uint3 index;
  State state;
  uint8_t kind;   // of the barrier or collective it waits at
  unsigned mask;  // of the collective
  Place place;
  unsigned long long value, aux, result;
};

struct Warp {
  unsigned ready, yielded, waiting, exited, all;  // lanes
};

struct Shared {
  unsigned char* address;
  size_t bytes;
};

Thread threads[kMaxThreads];
Warp warps[kMaxThreads / kWarp];
unsigned n_threads, n_warps, n_alive, n_at_barrier;
Thread* running;
Fiber scheduler;

const Kernel* kernel;
void** kernel_arguments;
Schedule schedule;
uint64_t random_state;
unsigned spins;  // atomics since a thread last let others run
unsigned long long n_switches;

Shared* static_shared;
int n_static_shared;
unsigned char* shared_pages;  // kMaxShared bytes, then a page that cannot be touched
size_t dynamic_bytes;

bool failed, in_launch;
char message[1024];

uint64_t draw() {  // splitmix64
  uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

unsigned index_of(const Thread* thread) { return static_cast<unsigned>(thread - threads); }

int describe(char* to, size_t room, const Thread* thread, const char* what, Place place) {
  int n = snprintf(to, room, "kernel %s, block (%u, %u, %u)", kernel->name, blockIdx.x, blockIdx.y,
                   blockIdx.z);
  if (thread != nullptr) {
    n += snprintf(to + n, room - n, ", thread (%u, %u, %u)", thread->index.x, thread->index.y,
                  thread->index.z);
  }
  n += snprintf(to + n, room - n, ": %s", what);
  if (place.file != nullptr) n += snprintf(to + n, room - n, ", at %s:%d", place.file, place.line);
  return n;
}

void set_failure(const Thread* thread, const char* what, Place place) {
  if (failed) return;
  failed = true;
  describe(message, sizeof message, thread, what, place);
}

void run_thread() { kernel->call(kernel_arguments); }

void end_thread() {
  Thread* self = running;
  self->state = kExited;
  Warp& warp = warps[index_of(self) / kWarp];
  warp.exited |= 1u << index_of(self) % kWarp;
  --n_alive;
}

void wait() {  // returns when the scheduler picks this thread again
  fiber_switch(running->fiber, scheduler);
}

void resume(unsigned w, unsigned l) {
  Thread& thread = threads[w * kWarp + l];
  warps[w].ready &= ~(1u << l);
  thread.state = kReady;
  running = &thread;
  threadIdx = thread.index;
  spins = 0;
  ++n_switches;
  fiber_resume(scheduler, thread.fiber, run_thread, end_thread);
}

unsigned pick(unsigned lanes) {
  if (schedule == kForward) return __builtin_ctz(lanes);
  if (schedule == kReverse) return 31 - __builtin_clz(lanes);
  for (unsigned skip = draw() % __builtin_popcount(lanes); skip > 0; --skip) lanes &= lanes - 1;
  return __builtin_ctz(lanes);
}

}  // namespace

// ----------------------------------------------------------------------- called by device code --

void fail(const char* what, Place place) {
  set_failure(running, what, place);
  fiber_switch(running->fiber, scheduler);
  abort();
}

unsigned lane() { return index_of(running) % kWarp; }
unsigned long long ticks() { return n_switches; }

void yield() {
  const unsigned i = index_of(running);
  warps[i / kWarp].yielded |= 1u << i % kWarp;
  wait();
}

void perhaps_yield() {
  // A thread that spins on an atomic waits for another one.
  if (++spins >= 256 || (schedule == kRandom && (draw() & 3) == 0)) yield();
}

}  // namespace emu
