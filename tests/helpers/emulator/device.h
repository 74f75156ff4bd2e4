// CUDA's device language for a host compiler: qualifiers, barriers, warp collectives, atomics.
//
// Included before the source text. It takes the place of what NVRTC declares by itself, so a source
// sees __CUDACC_RTC__ and takes its device paths.
#pragma once
#include "runtime.h"

#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 900
#endif

#define __host__
#define __device__
#define __constant__
#define __shared__ static  // found by its name in the library, and filled with garbage per block
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
// These two are read, and replaced, in the preprocessed text.
#define __global__ EMU_KERNEL
#define __launch_bounds__(...) EMU_BOUNDS(__VA_ARGS__)

#define __builtin_assume(condition) ((void)0)
// The last parameters of what waits: evaluated where it is called.
#define EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define EMU_PLACE (emu::Place{file, line})

typedef __SIZE_TYPE__ size_t;
constexpr int warpSize = 32;

// ------------------------------------------------------------------------------------ barriers --

inline void __syncthreads(EMU_HERE) { emu::barrier(emu::kSync, 0, EMU_PLACE); }
inline int __syncthreads_count(int predicate, EMU_HERE) {
  return static_cast<int>(emu::barrier(emu::kCount, predicate, EMU_PLACE));
}
inline int __syncthreads_and(int predicate, EMU_HERE) {
  return static_cast<int>(emu::barrier(emu::kAnd, predicate, EMU_PLACE));
}
inline int __syncthreads_or(int predicate, EMU_HERE) {
  return static_cast<int>(emu::barrier(emu::kOr, predicate, EMU_PLACE));
}
inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_HERE) {
  emu::collective(emu::kSyncWarp, mask, 0, 0, EMU_PLACE);
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) { emu::yield(); }
[[noreturn]] inline void __trap(EMU_HERE) { emu::fail("__trap()", EMU_PLACE); }
inline long long clock64() { return static_cast<long long>(emu::ticks()); }

// ---------------------------------------------------------------------------- warp collectives --

// Threads run one at a time, so the only lane sure to be active is the one that asks.
inline unsigned __activemask() { return 1u << emu::lane(); }

inline unsigned __ballot_sync(unsigned mask, int predicate, EMU_HERE) {
  return static_cast<unsigned>(emu::collective(emu::kBallot, mask, predicate != 0, 0, EMU_PLACE));
}
inline int __any_sync(unsigned mask, int predicate, EMU_HERE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, EMU_HERE) {
  return __ballot_sync(mask, predicate == 0, file, line) == 0;
}

namespace emu {

template <typename T>
inline unsigned long long to_bits(T value) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "32 and 64 bits only");
  unsigned long long bits = 0;
  __builtin_memcpy(&bits, &value, sizeof value);
  return bits;
}

template <typename T>
inline T from_bits(unsigned long long bits) {
  T value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

template <typename T>
inline T shuffle(Collective kind, unsigned mask, T value, unsigned source, int width, Place place) {
  const unsigned long long aux = source | static_cast<unsigned long long>(width) << 32;
  return from_bits<T>(collective(kind, mask, to_bits(value), aux, place));
}

}  // namespace emu

#define EMU_SHUFFLES(T)                                                                         \
  inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMU_HERE) {          \
    return emu::shuffle(emu::kShuffle, mask, value, static_cast<unsigned>(source), width,       \
                        EMU_PLACE);                                                             \
  }                                                                                             \
  inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_HERE) {   \
    return emu::shuffle(emu::kShuffleUp, mask, value, delta, width, EMU_PLACE);                 \
  }                                                                                             \
  inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_HERE) { \
    return emu::shuffle(emu::kShuffleDown, mask, value, delta, width, EMU_PLACE);               \
  }                                                                                             \
  inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, EMU_HERE) {       \
    return emu::shuffle(emu::kShuffleXor, mask, value, static_cast<unsigned>(lanes), width,     \
                        EMU_PLACE);                                                             \
  }

EMU_SHUFFLES(int)
EMU_SHUFFLES(unsigned)
EMU_SHUFFLES(long)
EMU_SHUFFLES(unsigned long)
EMU_SHUFFLES(long long)
EMU_SHUFFLES(unsigned long long)
EMU_SHUFFLES(float)
EMU_SHUFFLES(double)

#define EMU_MATCHES(T)                                                             \
  inline unsigned __match_any_sync(unsigned mask, T value, EMU_HERE) {             \
    return static_cast<unsigned>(                                                  \
        emu::collective(emu::kMatchAny, mask, emu::to_bits(value), 0, EMU_PLACE)); \
  }                                                                                \
  inline unsigned __match_all_sync(unsigned mask, T value, int* all, EMU_HERE) {   \
    const unsigned same = static_cast<unsigned>(                                   \
        emu::collective(emu::kMatchAll, mask, emu::to_bits(value), 0, EMU_PLACE)); \
    *all = same != 0;                                                              \
    return same;                                                                   \
  }

EMU_MATCHES(int)
EMU_MATCHES(unsigned)
EMU_MATCHES(long)
EMU_MATCHES(unsigned long)
EMU_MATCHES(long long)
EMU_MATCHES(unsigned long long)
EMU_MATCHES(float)
EMU_MATCHES(double)

#define EMU_REDUCE(name, T, kind)                                                                  \
  inline T name(unsigned mask, T value, EMU_HERE) {                                                \
    return emu::from_bits<T>(emu::collective(emu::kind, mask, emu::to_bits(value), 0, EMU_PLACE)); \
  }

EMU_REDUCE(__reduce_add_sync, unsigned, kReduceAdd)
EMU_REDUCE(__reduce_min_sync, unsigned, kReduceMin)
EMU_REDUCE(__reduce_max_sync, unsigned, kReduceMax)
EMU_REDUCE(__reduce_add_sync, int, kReduceAdd)
EMU_REDUCE(__reduce_min_sync, int, kReduceMinSigned)
EMU_REDUCE(__reduce_max_sync, int, kReduceMaxSigned)
EMU_REDUCE(__reduce_and_sync, unsigned, kReduceAnd)
EMU_REDUCE(__reduce_or_sync, unsigned, kReduceOr)
EMU_REDUCE(__reduce_xor_sync, unsigned, kReduceXor)

// ------------------------------------------------------------------------------------- atomics --

// For the types that CUDA has them for, and no others.
#define EMU_ATOMIC(name, T, expression) \
  inline T name(T* at, T value) {       \
    emu::perhaps_yield();               \
    const T old = *at;                  \
    *at = (expression);                 \
    return old;                         \
  }                                     \
  inline T name##_block(T* at, T value) { return name(at, value); }
#define EMU_ATOMIC_INTEGERS(name, expression) \
  EMU_ATOMIC(name, int, expression)           \
  EMU_ATOMIC(name, unsigned, expression)      \
  EMU_ATOMIC(name, unsigned long long, expression)

EMU_ATOMIC_INTEGERS(atomicAdd, old + value)
EMU_ATOMIC(atomicAdd, float, old + value)
EMU_ATOMIC(atomicAdd, double, old + value)
EMU_ATOMIC(atomicSub, int, old - value)
EMU_ATOMIC(atomicSub, unsigned, old - value)
EMU_ATOMIC_INTEGERS(atomicExch, value)
EMU_ATOMIC(atomicExch, float, value)
EMU_ATOMIC_INTEGERS(atomicMin, value < old ? value : old)
EMU_ATOMIC(atomicMin, long long, value < old ? value : old)
EMU_ATOMIC_INTEGERS(atomicMax, value > old ? value : old)
EMU_ATOMIC(atomicMax, long long, value > old ? value : old)
EMU_ATOMIC_INTEGERS(atomicAnd, old& value)
EMU_ATOMIC_INTEGERS(atomicOr, old | value)
EMU_ATOMIC_INTEGERS(atomicXor, old ^ value)
EMU_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMU_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)

#define EMU_ATOMIC_CAS(T)                          \
  inline T atomicCAS(T* at, T expected, T value) { \
    emu::perhaps_yield();                          \
    const T old = *at;                             \
    if (old == expected) *at = value;              \
    return old;                                    \
  }
EMU_ATOMIC_CAS(int)
EMU_ATOMIC_CAS(unsigned)
EMU_ATOMIC_CAS(unsigned long long)
EMU_ATOMIC_CAS(unsigned short)

#include "intrinsics.h"
#include "registry.h"
