// One batch of signal: read, inflate, rasterize.
//
// Two stages with a barrier between them. First every unique data block is read once, whatever the
// number of windows that want it, and the intervals that some window wants are kept. Then the
// output is written tile by tile. So blocks are shared, both stages balance over threads by
// themselves, and no two threads ever write to the same place.
#include <string.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <new>

#include "../transform.cuh"
#include "api.h"
#include "blocks.h"
#include "engine.h"
#include "parallel.h"
#include "rasterize.h"

namespace bwl {
namespace {

// Below this much work per thread another thread costs more than it saves.
constexpr int64_t kBlocksPerThread = 4;
constexpr int64_t kCachedBlocksPerThread = 1024;
constexpr int64_t kValuesPerThread = 100000;

int threads_for(int64_t work, int64_t per_thread, int32_t n_threads) {
  const int64_t useful = work / per_thread + 1;
  return static_cast<int>(useful < n_threads ? useful : n_threads);
}

// Remembers the failure of the lowest block, so that the same one is reported every time.
class FirstFailure {
 public:
  explicit FirstFailure(BwlRequest* request) : request_(request) { request->failed_block = -1; }

  void add(int64_t block, const BlockFailure& failure) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (request_->failed_block >= 0 && request_->failed_block <= block) return;
    request_->failed_block = block;
    request_->failed_status = failure.status;
    memcpy(request_->failed_detail, failure.detail, sizeof failure.detail);
  }

 private:
  BwlRequest* request_;
  std::mutex mutex_;
};

// Makes the workers of `n` threads, each when its thread first needs it.
template <typename Worker, typename... Args>
class PerThread {
 public:
  explicit PerThread(int n) : workers_(static_cast<size_t>(n)) {}

  Worker& get(int thread, Args... args) {
    auto& worker = workers_[static_cast<size_t>(thread)];
    if (!worker) worker.reset(new Worker(args...));
    return *worker;
  }

  const std::vector<std::unique_ptr<Worker>>& all() const { return workers_; }

 private:
  std::vector<std::unique_ptr<Worker>> workers_;
};

// Threads for the blocks of a request: most of the work is in those that the cache does not have.
int reading_threads(const BwlRequest& r) {
  const auto* cache = static_cast<const BlockCache*>(r.index->cache);
  int64_t n_cached = 0;
  for (int64_t k = 0; cache != nullptr && k < r.n_blocks; ++k) {
    n_cached += cache->find(r.block[k]) != nullptr ? 1 : 0;
  }
  const int64_t as_many = n_cached * kBlocksPerThread / kCachedBlocksPerThread;
  return threads_for(r.n_blocks - n_cached + as_many, kBlocksPerThread, r.n_threads);
}

// The first stage: every block read once. The readers, and the cache, own the items' memory.
struct DecodedBlocks {
  explicit DecodedBlocks(const BwlRequest& r)
      : n_threads(reading_threads(r)),
        readers(n_threads),
        items(static_cast<size_t>(r.n_blocks)) {}

  int n_threads;
  PerThread<BlockReader, const BwlRequest&> readers;
  std::vector<BlockItems> items;
};

void read_blocks(BwlRequest* request, DecodedBlocks* decoded) {
  FirstFailure failures(request);
  const BwlRequest& r = *request;
  parallel_for(r.n_reads, decoded->n_threads, [&](int64_t read, int thread) {
    BlockFailure failure;
    int64_t block = r.read_block[read];
    try {
      BlockReader& reader = decoded->readers.get(thread, r);
      if (reader.read(read, decoded->items.data(), &failure, &block) == kOk) return;
    } catch (const std::bad_alloc&) {
      failure.status = kOutOfMemory;
    }
    failures.add(block, failure);
  });
  for (const auto& reader : decoded->readers.all()) {
    if (!reader) continue;
    const ReadCounts& counts = reader->counts();
    request->n_bytes_read += counts.bytes_read;
    request->n_bytes_inflated += counts.bytes_inflated;
    request->n_items += counts.items;
    request->n_reads_made += counts.reads;
    request->n_cached_blocks += counts.cached_blocks;
    request->seconds_read += counts.seconds_read;
    request->seconds_inflate += counts.seconds_inflate;
  }
}

}  // namespace

void read_signal(BwlRequest* request) {
  const BwlRequest& r = *request;
  DecodedBlocks decoded(r);
  std::vector<BlockItems>& items = decoded.items;
  read_blocks(request, &decoded);
  if (request->failed_block >= 0) return;
  FirstFailure failures(request);
  link_blocks(r, items.data());

  const int64_t n_values = r.n_windows * r.n_tracks * (r.length_bp / r.bin_size);
  const int n_writers = threads_for(n_values, kValuesPerThread, r.n_threads);
  PerThread<Rasterizer, const BwlRequest&, const BlockItems*> writers(n_writers);
  const int64_t n_tiles = n_values == 0 ? 0 : writers.get(0, r, items.data()).n_tiles();
  parallel_for(n_tiles, n_writers, [&](int64_t tile, int thread) {
    try {
      writers.get(thread, r, items.data()).write_tile(tile);
    } catch (const std::bad_alloc&) {
      failures.add(0, {kOutOfMemory, {0, 0}});
    }
  });
  for (const auto& writer : writers.all()) {
    if (writer) request->seconds_rasterize += writer->seconds();
  }
}

}  // namespace bwl

// Fills request->out. Outcome in request->failed_block and the fields after it; the contents of
// `out` are undefined if a block failed.
BWL_API void bwl_read_signal(BwlRequest* request) {
  try {
    bwl::read_signal(request);
  } catch (const std::bad_alloc&) {
    request->failed_block = 0;
    request->failed_status = bwl::kOutOfMemory;
  }
}

// The stored intervals that overlap what is wanted of each block, in file order: read, counted
// into n_per_block (K,), and kept until bwl_intervals_free. Null if a block failed.
BWL_API void* bwl_intervals_read(BwlRequest* request, int64_t* n_per_block) {
  try {
    auto decoded = std::make_unique<bwl::DecodedBlocks>(*request);
    bwl::read_blocks(request, decoded.get());
    if (request->failed_block >= 0) return nullptr;
    for (size_t b = 0; b < decoded->items.size(); ++b) n_per_block[b] = decoded->items[b].n;
    return decoded.release();
  } catch (const std::bad_alloc&) {
    request->failed_block = 0;
    request->failed_status = bwl::kOutOfMemory;
    return nullptr;
  }
}

BWL_API void bwl_intervals_copy(const void* intervals, uint32_t* start, uint32_t* end,
                                float* value) {
  for (const auto& block : static_cast<const bwl::DecodedBlocks*>(intervals)->items) {
    for (int64_t i = 0; i < block.n; ++i) {
      *start++ = block.items[i].start;
      *end++ = block.items[i].end;
      *value++ = block.items[i].value;
    }
  }
}

BWL_API void bwl_intervals_free(void* intervals) {
  delete static_cast<bwl::DecodedBlocks*>(intervals);
}

BWL_API int64_t bwl_index_bytes() { return sizeof(BwlIndex); }

BWL_API int64_t bwl_request_bytes() { return sizeof(BwlRequest); }

BWL_API int64_t bwl_transform_bytes() { return sizeof(bwl::Transform); }
