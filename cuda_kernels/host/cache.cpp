#include "cache.h"

#include <string.h>
#include <sys/mman.h>

#include <new>

#include "api.h"

#if !defined(MAP_NORESERVE)
#define MAP_NORESERVE 0
#endif

namespace bwl {
namespace {

constexpr int64_t kPlaceBytes = sizeof(KeptBlock*);

// Stands in the table while a block is being added.
KeptBlock being_added;

int64_t bytes_of(int64_t n_items) {
  return static_cast<int64_t>(sizeof(KeptBlock)) + n_items * static_cast<int64_t>(sizeof(StoredItem));
}

// Memory that is zero, and that exists only where it is written. Unlike that of an allocator it is
// given back without being touched, which in a child process would first copy it.
void* map_zeros(int64_t n_bytes) {
  void* memory = ::mmap(nullptr, static_cast<size_t>(n_bytes), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

}  // namespace

BlockCache::BlockCache(int64_t n_blocks, int64_t capacity_bytes)
    : table_bytes_((n_blocks + 1) * kPlaceBytes), capacity_(capacity_bytes) {
  table_ = static_cast<KeptBlock**>(map_zeros(table_bytes_));
  try {
    memory_ = static_cast<uint8_t*>(map_zeros(capacity_));
  } catch (const std::bad_alloc&) {
    ::munmap(table_, static_cast<size_t>(table_bytes_));
    throw;
  }
}

BlockCache::~BlockCache() {
  ::munmap(table_, static_cast<size_t>(table_bytes_));
  ::munmap(memory_, static_cast<size_t>(capacity_));
}

const KeptBlock* BlockCache::find(int64_t block) const {
  const KeptBlock* kept = __atomic_load_n(table_ + block, __ATOMIC_ACQUIRE);
  return kept == &being_added ? nullptr : kept;
}

bool BlockCache::has_room(int64_t n_items) const {
  return n_bytes() + bytes_of(n_items) + kPlaceBytes <= capacity_;
}

bool BlockCache::take(int64_t n_bytes) {
  int64_t now = n_bytes_.load(std::memory_order_relaxed);
  do {
    if (now + n_bytes > capacity_) return false;
  } while (!n_bytes_.compare_exchange_weak(now, now + n_bytes, std::memory_order_relaxed));
  return true;
}

const KeptBlock* BlockCache::add(int64_t block, const StoredItem* items, int64_t n_items,
                                 bool in_order) {
  KeptBlock* expected = nullptr;
  if (!__atomic_compare_exchange_n(table_ + block, &expected, &being_added, false, __ATOMIC_RELAXED,
                                   __ATOMIC_RELAXED)) {
    return nullptr;
  }
  const int64_t n_bytes = bytes_of(n_items);
  if (!take(n_bytes + kPlaceBytes)) {
    __atomic_store_n(table_ + block, nullptr, __ATOMIC_RELAXED);
    return nullptr;
  }
  auto* kept = reinterpret_cast<KeptBlock*>(memory_ + top_.fetch_add(n_bytes));
  kept->n_items = static_cast<uint32_t>(n_items);
  kept->in_order = in_order ? 1 : 0;
  if (n_items > 0) memcpy(kept->items(), items, static_cast<size_t>(n_items) * sizeof(StoredItem));
  __atomic_store_n(table_ + block, kept, __ATOMIC_RELEASE);
  return kept;
}

}  // namespace bwl

// A cache for an index of `n_blocks` data blocks; null if there is no memory for it.
BWL_API void* bwl_cache_open(int64_t n_blocks, int64_t capacity_bytes) {
  try {
    return new bwl::BlockCache(n_blocks, capacity_bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// Bytes of the blocks that are kept.
BWL_API int64_t bwl_cache_bytes(const void* cache) {
  return static_cast<const bwl::BlockCache*>(cache)->n_bytes();
}

// Which of some blocks of the index are kept: found (n,). They stay so.
BWL_API void bwl_cache_find(const void* cache, const int64_t* blocks, int64_t n, uint8_t* found) {
  for (int64_t k = 0; k < n; ++k) {
    found[k] = static_cast<const bwl::BlockCache*>(cache)->find(blocks[k]) != nullptr ? 1 : 0;
  }
}

BWL_API void bwl_cache_close(void* cache) { delete static_cast<bwl::BlockCache*>(cache); }
