// Decoded data blocks, kept in memory.
//
// Filled until it is full and never emptied: in training the turn of every block comes once an
// epoch, so to replace one would only trade a later hit for another.
#pragma once
#include <stdint.h>

#include <atomic>

#include "items.h"

namespace bwl {

// A kept block: all items of its contig that cover a base, in file order.
struct KeptBlock {
  uint32_t n_items;
  uint32_t in_order;  // 1: sorted, no overlaps

  const StoredItem* items() const { return reinterpret_cast<const StoredItem*>(this + 1); }
  StoredItem* items() { return reinterpret_cast<StoredItem*>(this + 1); }
};

// Any number of threads may look for blocks and add them at once.
class BlockCache {
 public:
  // For the blocks of an index, and so many bytes; throws std::bad_alloc where the address space
  // does not have them. Memory is taken as it is filled.
  BlockCache(int64_t n_blocks, int64_t capacity_bytes);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // Null if the block is not kept (yet).
  const KeptBlock* find(int64_t block) const;

  // Whether a block of so many items would be kept now.
  bool has_room(int64_t n_items) const;

  // Copies a block's items; null if there is no room, or if another thread has got in first.
  const KeptBlock* add(int64_t block, const StoredItem* items, int64_t n_items, bool in_order);

  int64_t n_bytes() const { return n_bytes_.load(std::memory_order_relaxed); }

 private:
  bool take(int64_t n_bytes);

  KeptBlock** table_;  // (blocks,)
  int64_t table_bytes_;
  uint8_t* memory_;
  int64_t capacity_;
  std::atomic<int64_t> n_bytes_{0};  // of kept blocks and their places in the table
  std::atomic<int64_t> top_{0};      // of `memory_`
};

}  // namespace bwl
