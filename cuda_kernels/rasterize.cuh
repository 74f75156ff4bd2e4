// What the kernels of rasterize.cu are given, and how they share out the work.
//
// A block of threads makes a tile: up to 32 tracks of one window times a run of bins. A tile is
// made of strips, each of one track; strips advance side by side, kBins bins at a step. At each
// step a warp fills the bins of a strip in shared memory, and then all of them write the step out
// along whichever stride of the output is the smaller. Few tracks make several strips of a track.
//
// What binds, counted, not measured: at base resolution real items of 12 bytes cover 12 bp, so that
// a value takes 4 bytes of writing and 1 of reading, and the 4.8 TB/s of an H200 make
// 960 Gbp x tracks/s. About 30 instructions of a warp per 32 values (float32) make 1.0 T/s, and 7
// passes of shared memory per value 1.0 T/s. So memory binds, closely; 500 G are half of it.
#pragma once
#include "bins.cuh"
#include "blocks.cuh"
#include "dtype.cuh"
#include "transform.cuh"
#include "warp.cuh"

namespace bwl {

// How the items of a row (one track in one window) are found.
enum RowKind : uint8_t {
  kSearched = 0,   // items in order, at random access
  kIrregular = 1,  // they overlap or go back: the one written last wins
  kWalked = 2,     // in order, but in several sections or beside empty blocks: one after the other
};

// Tracks, and strips, of a tile at most.
constexpr int kTileStrips = 32;
// Bins of a strip at base resolution, and of larger bins, which are more work each.
constexpr int kBaseStrip = 256;
constexpr int kBinStrip = 64;
// Bases that irregular rows are binned by way of, at a time.
constexpr int kPieceBases = 256;

// Floats from one strip to the next: neighbours start 4 banks apart.
template <int kBins>
constexpr int kStripPitch = kBins + 4;

}  // namespace bwl

extern "C" {

// B windows, T tracks, N bins; all pointers are in device memory. Mirrored field by field by
// bigwig_loader/backend/cuda/records.py.
struct BwlRaster {
  const BwlItems* items;         // (K,)
  const int64_t* row_first;      // (T, B) first block of each row
  const int64_t* row_count;      // (T, B)
  const uint8_t* row_kind;       // (T, B) bwl::RowKind, by bwl_link_rows
  const int64_t* contig_bp;      // (contigs,)
  const int32_t* window_contig;  // (B,)
  const int64_t* window_start;   // (B,)
  const uint8_t* window_reverse; // (B,) or null
  const bwl::Transform* transforms;  // (T,)
  const int32_t* source_track;   // (T,) or null: which track stands at each place, reversed windows
  void* out;
  int64_t n_windows;
  int64_t n_tracks;
  int64_t length_bp;
  int64_t bin_size;
  int64_t n_bins;                // length_bp / bin_size
  int64_t stride_window;         // of `out`, in elements
  int64_t stride_bin;
  int64_t stride_track;
  int32_t dtype;                 // 0 float32, 1 float16, 2 bfloat16
  float uncovered;
  float out_of_bounds;
  int32_t unused;
};

}  // extern "C"

namespace bwl {

// How a window is cut into tiles, by bigwig_loader/backend/cuda/launch.py.
struct TileShape {
  int64_t group_tracks;    // of a tile
  int64_t n_groups;        // of tracks
  int64_t strips_per_row;  // of a track in a tile
  int64_t n_steps;         // of a strip
  int64_t n_tiles;         // of a window, all groups
};

// Some bins of some tracks of a window. In a reversed window they are counted from their end, so
// that strips ascend.
struct Tile {
  int64_t window;
  int64_t first_bin;    // of the output
  int64_t n_bins;
  int64_t first_track;  // of the output
  int64_t origin;       // first base
  int64_t contig_bp;
  int64_t strip_bins;   // of all steps
  int n_tracks;
  int strips_per_row;
  bool reverse;
};

template <int kBins>
BWL_HD Tile tile_at(const BwlRaster& raster, const TileShape& shape, int64_t window, int64_t at) {
  Tile tile;
  tile.window = window;
  tile.strips_per_row = static_cast<int>(shape.strips_per_row);
  tile.strip_bins = shape.n_steps * kBins;
  const int64_t n = at / shape.n_groups, most_bins = tile.strip_bins * shape.strips_per_row;
  tile.first_bin = n * most_bins;
  const int64_t bins_left = raster.n_bins - tile.first_bin;
  tile.n_bins = bins_left < most_bins ? bins_left : most_bins;
  tile.first_track = (at - n * shape.n_groups) * shape.group_tracks;
  const int64_t tracks_left = raster.n_tracks - tile.first_track;
  tile.n_tracks =
      static_cast<int>(tracks_left < shape.group_tracks ? tracks_left : shape.group_tracks);
  tile.reverse = raster.window_reverse != nullptr && raster.window_reverse[window] != 0;
  tile.contig_bp = raster.contig_bp[raster.window_contig[window]];
  const int64_t before = tile.reverse
                             ? raster.length_bp - (tile.first_bin + tile.n_bins) * raster.bin_size
                             : tile.first_bin * raster.bin_size;
  tile.origin = raster.window_start[window] + before;
  return tile;
}

// The track whose signal stands at place `row` of a tile.
BWL_HD int64_t track_at(const BwlRaster& raster, const Tile& tile, int row) {
  const int64_t place = tile.first_track + row;
  return tile.reverse && raster.source_track != nullptr ? raster.source_track[place] : place;
}

// First bin of strip `number` of a track at a step, counted from the tile's first.
template <int kBins>
BWL_HD int64_t first_bin_at(const Tile& tile, int number, int64_t step) {
  return number * tile.strip_bins + step * kBins;
}

// And how many there are, up to kBins.
template <int kBins>
BWL_HD int n_bins_at(const Tile& tile, int number, int64_t step) {
  const int64_t left = tile.n_bins - first_bin_at<kBins>(tile, number, step);
  const int64_t of_strip = tile.strip_bins - step * kBins;
  const int64_t n = left < of_strip ? left : of_strip;
  return static_cast<int>(n < 0 ? 0 : n < kBins ? n : kBins);
}

// What of some bases lies inside their contig: [low, high), positions as the format has them, which
// 32 bits hold; no contig has a base of the number kLastPosition.
struct Inside {
  uint32_t low, high;
};

constexpr int64_t kLastPosition = 0xFFFFFFFF;

BWL_HD int64_t clamp_position(int64_t position, int64_t most) {
  return position < 0 ? 0 : position < most ? position : most;
}

BWL_HD Inside inside_of(int64_t begin, int64_t end, int64_t contig_bp) {
  const int64_t most = clamp_position(contig_bp, kLastPosition);
  return {static_cast<uint32_t>(clamp_position(begin, most)),
          static_cast<uint32_t>(clamp_position(end, most))};
}

// The delivered value of a finished bin; `changes` is has_steps(transform), known beforehand.
BWL_HD float delivered(const Transform& transform, bool changes, float x) {
  return changes ? apply_transform(transform, x) : x;
}

// Says "nothing here" among values: the bits of a signalling NaN, which no value has once it is
// `settled`.
constexpr uint32_t kNothing = 0x7F800001u;

// The bits of a value, its NaN quiet.
BWL_HD uint32_t settled(float x) { return is_nan(x) ? float_bits(x) | 0x00400000u : float_bits(x); }

// An element of the output (dtype 0 float32, 1 float16, 2 bfloat16) from the bits of a float32.
template <typename Element>
BWL_HD Element element_of(uint32_t bits, int32_t dtype) {
  if (sizeof(Element) == sizeof bits) return static_cast<Element>(bits);
  const float x = bits_float(bits);
  return static_cast<Element>(dtype == 1 ? to_float16_bits(x) : to_bfloat16_bits(x));
}

}  // namespace bwl
