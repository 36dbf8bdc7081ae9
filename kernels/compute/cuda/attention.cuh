// What all attention kernels share: a warp's 16 query rows under an online softmax in base 2.

#include "elements.cuh"

#define WARPS 4
#define DEPTHS (DIM / 16)
#define TILES (DIM / 8)
#define LOG2E 1.4426950408889634f
#define LOWEST -1e30f

// Sums of a warp: c fragments of its outputs, and for rows g and g + 8 the largest score and the
// thread's own part of the sum of weights.
struct Rows {
  float out[TILES][4];
  float peak[2], sum[2];
};

DEVICE void begin(Rows &rows) {
#pragma unroll
  for (int i = 0; i < TILES; i++)
    for (int j = 0; j < 4; j++) rows.out[i][j] = 0.0f;
  rows.peak[0] = rows.peak[1] = LOWEST;
  rows.sum[0] = rows.sum[1] = 0.0f;
}

// Turn scores into weights, masked ones being -inf, and scale down what was summed before.
template <int N>
DEVICE void soften(float (&scores)[N][4], Rows &rows) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float best = rows.peak[h];
#pragma unroll
    for (int j = 0; j < N; j++) best = fmaxf(best, fmaxf(scores[j][2 * h], scores[j][2 * h + 1]));
    best = fmaxf(best, across(best, 1));
    best = fmaxf(best, across(best, 2));
    float shrink = power_of_two(rows.peak[h] - best), sum = 0.0f;
    rows.peak[h] = best;
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
      for (int k = 2 * h; k < 2 * h + 2; k++) {
        scores[j][k] = power_of_two(scores[j][k] - best);
        sum += scores[j][k];
      }
    rows.sum[h] = rows.sum[h] * shrink + sum;
#pragma unroll
    for (int i = 0; i < TILES; i++) {
      rows.out[i][2 * h] *= shrink;
      rows.out[i][2 * h + 1] *= shrink;
    }
  }
}

// Finish the sums of weights, of which each thread of four has a part.
DEVICE void finish(Rows &rows) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    rows.sum[h] += across(rows.sum[h], 1);
    rows.sum[h] += across(rows.sum[h], 2);
  }
}

// Write a warp's sums to shared memory: 16 x DIM floats, then 16 peaks and 16 sums.
// `channel(tile, column)` says which channel a column of a tile is.
#define WARP_FLOATS (16 * DIM + 32)

template <typename Channel>
DEVICE void leave(const Rows &rows, float *room, Channel channel) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    int row = g + 8 * h;
#pragma unroll
    for (int i = 0; i < TILES; i++) {
      room[row * DIM + channel(i, 2 * t)] = rows.out[i][2 * h];
      room[row * DIM + channel(i, 2 * t + 1)] = rows.out[i][2 * h + 1];
    }
    if (t == 0) {
      room[16 * DIM + row] = rows.peak[h];
      room[16 * DIM + 16 + row] = rows.sum[h];
    }
  }
}

// Merge what the warps of a block left, and write the `count` first rows:
// parts[row * row_step + channel], and peak and sum of weights at sides[row * side_step].
DEVICE void merge(const float *room, int count, long long row_step, long long side_step,
                  float *parts, float *sides) {
  for (int i = threadIdx.x; i < count * DIM; i += blockDim.x) {
    int row = i / DIM, channel = i % DIM;
    float best = LOWEST, sum = 0.0f, out = 0.0f;
    for (int w = 0; w < WARPS; w++)
      best = fmaxf(best, room[w * WARP_FLOATS + 16 * DIM + row]);
    for (int w = 0; w < WARPS; w++) {
      const float *warp = room + w * WARP_FLOATS;
      float share = power_of_two(warp[16 * DIM + row] - best);
      sum += share * warp[16 * DIM + 16 + row];
      out += share * warp[row * DIM + channel];
    }
    parts[row * row_step + channel] = out;
    if (channel == 0) {
      sides[row * side_step] = best;
      sides[row * side_step + 1] = sum;
    }
  }
}
