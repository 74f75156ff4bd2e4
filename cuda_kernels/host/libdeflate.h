// libdeflate, resolved at run time (the `deflate` wheel, a conda environment or the system has it).
#pragma once
#include <stddef.h>

namespace bwl {

// The functions of libdeflate.h that are used here; all null until bwl_use_libdeflate succeeded.
struct LibDeflate {
  void* (*alloc_decompressor)() = nullptr;
  void (*free_decompressor)(void*) = nullptr;
  int (*zlib_decompress)(void*, const void*, size_t, void*, size_t, size_t*) = nullptr;
};

const LibDeflate& libdeflate();

}  // namespace bwl
