// Haplotypes: which variants a haplotype applies, and of which pieces a window of it is made. No
// memory is written here but the lists of `apply_first` and `apply_bcftools`;
// host/haplotypes.cpp, host/realign.cpp and the .cu files of those names loop over these functions.
//
// A variant is atomic: its reference span is [position, position + 1 + max(0, -ilen)), and the
// first base of that span, the anchor, stands in REF and in ALT. A haplotype is a list of rows of
// the variant table, ascending. `kWithoutAnchor` marks a variant of which all but the anchor is
// applied, because a variant before it has that base.
#pragma once

#include "common.cuh"

namespace bwl {

constexpr int32_t kWithoutAnchor = 1 << 30;
constexpr int32_t kVariantRow = kWithoutAnchor - 1;

struct Variants {
  const int32_t* position;    // (V,) 0-based, ascending within a contig
  const int32_t* ilen;        // (V,) len(ALT) - len(REF)
  const int64_t* alt_offset;  // (V + 1,)
  const uint8_t* alt;         // 4-bit code of each ALT letter, one in a byte
};

BWL_HD int64_t span_end(const Variants& variants, int32_t row) {
  const int32_t ilen = variants.ilen[row];
  return static_cast<int64_t>(variants.position[row]) + 1 + (ilen < 0 ? -ilen : 0);
}

// The rule "first": of variants that overlap, the one that comes first is applied. Returns how
// many of the n carried variants are; they are written to `applied` unless it is null. `keep` (V,)
// says which variants count at all; null for all.
BWL_HD int64_t apply_first(const Variants& variants, const uint8_t* keep, const int32_t* carried,
                           int64_t n, int32_t* applied) {
  int64_t n_applied = 0, cursor = -1;
  for (int64_t k = 0; k < n; ++k) {
    const int32_t row = carried[k];
    if ((keep != nullptr && keep[row] == 0) || variants.position[row] < cursor) continue;
    if (applied != nullptr) applied[n_applied] = row;
    ++n_applied;
    cursor = span_end(variants, row);
  }
  return n_applied;
}

// The rule of `bcftools consensus`: as "first", and an insertion or deletion whose anchor is the
// last base of the variant before it is applied without the anchor, unless that was an insertion.
BWL_HD int64_t apply_bcftools(const Variants& variants, const uint8_t* keep, const int32_t* carried,
                              int64_t n, int32_t* applied) {
  int64_t n_applied = 0, cursor = -1;
  bool after_insertion = false;
  for (int64_t k = 0; k < n; ++k) {
    const int32_t row = carried[k];
    if (keep != nullptr && keep[row] == 0) continue;
    const int64_t position = variants.position[row];
    const int32_t ilen = variants.ilen[row];
    const bool on_anchor = position == cursor - 1 && ilen != 0 && !after_insertion;
    if (position < cursor && !on_anchor) continue;
    if (applied != nullptr) applied[n_applied] = on_anchor ? row | kWithoutAnchor : row;
    ++n_applied;
    cursor = span_end(variants, row);
    after_insertion = ilen > 0;
  }
  return n_applied;
}

// A piece of a haplotype, of `length` bases: bases [position, position + length) of the reference,
// which may lie outside the contig, if `variant` is negative; else ALT bases [skipped,
// skipped + length) of that row, all of which stand for the reference base `position`.
struct Segment {
  int64_t length;
  int64_t position;
  int32_t variant;
  int32_t skipped;
};

// Walks over the segments of one window of one haplotype, in ascending order.
class HaplotypeWalk {
 public:
  // The window is [start, end). With length_bp < 0 it ends where the window does; else it has
  // length_bp bases from `start` on, whatever `end` is. `shift` bases are left out at its front.
  // `longest_bp`: the longest reference span of a variant, where the variants of a list may
  // overlap (those of "window"); 0 where they were applied by one of the functions above.
  BWL_HD HaplotypeWalk(const Variants& variants, const int32_t* carried, int64_t n, int64_t start,
                       int64_t end, int64_t length_bp, int64_t shift, int64_t longest_bp)
      : variants_(variants), carried_(carried), n_(n), cursor_(start), end_(end),
        left_(length_bp < 0 ? kUnlimited : length_bp), shift_(shift) {
    bounded_ = length_bp < 0;
    int64_t low = 0, high = n;
    while (low < high) {
      const int64_t middle = (low + high) >> 1;
      if (position_of(middle) < start) low = middle + 1; else high = middle;
    }
    next_ = low;
    // Only a deletion that begins before the window can reach into it.
    for (int64_t k = low - 1; k >= 0; --k) {
      if (longest_bp > 0 && position_of(k) + longest_bp <= start) break;
      const int64_t reached = span_end(variants_, carried_[k] & kVariantRow);
      if (reached > cursor_) cursor_ = reached;
      if (longest_bp <= 0) break;
    }
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

 private:
  static constexpr int64_t kUnlimited = int64_t{1} << 62;

  BWL_HD int64_t position_of(int64_t k) const {
    return variants_.position[carried_[k] & kVariantRow];
  }

  // The next segment before shift and length are taken off; false where the window ends.
  BWL_HD bool step(Segment* segment) {
    while (next_ < n_) {
      const int32_t row = carried_[next_] & kVariantRow;
      const int32_t without = (carried_[next_] & kWithoutAnchor) != 0;
      const int64_t position = variants_.position[row];
      if (bounded_ && position >= end_) break;
      if (position + without < cursor_) {
        ++next_;
        continue;
      }
      if (position + without > cursor_) return reference(position + without, segment);
      ++next_;
      cursor_ = span_end(variants_, row);
      segment->length = variants_.alt_offset[row + 1] - variants_.alt_offset[row] - without;
      segment->position = position;
      segment->variant = row;
      segment->skipped = without;
      if (segment->length > 0) return true;
    }
    const int64_t to = bounded_ ? end_ : cursor_ + left_ + shift_;
    return cursor_ < to && reference(to, segment);
  }

  BWL_HD bool reference(int64_t to, Segment* segment) {
    segment->length = to - cursor_;
    segment->position = cursor_;
    segment->variant = -1;
    segment->skipped = 0;
    cursor_ = to;
    return true;
  }

  Variants variants_;
  const int32_t* carried_;
  int64_t n_, next_;
  int64_t cursor_;  // reference base that comes next
  int64_t end_;
  int64_t left_;    // haplotype bases still to come
  int64_t shift_;
  bool bounded_;
};

// Natural length of a window of a haplotype.
BWL_HD int64_t haplotype_length(HaplotypeWalk walk) {
  int64_t length = 0;
  for (Segment segment; walk.next(&segment);) length += segment.length;
  return length;
}

// Reference base after the last one that a window of a haplotype stands for; `start` if it has none.
BWL_HD int64_t haplotype_end(HaplotypeWalk walk, int64_t start) {
  int64_t end = start;
  for (Segment segment; walk.next(&segment);) {
    end = segment.position + (segment.variant < 0 ? segment.length : 1);
  }
  return end;
}

}  // namespace bwl
