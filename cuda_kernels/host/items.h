// Intervals between reading and rasterizing.
#pragma once
#include <stdint.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace bwl {

struct StoredItem {
  uint32_t start;
  uint32_t end;
  float value;
};

// Memory for items: grows by pieces, never moves.
class ItemArena {
 public:
  // Room for n items, valid until the arena dies.
  StoredItem* reserve(int64_t n) {
    if (pieces_.empty() || used_ + n > size_) {
      size_ = std::max(n, kPieceItems);
      pieces_.emplace_back(new StoredItem[static_cast<size_t>(size_)]);
      used_ = 0;
    }
    return pieces_.back().get() + used_;
  }

  void commit(int64_t n) { used_ += n; }

 private:
  static constexpr int64_t kPieceItems = 4096;
  std::vector<std::unique_ptr<StoredItem[]>> pieces_;
  int64_t size_ = 0;  // of the last piece
  int64_t used_ = 0;
};

}  // namespace bwl
