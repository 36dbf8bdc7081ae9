// Codes of BITS bits by groups, in the form of kernels/compute/quantise.py.

#include "elements.cuh"

#define PER (8 / BITS)
#define UNIT (16 * PER)
#define TOP ((1 << BITS) - 1)

// One warp a group of a row of x [pages, rows, n]; scale and low [pages, n / group, rows].
extern "C" __global__ void sides(const element *x, int rows, int n, int group, long long count,
                                 float *scale, float *low) {
  long long at = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;
  int lane = threadIdx.x % 32;
  if (at >= count) return;
  float least = INFINITE, most = -INFINITE;
  for (int i = lane; i < group; i += 32) {
    float value = wide(x[at * group + i]);
    least = fminf(least, value);
    most = fmaxf(most, value);
  }
  for (int distance = 16; distance; distance /= 2) {
    least = fminf(least, across(least, distance));
    most = fmaxf(most, across(most, distance));
  }
  int groups = n / group;
  long long row = at / groups, page = row / rows;
  long long to = (page * groups + at % groups) * rows + row % rows;
  if (lane == 0) {
    scale[to] = (most - least) / (float)TOP;
    low[to] = least;
  }
}

DEVICE long long side_of(long long row, int value, int rows, int n, int group) {
  return (row / rows * (n / group) + value / group) * rows + row % rows;
}

// One thread a byte of codes.
extern "C" __global__ void pack(const element *x, const float *scale, const float *low, int rows,
                                int n, int group, long long count, unsigned char *codes) {
  long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  long long row = at / (n / PER);
  int within = (int)(at % (n / PER)), byte = 0;
  for (int i = 0; i < PER; i++) {
    int value = within / 16 * UNIT + within % 16 + 16 * i;
    long long side = side_of(row, value, rows, n, group);
    float inverse = scale[side] > 0.0f ? 1.0f / scale[side] : 1.0f;
    float code = rintf((wide(x[row * n + value]) - low[side]) * inverse);
    byte |= (int)fminf(code, (float)TOP) << (BITS * i);
  }
  codes[at] = (unsigned char)byte;
}

// One thread a byte of codes.
extern "C" __global__ void unpack(const unsigned char *codes, const float *scale, const float *low,
                                  int rows, int n, int group, long long count, float *out) {
  long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  long long row = at / (n / PER);
  int within = (int)(at % (n / PER));
  for (int i = 0; i < PER; i++) {
    int value = within / 16 * UNIT + within % 16 + 16 * i;
    long long side = side_of(row, value, rows, n, group);
    out[row * n + value] = (codes[at] >> (BITS * i) & TOP) * scale[side] + low[side];
  }
}
