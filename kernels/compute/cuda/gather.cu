// Copies of whole blocks of `words` x 16 bytes; grid (blocks, pieces), 256 threads.

#include "primitives.cuh"

extern "C" __global__ void gather(const uint4 *cache, const int *ids, long long words, uint4 *out) {
  const uint4 *from = cache + ids[blockIdx.x] * words;
  uint4 *to = out + blockIdx.x * words;
  for (long long i = blockIdx.y * blockDim.x + threadIdx.x; i < words; i += gridDim.y * blockDim.x)
    to[i] = from[i];
}

extern "C" __global__ void scatter(uint4 *cache, const int *ids, long long words,
                                   const uint4 *data) {
  uint4 *to = cache + ids[blockIdx.x] * words;
  const uint4 *from = data + blockIdx.x * words;
  for (long long i = blockIdx.y * blockDim.x + threadIdx.x; i < words; i += gridDim.y * blockDim.x)
    to[i] = from[i];
}
