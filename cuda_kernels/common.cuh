// What every header of this folder shares: the host/device marker and fixed-width types.
//
// The headers hold arithmetic only. They are compiled three times: by nvcc and NVRTC into the GPU
// kernels (*.cu), and by the host compiler into the CPU library (host/*.cpp). So they use no
// standard headers on the device (NVRTC has none), no exceptions, no allocation, no recursion.
#pragma once

#if defined(__CUDACC_RTC__)
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif

#if defined(__CUDACC__)
#define BWL_HD __host__ __device__ __forceinline__
#define BWL_UNLIKELY(x) (x)
#else
#define BWL_HD inline
#define BWL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#endif

namespace bwl {

// Outcome of reading one data block. The Python side turns these into messages
// (bigwig_loader/backend/status.py); the numbers are part of the C ABI.
enum Status : int32_t {
  kOk = 0,
  kReadFailed = 1,         // the byte range could not be read (detail: errno, bytes read)
  kBadZlibHeader = 2,      // detail: the two header bytes
  kBadDeflate = 3,         // invalid code, distance too far back, bad block type
  kTruncatedDeflate = 4,   // the stream ends before its last block does
  kTooLong = 5,            // inflates to more than uncompressBufSize
  kBadChecksum = 6,        // adler32 differs (detail: expected, got)
  kShortSection = 7,       // fewer than 24 bytes (detail: 24, bytes there)
  kBadSectionType = 8,     // not 1, 2 or 3 (detail: 3, type)
  kItemsPastEnd = 9,       // item count needs more bytes than there are (detail: needed, there)
  kBadChromId = 10,        // section of another contig (detail: expected, got)
  kOutOfMemory = 11,
  kPastEnd = 12,           // the byte range lies past the end of the file (detail: end, file)
  kNeedsWhole = 13,        // left early, but not in order: to be read again, whole; never reported
};

}  // namespace bwl
