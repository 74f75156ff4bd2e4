// Haplotypes: which variants a haplotype applies, and of which pieces a window of it is made. No
// memory is written here but the list of `apply`;
// host/haplotypes.cpp, host/realign.cpp and the .cu files of those names loop over these functions.
//
// A variant is atomic: its reference span is [position, position + 1 + max(0, -ilen)), and the
// first base of that span, the anchor, stands in REF and in ALT. A haplotype is a list of rows of
// the variant table, ascending.
#pragma once

#include "common.cuh"

namespace bwl {

// Bit of an entry of a list: all but the anchor of the variant is applied, because a variant before
// it has that base.
constexpr int32_t kWithoutAnchor = 1 << 30;
constexpr int32_t kVariantRow = kWithoutAnchor - 1;

// Which of the variants that overlap on one haplotype are applied.
enum OverlapRule : int32_t {
  kAsGiven = 0,   // in each window the first one; entries may have kWithoutAnchor
  kFirst = 1,     // the first one on the haplotype
  kBcftools = 2,  // as kFirst, and an insertion or deletion whose anchor is the last base of the
                  // variant before it is applied without the anchor, unless that was an insertion
};

constexpr int64_t kNoEnd = -(int64_t{1} << 62);  // before everything

struct Variants {
  const int32_t* position;    // (V,) 0-based, ascending within a contig
  const int32_t* ilen;        // (V,) len(ALT) - len(REF)
  const int64_t* alt_offset;  // (V + 1,)
  const uint8_t* alt;         // 4-bit code of each ALT letter, one in a byte
  const uint8_t* keep;        // (V,) whether a variant counts at all; null: all
  const uint8_t* free;        // (V,) whether no variant before it reaches its position
  int64_t n;                  // V
};

BWL_HD int64_t span_end(const Variants& variants, int32_t row) {
  const int32_t ilen = variants.ilen[row];
  return static_cast<int64_t>(variants.position[row]) + 1 + (ilen < 0 ? -ilen : 0);
}

// Decides on the variants of a haplotype, one after the other.
class Overlaps {
 public:
  BWL_HD explicit Overlaps(int32_t rule) : rule_(rule) {}

  // What becomes of an entry of the list: -1 it is left out, 0 it is applied, 1 all but its anchor.
  BWL_HD int32_t decide(const Variants& variants, int32_t entry) {
    const int32_t row = entry & kVariantRow;
    if (row >= variants.n || (variants.keep != nullptr && variants.keep[row] == 0)) return -1;
    if (rule_ == kAsGiven) return (entry & kWithoutAnchor) != 0 ? 1 : 0;
    const int64_t position = variants.position[row];
    const int32_t ilen = variants.ilen[row];
    const bool on_anchor =
        rule_ == kBcftools && position == end_ - 1 && ilen != 0 && !after_insertion_;
    if (position < end_ && !on_anchor) return -1;
    end_ = span_end(variants, row);
    after_insertion_ = ilen > 0;
    return on_anchor ? 1 : 0;
  }

  // Reference base after the variants that were applied.
  BWL_HD int64_t end() const { return end_; }

 private:
  int32_t rule_;
  int64_t end_ = kNoEnd;
  bool after_insertion_ = false;
};

// The variants that a whole haplotype applies, as entries of a list; how many of its n there are.
// They are written to `applied` unless it is null.
BWL_HD int64_t apply(const Variants& variants, int32_t rule, const int32_t* carried, int64_t n,
                     int32_t* applied) {
  Overlaps overlaps(rule);
  int64_t n_applied = 0;
  for (int64_t k = 0; k < n; ++k) {
    const int32_t without = overlaps.decide(variants, carried[k]);
    if (without < 0) continue;
    if (applied != nullptr) {
      applied[n_applied] = (carried[k] & kVariantRow) | (without > 0 ? kWithoutAnchor : 0);
    }
    ++n_applied;
  }
  return n_applied;
}

// A piece of a haplotype, of `length` bases: bases [position, position + length) of the reference,
// which may lie outside the contig, if `variant` is negative; else ALT bases [skipped,
// skipped + length) of that row, all of which stand for the reference base `position`.
// `insertion`: the row of the insertion that these bases are of, or whose anchor they are; or -1.
struct Segment {
  int64_t length;
  int64_t position;
  int32_t variant;
  int32_t skipped;
  int32_t insertion;
};

// Walks over the segments of one window of one haplotype, in ascending order.
class HaplotypeWalk {
 public:
  // The window is [start, end). With length_bp < 0 it ends where the window does; else it has
  // length_bp bases from `start` on, whatever `end` is. `shift` bases are left out at its front.
  // `longest_bp`, with kAsGiven: the longest reference span of a variant, where the variants of a
  // list may overlap; 0 where they do not.
  BWL_HD HaplotypeWalk(const Variants& variants, int32_t rule, const int32_t* carried, int64_t n,
                       int64_t start, int64_t end, int64_t length_bp, int64_t shift,
                       int64_t longest_bp)
      : variants_(variants), overlaps_(rule), rule_(rule), carried_(carried), n_(n),
        cursor_(start), end_(end), left_(length_bp < 0 ? kUnlimited : length_bp), shift_(shift),
        bounded_(length_bp < 0) {
    int64_t low = 0, high = n;
    while (low < high) {
      const int64_t middle = (low + high) >> 1;
      if (position_of(middle) < start) low = middle + 1; else high = middle;
    }
    next_ = low;
    // Only a deletion that begins before the window can reach into it.
    if (rule == kAsGiven) {
      for (int64_t k = low - 1; k >= 0; --k) {
        if (longest_bp > 0 && position_of(k) + longest_bp <= start) break;
        const int32_t row = row_of(k);
        if (variants_.keep != nullptr && variants_.keep[row] == 0) continue;
        const int64_t reached = span_end(variants_, row);
        if (reached > cursor_) cursor_ = reached;
        if (longest_bp <= 0) break;
      }
      return;
    }
    // What is decided does not depend on what lies before a variant that nothing reaches.
    int64_t k = low;
    while (k > 0) {
      --k;
      if (variants_.free[row_of(k)] != 0) break;
    }
    for (; k < low; ++k) overlaps_.decide(variants_, carried_[k]);
    if (overlaps_.end() > cursor_) cursor_ = overlaps_.end();
  }

  // The next segment, of at least one base; false at the end.
  BWL_HD bool next(Segment* segment) {
    while (left_ > 0) {
      if (!step(segment)) return false;
      if (shift_ >= segment->length) {
        shift_ -= segment->length;
        continue;
      }
      if (shift_ > 0) {
        segment->length -= shift_;
        if (segment->variant < 0) segment->position += shift_;
        else segment->skipped += static_cast<int32_t>(shift_);
        shift_ = 0;
      }
      if (segment->length > left_) segment->length = left_;
      left_ -= segment->length;
      return true;
    }
    return false;
  }

  // Whether an entry was met that is no row of the variants.
  BWL_HD bool bad() const { return bad_; }

 private:
  static constexpr int64_t kUnlimited = int64_t{1} << 62;

  // Row of an entry; that of the first variant for an entry that is none, which is remembered.
  BWL_HD int32_t row_of(int64_t k) {
    const int32_t row = carried_[k] & kVariantRow;
    if (row < variants_.n) return row;
    bad_ = true;
    return 0;
  }

  BWL_HD int64_t position_of(int64_t k) { return variants_.position[row_of(k)]; }

  // The next segment before shift and length are taken off; false where the window ends.
  BWL_HD bool step(Segment* segment) {
    while (decided_ || next_ < n_) {
      const int64_t k = decided_ ? next_ - 1 : next_;
      const int64_t position = position_of(k);
      if (!decided_) {
        if (bounded_ && position >= end_) break;
        ++next_;
        without_ = overlaps_.decide(variants_, carried_[k]);
        if (without_ < 0 || position + without_ < cursor_) continue;
      }
      decided_ = position + without_ > cursor_;
      if (decided_) return reference(position + without_, segment);
      const int32_t row = row_of(k);
      cursor_ = span_end(variants_, row);
      segment->length = variants_.alt_offset[row + 1] - variants_.alt_offset[row] - without_;
      segment->position = position;
      segment->variant = row;
      segment->skipped = without_;
      segment->insertion = insertion_at(row, position);
      if (segment->length > 0) return true;
    }
    const int64_t to = bounded_ ? end_ : cursor_ + left_ + shift_;
    return cursor_ < to && reference(to, segment);
  }

  // The insertion that a variant is, or whose anchor it has.
  BWL_HD int32_t insertion_at(int32_t row, int64_t position) {
    if (variants_.ilen[row] != 0) return variants_.ilen[row] > 0 ? row : -1;
    for (int64_t k = next_; rule_ != kFirst && k < n_ && position_of(k) == position; ++k) {
      const int32_t other = row_of(k);
      if (variants_.keep != nullptr && variants_.keep[other] == 0) continue;
      const bool applied = rule_ == kBcftools ? variants_.ilen[other] != 0
                                              : (carried_[k] & kWithoutAnchor) != 0;
      if (applied) return variants_.ilen[other] > 0 ? other : -1;
    }
    return -1;
  }

  BWL_HD bool reference(int64_t to, Segment* segment) {
    segment->length = to - cursor_;
    segment->position = cursor_;
    segment->variant = -1;
    segment->skipped = 0;
    segment->insertion = -1;
    cursor_ = to;
    return true;
  }

  Variants variants_;
  Overlaps overlaps_;
  int32_t rule_;
  const int32_t* carried_;
  int64_t n_, next_;
  int64_t cursor_;        // reference base that comes next
  int64_t end_;
  int64_t left_;          // haplotype bases still to come
  int64_t shift_;
  bool bounded_;
  bool decided_ = false;  // the entry before next_ is applied, behind the segment just given
  int32_t without_ = 0;
  bool bad_ = false;
};

// Natural length of a window of a haplotype; -1 where an entry of its list is no variant.
BWL_HD int64_t haplotype_length(HaplotypeWalk walk) {
  int64_t length = 0;
  for (Segment segment; walk.next(&segment);) length += segment.length;
  return walk.bad() ? -1 : length;
}

// Reference base after the last one that a window of a haplotype stands for, `start` if it has
// none; the least number there is where an entry of its list is no variant.
BWL_HD int64_t haplotype_end(HaplotypeWalk walk, int64_t start) {
  int64_t end = start;
  for (Segment segment; walk.next(&segment);) {
    end = segment.position + (segment.variant < 0 ? segment.length : 1);
  }
  return walk.bad() ? kNoEnd : end;
}

}  // namespace bwl
