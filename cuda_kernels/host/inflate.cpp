// The inflate decoder compiled for the host, with and without BMI2, and its C interface for tests.
#include "inflate.h"

#include "api.h"

namespace bwl {
namespace {

using InflateFunction = Status (*)(InflateState&, HostInflateTables&, uint8_t*, int64_t, int64_t);

Status inflate_plain(InflateState& s, HostInflateTables& t, uint8_t* out, int64_t capacity,
                     int64_t target) {
  return inflate_until<false>(s, t, out, capacity, target);
}

#if BWL_X86_ASM
// Shifts by a variable amount are what decoding consists of; BMI2 makes them a single operation
// that leaves the flags alone (a quarter faster). "flatten" compiles all that is called in here.
__attribute__((target("bmi,bmi2"), flatten)) Status inflate_bmi2(InflateState& s,
                                                                 HostInflateTables& t, uint8_t* out,
                                                                 int64_t capacity, int64_t target) {
  return inflate_until<true>(s, t, out, capacity, target);
}
#endif

InflateFunction choose_inflate() {
#if BWL_X86_ASM
  __builtin_cpu_init();
  if (__builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) return inflate_bmi2;
#endif
  return inflate_plain;
}

}  // namespace

Status inflate_until_host(InflateState& s, HostInflateTables& t, uint8_t* out, int64_t capacity,
                          int64_t target) {
  static const InflateFunction inflate = choose_inflate();
  return inflate(s, t, out, capacity, target);
}

}  // namespace bwl

// Inflates raw deflate data, in calls of `step` bytes each, until `target` bytes are there or the
// stream has ended (to see its end: a target above the length of its output). Returns a
// bwl::Status; `produced` receives the number of valid bytes in `out`. `step` < 0 does the same
// without BMI2.
BWL_API int32_t bwl_inflate(const uint8_t* in, int64_t n_in, uint8_t* out, int64_t capacity,
                            int64_t target, int64_t step, int64_t* produced) {
  bwl::HostInflateTables tables;
  bwl::InflateState state;
  bwl::inflate_begin(state, in, n_in);
  const bool plain = step < 0;
  if (plain) step = -step;
  bwl::Status status = bwl::kOk;
  while (status == bwl::kOk && !state.done && state.out_pos < target) {
    const int64_t left = target - state.out_pos;
    const int64_t next = state.out_pos + (step < left ? step : left);
    status = plain ? bwl::inflate_plain(state, tables, out, capacity, next)
                   : bwl::inflate_until_host(state, tables, out, capacity, next);
  }
  *produced = state.out_pos;
  return status;
}
