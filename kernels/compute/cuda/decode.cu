// Decode attention over a paged cache of 16-bit elements: one query a sequence.
//
// A block of four warps takes one piece of a sequence for up to 16 query heads of one KV head. A
// warp works alone on slices of 16 tokens, every fourth, with STAGES slices on their way from
// memory; the query rows are the rows of the tensor cores' tiles. Softmax: FlashDecoding (Dao et
// al. 2023). DIM is a multiple of 16 up to 128.

#include "attention.cuh"

#define SLICE 16
#define STAGES 3
#define VALUE_STEP (DIM + 8) // so that eight rows lie in different banks
#define STAGE_ELEMENTS (DIM * SLICE + SLICE * VALUE_STEP)

struct Cache {
  const element *keys, *values;
  const int *pages; // of this sequence
  int kv_heads, head, block, end;
};

// Copy a slice: keys [DIM][16] with the halves of rows 4 to 7 of each eight swapped, against bank
// conflicts; values [16][VALUE_STEP]. Values beyond the end are zero, since 0 x NaN is NaN.
DEVICE void fetch_slice(const Cache &cache, int token, element *to) {
  int lane = threadIdx.x % 32;
  if (token < cache.end) {
    long long page = (long long)cache.pages[token / cache.block] * cache.kv_heads + cache.head;
    int within = token % cache.block;
    const element *keys = cache.keys + page * DIM * cache.block + within;
    const element *values = cache.values + (page * cache.block + within) * DIM;
#pragma unroll
    for (int i = lane; i < DIM * 2; i += 32) {
      int row = i / 2, piece = i % 2;
      fetch(to + row * SLICE + (piece ^ row / 4 % 2) * 8,
            keys + (long long)row * cache.block + piece * 8, true);
    }
    for (int i = lane; i < SLICE * TILES; i += 32) {
      int row = i / TILES, piece = i % TILES;
      fetch(to + DIM * SLICE + row * VALUE_STEP + piece * 8, values + row * DIM + piece * 8,
            token + row < cache.end);
    }
  }
  fetch_commit();
}

DEVICE void attend_slice(const element *slice, int seen, float factor,
                         const unsigned (&q)[DEPTHS][4], Rows &rows) {
  int lane = threadIdx.x % 32, t = lane % 4;
  int row = lane % 8 + lane / 8 % 2 * 8, piece = lane / 16;
  float scores[2][4] = {};
  unsigned b[4];
#pragma unroll
  for (int k = 0; k < DEPTHS; k++) {
    load_transposed(b, slice + (k * 16 + row) * SLICE + (piece ^ row / 4 % 2) * 8);
    mma(scores[0], q[k], b[0], b[1]);
    mma(scores[1], q[k], b[2], b[3]);
  }
#pragma unroll
  for (int j = 0; j < 2; j++)
#pragma unroll
    for (int k = 0; k < 4; k++)
      scores[j][k] = j * 8 + 2 * t + k % 2 < seen ? scores[j][k] * factor : -INFINITE;
  soften(scores, rows);
  unsigned a[4] = {pair(scores[0][0], scores[0][1]), pair(scores[0][2], scores[0][3]),
                   pair(scores[1][0], scores[1][1]), pair(scores[1][2], scores[1][3])};
  const element *values = slice + DIM * SLICE + row * VALUE_STEP + piece * 8;
#pragma unroll
  for (int i = 0; i < DEPTHS; i++) {
    load_transposed(b, values + i * 16);
    mma(rows.out[2 * i], a, b[0], b[1]);
    mma(rows.out[2 * i + 1], a, b[2], b[3]);
  }
}

// The a fragments of query rows; rows from `count` on are zero.
DEVICE void load_queries(const element *q, int count, unsigned (&frag)[DEPTHS][4]) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int k = 0; k < DEPTHS; k++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int row = g + i % 2 * 8, column = k * 16 + 2 * t + i / 2 * 8;
      frag[k][i] = row < count ? *(const unsigned *)(q + row * DIM + column) : 0u;
    }
}

// Grid (splits, kv_heads x ceil(group / 16), batch), 128 threads.
extern "C" __global__ void __launch_bounds__(128)
attend(const element *q, const element *keys, const element *values, const int *table,
       const int *lengths, float scale, int group, int kv_heads, int block, int width, int chunk,
       float *parts, float *sides) {
  SHARED(element, room);
  int warp = threadIdx.x / 32, sequence = blockIdx.z, first = blockIdx.x * chunk;
  int head = blockIdx.y % kv_heads, row = blockIdx.y / kv_heads * 16;
  int length = lengths[sequence], end = min(first + chunk, length), count = min(16, group - row);
  if (first >= length) return;
  long long query = ((long long)sequence * kv_heads + head) * group + row;
  Cache cache = {keys, values, table + (long long)sequence * width, kv_heads, head, block, end};
  element *own = room + warp * STAGES * STAGE_ELEMENTS;
  unsigned frag[DEPTHS][4];
  load_queries(q + query * DIM, count, frag);
  Rows rows;
  begin(rows);
  int token = first + warp * SLICE, ahead = token, stage = 0;
  for (; ahead < token + (STAGES - 1) * WARPS * SLICE; ahead += WARPS * SLICE)
    fetch_slice(cache, ahead, own + (ahead - token) / (WARPS * SLICE) * STAGE_ELEMENTS);
  for (; token < end; token += WARPS * SLICE, ahead += WARPS * SLICE) {
    fetch_slice(cache, ahead, own + (stage + STAGES - 1) % STAGES * STAGE_ELEMENTS);
    fetch_wait<STAGES - 1>();
    __syncwarp();
    attend_slice(own + stage * STAGE_ELEMENTS, end - token, scale * LOG2E, frag, rows);
    __syncwarp();
    stage = (stage + 1) % STAGES;
  }
  finish(rows);
  fetch_wait<0>();
  __syncthreads();
  leave(rows, (float *)room + warp * WARP_FLOATS, [](int i, int column) { return i * 8 + column; });
  __syncthreads();
  long long at = query * gridDim.x + blockIdx.x;
  merge((float *)room, count, (long long)gridDim.x * DIM, 2LL * gridDim.x, parts + at * DIM,
        sides + at * 2);
}
