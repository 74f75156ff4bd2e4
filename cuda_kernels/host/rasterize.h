// From kept intervals to the bins of the output.
#pragma once
#include <vector>

#include "blocks.h"

namespace bwl {

// Fills `reach` and `n_irregular` of all blocks; to be called once, before any Rasterizer is made.
void link_blocks(const BwlRequest& request, BlockItems* items);

// Writes one tile after another; one per thread. A tile is some bins of up to kGroupTracks tracks
// of one window: small enough to stay in the cache until it is written out.
class Rasterizer {
 public:
  Rasterizer(const BwlRequest& request, const BlockItems* items);

  int64_t n_tiles() const { return request_.n_windows * n_groups_ * tiles_per_window_; }
  void write_tile(int64_t tile);

  double seconds() const { return seconds_; }  // that writing tiles has taken

 private:
  struct Row;
  Row row(int64_t track, int64_t window) const;
  void fill_bases(const Row& row, int64_t begin, int64_t end, float* values);
  void fill_fixed(const Row& row, int64_t begin, int64_t end, float* values, uint8_t* stored);
  template <int kStatistic>
  void fill_bins(const Row& row, int64_t origin, int64_t n_bins, float* values);
  void fill_row(const Row& row, int64_t origin, int64_t n_bins, float* values);
  void store(int64_t window, int64_t first_bin, int64_t n_bins, int64_t first_track,
             int64_t n_tracks);

  const BwlRequest& request_;
  const BlockItems* items_;
  int64_t n_bins_;
  int64_t group_tracks_;
  int64_t n_groups_;
  int64_t tile_bins_;
  int64_t tiles_per_window_;
  double seconds_ = 0.0;
  std::vector<float> scratch_;         // (group_tracks_, row_floats)
  std::vector<float> bases_;           // one row at base resolution, for irregular rows
  std::vector<uint8_t> bases_stored_;  // 1 where the row has a stored value
  std::vector<const BlockItems*> written_;  // blocks of an irregular row, as they were written
  std::vector<int32_t> source_track_;  // which track stands at each output place, reversed windows
};

}  // namespace bwl
