// Kernels for the tests of the emulator: small, and some of them wrong.

namespace {
constexpr int kMost = 128;

__device__ unsigned next_value(unsigned x) { return x * 1664525u + 1013904223u; }
}  // namespace

extern "C" __global__ void indices(unsigned* out) {
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  out[block * (blockDim.x * blockDim.y * blockDim.z) + thread] = block * 1000 + thread;
}

// Sum of n values, by warps and then by blocks.
extern "C" __global__ void __launch_bounds__(2 * kMost)
    sum(const float* x, long long n, double* total) {
  __shared__ double parts[32];
  double mine = 0;
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) mine += x[i];
  for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_down_sync(~0u, mine, lanes);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x != 0) return;
  mine = 0;
  for (int i = 0; i < blockDim.x / 32; ++i) mine += parts[i];
  atomicAdd(total, mine);
}

// Turns the values of a block round; `barrier` 0 leaves out what that needs.
extern "C" __global__ void turn(const int* in, int* out, int barrier) {
  extern __shared__ __align__(16) int values[];
  values[threadIdx.x] = in[threadIdx.x];
  if (barrier != 0) __syncthreads();
  out[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void garbage(unsigned* out) {
  __shared__ unsigned fixed[4];
  extern __shared__ unsigned dynamic[];
  if (threadIdx.x >= 4) return;
  out[threadIdx.x] = fixed[threadIdx.x];
  out[4 + threadIdx.x] = dynamic[threadIdx.x];
  fixed[threadIdx.x] = dynamic[threadIdx.x] = blockIdx.x;
}

// A row of results per lane, by what the lanes of `mask` hold.
extern "C" __global__ void collectives(const unsigned* value, unsigned mask, int by, int width,
                                       unsigned* out) {
  if ((mask >> threadIdx.x & 1) == 0) return;
  const unsigned mine = value[threadIdx.x];
  const int negative = static_cast<int>(mine);
  unsigned* row = out + 16 * threadIdx.x;
  row[0] = __ballot_sync(mask, mine & 1);
  row[1] = __any_sync(mask, mine & 2);
  row[2] = __all_sync(mask, mine & 4);
  row[3] = __match_any_sync(mask, mine & 3);
  row[4] = __reduce_add_sync(mask, mine);
  row[5] = __reduce_min_sync(mask, mine);
  row[6] = __reduce_max_sync(mask, mine);
  row[7] = static_cast<unsigned>(__reduce_min_sync(mask, negative));
  row[8] = __reduce_xor_sync(mask, mine);
  int all;
  __match_all_sync(mask, mine & 8, &all);
  row[9] = all;
  if (mask != ~0u) return;
  row[10] = __shfl_sync(mask, mine, by, width);
  row[11] = __shfl_up_sync(mask, mine, by, width);
  row[12] = __shfl_down_sync(mask, mine, by, width);
  row[13] = __shfl_xor_sync(mask, mine, by, width);
  const unsigned long long wide = static_cast<unsigned long long>(mine) << 32 | threadIdx.x;
  row[14] = static_cast<unsigned>(__shfl_sync(mask, wide, 31 - threadIdx.x) >> 32);
  row[15] = __float_as_uint(__shfl_xor_sync(mask, __uint_as_float(mine), 1));
}

extern "C" __global__ void counted(int* out) {
  const int even = __syncthreads_count(threadIdx.x % 2 == 0);
  const int any = __syncthreads_or(threadIdx.x == 5);
  const int all = __syncthreads_and(threadIdx.x < 7);
  if (threadIdx.x == 0) {
    out[0] = even;
    out[1] = any;
    out[2] = all;
  }
}

// Half the threads end before the barrier: those that are left are all there is to wait for.
extern "C" __global__ void half(int* out) {
  if (threadIdx.x % 2 == 1) return;
  __syncthreads();
  atomicAdd(out, 1);
}

extern "C" __global__ void queue(unsigned* next, unsigned n, unsigned* taken) {
  for (unsigned i = atomicAdd(next, 1u); i < n; i = atomicAdd(next, 1u)) {
    taken[i] = next_value(i) + 0 * threadIdx.x;
  }
}

// Threads of a block wait for each other's turn without a barrier.
extern "C" __global__ void turns(unsigned* turn, unsigned* order) {
  const unsigned me = blockDim.x - 1 - threadIdx.x;
  while (atomicAdd(turn, 0u) != me) __nanosleep(20);
  order[me] = threadIdx.x;
  atomicExch(turn, me + 1);
}

extern "C" __global__ void bits(const unsigned* in, unsigned* out) {
  const unsigned a = in[0], b = in[1], c = in[2];
  out[0] = __popc(a);
  out[1] = __clz(static_cast<int>(a));
  out[2] = __ffs(static_cast<int>(a));
  out[3] = __brev(a);
  out[4] = __byte_perm(a, b, c & 0x7777u);
  out[5] = __funnelshift_l(a, b, c);
  out[6] = __funnelshift_r(a, b, c);
  out[7] = __umulhi(a, b);
  out[8] = min(a, b) ^ max(static_cast<int>(a), b);
  out[9] = __funnelshift_rc(a, b, c % 40u);
}

struct Mixed {
  const int* at;
  int n;
  float scale;
};

extern "C" __global__ void arguments(Mixed mixed, unsigned char small, float x, double y,
                                     long long big, double* out) {
  out[0] = mixed.at[mixed.n] * mixed.scale;
  out[1] = small + x + y;
  out[2] = static_cast<double>(big);
}

extern "C" __device__ const int answer = 42;

// ------------------------------------------------------------------------------- wrong kernels --

extern "C" __global__ void writes_far(int* out) { out[1ll << 44] = 1; }
extern "C" __global__ void writes_null() { *reinterpret_cast<volatile int*>(8) = 1; }
extern "C" __global__ void misaligned(unsigned char* out) { *reinterpret_cast<int*>(out + 1) = 1; }
extern "C" __global__ void bad_index(int* out, int i) {
  __shared__ int values[4];
  values[i] = 1;
  *out = values[0];
}
extern "C" __global__ void past_dynamic(int i) {
  extern __shared__ int values[];
  values[i] = 1;
}
extern "C" __global__ void divides(int* out) { out[0] = 7 / out[1]; }
extern "C" __global__ void endless(volatile int* out) {
  while (out[0] == 0) {
  }
}
extern "C" __global__ void deep(int* out) {
  volatile int room[1 << 16];
  room[threadIdx.x] = *out;
  *out = room[threadIdx.x];
}
extern "C" __global__ void traps() { __trap(); }
extern "C" __global__ void parts_ways() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
extern "C" __global__ void deadlock() {
  if (threadIdx.x < 3) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}
extern "C" __global__ void names_ended() {
  if (threadIdx.x == 0) __syncwarp();
}
extern "C" __global__ void names_absent() { __syncwarp(); }
extern "C" __global__ void not_named() { __syncwarp(1u); }
extern "C" __global__ void reads_unnamed(unsigned* out) {
  if (threadIdx.x < 16) out[0] = __shfl_sync(0xffffu, threadIdx.x, 20);
}
