// Lines of regions (BED, narrowPeak, fragments) to arrays: contig, start, end and, on request, a key.
#include <stdint.h>
#include <string.h>

#include <new>
#include <vector>

#include "api.h"

namespace bwl {
namespace {

// Why a line is no region; bigwig_loader/backend/region_text.py mirrors this.
enum LineStatus : int32_t {
  kLineOk = 0,
  kFewColumns = 1,
  kOtherColumns = 2,  // not as many as the first region
  kNoContig = 3,
  kBadStart = 4,
  kBadEnd = 5,
  kNoKey = 6,
  kNoMemory = 7,
};

// What Python fills, and what it gets back. Whole lines in; arrays have room for a row per line.
struct BwlRegionText {
  const uint8_t* text;
  int64_t n_bytes;
  int64_t n_columns;  // in: of every line, 0 if not known yet; out: what was found
  int64_t key_column;  // number, from 0, of the column that is looked up; -1 for none
  int32_t* contig;    // (rows,) numbers of names, in order of first appearance
  int64_t *start, *end;
  int32_t* key;
  int64_t* line;  // (rows,) number of the line, from 0; null if nobody asks
  int64_t *contig_name, *contig_name_bytes;  // where each name first appears
  int64_t *key_name, *key_name_bytes;
  int64_t n_rows, n_contigs, n_keys;
  int64_t n_lines;      // up to and without the bad one
  int64_t header_line;  // in: -1 if it may come; out: number of the line that names the columns
  int64_t status;
};

struct Field {
  const uint8_t* at;
  int64_t n_bytes;
};

bool same(const uint8_t* a, const uint8_t* b, int64_t n) {
  return memcmp(a, b, static_cast<size_t>(n)) == 0;
}

// Numbers of names. The last name looked up is tried first: files are mostly sorted.
class Names {
 public:
  Names(int64_t* place, int64_t* n_bytes, const uint8_t* text)
      : place_(place), bytes_(n_bytes), text_(text), slots_(64, -1) {}

  int64_t count() const { return count_; }

  // The last name's number if a column at `at` has it, else -1; and its length.
  int32_t last_if(const uint8_t* at, const uint8_t* end) const {
    if (last_ < 0 || end - at <= bytes_[last_]) return -1;
    const int64_t n = bytes_[last_];
    return at[n] == '\t' && same(text_ + place_[last_], at, n) ? last_ : -1;
  }
  int64_t last_bytes() const { return bytes_[last_]; }

  int32_t number(Field name) {
    if (last_ >= 0 && is(last_, name)) return last_;
    uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
    for (int64_t i = 0; i < name.n_bytes; ++i) hash = (hash ^ name.at[i]) * 0x100000001B3u;
    hash ^= hash >> 32;
    const size_t mask = slots_.size() - 1;
    size_t slot = hash & mask;
    while (slots_[slot] >= 0 && !is(slots_[slot], name)) slot = (slot + 1) & mask;
    if (slots_[slot] < 0) {
      place_[count_] = name.at - text_;
      bytes_[count_] = name.n_bytes;
      hashes_.push_back(hash);
      slots_[slot] = static_cast<int32_t>(count_++);
      last_ = static_cast<int32_t>(count_ - 1);
      if (2 * static_cast<size_t>(count_) > slots_.size()) grow();
    } else {
      last_ = slots_[slot];
    }
    return last_;
  }

 private:
  bool is(int32_t number, Field name) const {
    return bytes_[number] == name.n_bytes && same(text_ + place_[number], name.at, name.n_bytes);
  }

  void grow() {
    slots_.assign(4 * slots_.size(), -1);
    const size_t mask = slots_.size() - 1;
    for (int64_t i = 0; i < count_; ++i) {
      size_t slot = hashes_[static_cast<size_t>(i)] & mask;
      while (slots_[slot] >= 0) slot = (slot + 1) & mask;
      slots_[slot] = static_cast<int32_t>(i);
    }
  }

  int64_t *place_, *bytes_;
  const uint8_t* text_;
  std::vector<int32_t> slots_;
  std::vector<uint64_t> hashes_;
  int64_t count_ = 0;
  int32_t last_ = -1;
};

bool is_blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
bool is_letter(uint8_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Takes a line apart. Columns end at tabs or, in a line without a tab, at runs of blanks.
class Line {
 public:
  Line(const uint8_t* at, const uint8_t* end)
      : at_(at), end_(end), tabs_(memchr(at, '\t', static_cast<size_t>(end - at)) != nullptr) {
    if (!tabs_) skip_blanks();
  }

  bool next(Field* field) {
    if (done_ || (!tabs_ && at_ == end_)) return false;
    const uint8_t* first = at_;
    if (tabs_) {
      while (at_ < end_ && *at_ != '\t') ++at_;
    } else {
      while (at_ < end_ && !is_blank(*at_)) ++at_;
    }
    *field = {first, at_ - first};
    if (at_ == end_) {
      done_ = true;
    } else if (tabs_) {
      ++at_;
    } else {
      skip_blanks();
    }
    return true;
  }

 private:
  void skip_blanks() {
    while (at_ < end_ && is_blank(*at_)) ++at_;
  }

  const uint8_t *at_, *end_;
  bool tabs_, done_ = false;
};

// A position of at most 18 digits; -1 for anything else.
int64_t position(Field field) {
  if (field.n_bytes < 1 || field.n_bytes > 18) return -1;
  int64_t value = 0;
  for (int64_t i = 0; i < field.n_bytes; ++i) {
    if (!is_digit(field.at[i])) return -1;
    value = 10 * value + (field.at[i] - '0');
  }
  return value;
}

// Whether a line configures a viewer: "track" or "browser", unless two numbers follow, since a contig
// may have that name too.
bool is_setting(const uint8_t* at, const uint8_t* end) {
  const int64_t n = end - at;
  const int64_t word = n >= 5 && same(at, reinterpret_cast<const uint8_t*>("track"), 5)     ? 5
                       : n >= 7 && same(at, reinterpret_cast<const uint8_t*>("browser"), 7) ? 7
                                                                                            : 0;
  if (word == 0 || (n > word && !is_blank(at[word]))) return false;
  const uint8_t* rest = at + word;
  for (int i = 0; i < 2; ++i) {
    while (rest < end && is_blank(*rest)) ++rest;
    const uint8_t* digits = rest;
    while (rest < end && is_digit(*rest)) ++rest;
    if (rest == digits || (rest < end && !is_blank(*rest))) return true;
  }
  return false;
}

// Whether a column of the first line is the name of a column: letters, but no word for "no value".
bool is_title(Field field) {
  if (field.n_bytes < 3 || !is_letter(field.at[0])) return false;
  uint8_t lower[4] = {0, 0, 0, 0};
  for (int64_t i = 0; i < field.n_bytes && i < 4; ++i) lower[i] = field.at[i] | 0x20u;
  const char* none[] = {"nan", "inf", "none", "null"};
  for (const char* word : none) {
    const int64_t n = static_cast<int64_t>(strlen(word));
    if (field.n_bytes == n && same(lower, reinterpret_cast<const uint8_t*>(word), n)) return false;
  }
  return true;
}

class Parser {
 public:
  explicit Parser(BwlRegionText& r)
      : r_(r),
        contigs_(r.contig_name, r.contig_name_bytes, r.text),
        keys_(r.key_name, r.key_name_bytes, r.text) {}

  void run() {
    const uint8_t *at = r_.text, *end = r_.text + r_.n_bytes;
    r_.n_rows = r_.n_lines = 0;
    r_.status = kLineOk;
    while (at < end && r_.status == kLineOk) {
      if (const uint8_t* next = plain_line(at, end)) {
        at = next;
        continue;
      }
      const void* found = memchr(at, '\n', static_cast<size_t>(end - at));
      const uint8_t* line_end = found ? static_cast<const uint8_t*>(found) : end;
      const uint8_t* next = found ? line_end + 1 : end;
      while (line_end > at && line_end[-1] == '\r') --line_end;
      r_.status = line(at, line_end);
      r_.n_lines += r_.status == kLineOk;
      at = next;
    }
    r_.n_contigs = contigs_.count();
    r_.n_keys = keys_.count();
  }

 private:
  int32_t line(const uint8_t* at, const uint8_t* end) {
    if (at == end || *at == '#') return kLineOk;
    if ((*at == 't' || *at == 'b') && is_setting(at, end)) return kLineOk;
    Line columns(at, end);
    Field contig, start, end_field, key = {nullptr, 0}, rest;
    if (is_blank(*at) && is_empty(at, end)) return kLineOk;
    if (!columns.next(&contig) || !columns.next(&start) || !columns.next(&end_field)) {
      return kFewColumns;
    }
    int64_t n = 3;
    for (; columns.next(&rest); ++n) {
      if (n == r_.key_column) key = rest;
    }
    const bool is_first = r_.n_columns == 0;
    if (is_first && r_.header_line == -1 && is_title(start) && is_title(end_field)) {
      r_.header_line = r_.n_lines;
      return kLineOk;
    }
    if (!is_first && n != r_.n_columns) return kOtherColumns;
    if (contig.n_bytes == 0) return kNoContig;
    const int64_t row = r_.n_rows;
    r_.start[row] = position(start);
    r_.end[row] = position(end_field);
    if (r_.start[row] < 0) return kBadStart;
    if (r_.end[row] < 0) return kBadEnd;
    r_.contig[row] = contigs_.number(contig);
    if (r_.key_column >= 0) {
      if (key.n_bytes == 0) return kNoKey;
      r_.key[row] = keys_.number(key);
    }
    if (r_.line != nullptr) r_.line[row] = r_.n_lines;
    r_.n_columns = n;
    ++r_.n_rows;
    return kLineOk;
  }

  // Takes the row of a line as nearly all are: with tabs, and the columns that are expected. Returns
  // where the next line begins, or null, with nothing done, for any other line.
  const uint8_t* plain_line(const uint8_t* at, const uint8_t* end) {
    if (r_.n_columns == 0 || *at == '#' || *at == 't' || *at == 'b') return nullptr;
    const uint8_t* name = at;
    int32_t contig = contigs_.last_if(at, end);
    if (contig >= 0) {
      at += contigs_.last_bytes();
    } else {
      while (at < end && *at != '\t' && *at != '\n') ++at;
    }
    const int64_t name_bytes = at - name;
    int64_t start, region_end;
    if (name_bytes == 0 || !plain_position(at, end, &start)) return nullptr;
    if (!plain_position(at, end, &region_end)) return nullptr;
    int64_t n = 3;
    Field key = {nullptr, 0};
    while (at < end && *at == '\t') {
      const uint8_t* first = ++at;
      while (at < end && *at != '\t' && *at != '\n') ++at;
      if (n++ == r_.key_column) key = {first, at - first};
    }
    // A last column with a carriage return behind it is for the other way.
    if (at == end || *at != '\n' || at[-1] == '\r' || n != r_.n_columns) return nullptr;
    if (r_.key_column >= 0 && key.n_bytes == 0) return nullptr;
    const int64_t row = r_.n_rows++;
    r_.contig[row] = contig >= 0 ? contig : contigs_.number({name, name_bytes});
    r_.start[row] = start;
    r_.end[row] = region_end;
    if (r_.key_column >= 0) r_.key[row] = keys_.number(key);
    if (r_.line != nullptr) r_.line[row] = r_.n_lines;
    ++r_.n_lines;
    return at + 1;
  }

  // A tab and a position, up to a tab or the end of the line.
  static bool plain_position(const uint8_t*& at, const uint8_t* end, int64_t* position) {
    if (at == end || *at != '\t') return false;
    const uint8_t* first = ++at;
    int64_t value = 0;
    const uint8_t* limit = end - at > 18 ? at + 18 : end;
    for (; at < limit && is_digit(*at); ++at) value = 10 * value + (*at - '0');
    *position = value;
    return at > first && at < end && (*at == '\t' || *at == '\n');
  }

  static bool is_empty(const uint8_t* at, const uint8_t* end) {
    while (at < end && is_blank(*at)) ++at;
    return at == end;
  }

  BwlRegionText& r_;
  Names contigs_, keys_;
};

}  // namespace
}  // namespace bwl

BWL_API void bwl_parse_regions(bwl::BwlRegionText* request) {
  try {
    bwl::Parser(*request).run();
  } catch (const std::bad_alloc&) {
    request->status = bwl::kNoMemory;
  }
}

BWL_API int64_t bwl_region_text_bytes() { return sizeof(bwl::BwlRegionText); }
