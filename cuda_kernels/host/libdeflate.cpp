#include "libdeflate.h"

#include <dlfcn.h>
#include <stdint.h>

#include "api.h"

namespace bwl {
namespace {
LibDeflate loaded;
}

const LibDeflate& libdeflate() { return loaded; }

}  // namespace bwl

// Takes the functions from the shared library at `path`; returns 1 if it has them all. Without
// libdeflate every block is inflated by inflate.cuh. Not to be called while a batch is read.
BWL_API int32_t bwl_use_libdeflate(const char* path) {
  bwl::loaded = bwl::LibDeflate();
  if (path == nullptr) return 0;
  void* library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return 0;
  bwl::LibDeflate found;
  found.alloc_decompressor =
      reinterpret_cast<void* (*)()>(::dlsym(library, "libdeflate_alloc_decompressor"));
  found.free_decompressor =
      reinterpret_cast<void (*)(void*)>(::dlsym(library, "libdeflate_free_decompressor"));
  found.zlib_decompress = reinterpret_cast<int (*)(void*, const void*, size_t, void*, size_t, size_t*)>(
      ::dlsym(library, "libdeflate_zlib_decompress"));
  if (!found.alloc_decompressor || !found.free_decompressor || !found.zlib_decompress) return 0;
  bwl::loaded = found;
  return 1;
}
