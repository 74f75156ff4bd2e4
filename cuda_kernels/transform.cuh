// Per-track transforms: nan_to and scale on the stored values; then clip, log1p, power and soft clip
// on the finished bins. NaN in the record means: leave the step out.
//
// Power and soft clip together are the squashing of Borzoi (Linder et al. 2025, Methods):
// x^(3/4), then c + sqrt(x - c) above c.
#pragma once
#include "common.cuh"
#ifndef __CUDACC__
#include <math.h>
#endif

namespace bwl {

struct Transform {  // laid out as bigwig_loader.plan.signal.TrackTransform.packed()
  float scale;
  float clip_low;
  float clip_high;
  float log1p;
  float power;
  float soft_clip;
  float nan_to;
};

BWL_HD bool is_nan(float x) { return x != x; }

// What counts as the value of a base that has `x` stored.
BWL_HD float stored_value(const Transform& t, float x) {
  if (is_nan(x) && !is_nan(t.nan_to)) x = t.nan_to;
  return x * t.scale;
}

// Whether there is anything left to do with finished bins.
BWL_HD bool has_steps(const Transform& t) {
  return !is_nan(t.clip_low) || !is_nan(t.log1p) || !is_nan(t.power) || !is_nan(t.soft_clip);
}

// Whether clipping is all that is left to do.
BWL_HD bool only_clips(const Transform& t) {
  return is_nan(t.log1p) && is_nan(t.power) && is_nan(t.soft_clip);
}

// NaN stays, in the value and in the limits.
BWL_HD float clip(float low, float high, float x) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

BWL_HD float apply_transform(const Transform& t, float x) {
  x = clip(t.clip_low, t.clip_high, x);
  if (!is_nan(t.log1p)) x = log1pf(x);
  if (!is_nan(t.power)) x = powf(x, t.power);
  if (!is_nan(t.soft_clip) && x > t.soft_clip) x = t.soft_clip + sqrtf(x - t.soft_clip);
  return x;
}

}  // namespace bwl
