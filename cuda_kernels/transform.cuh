// Per-track transforms of finished bins, in the order scale (done on the stored values),
// clip, log1p, power, soft clip. NaN in the record means: leave the step out.
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
};

BWL_HD bool is_nan(float x) { return x != x; }

BWL_HD bool has_steps(const Transform& t) {
  return !is_nan(t.clip_low) || !is_nan(t.log1p) || !is_nan(t.power) || !is_nan(t.soft_clip);
}

BWL_HD float apply_transform(const Transform& t, float x) {
  if (!is_nan(t.clip_low) && !is_nan(x)) {
    x = x < t.clip_low ? t.clip_low : x > t.clip_high ? t.clip_high : x;
  }
  if (!is_nan(t.log1p)) x = log1pf(x);
  if (!is_nan(t.power)) x = powf(x, t.power);
  if (!is_nan(t.soft_clip) && x > t.soft_clip) x = t.soft_clip + sqrtf(x - t.soft_clip);
  return x;
}

}  // namespace bwl
