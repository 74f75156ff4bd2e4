#include "blocks.h"

#include <algorithm>

#include "../section.cuh"
#include "clock.h"
#include "files.h"

namespace bwl {
namespace {

constexpr int64_t kZlibHeaderBytes = 2;
constexpr int64_t kAdlerBytes = 4;
// Deflate cannot expand by more (RFC 1951: 258 bytes for two bits, and a little for headers).
constexpr int64_t kMaxExpansion = 1032;
// Memory for what a block inflates to is taken in steps: a damaged header may claim any size.
constexpr int64_t kFirstRoom = 1 << 20;
// Readers in inflate.cuh work in 8-byte words; the slack keeps the fast path on to the end.
constexpr int64_t kSlackBytes = 64;
// A block of unknown order is inflated whole if more than this share of it is wanted.
constexpr double kWholeBlockShare = 0.9;
// Items by which inflating goes on when the first guess fell short.
constexpr int64_t kStepItems = 48;

uint8_t* ensure(std::vector<uint8_t>& buffer, int64_t n_bytes) {
  if (static_cast<int64_t>(buffer.size()) < n_bytes + kSlackBytes) {
    buffer.resize(static_cast<size_t>(n_bytes + kSlackBytes));
  }
  return buffer.data();
}

// Calls on several threads may read one block at once; they all come to the same conclusion.
uint8_t load_state(const uint8_t* state) { return __atomic_load_n(state, __ATOMIC_RELAXED); }

void store_state(uint8_t* state, uint8_t value) { __atomic_store_n(state, value, __ATOMIC_RELAXED); }

bool all_zero(const uint8_t* p, int64_t n) {
  return std::all_of(p, p + n, [](uint8_t byte) { return byte == 0; });
}

template <uint32_t kType, bool kSwap, typename F>
void scan_items(Section section, const uint8_t* items, F&& f) {
  section.type = kType;
  for (int64_t i = 0; i < section.n_items; ++i) f(section_item(section, items, i, kSwap));
}

// Calls f(item) for all items of a section; its type and byte order are settled outside the loop.
template <typename F>
void for_items_of(const Section& section, const uint8_t* items, bool swap, F&& f) {
  switch (section.type * 2 + (swap ? 1 : 0)) {
    case kBedGraph * 2: return scan_items<kBedGraph, false>(section, items, f);
    case kBedGraph * 2 + 1: return scan_items<kBedGraph, true>(section, items, f);
    case kVariableStep * 2: return scan_items<kVariableStep, false>(section, items, f);
    case kVariableStep * 2 + 1: return scan_items<kVariableStep, true>(section, items, f);
    case kFixedStep * 2: return scan_items<kFixedStep, false>(section, items, f);
    default: return scan_items<kFixedStep, true>(section, items, f);
  }
}

// Keeps an item if it overlaps what is wanted.
void keep(const Interval& item, int64_t low, int64_t high, StoredItem* out, int64_t* n) {
  if (item.start >= high || item.end <= low || item.end <= item.start) return;
  const int64_t end = std::min<int64_t>(item.end, UINT32_MAX);  // start + i * step + span may be more
  out[(*n)++] = {static_cast<uint32_t>(item.start), static_cast<uint32_t>(end), item.value};
}

}  // namespace

BlockReader::BlockReader(const BwlRequest& request)
    : request_(request), cache_(static_cast<BlockCache*>(request.index->cache)) {}

Status BlockReader::fail(Status status, int64_t a, int64_t b) {
  failure_ = {status, {a, b}};
  return status;
}

BlockReader::Block BlockReader::block_at(int64_t k, const uint8_t* bytes) const {
  const BwlIndex& index = *request_.index;
  const int64_t i = request_.block[k];
  const uint64_t row = index.start_key[i] >> 32;
  const size_t file = row / static_cast<uint64_t>(index.n_contigs);
  Block block;
  block.bytes = bytes;
  block.place = i;
  block.n_bytes = index.n_bytes[i];
  block.buf_size = index.buf_size[file];
  block.capacity = std::min(block.buf_size, block.n_bytes * kMaxExpansion);
  block.wanted_start = request_.wanted_start[k];
  block.wanted_end = request_.wanted_end[k];
  block.start = static_cast<uint32_t>(index.start_key[i]);
  block.end = static_cast<uint32_t>(index.end_key[i]);
  block.chrom_id = index.chrom_ids[row];
  block.spans = index.spans[i] != 0;
  block.swap = index.swap[file] != 0;
  block.state = index.state + i;
  return block;
}

// Fetches the bytes of the blocks [first, last) of one read; *base is the offset that *bytes has.
Status BlockReader::load(int64_t first, int64_t last, const uint8_t** bytes, int64_t* base,
                         int64_t* failed_block) {
  const BwlIndex& index = *request_.index;
  const int64_t file =
      static_cast<int64_t>(block_row(request_, first)) / index.n_contigs;
  int64_t end = 0;
  for (int64_t k = first; k < last; ++k) {
    const int64_t i = request_.block[k];
    end = index.offset[i] + index.n_bytes[i];
    *failed_block = k;
    if (end > index.file_bytes[file]) return fail(kPastEnd, end, index.file_bytes[file]);
  }
  *base = index.offset[request_.block[first]];
  *failed_block = first;
  uint8_t* buffer = ensure(compressed_, end - *base);
  int64_t got = 0;
  const int error =
      static_cast<FileTable*>(index.files)->read(file, *base, end - *base, buffer, &got);
  counts_.bytes_read += got;
  *bytes = buffer;
  return error == 0 ? kOk : fail(kReadFailed, error, got);
}

Status BlockReader::read(int64_t read_index, BlockItems* items, BlockFailure* failure,
                         int64_t* failed_block) {
  int64_t first = request_.read_block[read_index];
  int64_t last = request_.read_block[read_index + 1];
  while (first < last && take_cached(first, items)) ++first;
  while (first < last && take_cached(last - 1, items)) --last;
  if (first == last) return kOk;

  const double begin = seconds_now();
  const uint8_t* bytes = request_.memory;
  int64_t base = 0;
  Status status = bytes != nullptr ? kOk : load(first, last, &bytes, &base, failed_block);
  const double loaded = seconds_now();
  for (int64_t k = first; status == kOk && k < last; ++k) {
    if (k > first && k < last - 1 && take_cached(k, items)) continue;
    *failed_block = k;
    const int64_t at = request_.memory != nullptr ? request_.memory_offset[k]
                                                  : request_.index->offset[request_.block[k]] - base;
    status = decode(block_at(k, bytes + at), &items[k]);
    counts_.items += items[k].n;
  }
  counts_.reads += 1;
  counts_.seconds_read += loaded - begin;
  counts_.seconds_inflate += seconds_now() - loaded;
  *failure = failure_;
  return status;
}

// Fills the items of block k from the cache, if that has it.
bool BlockReader::take_cached(int64_t k, BlockItems* items) {
  if (cache_ == nullptr) return false;
  const KeptBlock* kept = cache_->find(request_.block[k]);
  if (kept == nullptr) return false;
  items[k] = wanted_of(*kept, request_.wanted_start[k], request_.wanted_end[k]);
  counts_.items += items[k].n;
  counts_.cached_blocks += 1;
  return true;
}

// The items of a kept block that overlap [low, high): where they stand, if they are in order.
BlockItems BlockReader::wanted_of(const KeptBlock& kept, int64_t low, int64_t high) {
  const StoredItem* const all = kept.items();
  const StoredItem* const end = all + kept.n_items;
  BlockItems wanted;
  wanted.in_order = kept.in_order != 0;
  if (wanted.in_order) {
    wanted.items = std::partition_point(all, end, [low](const StoredItem& i) { return i.end <= low; });
    wanted.n = std::partition_point(wanted.items, end,
                                    [high](const StoredItem& i) { return i.start < high; }) -
               wanted.items;
    return wanted;
  }
  StoredItem* room = arena_.reserve(kept.n_items);
  wanted.items = room;
  wanted.n = std::copy_if(all, end, room,
                          [low, high](const StoredItem& i) { return i.start < high && i.end > low; }) -
             room;
  arena_.commit(wanted.n);
  return wanted;
}

// Whether a block is to be added to the cache, and surely has room there: no item is smaller than
// 4 bytes. Near the end a little of the cache stays empty, and no block is inflated whole in vain.
bool BlockReader::may_be_added(const Block& block) const {
  if (cache_ == nullptr || request_.fill_cache == 0) return false;
  return cache_->has_room((block.buf_size == 0 ? block.n_bytes : block.capacity) / 4);
}

Status BlockReader::decode(const Block& block, BlockItems* items) {
  if (may_be_added(block)) {
    const Status status = decode_whole(block, true, items);
    // Never to be verified: what is wrong behind the last base wanted does not matter.
    if (status == kOk || request_.verify != 0) return status;
  }
  const uint8_t state = load_state(block.state);
  const bool can_stop = state != kIrregular && !block.spans && block.capacity <= kFirstRoom;
  if (request_.verify == 2 || !can_stop) return decode_whole(block, false, items);
  if (state == kInOrder) return decode_start(block, items);
  if (request_.verify == 1) return decode_whole(block, false, items);
  // Never verified, nor to be: most of it at once, since decode_start may have to begin again.
  const double span = static_cast<double>(block.end) - block.start;
  const double share = static_cast<double>(block.wanted_end - block.start) / span;
  return share < kWholeBlockShare ? decode_start(block, items) : decode_whole(block, false, items);
}

Status BlockReader::check_zlib(const Block& block) {
  failure_.status = ZlibInflater::check_header(block.bytes, block.n_bytes, failure_.detail);
  return failure_.status;
}

Status BlockReader::inflate_whole(const Block& block, const uint8_t** data, int64_t* n) {
  if (block.buf_size == 0) {
    *data = block.bytes;
    *n = block.n_bytes;
    return kOk;
  }
  Status status = check_zlib(block);
  int64_t room = std::min(block.capacity, kFirstRoom);
  while (status == kOk) {
    status = inflate_into(block, room, n);
    *data = inflated_.data();
    if (status != kTooLong || room == block.capacity) break;
    room = std::min(block.capacity, room * 4);
    status = kOk;
  }
  return status;
}

// Inflates a block of at most `room` bytes into inflated_.
Status BlockReader::inflate_into(const Block& block, int64_t room, int64_t* n) {
  uint8_t* out = ensure(inflated_, room);
  failure_.status = zlib_.inflate(block.bytes, block.n_bytes, out, room, n, failure_.detail);
  if (failure_.status == kOk) counts_.bytes_inflated += *n;
  return failure_.status;
}

Status BlockReader::decode_whole(const Block& block, bool add_to_cache, BlockItems* items) {
  // For the cache all items are kept; no base of a contig has the number UINT32_MAX.
  const int64_t low = add_to_cache ? 0 : block.wanted_start;
  const int64_t high = add_to_cache ? UINT32_MAX : block.wanted_end;
  const uint8_t* data = nullptr;
  int64_t n_bytes = 0;
  Status status = inflate_whole(block, &data, &n_bytes);
  if (status != kOk) return status;

  SectionOrder order = {true, 0};
  int64_t n_sections = 0, n_kept = 0;
  StoredItem* kept = arena_.reserve(n_bytes / 4);  // no item is smaller than 4 bytes
  for (int64_t at = 0; at < n_bytes || n_sections == 0; ++n_sections) {
    const int64_t left = n_bytes - at;
    if (n_sections > 0 && left < kSectionHeaderBytes && all_zero(data + at, left)) break;
    Section section;
    status = parse_section(data + at, left, block.swap, &section);
    if (status == kShortSection) return fail(status, kSectionHeaderBytes, left);
    if (status != kOk) return fail(status, 3, section.type);
    if (section_bytes(section) > left) return fail(kItemsPastEnd, section_bytes(section), left);
    const uint8_t* first = data + at + kSectionHeaderBytes;
    at += section_bytes(section);
    if (section.chrom_id != block.chrom_id) {
      if (block.spans) continue;
      return fail(kBadChromId, block.chrom_id, section.chrom_id);
    }
    for_items_of(section, first, block.swap, [&](const Interval& item) {
      check_order(item, &order);
      keep(item, low, high, kept, &n_kept);
    });
  }
  store_state(block.state, order.sorted && n_sections == 1 ? kInOrder : kIrregular);
  if (add_to_cache) {
    const KeptBlock* in_cache = cache_->add(block.place, kept, n_kept, order.sorted);
    if (in_cache != nullptr) {
      *items = wanted_of(*in_cache, block.wanted_start, block.wanted_end);
      return kOk;
    }
    n_kept = std::remove_if(kept, kept + n_kept, [&](const StoredItem& item) {
               return item.start >= block.wanted_end || item.end <= block.wanted_start;
             }) - kept;
  }
  arena_.commit(n_kept);
  *items = {kept, n_kept, order.sorted};
  return kOk;
}

// Whether what has been read of a block that was never verified may be taken for all that is wanted
// of it: its items are in order, and none that is wanted can be in a section behind this one.
bool BlockReader::is_in_order(const Section& section, const uint8_t* items, int64_t n_items,
                              const Block& block, int64_t high) {
  SectionOrder order = {true, 0};
  Interval item = {0, 0, 0.0f};
  for (int64_t i = 0; i < n_items; ++i) {
    item = section_item(section, items, i, block.swap);
    check_order(item, &order);
  }
  return order.sorted && n_items > 0 && item.start >= high;
}

// Inflates a block in order no further than the last wanted base.
Status BlockReader::decode_start(const Block& block, BlockItems* items) {
  const int64_t low = block.wanted_start, high = block.wanted_end;
  const bool compressed = block.buf_size != 0;
  const uint8_t* data = block.bytes;
  int64_t available = block.n_bytes;
  InflateState state;
  if (compressed) {
    const Status status = check_zlib(block);
    if (status != kOk) return status;
    inflate_begin(state, block.bytes + kZlibHeaderBytes,
                  block.n_bytes - kZlibHeaderBytes - kAdlerBytes);
    data = ensure(inflated_, block.capacity);
  }
  auto inflate_to = [&](int64_t target) -> Status {
    if (!compressed) return kOk;
    const Status status = inflate_until_host(state, zlib_.tables(), inflated_.data(), block.capacity, target);
    available = state.out_pos;
    return status == kOk ? kOk : fail(status, block.capacity, available);
  };

  Status status = inflate_to(kSectionHeaderBytes);
  if (status != kOk) return status;
  Section section;
  status = parse_section(data, available, block.swap, &section);
  if (status == kShortSection) return fail(status, kSectionHeaderBytes, available);
  if (status != kOk) return fail(status, 3, section.type);
  if (section.chrom_id != block.chrom_id) {
    return fail(kBadChromId, block.chrom_id, section.chrom_id);
  }
  const int64_t item_size = item_bytes(section.type);
  const uint8_t* first = data + kSectionHeaderBytes;
  const double span = static_cast<double>(block.end) - block.start;
  const double share = static_cast<double>(high - block.start) / span;
  int64_t goal = static_cast<int64_t>(share * static_cast<double>(section.n_items)) + 1;
  int64_t n_items;
  for (;;) {
    goal = std::min<int64_t>(std::max<int64_t>(goal, 1), section.n_items);
    status = inflate_to(kSectionHeaderBytes + goal * item_size);
    if (status != kOk) return status;
    n_items = std::min<int64_t>((available - kSectionHeaderBytes) / item_size, section.n_items);
    if (n_items < goal) return fail(kItemsPastEnd, section_bytes(section), available);
    if (n_items == section.n_items ||
        section_item(section, first, n_items - 1, block.swap).start >= high) {
      break;
    }
    goal = n_items + kStepItems;
  }
  counts_.bytes_inflated += compressed ? available : 0;
  if (load_state(block.state) == kUnverified && !is_in_order(section, first, n_items, block, high)) {
    return decode_whole(block, false, items);
  }

  // In order: the last item that starts at or before `low` is the first that can reach past it.
  const int64_t from = std::max<int64_t>(
      first_item_from(section, first, n_items, low + 1, block.swap) - 1, 0);
  StoredItem* kept = arena_.reserve(n_items - from);
  int64_t n_kept = 0;
  for (int64_t i = from; i < n_items; ++i) {
    const Interval item = section_item(section, first, i, block.swap);
    if (item.start >= high) break;
    keep(item, low, high, kept, &n_kept);
  }
  arena_.commit(n_kept);
  *items = {kept, n_kept, true};
  return kOk;
}

}  // namespace bwl
