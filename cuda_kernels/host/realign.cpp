// Signal of a batch on its haplotypes. One task is one window and some tracks: the segments of all
// its haplotypes are walked once, each track is painted over the stretch of the reference that
// they need, and gathered haplotype by haplotype.
#include "realign.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <vector>

#include "api.h"
#include "parallel.h"
#include "rows.h"

namespace bwl {
namespace {

// Below this many bases per thread another thread costs more than it saves.
constexpr int64_t kBasesPerThread = 100000;
// A stretch of the reference so much longer than what the haplotypes put out, because of deletions,
// is not painted as a whole.
constexpr int64_t kMaxPaintedShare = 4;
constexpr int64_t kPaintedAnyway = 1 << 16;

// Values of the positions [from, to) into `out`, which has room for at least as many.
void paint(const IntervalTrack& track, int64_t from, int64_t to, float* out, int64_t room) {
  const IntervalList& list = track.list;
  const TrackValues values = track.values;  // a copy, which need not be read again after writes
  const int64_t low = std::min(std::max<int64_t>(from, 0), to);
  const int64_t high = std::max(std::min(to, values.contig_bp), low);
  auto fill = [&](int64_t begin, int64_t end, float value) {
    begin -= from;
    end -= from;
    if (end - begin == 1) {
      out[begin] = value;
    } else if (end + kRunFloats <= room) {
      fill_run(out, begin, end, value);
    } else if (begin < end) {
      std::fill(out + begin, out + end, value);
    }
  };
  fill(from, low, values.out_of_bounds);
  int64_t at = low;
  if (low < high) {
    for (int64_t i = first_past(list, low); i < list.n && list.start[i] < high; ++i) {
      const int64_t begin = std::max<int64_t>(list.start[i], at);
      const int64_t end = std::min<int64_t>(list.end[i], high);
      if (end <= begin) continue;
      if (at < begin) fill(at, begin, values.uncovered);
      fill(begin, end, value_of_stored(values, list.value[i]));
      at = end;
    }
  }
  fill(at, high, values.uncovered);
  fill(high, to, values.out_of_bounds);
}

// A track that stands in memory base by base.
struct RowTrack {
  const float* values;
  int64_t first;  // position of values[0]

  float operator()(int64_t position) const { return values[position - first]; }
  void copy(int64_t position, int64_t n, float* out) const {
    memcpy(out, values + (position - first), static_cast<size_t>(n) * sizeof(float));
  }
};

// A track that is looked up where it is needed.
struct ListTrack : IntervalTrack {
  explicit ListTrack(const IntervalTrack& track) : IntervalTrack(track) {}

  void copy(int64_t position, int64_t n, float* out) const {
    paint(*this, position, position + n, out, n);
  }
};

struct Haplotype {
  std::vector<Segment> segments;
  int64_t n_bases;
  int64_t reached;  // reference base after the last one
  uint64_t key;
};

template <int kStatistic>
void bin_values(const float* values, int64_t bin_size, int64_t n_bins, float* out) {
  for (int64_t i = 0; i < n_bins; ++i) {
    out[i] = bin_of_values<kStatistic>(values + i * bin_size, bin_size);
  }
}

// Sums of bins without NaN need not look at every base.
template <int kStatistic>
void bin_sums(const float* values, int64_t bin_size, int64_t n_bins, float* out) {
  for (int64_t i = 0; i < n_bins; ++i) {
    out[i] = sum_of_values<kStatistic>(values + i * bin_size, bin_size);
  }
}

class Realigner {
 public:
  explicit Realigner(const BwlRealign& request)
      : request_(request),
        windows_(*request.windows),
        variants_(variants_of(*request.haplotypes)),
        haplotypes_(static_cast<size_t>(request.haplotypes->ploidy)) {}

  // Rows of the tracks [first, last) in one window.
  RealignStatus write(int64_t window, int64_t first, int64_t last, int64_t* failed_track) {
    low_ = INT64_MAX;
    high_ = INT64_MIN;
    RealignStatus status = kRealigned;
    for (size_t p = 0; status == kRealigned && p < haplotypes_.size(); ++p) {
      status = walk(window, static_cast<int64_t>(p));
    }
    for (int64_t track = first; status == kRealigned && track < last; ++track) {
      status = write_track(window, track);
      *failed_track = track;
    }
    return status;
  }

 private:
  RealignStatus walk(int64_t window, int64_t ploid);
  RealignStatus write_track(int64_t window, int64_t track);
  template <typename Track>
  RealignStatus write_rows(const Track& track, const Fill& fill, const Transform& transform,
                           int64_t window, int64_t place);
  template <typename Track>
  void compose(const Track& track, const Fill& fill, const Haplotype& haplotype, int64_t window,
               float* out) const;
  void finish(float* values, int64_t n_bases, const Transform& transform, int64_t at, int64_t n);

  bool is_reversed(int64_t window) const {
    return windows_.reverse != nullptr && windows_.reverse[window] != 0;
  }
  const BwlRealign& request_;
  const BwlHaplotypeWindows& windows_;
  const Variants variants_;
  std::vector<Haplotype> haplotypes_;
  std::vector<float> painted_;
  std::vector<float> bases_;
  std::vector<float> bins_;
  int64_t low_ = 0;   // the stretch of the reference that the haplotypes stand for
  int64_t high_ = 0;
};

// Takes down the segments of one haplotype, and widens the stretch that all of them need.
RealignStatus Realigner::walk(int64_t window, int64_t ploid) {
  Haplotype& haplotype = haplotypes_[static_cast<size_t>(ploid)];
  haplotype.segments.clear();
  haplotype.n_bases = 0;
  haplotype.reached = windows_.start[window];
  HaplotypeWalk walk = walk_of(*request_.haplotypes, windows_, window, ploid);
  for (Segment segment; walk.next(&segment);) {
    haplotype.segments.push_back(segment);
    haplotype.n_bases += segment.length;
    haplotype.reached = segment.position + (segment.variant < 0 ? segment.length : 1);
  }
  if (walk.bad()) return kBadRow;
  haplotype.key = request_.cell == nullptr
                      ? 0
                      : flank_key(request_.seed, static_cast<uint32_t>(request_.epoch),
                                  static_cast<uint64_t>(request_.cell[window]),
                                  static_cast<uint32_t>(ploid));
  low_ = std::min(low_, haplotype.segments.empty() ? haplotype.reached
                                                   : haplotype.segments[0].position);
  high_ = std::max(high_, haplotype.reached);
  return kRealigned;
}

RealignStatus Realigner::write_track(int64_t window, int64_t place) {
  const BwlRealign& r = request_;
  const BwlTrack& track = track_at(r, window, place);
  const Fill fill = fill_of(r, track);
  const Stretch stretch =
      looked_at(fill, windows_.start[window], windows_.end[window], low_, high_);
  const int64_t low = stretch.low, high = stretch.high;
  int64_t n_bases = 0;
  for (const Haplotype& haplotype : haplotypes_) n_bases += haplotype.n_bases;
  if (track.dense != nullptr) {
    const int64_t first = track.dense_start[window];
    if (low < first || high > first + track.dense_bp) return kOutsideDense;
    const float* values = track.dense + window * track.dense_bp;
    if (r.statistic == kCoverage) {
      painted_.resize(static_cast<size_t>(high - low));
      for (int64_t i = low; i < high; ++i) {
        painted_[static_cast<size_t>(i - low)] = is_nan(values[i - first]) ? 0.0f : 1.0f;
      }
      return write_rows(RowTrack{painted_.data(), low}, fill, track.transform, window, place);
    }
    return write_rows(RowTrack{values, first}, fill, track.transform, window, place);
  }
  const int64_t sample = track.sample[window];
  if (sample < 0 || sample >= track.n_samples) return kBadSample;
  const IntervalTrack intervals = intervals_of(r, track, window);
  if (high - low > kMaxPaintedShare * n_bases + kPaintedAnyway) {
    return write_rows(ListTrack(intervals), fill, track.transform, window, place);
  }
  const int64_t room = high - low + kRunFloats;
  if (static_cast<int64_t>(painted_.size()) < room) painted_.resize(static_cast<size_t>(room));
  paint(intervals, low, high, painted_.data(), room);
  return write_rows(RowTrack{painted_.data(), low}, fill, track.transform, window, place);
}

template <typename Track>
RealignStatus Realigner::write_rows(const Track& track, const Fill& fill,
                                    const Transform& transform, int64_t window, int64_t place) {
  const BwlRealign& r = request_;
  int64_t row = (window * r.n_tracks + place) * static_cast<int64_t>(haplotypes_.size()) - 1;
  for (const Haplotype& haplotype : haplotypes_) {
    ++row;
    const int64_t n = haplotype.n_bases / r.bin_size;
    const int64_t at = r.row_offset == nullptr ? row * n : r.row_offset[row];
    if (r.row_offset != nullptr && r.row_offset[row + 1] - at != n) return kOtherLength;
    float* values;
    if (is_plain(r) && r.dtype == 0) {
      values = static_cast<float*>(r.out) + at;
    } else {
      if (static_cast<int64_t>(bases_.size()) < haplotype.n_bases) {
        bases_.resize(static_cast<size_t>(haplotype.n_bases));
      }
      values = bases_.data();
    }
    compose(track, fill, haplotype, window, values);
    if (is_reversed(window)) reverse_values(values, haplotype.n_bases);
    finish(values, haplotype.n_bases, transform, at, n);
  }
  return kRealigned;
}

// The values of all bases of a haplotype, in ascending order.
template <typename Track>
void Realigner::compose(const Track& track, const Fill& fill, const Haplotype& haplotype,
                        int64_t window, float* out) const {
  for (const Segment& segment : haplotype.segments) {
    if (segment.variant < 0) {
      track.copy(segment.position, segment.length, out);
    } else if (segment.insertion < 0) {
      std::fill(out, out + segment.length, track(segment.position));
    } else {
      const Insertion insertion = insertion_of(variants_, segment.insertion, windows_.start[window],
                                               windows_.end[window], haplotype.reached,
                                               haplotype.key);
      const int64_t x = segment.insertion == segment.variant ? segment.skipped : 0;
      if (fill.kind == kFlankSample || fill.kind == kInterpolate) {
        for (int64_t k = 0; k < segment.length; ++k) {
          out[k] = inserted_value(track, fill, insertion, x + k);
        }
      } else {
        std::fill(out, out + segment.length, inserted_value(track, fill, insertion, x));
      }
    }
    out += segment.length;
  }
}

template <typename T>
void store(const float* values, int64_t n, T* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = convert<T>(values[i]);
}

// Bins, the rest of the transform, and the output's dtype: n values from `at` on.
void Realigner::finish(float* values, int64_t n_bases, const Transform& transform, int64_t at,
                       int64_t n) {
  const BwlRealign& r = request_;
  if (!is_plain(r)) {
    if (static_cast<int64_t>(bins_.size()) < n) bins_.resize(static_cast<size_t>(n));
    float* const bins = r.dtype == 0 ? static_cast<float*>(r.out) + at : bins_.data();
    switch (r.statistic) {
      case kSum: bin_sums<kSum>(values, r.bin_size, n, bins); break;
      case kMax: bin_values<kMax>(values, r.bin_size, n, bins); break;
      case kMin: bin_values<kMin>(values, r.bin_size, n, bins); break;
      case kStd: bin_values<kStd>(values, r.bin_size, n, bins); break;
      default: bin_sums<kMean>(values, r.bin_size, n, bins); break;  // coverage is a mean of 0 and 1
    }
    values = bins;
    n_bases = n;
  }
  if (has_steps(transform)) {
    const Transform steps = transform;
    for (int64_t i = 0; i < n_bases; ++i) values[i] = apply_transform(steps, values[i]);
  }
  if (r.dtype == 1) store(values, n, static_cast<Half*>(r.out) + at);
  if (r.dtype == 2) store(values, n, static_cast<BFloat*>(r.out) + at);
}

void realign(BwlRealign* request) {
  const BwlRealign& r = *request;
  const BwlHaplotypeWindows& windows = *r.windows;
  const int64_t n_windows = windows.n_windows;
  // Haplotypes of fixed length have so many bases; the others about as many as their windows.
  int64_t n_bases = windows.length_bp * n_windows;
  for (int64_t b = 0; windows.length_bp < 0 && b < n_windows; ++b) {
    n_bases += windows.end[b] - windows.start[b] + 1;
  }
  n_bases *= r.n_tracks * r.haplotypes->ploidy;
  const int n_threads = static_cast<int>(
      std::max<int64_t>(std::min<int64_t>(n_bases / kBasesPerThread + 1, r.n_threads), 1));
  // Few windows and many tracks: the tracks of a window are shared out.
  int64_t n_groups = n_windows == 0 ? 0 : (4 * n_threads + n_windows - 1) / n_windows;
  n_groups = n_threads == 1 ? 1 : std::max<int64_t>(std::min(n_groups, r.n_tracks), 1);
  const int64_t group = (r.n_tracks + n_groups - 1) / n_groups;
  std::vector<std::unique_ptr<Realigner>> workers(static_cast<size_t>(n_threads));
  std::atomic<int64_t> failed{INT64_MAX};  // the lowest task that failed
  std::vector<int64_t> outcome(static_cast<size_t>(n_threads) * 3, 0);
  parallel_for(n_windows * n_groups, n_threads, [&](int64_t task, int thread) {
    const int64_t window = task / n_groups, first = task % n_groups * group;
    RealignStatus status = kNoMemory;
    int64_t track = first;
    try {
      auto& worker = workers[static_cast<size_t>(thread)];
      if (!worker) worker.reset(new Realigner(r));
      status = worker->write(window, first, std::min(first + group, r.n_tracks), &track);
    } catch (const std::bad_alloc&) {
      status = kNoMemory;
    }
    if (status == kRealigned) return;
    int64_t lowest = failed.load();
    while (task < lowest && !failed.compare_exchange_weak(lowest, task)) {
    }
    int64_t* mine = outcome.data() + thread * 3;
    if (mine[0] == kRealigned) {  // tasks come in ascending order
      mine[0] = status;
      mine[1] = task;
      mine[2] = track;
    }
  });
  request->status = kRealigned;
  for (int thread = 0; thread < n_threads; ++thread) {
    const int64_t* of_thread = outcome.data() + thread * 3;
    if (of_thread[0] == kRealigned || of_thread[1] != failed.load()) continue;
    request->status = static_cast<int32_t>(of_thread[0]);
    request->failed_window = of_thread[1] / n_groups;
    request->failed_track = of_thread[2];
  }
}

}  // namespace
}  // namespace bwl

// Fills request->out; outcome in `status` and the fields after it.
BWL_API void bwl_realign_tracks(BwlRealign* request) {
  try {
    bwl::realign(request);
  } catch (const std::bad_alloc&) {
    request->status = bwl::kNoMemory;
  }
}

BWL_API int64_t bwl_realign_bytes() { return sizeof(BwlRealign); }

BWL_API int64_t bwl_track_bytes() { return sizeof(BwlTrack); }
