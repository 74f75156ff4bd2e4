// Barriers of a block and collectives of a warp: who waits, who may go on, what each is given.
#pragma once
#include "state.h"

namespace emu {
namespace {

// ------------------------------------------------------------------------------------ barriers --

void release_barrier() {
  const Thread* first = nullptr;
  unsigned count = 0;
  for (unsigned i = 0; i < n_threads; ++i) {
    Thread& thread = threads[i];
    if (thread.state != kAtBarrier) continue;
    if (first == nullptr) first = &thread;
    if (thread.place.line != first->place.line || thread.kind != first->kind) {
      char what[256];
      snprintf(
          what, sizeof what, "waits at another barrier than thread (%u, %u, %u), which is at %s:%d",
          first->index.x, first->index.y, first->index.z, first->place.file, first->place.line);
      return set_failure(&thread, what, thread.place);
    }
    count += thread.value != 0;
  }
  const unsigned value = first->kind == kCount ? count
                         : first->kind == kAnd ? count == n_at_barrier
                                               : count != 0;
  n_at_barrier = 0;
  for (unsigned i = 0; i < n_threads; ++i) {
    if (threads[i].state != kAtBarrier) continue;
    threads[i].state = kReady;
    threads[i].result = value;
    warps[i / kWarp].ready |= 1u << i % kWarp;
  }
}

void report_deadlock() {
  char what[768];
  int n = snprintf(what, sizeof what, "deadlock, %u threads wait for ever", n_alive);
  int shown = 0;
  for (unsigned i = 0; i < n_threads && shown < 6; ++i) {
    const Thread& thread = threads[i];
    if (thread.state != kAtBarrier && thread.state != kAtCollective) continue;
    // One thread of each kind of waiting says enough.
    const bool as_before = i > 0 && threads[i - 1].state == thread.state &&
                           threads[i - 1].mask == thread.mask &&
                           threads[i - 1].place.line == thread.place.line;
    if (as_before) continue;
    n += snprintf(what + n, sizeof what - n, "; thread (%u, %u, %u) at %s:%d in %s", thread.index.x,
                  thread.index.y, thread.index.z, thread.place.file, thread.place.line,
                  thread.state == kAtBarrier ? "__syncthreads" : "a warp collective");
    if (thread.state == kAtCollective) {
      n += snprintf(what + n, sizeof what - n, " with mask %#x", thread.mask);
    }
    ++shown;
  }
  set_failure(nullptr, what, {nullptr, 0});
}

// --------------------------------------------------------------------------------- collectives --

const char* const kNames[] = {
    "__syncwarp",        "__shfl_sync",       "__shfl_up_sync",    "__shfl_down_sync",
    "__shfl_xor_sync",   "__ballot_sync",     "__match_any_sync",  "__match_all_sync",
    "__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync", "__reduce_min_sync",
    "__reduce_max_sync", "__reduce_and_sync", "__reduce_or_sync",  "__reduce_xor_sync"};

void fail_lanes(const char* problem, unsigned lanes) {
  char what[256];
  snprintf(what, sizeof what, "%s (mask %#x) %s %#x", kNames[running->kind], running->mask, problem,
           lanes);
  fail(what, running->place);
}

// The lane a shuffle reads from; its own where the source is out of its part of the warp.
unsigned source_lane(const Thread& thread, unsigned lane) {
  const unsigned by = static_cast<unsigned>(thread.aux), width = thread.aux >> 32;
  const unsigned part = lane & ~(width - 1);
  switch (thread.kind) {
    case kShuffle:
      return part | (by & (width - 1));
    case kShuffleUp:
      return lane - part >= by ? lane - by : lane;
    case kShuffleDown:
      return lane - part + by < width ? lane + by : lane;
    default: {
      const unsigned source = lane ^ by;  // into an earlier part: allowed; into a later one: not
      return source < part + width ? source : lane;
    }
  }
}

unsigned long long reduced(const Thread* lanes, unsigned mask, int kind) {
  unsigned long long result = lanes[__builtin_ctz(mask)].value;
  for (unsigned rest = mask & (mask - 1); rest != 0; rest &= rest - 1) {
    const unsigned long long value = lanes[__builtin_ctz(rest)].value;
    const auto a = static_cast<int32_t>(result), b = static_cast<int32_t>(value);
    switch (kind) {
      case kReduceAdd:
        result = static_cast<uint32_t>(result + value);
        break;
      case kReduceMin:
        result = value < result ? value : result;
        break;
      case kReduceMax:
        result = value > result ? value : result;
        break;
      case kReduceMinSigned:
        result = b < a ? value : result;
        break;
      case kReduceMaxSigned:
        result = b > a ? value : result;
        break;
      case kReduceAnd:
        result &= value;
        break;
      case kReduceOr:
        result |= value;
        break;
      default:
        result ^= value;
    }
  }
  return result;
}

void complete_shuffle(Thread* lanes, unsigned mask) {
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const unsigned lane = __builtin_ctz(rest), source = source_lane(lanes[lane], lane);
    const unsigned width = lanes[lane].aux >> 32;
    if (width == 0 || width > kWarp || (width & (width - 1)) != 0)
      fail_lanes("has a bad width", width);
    if ((mask >> source & 1) == 0)
      fail_lanes("reads from a lane that takes no part: lanes", 1u << source);
    lanes[lane].result = lanes[source].value;
  }
}

void complete_match(Thread* lanes, unsigned mask, bool all) {
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const unsigned long long value = lanes[__builtin_ctz(rest)].value;
    unsigned same = 0;
    for (unsigned other = mask; other != 0; other &= other - 1) {
      const unsigned lane = __builtin_ctz(other);
      if (lanes[lane].value == value) same |= 1u << lane;
    }
    lanes[__builtin_ctz(rest)].result = all && same != mask ? 0 : same;
  }
}

void complete(Thread* lanes, unsigned mask, int kind) {
  if (kind >= kShuffle && kind <= kShuffleXor) return complete_shuffle(lanes, mask);
  if (kind == kMatchAny || kind == kMatchAll) return complete_match(lanes, mask, kind == kMatchAll);
  unsigned long long result = 0;
  if (kind == kBallot) {
    for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
      const unsigned lane = __builtin_ctz(rest);
      result |= (lanes[lane].value != 0 ? 1ull : 0ull) << lane;
    }
  } else if (kind != kSyncWarp) {
    result = reduced(lanes, mask, kind);
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1)
    lanes[__builtin_ctz(rest)].result = result;
}

}  // namespace

// ----------------------------------------------------------------------- called by device code --

unsigned barrier(Barrier kind, int predicate, Place place) {
  Thread& self = *running;
  self.state = kAtBarrier;
  self.kind = kind;
  self.place = place;
  self.value = predicate != 0;
  ++n_at_barrier;
  wait();
  return static_cast<unsigned>(self.result);
}

unsigned long long collective(Collective kind, unsigned mask, unsigned long long value,
                              unsigned long long aux, Place place) {
  Thread& self = *running;
  const unsigned i = index_of(&self), bit = 1u << i % kWarp;
  Warp& warp = warps[i / kWarp];
  self.kind = kind;
  self.mask = mask;
  self.place = place;
  self.value = value;
  self.aux = aux;
  if ((mask & bit) == 0) fail_lanes("does not name the lane that calls it: lanes", bit);
  if ((mask & ~warp.all) != 0) fail_lanes("names lanes past the block: lanes", mask & ~warp.all);
  if ((mask & warp.exited) != 0)
    fail_lanes("names lanes that have ended: lanes", mask & warp.exited);
  self.state = kAtCollective;
  warp.waiting |= bit;
  Thread* lanes = threads + i / kWarp * kWarp;
  bool all = (warp.waiting & mask) == mask;
  for (unsigned rest = all ? mask : 0; rest != 0; rest &= rest - 1) {
    const Thread& other = lanes[__builtin_ctz(rest)];
    if (other.mask != mask || other.kind != kind) all = false;
  }
  if (all) {
    complete(lanes, mask, kind);
    warp.waiting &= ~mask;
    warp.ready |= mask;
  }
  wait();
  return self.result;
}

}  // namespace emu
