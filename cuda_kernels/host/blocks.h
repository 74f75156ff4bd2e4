// From data blocks to the intervals that some window wants.
#pragma once
#include <vector>

#include "../common.cuh"
#include "../section.cuh"
#include "cache.h"
#include "items.h"
#include "request.h"
#include "zlib_streams.h"

namespace bwl {

// Items of one block that overlap what is wanted of it, in file order.
struct BlockItems {
  const StoredItem* items = nullptr;
  int64_t n = 0;
  bool in_order = true;  // sorted, no overlaps
  // Filled by link_blocks() when all blocks are read:
  int64_t reach = 0;        // last base of this and all earlier blocks of the contig, + 1
  int64_t n_irregular = 0;  // blocks up to here that are not in order, or not after the one before
  int64_t low = 0, high = 0;  // hull of the items
};

struct BlockFailure {
  Status status = kOk;
  int64_t detail[2] = {0, 0};
};

struct ReadCounts {
  int64_t bytes_read = 0;
  int64_t bytes_inflated = 0;
  int64_t items = 0;
  int64_t reads = 0;
  int64_t cached_blocks = 0;
  double seconds_read = 0.0;
  double seconds_inflate = 0.0;  // parsing included
};

// Reads one data block after another; one per thread.
class BlockReader {
 public:
  explicit BlockReader(const BwlRequest& request);
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;

  // Reads the blocks of one read, but for those that the cache has, and fills items[block] for each;
  // stops at the first failure and says which block it was.
  Status read(int64_t read_index, BlockItems* items, BlockFailure* failure, int64_t* failed_block);

  const ReadCounts& counts() const { return counts_; }

 private:
  // One data block of the request, with what the index and the request say of it.
  struct Block {
    const uint8_t* bytes;
    int64_t place;     // in the index
    int64_t n_bytes;
    int64_t buf_size;  // 0: not compressed
    int64_t capacity;  // most it may inflate to
    int64_t wanted_start, wanted_end;
    uint32_t start, end;  // as the index says: only a hint
    uint32_t chrom_id;
    bool spans;
    bool swap;
    uint8_t* state;
  };

  Status load(int64_t first, int64_t last, const uint8_t** bytes, int64_t* base,
              int64_t* failed_block);
  Block block_at(int64_t k, const uint8_t* bytes) const;
  Status decode(const Block& block, BlockItems* items);
  Status decode_whole(const Block& block, bool add_to_cache, BlockItems* items);
  Status decode_start(const Block& block, BlockItems* items);
  bool may_be_added(const Block& block) const;
  bool take_cached(int64_t k, BlockItems* items);
  BlockItems wanted_of(const KeptBlock& kept, int64_t low, int64_t high);
  static bool is_in_order(const Section& section, const uint8_t* items, int64_t n_items,
                          const Block& block, int64_t high);
  Status inflate_whole(const Block& block, const uint8_t** data, int64_t* n);
  Status inflate_into(const Block& block, int64_t room, int64_t* n);
  Status check_zlib(const Block& block);
  Status fail(Status status, int64_t a, int64_t b);

  const BwlRequest& request_;
  BlockCache* cache_;  // null: none
  ItemArena arena_;
  std::vector<uint8_t> compressed_;
  std::vector<uint8_t> inflated_;
  ZlibInflater zlib_;
  BlockFailure failure_;
  ReadCounts counts_;
};

}  // namespace bwl
