// Elements as floats, alone, in pairs and in pieces of 16 bytes.

#include "primitives.cuh"

#if ELEMENT == 0
DEVICE float wide(element x) { return x; }
DEVICE element narrow(float x) { return x; }
#elif ELEMENT == 1
DEVICE float wide(element x) { return half_wide(x); }
DEVICE element narrow(float x) { return (element)half_pair(x, 0.0f); }
DEVICE unsigned pair(float low, float high) { return half_pair(low, high); }
DEVICE void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  mma_half(c, a, b0, b1);
}
#else
DEVICE float wide(element x) { return __uint_as_float((unsigned)x << 16); }
DEVICE element narrow(float x) { return (element)bfloat_pair(x, 0.0f); }
DEVICE unsigned pair(float low, float high) { return bfloat_pair(low, high); }
DEVICE void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  mma_bfloat(c, a, b0, b1);
}
#endif

#define PIECE (16 / (int)sizeof(element))

struct __align__(16) Piece {
  element at[PIECE];
};

// The sum of `x` over a thread block of 256; `room` has 8 floats.
DEVICE float block_sum(float x, float *room) {
  for (int distance = 16; distance; distance /= 2) x += across(x, distance);
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = x;
  __syncthreads();
  x = 0.0f;
  for (int i = 0; i < 8; i++) x += room[i];
  return x;
}
