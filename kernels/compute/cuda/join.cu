// Join the pieces of each sequence, each weighed by its share of the sum of weights.

#include "elements.cuh"

// parts [batch, heads, splits, dim], sides [batch, heads, splits, 2] (largest score, sum of
// weights, base 2); grid (heads, batch), one thread a channel.
extern "C" __global__ void join(const float *parts, const float *sides, const int *lengths,
                                int chunk, int splits, element *out, float *lse) {
  int dim = blockDim.x, channel = threadIdx.x;
  long long row = (long long)blockIdx.y * gridDim.x + blockIdx.x;
  int count = (lengths[blockIdx.y] + chunk - 1) / chunk;
  const float *side = sides + row * splits * 2;
  float best = -1e30f, sum = 0.0f, total = 0.0f;
  for (int i = 0; i < count; i++) best = fmaxf(best, side[2 * i]);
  for (int i = 0; i < count; i++) {
    float share = power_of_two(side[2 * i] - best);
    sum += share * side[2 * i + 1];
    total += share * parts[(row * splits + i) * dim + channel];
  }
  out[row * dim + channel] = narrow(total / sum);
  if (channel == 0) lse[row] = (best + log2f(sum)) * 0.6931471805599453f;
}
