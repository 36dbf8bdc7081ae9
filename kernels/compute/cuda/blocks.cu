// Representatives of KV blocks and their scores.

#include "elements.cuh"

#define LANES_OF_ROW 8

// Means over the filled tokens of keys [blocks, rows, block], eight threads a row.
extern "C" __global__ void representatives(const element *keys, const int *filled, int rows,
                                           int block, long long count, element *out) {
  long long row = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES_OF_ROW;
  int lane = threadIdx.x % LANES_OF_ROW;
  int tokens = row < count ? filled[row / rows] : 0;
  float sum = 0.0f;
  for (int i = lane; i < tokens; i += LANES_OF_ROW) sum += wide(keys[row * block + i]);
  for (int distance = LANES_OF_ROW / 2; distance; distance /= 2) sum += across(sum, distance);
  if (row < count && lane == 0) out[row] = narrow(sum / max(tokens, 1));
}

// One warp a block of a sequence and a KV head; grid (width / 8, kv_heads, batch).
extern "C" __global__ void scores(const element *q, const element *means, const int *table,
                                  const int *counts, int kv_heads, int group, int dim, int width,
                                  float *out) {
  int place = blockIdx.x * 8 + threadIdx.x / 32, head = blockIdx.y, sequence = blockIdx.z;
  int lane = threadIdx.x % 32;
  if (place >= width) return;
  float best = -INFINITE;
  if (place < counts[sequence]) {
    long long block = table[(long long)sequence * width + place];
    const element *mean = means + (block * kv_heads + head) * dim;
    for (int row = 0; row < group; row++) {
      const element *query = q + (((long long)sequence * kv_heads + head) * group + row) * dim;
      float dot = 0.0f;
      for (int i = lane; i < dim; i += 32) dot += wide(query[i]) * wide(mean[i]);
      for (int distance = 16; distance; distance /= 2) dot += across(dot, distance);
      best = fmaxf(best, dot);
    }
  }
  if (lane == 0) out[((long long)sequence * kv_heads + head) * width + place] = best;
}
