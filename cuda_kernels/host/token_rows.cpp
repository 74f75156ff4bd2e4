// Documents of tokens on the CPU: the order of regions, tokens of a cell from those of its features,
// random subsets of long documents.
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <new>
#include <vector>

#include "api.h"
#include "parallel.h"
#include "../philox.cuh"

namespace bwl {
namespace {

constexpr int64_t kRowsPerTask = 64;

template <typename F>
void for_rows(int64_t n_rows, int32_t n_threads, F&& f) {
  const int64_t n_tasks = (n_rows + kRowsPerTask - 1) / kRowsPerTask;
  parallel_for(n_tasks, n_threads, [&](int64_t task, int thread) {
    const int64_t end = std::min(n_rows, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) f(row, thread);
  });
}

// Rows of one group by `start`, equal starts in the order they have: least significant digit first.
constexpr int kDigitBits = 11;
constexpr int64_t kDigits = 1 << kDigitBits;

struct Keyed {
  int64_t start, row;
};

void sort_by_start(std::vector<Keyed>& rows, std::vector<Keyed>& spare) {
  const auto before = [](const Keyed& a, const Keyed& b) { return a.start < b.start; };
  if (std::is_sorted(rows.begin(), rows.end(), before)) return;
  if (rows.size() < 2 * kDigits) {
    std::sort(rows.begin(), rows.end(), [](const Keyed& a, const Keyed& b) {
      return a.start != b.start ? a.start < b.start : a.row < b.row;
    });
    return;
  }
  int64_t largest = 0;
  for (const Keyed& row : rows) largest = std::max(largest, row.start);
  spare.resize(rows.size());
  for (int shift = 0; shift < 63 && (largest >> shift) != 0; shift += kDigitBits) {
    int64_t first[kDigits + 1] = {};
    for (const Keyed& row : rows) ++first[((row.start >> shift) & (kDigits - 1)) + 1];
    for (int64_t digit = 0; digit < kDigits; ++digit) first[digit + 1] += first[digit];
    for (const Keyed& row : rows) {
      spare[static_cast<size_t>(first[(row.start >> shift) & (kDigits - 1)]++)] = row;
    }
    rows.swap(spare);
  }
}

// A random subset of `size` of the first n tokens, in order, every subset equally likely (Floyd's
// algorithm; Bentley and Floyd, "A sample of brilliance", CACM 1987). Draws are those of
// bigwig_loader.sampling.rng.random_below, lane i for the i-th.
void choose(int64_t n, int64_t size, uint64_t seed, uint32_t epoch, uint64_t index,
            std::vector<uint64_t>& marks, const int32_t* from, int32_t* to) {
  const bool drops = 2 * size > n;  // then those that are left out are drawn
  const int64_t n_draws = drops ? n - size : size;
  marks.assign(static_cast<size_t>((n + 63) / 64), 0);
  for (int64_t i = 0; i < n_draws; ++i) {
    const int64_t last = n - n_draws + i;
    int64_t drawn = static_cast<int64_t>(random_below(static_cast<uint64_t>(last) + 1, seed, epoch,
                                                      index, kContextStream,
                                                      static_cast<uint32_t>(i)));
    if ((marks[static_cast<size_t>(drawn >> 6)] >> (drawn & 63)) & 1) drawn = last;
    marks[static_cast<size_t>(drawn >> 6)] |= uint64_t{1} << (drawn & 63);
  }
  for (int64_t i = 0; i < n; ++i) {
    const bool marked = ((marks[static_cast<size_t>(i >> 6)] >> (i & 63)) & 1) != 0;
    if (marked != drops) *to++ = from[i];
  }
}

}  // namespace
}  // namespace bwl

// order: the rows by group, then start; rows of equal group and start stay in order. `group` is in
// [0, n_groups), `start` is not negative. Returns 1, and leaves `order` alone, if they are in order;
// -1 if there is no memory.
BWL_API int32_t bwl_order_regions(int64_t n, const int32_t* group, int64_t n_groups,
                                  const int64_t* start, int64_t* order, int32_t n_threads) {
  int64_t i = 1;
  while (i < n && (group[i - 1] < group[i] || (group[i - 1] == group[i] && start[i - 1] <= start[i])))
    ++i;
  if (i >= n) return 1;
  try {
    std::vector<int64_t> first(static_cast<size_t>(n_groups) + 1, 0);
    for (i = 0; i < n; ++i) ++first[static_cast<size_t>(group[i]) + 1];
    for (size_t g = 0; g < static_cast<size_t>(n_groups); ++g) first[g + 1] += first[g];
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (i = 0; i < n; ++i) order[next[static_cast<size_t>(group[i])]++] = i;
    std::atomic<bool> failed{false};
    bwl::parallel_for(n_groups, n_threads, [&](int64_t g, int) {
      try {
        int64_t* rows = order + first[static_cast<size_t>(g)];
        std::vector<bwl::Keyed> keyed, spare;
        keyed.reserve(static_cast<size_t>(first[static_cast<size_t>(g) + 1] - first[static_cast<size_t>(g)]));
        const int64_t* end = order + first[static_cast<size_t>(g) + 1];
        for (const int64_t* row = rows; row < end; ++row) keyed.push_back({start[*row], *row});
        bwl::sort_by_start(keyed, spare);
        for (const bwl::Keyed& row : keyed) *rows++ = row.row;
      } catch (const std::bad_alloc&) {
        failed = true;
      }
    });
    return failed ? -1 : 0;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

// Tokens of each row of a sparse matrix: those of its columns, one after the other. `kept`, if not
// null, has a 0 for every stored value that does not count. Returns the first position of a column
// that is not in [0, n_columns), or -1.
BWL_API int64_t bwl_count_row_tokens(int64_t n_rows, const int64_t* row_first,
                                     const int64_t* column, const uint8_t* kept, int64_t n_columns,
                                     const int64_t* token_first, int64_t* counts,
                                     int32_t n_threads) {
  std::atomic<int64_t> bad{INT64_MAX};
  bwl::for_rows(n_rows, n_threads, [&](int64_t row, int) {
    int64_t count = 0;
    for (int64_t i = row_first[row]; i < row_first[row + 1]; ++i) {
      const int64_t c = column[i];
      if (c < 0 || c >= n_columns) {
        int64_t known = bad.load();
        while (i < known && !bad.compare_exchange_weak(known, i)) {
        }
        break;
      }
      if (kept == nullptr || kept[i] != 0) count += token_first[c + 1] - token_first[c];
    }
    counts[row] = count;
  });
  return bad == INT64_MAX ? -1 : bad.load();
}

// Writes them: those of row r from tokens[offsets[r]] on.
BWL_API void bwl_write_row_tokens(int64_t n_rows, const int64_t* row_first, const int64_t* column,
                                  const uint8_t* kept, const int64_t* token_first,
                                  const int32_t* column_tokens, const int64_t* offsets,
                                  int32_t* tokens, int32_t n_threads) {
  bwl::for_rows(n_rows, n_threads, [&](int64_t row, int) {
    int32_t* to = tokens + offsets[row];
    for (int64_t i = row_first[row]; i < row_first[row + 1]; ++i) {
      if (kept != nullptr && kept[i] == 0) continue;
      for (int64_t k = token_first[column[i]]; k < token_first[column[i] + 1]; ++k) {
        *to++ = column_tokens[k];
      }
    }
  });
}

// The first entries by row of a matrix stored by column. row_first (n_rows + 1,) is made here, and
// column and from (where each entry stood) for every entry. Returns the first position of a row that
// is not in [0, n_rows), or -1.
BWL_API int64_t bwl_sort_by_row(int64_t n_rows, int64_t n_columns, const int64_t* column_first,
                                const int64_t* row, int64_t* row_first, int64_t* column,
                                int64_t* from) {
  memset(row_first, 0, static_cast<size_t>(n_rows + 1) * sizeof(int64_t));
  for (int64_t i = column_first[0]; i < column_first[n_columns]; ++i) {
    if (row[i] < 0 || row[i] >= n_rows) return i;
    ++row_first[row[i] + 1];
  }
  for (int64_t r = 0; r < n_rows; ++r) row_first[r + 1] += row_first[r];
  for (int64_t c = 0; c < n_columns; ++c) {
    for (int64_t i = column_first[c]; i < column_first[c + 1]; ++i) {
      const int64_t at = row_first[row[i]]++;
      column[at] = c;
      from[at] = i;
    }
  }
  for (int64_t r = n_rows; r > 0; --r) row_first[r] = row_first[r - 1];
  row_first[0] = 0;
  return -1;
}

// Rows of tokens cut to at most new_offsets[r + 1] - new_offsets[r] of them, at random (choose).
// Returns -1 if there is no memory.
BWL_API int32_t bwl_choose_tokens(int64_t n_rows, const int64_t* offsets, const int32_t* tokens,
                                  const int64_t* new_offsets, const int64_t* index, uint64_t seed,
                                  uint32_t epoch, int32_t* chosen, int32_t n_threads) {
  std::atomic<bool> failed{false};
  try {
    std::vector<std::vector<uint64_t>> marks(static_cast<size_t>(std::max(n_threads, 1)));
    bwl::for_rows(n_rows, n_threads, [&](int64_t row, int thread) {
      const int64_t n = offsets[row + 1] - offsets[row];
      const int64_t size = new_offsets[row + 1] - new_offsets[row];
      const int32_t* from = tokens + offsets[row];
      int32_t* to = chosen + new_offsets[row];
      try {
        if (size >= n) {
          std::copy(from, from + n, to);
        } else {
          bwl::choose(n, size, seed, epoch, static_cast<uint64_t>(index[row]),
                      marks[static_cast<size_t>(thread)], from, to);
        }
      } catch (const std::bad_alloc&) {
        failed = true;
      }
    });
  } catch (const std::bad_alloc&) {
    return -1;
  }
  return failed ? -1 : 0;
}
