// Rotation, norm, activation and Hadamard transform: each value is read once and written once.

#include "elements.cuh"

// One thread a token and channel pair, for all heads: x [tokens, heads, dim].
// The angle is reduced in double, where position times speed loses nothing.
extern "C" __global__ void rotary(const element *x, const int *positions, double base, int heads,
                                  int dim, long long count, element *out) {
  long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  int half = dim / 2, i = (int)(at % half);
  long long token = at / half;
  double turns = positions[token] * exp2(-2.0 * i / dim * log2(base)) * 0.15915494309189535;
  float sin, cos;
  sincospif(2.0f * (float)(turns - rint(turns)), &sin, &cos);
  for (int head = 0; head < heads; head++) {
    long long a = (token * heads + head) * dim + i, b = a + half;
    float u = wide(x[a]), v = wide(x[b]);
    out[a] = narrow(u * cos - v * sin);
    out[b] = narrow(v * cos + u * sin);
  }
}

// One block of 256 threads a row of n.
extern "C" __global__ void rmsnorm(const element *x, const element *weight, float eps, int n,
                                   element *out) {
  SHARED(float, room);
  x += (long long)blockIdx.x * n;
  out += (long long)blockIdx.x * n;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < n; i += blockDim.x) squares += wide(x[i]) * wide(x[i]);
  float factor = rsqrtf(block_sum(squares, room) / n + eps);
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    out[i] = narrow(wide(x[i]) * factor * wide(weight[i]));
}

DEVICE element activated(element gate, element up) {
  float x = wide(gate);
  return narrow(x / (1.0f + expf(-x)) * wide(up));
}

// One thread a piece of 16 bytes; the last one takes what is left over.
extern "C" __global__ void swiglu(const element *gate, const element *up, long long count,
                                  element *out) {
  long long at = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * PIECE;
  if (at + PIECE <= count) {
    Piece g = *(const Piece *)(gate + at), u = *(const Piece *)(up + at), done;
#pragma unroll
    for (int i = 0; i < PIECE; i++) done.at[i] = activated(g.at[i], u.at[i]);
    *(Piece *)(out + at) = done;
  } else {
    for (; at < count; at++) out[at] = activated(gate[at], up[at]);
  }
}

// One block of 256 threads a row of n, a power of two, in shared memory.
extern "C" __global__ void hadamard(const element *x, int n, element *out) {
  SHARED(float, row);
  long long first = (long long)blockIdx.x * n;
  for (int i = threadIdx.x; i < n; i += blockDim.x) row[i] = wide(x[first + i]);
  for (int half = 1; half < n; half *= 2) {
    __syncthreads();
    for (int i = threadIdx.x; i < n / 2; i += blockDim.x) {
      int a = i / half * half + i, b = a + half;
      float u = row[a], v = row[b];
      row[a] = u + v;
      row[b] = u - v;
    }
  }
  __syncthreads();
  float factor = rsqrtf((float)n);
  for (int i = threadIdx.x; i < n; i += blockDim.x) out[first + i] = narrow(row[i] * factor);
}
