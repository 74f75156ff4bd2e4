// Which regions of a universe overlap a query: the search itself.
//
// The regions of a contig are sorted by start, then end. Those that begin before a query's end are
// a stretch of them; of these, the ones that end past its start are wanted. They are found from
// the last to the first, so that the search can stop at the first region behind which nothing
// reaches the query ("reach", the greatest end so far). Where a wide region far behind still
// reaches it, what lies between is skipped: with some steps to regions that end later ("back"),
// and if these do not lead to it, with a tree of greatest ends, 8 children to a node. A query costs
// O(log n) for its first hit and for every hit that is not next to the last one, and O(1) for
// every other hit.
#pragma once
#include "common.cuh"

namespace bwl {

struct alignas(16) BwlRegion {
  uint32_t start, end;
  uint32_t reach;  // greatest end of this region and of those before it on its contig
  uint32_t back;   // if reach > end: a region before it, none after which ends later than this one
};

// A universe, ready to be searched. Level 0 of the tree has the greatest end of regions 8 i to
// 8 i + 7, each level above the greatest of 8 nodes; regions of several contigs may share a node.
struct BwlOverlapIndex {
  const BwlRegion* regions;      // by contig, start, end, id
  const int64_t* contig_first;   // (n_contigs + 1,) first region of each contig
  const int64_t* bucket_first;   // (n_contigs + 1,) first bucket of each contig
  const int32_t* bucket_shift;   // (n_contigs,) a bucket is 1 << shift bases
  const uint32_t* buckets;       // regions of the contig that begin before each bucket does
  const uint32_t* maxima;        // the levels of the tree, one after the other
  const int64_t* level_first;    // (n_levels,) first node of each level
  const int32_t* ids;            // of the regions; null where they are 0, 1, 2, ...
  int64_t n_contigs;
  int64_t n_levels;
};

constexpr int64_t kNodeShift = 3;
constexpr int64_t kNodeMask = (1 << kNodeShift) - 1;
constexpr int kBackSteps = 4;

// Regions of `contig` that begin before `position`. A contig with regions has a bucket for every
// base up to its last start, and one more entry that counts all of them.
BWL_HD int64_t regions_before(const BwlOverlapIndex& index, int32_t contig, int64_t position) {
  const int64_t first = index.contig_first[contig];
  const int64_t bucket_first = index.bucket_first[contig];
  const int64_t n_buckets = index.bucket_first[contig + 1] - bucket_first - 1;
  if (position <= 0 || n_buckets <= 0) return 0;
  const int64_t bucket = (position - 1) >> index.bucket_shift[contig];
  if (bucket >= n_buckets) return index.contig_first[contig + 1] - first;
  int64_t low = index.buckets[bucket_first + bucket];
  int64_t high = index.buckets[bucket_first + bucket + 1];
  while (low < high) {
    const int64_t middle = low + ((high - low) >> 1);
    if (index.regions[first + middle].start < position) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// The last region before `region` that ends past `position`, on whatever contig; -1 if there is none.
BWL_HD int64_t previous_reaching(const BwlOverlapIndex& index, int64_t region, int64_t position) {
  while ((region & kNodeMask) != 0) {
    if (index.regions[--region].end > position) return region;
  }
  // Up, until a node before this one reaches far enough ...
  int64_t node = region >> kNodeShift, level = 0;
  for (;; ++level, node >>= kNodeShift) {
    if (level == index.n_levels) return -1;
    const uint32_t* maxima = index.maxima + index.level_first[level];
    const int64_t first_sibling = node & ~kNodeMask;
    while (node > first_sibling && maxima[node - 1] <= position) --node;
    if (node > first_sibling) break;
  }
  --node;
  // ... and down again, along the last child that does. All nodes before a node are full.
  while (--level >= 0) {
    const uint32_t* maxima = index.maxima + index.level_first[level];
    node = (node << kNodeShift) + kNodeMask;
    while (maxima[node] <= position) --node;
  }
  region = (node << kNodeShift) + kNodeMask;
  while (index.regions[region].end <= position) --region;
  return region;
}

// From region `at` of all back to the last one that ends past `position`; first - 1 if there is none on
// the contig that begins with region `first`.
BWL_HD int64_t next_overlap(const BwlOverlapIndex& index, int64_t first, int64_t at,
                            int64_t position) {
  for (int step = 0; step < kBackSteps; ++step) {
    if (at < first || index.regions[at].end > position) return at;
    if (index.regions[at].reach <= position) return first - 1;
    at = index.regions[at].back;
  }
  // "reach" has told that there is one, so the tree's walk never leaves the contig.
  return index.regions[at].end > position ? at : previous_reaching(index, at, position);
}

// Regions that overlap [start, end): those with region.start < end and region.end > start, so a query
// of length 0 overlaps what it lies inside of. `before` is set to regions_before of its end.
BWL_HD int32_t count_overlaps(const BwlOverlapIndex& index, int32_t contig, int64_t start,
                              int64_t end, uint32_t* before) {
  *before = 0;
  if (contig < 0 || contig >= index.n_contigs) return 0;
  const int64_t first = index.contig_first[contig];
  *before = static_cast<uint32_t>(regions_before(index, contig, end));
  int32_t count = 0;
  int64_t at = next_overlap(index, first, first + *before - 1, start);
  for (; at >= first; at = next_overlap(index, first, at - 1, start)) ++count;
  return count;
}

// Writes the ids of the `count` regions that count_overlaps has found, by start, end and id; if there
// are none and `unknown` is not negative, writes that.
BWL_HD void write_overlaps(const BwlOverlapIndex& index, int32_t contig, int64_t start,
                           uint32_t before, int32_t count, int32_t unknown, int32_t* ids) {
  if (count == 0) {
    if (unknown >= 0) ids[0] = unknown;
    return;
  }
  const int64_t first = index.contig_first[contig];
  int64_t at = first + before;
  while (count > 0) {
    at = next_overlap(index, first, at - 1, start);
    ids[--count] = index.ids == nullptr ? static_cast<int32_t>(at) : index.ids[at];
  }
}

}  // namespace bwl
