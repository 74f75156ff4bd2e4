#include "rasterize.h"

#include <string.h>

#include <algorithm>

#include "../bins.cuh"
#include "../dtype.cuh"
#include "../transform.cuh"
#include "clock.h"
#include "rows.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace bwl {
namespace {

// Tracks written together. Many, so that the rows of a (B, N, T) output are written in long
// stretches: groups of 16 share cache lines (benchmarks/results/experiments/tile_width.jsonl).
constexpr int64_t kGroupTracks = 128;
// Bins of a tile with that many tracks, at base resolution: 128 KiB. Fewer tracks, more bins.
constexpr int64_t kTileBases = 256;
constexpr int64_t kTileBins = 64;  // more work per bin: smaller tiles balance better
// Irregular rows are binned by way of so many bases at a time.
constexpr int64_t kFixedBases = 1 << 16;

// Writes `n_rows` rows of a scratch tile as columns of the output.
template <typename T>
void store_tile(const float* scratch, int64_t row_floats, int64_t n_rows, int64_t n_bins, T* out,
                int64_t stride_bin, int64_t stride_track) {
  if (stride_bin == 1) {
    for (int64_t r = 0; r < n_rows; ++r) {
      const float* row = scratch + r * row_floats;
      T* to = out + r * stride_track;
      for (int64_t i = 0; i < n_bins; ++i) to[i] = convert<T>(row[i]);
    }
    return;
  }
  for (int64_t i = 0; i < n_bins; ++i) {
    T* to = out + i * stride_bin;
    for (int64_t r = 0; r < n_rows; ++r) to[r * stride_track] = convert<T>(scratch[r * row_floats + i]);
  }
}

#if defined(__SSE2__)
// The same for float32 and tracks next to each other: four by four, in registers.
void store_tile_packed(const float* scratch, int64_t row_floats, int64_t n_rows, int64_t n_bins,
                       float* out, int64_t stride_bin) {
  int64_t i = 0;
  for (; i + 4 <= n_bins; i += 4) {
    float* to = out + i * stride_bin;
    int64_t r = 0;
    for (; r + 4 <= n_rows; r += 4) {
      const float* from = scratch + r * row_floats + i;
      __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + row_floats);
      __m128 c = _mm_loadu_ps(from + 2 * row_floats), d = _mm_loadu_ps(from + 3 * row_floats);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      _mm_storeu_ps(to + r, a);
      _mm_storeu_ps(to + stride_bin + r, b);
      _mm_storeu_ps(to + 2 * stride_bin + r, c);
      _mm_storeu_ps(to + 3 * stride_bin + r, d);
    }
    for (; r < n_rows; ++r) {
      for (int64_t k = 0; k < 4; ++k) to[k * stride_bin + r] = scratch[r * row_floats + i + k];
    }
  }
  store_tile<float>(scratch + i, row_floats, n_rows, n_bins - i, out + i * stride_bin, stride_bin, 1);
}
#endif

}  // namespace

void link_blocks(const BwlRequest& request, BlockItems* items) {
  for (int64_t b = 0; b < request.n_blocks; ++b) {
    const bool follows = b > 0 && block_row(request, b) == block_row(request, b - 1);
    BlockItems& block = items[b];
    block.reach = follows ? items[b - 1].reach : 0;
    const bool regular = block.in_order && (block.n == 0 || block.items[0].start >= block.reach);
    block.n_irregular = (b > 0 ? items[b - 1].n_irregular : 0) + (regular ? 0 : 1);
    block.low = block.n > 0 ? block.items[0].start : 0;
    block.high = block.n > 0 ? block.items[block.n - 1].end : 0;
    for (int64_t i = 0; !block.in_order && i < block.n; ++i) {
      block.low = std::min<int64_t>(block.low, block.items[i].start);
      block.high = std::max<int64_t>(block.high, block.items[i].end);
    }
    block.reach = std::max(block.reach, block.high);
  }
}

// Where one track stands in one window.
struct Rasterizer::Row {
  const BlockItems* blocks;
  int64_t n_blocks;
  int64_t contig_bp;
  const Transform* transform;
  bool in_order;
};

Rasterizer::Rasterizer(const BwlRequest& request, const BlockItems* items)
    : request_(request), items_(items) {
  n_bins_ = request.length_bp / request.bin_size;
  group_tracks_ = std::min(kGroupTracks, request.n_tracks);
  n_groups_ = (request.n_tracks + group_tracks_ - 1) / group_tracks_;
  tile_bins_ = (request.bin_size == 1 ? kTileBases : kTileBins) * (kGroupTracks / group_tracks_);
  tile_bins_ = std::max<int64_t>(std::min(tile_bins_, n_bins_), 1);
  tiles_per_window_ = (n_bins_ + tile_bins_ - 1) / tile_bins_;
  scratch_.resize(static_cast<size_t>(group_tracks_ * (tile_bins_ + kRunFloats)));
  if (request.track_swap != nullptr) {
    source_track_.resize(static_cast<size_t>(request.n_tracks));
    for (int64_t t = 0; t < request.n_tracks; ++t) {
      source_track_[static_cast<size_t>(request.track_swap[t])] = static_cast<int32_t>(t);
    }
  }
}

Rasterizer::Row Rasterizer::row(int64_t track, int64_t window) const {
  const int64_t at = track * request_.n_windows + window;
  Row row;
  row.blocks = items_ + request_.row_first[at];
  row.n_blocks = request_.row_count[at];
  row.contig_bp = request_.index->contig_bp[request_.window_contig[window]];
  row.transform = static_cast<const Transform*>(request_.transforms) + track;
  row.in_order = row.n_blocks == 0 || (row.blocks[0].in_order &&
                                       row.blocks[row.n_blocks - 1].n_irregular ==
                                           row.blocks[0].n_irregular);
  return row;
}

void Rasterizer::write_tile(int64_t tile) {
  const double begin = seconds_now();
  const int64_t first_bin = tile % tiles_per_window_ * tile_bins_;
  const int64_t group = tile / tiles_per_window_ % n_groups_;
  const int64_t window = tile / tiles_per_window_ / n_groups_;
  const int64_t n_bins = std::min(tile_bins_, n_bins_ - first_bin);
  const int64_t first_track = group * group_tracks_;
  const int64_t n_tracks = std::min(group_tracks_, request_.n_tracks - first_track);
  const bool reverse = request_.window_reverse != nullptr && request_.window_reverse[window];
  // In a reversed window bins are counted from its end.
  const int64_t start = request_.window_start[window];
  const int64_t origin =
      reverse ? start + request_.length_bp - (first_bin + n_bins) * request_.bin_size
              : start + first_bin * request_.bin_size;
  for (int64_t r = 0; r < n_tracks; ++r) {
    int64_t track = first_track + r;
    if (reverse && !source_track_.empty()) track = source_track_[static_cast<size_t>(track)];
    float* values = scratch_.data() + r * (tile_bins_ + kRunFloats);
    const Row of_track = row(track, window);
    fill_row(of_track, origin, n_bins, values);
    // A copy, which the loops need not read again after every write.
    const Transform transform = *of_track.transform;
    if (has_steps(transform) && only_clips(transform)) {
      for (int64_t i = 0; i < n_bins; ++i) {
        values[i] = clip(transform.clip_low, transform.clip_high, values[i]);
      }
    } else if (has_steps(transform)) {
      for (int64_t i = 0; i < n_bins; ++i) values[i] = apply_transform(transform, values[i]);
    }
    if (reverse) std::reverse(values, values + n_bins);
  }
  store(window, first_bin, n_bins, first_track, n_tracks);
  seconds_ += seconds_now() - begin;
}

void Rasterizer::fill_row(const Row& row, int64_t origin, int64_t n_bins, float* values) {
  if (request_.bin_size == 1 && request_.statistic <= kMin) {
    fill_bases(row, origin, origin + n_bins, values);  // mean, sum, max and min of one base
    return;
  }
  switch (request_.statistic) {
    case kMean: return fill_bins<kMean>(row, origin, n_bins, values);
    case kSum: return fill_bins<kSum>(row, origin, n_bins, values);
    case kMax: return fill_bins<kMax>(row, origin, n_bins, values);
    case kMin: return fill_bins<kMin>(row, origin, n_bins, values);
    case kStd: return fill_bins<kStd>(row, origin, n_bins, values);
    default: return fill_bins<kCoverage>(row, origin, n_bins, values);
  }
}

namespace {

// First item of a block in order that ends past `position`.
const StoredItem* first_item_past(const BlockItems& block, int64_t position) {
  return std::partition_point(block.items, block.items + block.n,
                              [position](const StoredItem& item) { return item.end <= position; });
}

// Calls f(item) for the items of a row in order that overlap [begin, end).
template <typename F>
void for_items(const BlockItems* blocks, int64_t n_blocks, int64_t begin, int64_t end, F&& f) {
  const BlockItems* const last = blocks + n_blocks;
  const BlockItems* block =
      std::partition_point(blocks, last, [begin](const BlockItems& b) {
        return b.reach <= begin;
      });
  for (; block != last; ++block) {
    for (const StoredItem* item = first_item_past(*block, begin); item != block->items + block->n;
         ++item) {
      if (item->start >= end) return;
      f(*item);
    }
  }
}

}  // namespace

namespace {

// Whether a row seems to hold single bases, as counts of read ends do: its first few items tell.
// Only the way to the same values depends on it.
bool holds_points(const BlockItems* blocks, int64_t n_blocks) {
  constexpr int64_t kLooked = 8;
  if (n_blocks == 0 || blocks[0].n < kLooked) return false;
  int64_t n_points = 0;
  for (int64_t i = 0; i < kLooked; ++i) {
    n_points += blocks[0].items[i].end - blocks[0].items[i].start == 1;
  }
  return n_points > kLooked / 2;
}

}  // namespace

// Values of the bases [begin, end) of a row, fill values included.
void Rasterizer::fill_bases(const Row& row, int64_t begin, int64_t end, float* values) {
  const int64_t low = std::min(std::max<int64_t>(begin, 0), end);
  const int64_t high = std::max(std::min(end, row.contig_bp), low);
  if (!row.in_order) {
    fill_fixed(row, begin, end, values, nullptr);
    return;
  }
  const Transform transform = *row.transform;
  fill_run(values, 0, low - begin, request_.out_of_bounds);
  if (holds_points(row.blocks, row.n_blocks)) {
    std::fill(values + (low - begin), values + (high - begin), request_.uncovered);
    for_items(row.blocks, row.n_blocks, low, high, [&](const StoredItem& item) {
      const int64_t from = std::max<int64_t>(item.start, low) - begin;
      const int64_t to = std::min<int64_t>(item.end, high) - begin;
      const float value = stored_value(transform, item.value);
      if (from < to) values[from] = value;
      for (int64_t i = from + 1; i < to; ++i) values[i] = value;
    });
    fill_run(values, high - begin, end - begin, request_.out_of_bounds);
    return;
  }
  int64_t at = low;
  for_items(row.blocks, row.n_blocks, low, high, [&](const StoredItem& item) {
    const int64_t from = std::max<int64_t>(item.start, at);
    const int64_t to = std::min<int64_t>(item.end, high);
    fill_run(values, at - begin, from - begin, request_.uncovered);
    fill_run(values, from - begin, to - begin, stored_value(transform, item.value));
    at = std::max(at, to);
  });
  fill_run(values, at - begin, high - begin, request_.uncovered);
  fill_run(values, high - begin, end - begin, request_.out_of_bounds);
}

// The same for rows whose items overlap or are out of order: the last one written wins.
// `stored`, if given, becomes 1 where there is a stored value.
void Rasterizer::fill_fixed(const Row& row, int64_t begin, int64_t end, float* values,
                            uint8_t* stored) {
  const int64_t low = std::min(std::max<int64_t>(begin, 0), end);
  const int64_t high = std::max(std::min(end, row.contig_bp), low);
  std::fill(values, values + (low - begin), request_.out_of_bounds);
  std::fill(values + (low - begin), values + (high - begin), request_.uncovered);
  std::fill(values + (high - begin), values + (end - begin), request_.out_of_bounds);
  // Blocks stand by start in the index, and here in the order in which they were written.
  written_.clear();
  for (int64_t b = 0; b < row.n_blocks; ++b) {
    if (row.blocks[b].low < high && row.blocks[b].high > low) written_.push_back(row.blocks + b);
  }
  auto offset = [&](const BlockItems* block) {
    return request_.index->offset[request_.block[block - items_]];
  };
  std::stable_sort(written_.begin(), written_.end(), [&](const BlockItems* a, const BlockItems* b) {
    return offset(a) < offset(b);
  });
  for (const BlockItems* block : written_) {
    for (int64_t i = 0; i < block->n; ++i) {
      const StoredItem& item = block->items[i];
      const int64_t from = std::max<int64_t>(item.start, low) - begin;
      const int64_t to = std::min<int64_t>(item.end, high) - begin;
      if (from >= to) continue;
      std::fill(values + from, values + to, stored_value(*row.transform, item.value));
      if (stored != nullptr) memset(stored + from, 1, static_cast<size_t>(to - from));
    }
  }
}

// Values of `n_bins` bins from base `origin` on.
template <int kStatistic>
void Rasterizer::fill_bins(const Row& row, int64_t origin, int64_t n_bins, float* values) {
  const int64_t bin_size = request_.bin_size;
  const int64_t end = origin + n_bins * bin_size;
  const int64_t low = std::min(std::max<int64_t>(origin, 0), end);
  const int64_t high = std::max(std::min(end, row.contig_bp), low);
  const Transform& transform = *row.transform;
  int64_t i = 0;  // the open bin; all before it are finished
  int64_t bin_end = origin + bin_size;
  Bin bin;
  bin_clear(&bin);
  auto finish_until = [&](int64_t position) {  // finishes the bins that end at or before it
    while (bin_end <= position) {
      const int64_t n_inside =
          std::max<int64_t>(std::min(bin_end, high) - std::max(bin_end - bin_size, low), 0);
      values[i++] = bin_finish<kStatistic>(bin, bin_size, n_inside, request_.uncovered,
                                           request_.out_of_bounds);
      bin_clear(&bin);
      bin_end += bin_size;
    }
  };
  auto add = [&](int64_t from, int64_t to, float value) {
    while (from < to) {
      finish_until(from);
      const int64_t until = std::min(to, bin_end);
      bin_add<kStatistic>(&bin, value, until - from);
      from = until;
    }
  };
  if (row.in_order) {
    for_items(row.blocks, row.n_blocks, low, high, [&](const StoredItem& item) {
      add(std::max<int64_t>(item.start, low), std::min<int64_t>(item.end, high),
          stored_value(transform, item.value));
    });
  } else {
    for (int64_t from = low; from < high; from += kFixedBases) {
      const size_t n_bases = static_cast<size_t>(std::min(high - from, kFixedBases));
      bases_.resize(n_bases);
      bases_stored_.assign(n_bases, 0);
      fill_fixed(row, from, from + static_cast<int64_t>(n_bases), bases_.data(),
                 bases_stored_.data());
      for (size_t at = 0; at < n_bases; ++at) {
        const int64_t base = from + static_cast<int64_t>(at);
        if (bases_stored_[at]) add(base, base + 1, bases_[at]);
      }
    }
  }
  finish_until(end);
}

void Rasterizer::store(int64_t window, int64_t first_bin, int64_t n_bins, int64_t first_track,
                       int64_t n_tracks) {
  const int64_t at = window * request_.out_stride_window + first_bin * request_.out_stride_bin +
                     first_track * request_.out_stride_track;
  const int64_t row_floats = tile_bins_ + kRunFloats;
  const float* scratch = scratch_.data();
  const int64_t bin = request_.out_stride_bin, track = request_.out_stride_track;
  if (request_.dtype == 1) {
    store_tile(scratch, row_floats, n_tracks, n_bins, static_cast<Half*>(request_.out) + at, bin, track);
  } else if (request_.dtype == 2) {
    store_tile(scratch, row_floats, n_tracks, n_bins, static_cast<BFloat*>(request_.out) + at, bin, track);
  } else {
    float* out = static_cast<float*>(request_.out) + at;
#if defined(__SSE2__)
    if (track == 1 && n_tracks >= 4) {
      store_tile_packed(scratch, row_floats, n_tracks, n_bins, out, bin);
      return;
    }
#endif
    store_tile(scratch, row_floats, n_tracks, n_bins, out, bin, track);
  }
}

}  // namespace bwl
