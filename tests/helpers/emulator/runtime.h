// What emulated device code asks of the scheduler. No standard headers: NVRTC has none either, and
// kernels bring their own integer types.
#pragma once

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Set for the thread that runs.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace emu {

enum Barrier { kSync, kCount, kAnd, kOr };

enum Collective {
  kSyncWarp,
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kMatchAny,
  kMatchAll,
  kReduceAdd,
  kReduceMin,
  kReduceMax,
  kReduceMinSigned,
  kReduceMaxSigned,
  kReduceAnd,
  kReduceOr,
  kReduceXor,
};

// Where in the source a thread waits.
struct Place {
  const char* file;
  int line;
};

// Dynamic shared memory of the block that runs; it ends before a page that cannot be touched.
extern unsigned char* dynamic_shared;

unsigned barrier(Barrier kind, int predicate, Place place);
// `aux` of a shuffle: the source (lane, delta or mask) in the low half, the width in the high half.
unsigned long long collective(Collective kind, unsigned mask, unsigned long long value,
                              unsigned long long aux, Place place);
unsigned lane();
// Lets other threads run first, now or (in random schedules, or when a thread spins) perhaps.
void yield();
void perhaps_yield();
unsigned long long ticks();
[[noreturn]] void fail(const char* what, Place place);

// A parameter of a kernel: p pointer, i integer, f floating, s structure.
struct Parameter {
  char kind;
  unsigned bytes;
};

struct Kernel {
  const char* name;
  void (*call)(void** arguments);
  int n_parameters;
  const Parameter* parameters;
  unsigned max_threads;  // __launch_bounds__, or 0
};

}  // namespace emu
