// Reading, copying and waiting: what memory bandwidth and short kernels are measured with.

#include "primitives.cuh"

extern "C" __global__ void read_words(const uint4 *from, long long words, unsigned *sums) {
  long long step = (long long)gridDim.x * blockDim.x;
  long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  unsigned total = 0;
#pragma unroll 4
  for (long long i = first; i < words; i += step) {
    uint4 word = from[i];
    total += word.x + word.y + word.z + word.w;
  }
  sums[first] = total;
}

extern "C" __global__ void copy_words(const uint4 *from, long long words, uint4 *to) {
  long long step = (long long)gridDim.x * blockDim.x;
#pragma unroll 4
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < words; i += step)
    to[i] = from[i];
}

// Holds its stream, so that what is queued behind it runs without gaps.
extern "C" __global__ void spin(long long cycles) {
  long long began = clock64();
  while (clock64() - began < cycles) {
  }
}
