// CUDA's intrinsics without a scheduler: bits, loads, rounding, vector types, mathematics.
#pragma once

// ---------------------------------------------------------------------------------------- bits --

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}

inline unsigned __brev(unsigned x) {
  x = (x & 0x55555555u) << 1 | (x >> 1 & 0x55555555u);
  x = (x & 0x33333333u) << 2 | (x >> 2 & 0x33333333u);
  x = (x & 0x0f0f0f0fu) << 4 | (x >> 4 & 0x0f0f0f0fu);
  return __builtin_bswap32(x);
}
inline unsigned long long __brevll(unsigned long long x) {
  return static_cast<unsigned long long>(__brev(static_cast<unsigned>(x))) << 32 |
         __brev(static_cast<unsigned>(x >> 32));
}

// Bytes of y:x by the nibbles of `selector`; bit 3 of a nibble spreads the byte's sign.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const unsigned long long both = static_cast<unsigned long long>(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned nibble = selector >> 4 * i & 15;
    unsigned byte = static_cast<unsigned>(both >> 8 * (nibble & 7)) & 255;
    if (nibble & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << 8 * i;
  }
  return result;
}

inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  const unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
  return static_cast<unsigned>(both << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  const unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
  return static_cast<unsigned>(both >> (shift & 31));
}
inline unsigned __funnelshift_lc(unsigned low, unsigned high, unsigned shift) {
  const unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
  return shift >= 32 ? low : static_cast<unsigned>(both << shift >> 32);
}
inline unsigned __funnelshift_rc(unsigned low, unsigned high, unsigned shift) {
  const unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
  return shift >= 32 ? high : static_cast<unsigned>(both >> shift);
}

inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<long long>(a) * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline long long __mul64hi(long long a, long long b) {
  return static_cast<long long>(static_cast<__int128>(a) * b >> 64);
}

// ---------------------------------------------------------------------------- bit casts, loads --

#define EMU_AS(name, From, To)                        \
  inline To name(From value) {                        \
    To result;                                        \
    static_assert(sizeof value == sizeof result, ""); \
    __builtin_memcpy(&result, &value, sizeof result); \
    return result;                                    \
  }
EMU_AS(__float_as_uint, float, unsigned)
EMU_AS(__float_as_int, float, int)
EMU_AS(__uint_as_float, unsigned, float)
EMU_AS(__int_as_float, int, float)
EMU_AS(__double_as_longlong, double, long long)
EMU_AS(__longlong_as_double, long long, double)

template <typename T>
inline T __ldg(const T* at) {
  return *at;
}
template <typename T>
inline T __ldcg(const T* at) {
  return *at;
}
template <typename T>
inline T __ldca(const T* at) {
  return *at;
}
template <typename T>
inline T __ldcs(const T* at) {
  return *at;
}
template <typename T>
inline void __stcg(T* at, T value) {
  *at = value;
}
template <typename T>
inline void __stcs(T* at, T value) {
  *at = value;
}
template <typename T>
inline void __stwt(T* at, T value) {
  *at = value;
}

// -------------------------------------------------------------------------------- vector types --

#define EMU_VECTOR(T, name, align2, align4)                  \
  struct name##1 { T x; };                                   \
  struct alignas(align2) name##2 { T x, y; };                \
  struct alignas(align4) name##4 { T x, y, z, w; };          \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTOR(signed char, char, 2, 4)
EMU_VECTOR(unsigned char, uchar, 2, 4)
EMU_VECTOR(short, short, 4, 8)
EMU_VECTOR(unsigned short, ushort, 4, 8)
EMU_VECTOR(int, int, 8, 16)
EMU_VECTOR(unsigned, uint, 8, 16)
EMU_VECTOR(long long, longlong, 16, 16)
EMU_VECTOR(unsigned long long, ulonglong, 16, 16)
EMU_VECTOR(float, float, 8, 16)
EMU_VECTOR(double, double, 16, 16)

// --------------------------------------------------------------------------------- mathematics --

extern "C" {
double sqrt(double), fabs(double), floor(double), ceil(double), trunc(double), rint(double);
double exp(double), exp2(double), log(double), log2(double), log1p(double), expm1(double);
double pow(double, double), fmin(double, double), fmax(double, double), fmod(double, double);
double fma(double, double, double), ldexp(double, int);
float sqrtf(float), fabsf(float), floorf(float), ceilf(float), truncf(float), rintf(float);
float expf(float), exp2f(float), logf(float), log2f(float), log1pf(float), expm1f(float);
float powf(float, float), fminf(float, float), fmaxf(float, float), fmodf(float, float);
float fmaf(float, float, float), ldexpf(float, int), cbrtf(float), roundf(float);
long long llrint(double), llrintf(float), llround(double);
int abs(int);
int printf(const char*, ...);
void* memcpy(void*, const void*, size_t);
void* memset(void*, int, size_t);
int memcmp(const void*, const void*, size_t);
}

#define EMU_FLOAT_OVERLOAD(name) \
  inline float name(float x) { return name##f(x); }
EMU_FLOAT_OVERLOAD(sqrt)
EMU_FLOAT_OVERLOAD(fabs)
EMU_FLOAT_OVERLOAD(floor)
EMU_FLOAT_OVERLOAD(ceil)
EMU_FLOAT_OVERLOAD(trunc)
EMU_FLOAT_OVERLOAD(rint)
EMU_FLOAT_OVERLOAD(exp)
EMU_FLOAT_OVERLOAD(exp2)
EMU_FLOAT_OVERLOAD(log)
EMU_FLOAT_OVERLOAD(log2)
EMU_FLOAT_OVERLOAD(log1p)
EMU_FLOAT_OVERLOAD(expm1)
inline float pow(float x, float y) { return powf(x, y); }
inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline long long llabs(long long x) { return x < 0 ? -x : x; }
inline long long abs(long long x) { return llabs(x); }
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return fabs(x); }
inline bool isnan(double x) { return __builtin_isnan(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x); }
inline bool signbit(double x) { return __builtin_signbit(x); }
inline bool isnan(float x) { return __builtin_isnan(x); }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline bool signbit(float x) { return __builtin_signbit(x); }

#define EMU_ROUNDED(prefix, T)                            \
  inline T __##prefix##add_rn(T x, T y) { return x + y; } \
  inline T __##prefix##sub_rn(T x, T y) { return x - y; } \
  inline T __##prefix##mul_rn(T x, T y) { return x * y; } \
  inline T __##prefix##div_rn(T x, T y) { return x / y; }
EMU_ROUNDED(f, float)
EMU_ROUNDED(d, double)
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }

#define EMU_MIN_MAX(T)                             \
  inline T min(T a, T b) { return b < a ? b : a; } \
  inline T max(T a, T b) { return a < b ? b : a; }
EMU_MIN_MAX(int)
EMU_MIN_MAX(unsigned)
EMU_MIN_MAX(long)
EMU_MIN_MAX(unsigned long)
EMU_MIN_MAX(long long)
EMU_MIN_MAX(unsigned long long)
// Of unlike signs: as unsigned, like the operators.
#define EMU_MIN_MAX_MIXED(T, U)                                \
  inline U min(T a, U b) { return min(static_cast<U>(a), b); } \
  inline U min(U a, T b) { return min(a, static_cast<U>(b)); } \
  inline U max(T a, U b) { return max(static_cast<U>(a), b); } \
  inline U max(U a, T b) { return max(a, static_cast<U>(b)); }
EMU_MIN_MAX_MIXED(int, unsigned)
EMU_MIN_MAX_MIXED(long long, unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
