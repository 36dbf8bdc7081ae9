// Prefill attention over a paged cache of 16-bit elements: chunks of queries, causal, over past KV.
//
// FlashAttention-2's schedule (Dao, arXiv 2307.08691): a block of four warps holds 64 queries of one
// head, 16 a warp, and meets tiles of 64 tokens, the next tile on its way meanwhile. DIM is a
// multiple of 16 up to 128.

#include "attention.cuh"

#define WIDE 64
#define KEY_STEP (WIDE + 8) // so that eight rows lie in different banks
#define VALUE_STEP (DIM + 8)
#define STAGE_ELEMENTS (DIM * KEY_STEP + WIDE * VALUE_STEP)

struct Cache {
  const element *keys, *values;
  const int *pages; // of this sequence
  int kv_heads, head, block, end;
};

// Copy 64 tokens by all threads: keys [DIM][KEY_STEP], values [64][VALUE_STEP], zero beyond the end.
DEVICE void fetch_tile(const Cache &cache, int token, element *to) {
  for (int i = threadIdx.x; i < DIM * WIDE / 8; i += blockDim.x) {
    int row = i / (WIDE / 8), piece = i % (WIDE / 8) * 8, at = token + piece;
    bool wanted = at < cache.end;
    long long page = wanted ? cache.pages[at / cache.block] : 0;
    long long line = (page * cache.kv_heads + cache.head) * DIM + row;
    fetch(to + row * KEY_STEP + piece, cache.keys + line * cache.block + at % cache.block, wanted);
  }
  for (int i = threadIdx.x; i < WIDE * TILES; i += blockDim.x) {
    int row = i / TILES, piece = i % TILES * 8, at = token + row;
    bool wanted = at < cache.end;
    long long page = wanted ? cache.pages[at / cache.block] : 0;
    long long line = (page * cache.kv_heads + cache.head) * cache.block + at % cache.block;
    fetch(to + DIM * KEY_STEP + row * VALUE_STEP + piece, cache.values + line * DIM + piece, wanted);
  }
}

// Attend a warp's 16 queries to a tile; row r sees `seen` + r of its tokens.
DEVICE void attend_tile(const element *tile, int seen, float factor,
                        const unsigned (&q)[DEPTHS][4], Rows &rows) {
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int row = lane % 8 + lane / 8 % 2 * 8, piece = lane / 16 * 8;
  float scores[8][4] = {};
  unsigned b[4];
#pragma unroll
  for (int k = 0; k < DEPTHS; k++)
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
      load_transposed(b, tile + (k * 16 + row) * KEY_STEP + j * 8 + piece);
      mma(scores[j], q[k], b[0], b[1]);
      mma(scores[j + 1], q[k], b[2], b[3]);
    }
#pragma unroll
  for (int j = 0; j < 8; j++)
#pragma unroll
    for (int k = 0; k < 4; k++)
      scores[j][k] =
          j * 8 + 2 * t + k % 2 < seen + g + k / 2 * 8 ? scores[j][k] * factor : -INFINITE;
  soften(scores, rows);
  const element *values = tile + DIM * KEY_STEP + row * VALUE_STEP + piece;
#pragma unroll
  for (int j = 0; j < 8; j += 2) {
    unsigned a[4] = {pair(scores[j][0], scores[j][1]), pair(scores[j][2], scores[j][3]),
                     pair(scores[j + 1][0], scores[j + 1][1]),
                     pair(scores[j + 1][2], scores[j + 1][3])};
#pragma unroll
    for (int i = 0; i < DEPTHS; i++) {
      load_transposed(b, values + j * 8 * VALUE_STEP + i * 16);
      mma(rows.out[2 * i], a, b[0], b[1]);
      mma(rows.out[2 * i + 1], a, b[2], b[3]);
    }
  }
}

// q [tokens, heads, DIM]: the a fragments of rows `first` on of one head, zero from `end` on.
DEVICE void load_queries(const element *q, int heads, int head, int first, int end,
                         unsigned (&frag)[DEPTHS][4]) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int k = 0; k < DEPTHS; k++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int row = first + g + i % 2 * 8, column = k * 16 + 2 * t + i / 2 * 8;
      frag[k][i] = row < end
                       ? *(const unsigned *)(q + ((long long)row * heads + head) * DIM + column)
                       : 0u;
    }
}

DEVICE void write_rows(const Rows &rows, int heads, int head, int first, int end, element *out,
                       float *lse) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    int row = first + g + 8 * h;
    if (row >= end) continue;
    long long at = (long long)row * heads + head;
    float whole = 1.0f / rows.sum[h];
#pragma unroll
    for (int i = 0; i < TILES; i++)
      *(unsigned *)(out + at * DIM + i * 8 + 2 * t) =
          pair(rows.out[i][2 * h] * whole, rows.out[i][2 * h + 1] * whole);
    if (t == 0) lse[at] = (rows.peak[h] + log2f(rows.sum[h])) * 0.6931471805599453f;
  }
}

// Grid (heads, tasks), 128 threads; tasks [n, 3]: sequence, first and end query.
extern "C" __global__ void __launch_bounds__(128)
attend(const element *q, const element *keys, const element *values, const int *table,
       const int *starts, const int *lengths, const int *tasks, float scale, int kv_heads,
       int block, int width, element *out, float *lse) {
  SHARED(element, room);
  const int *task = tasks + blockIdx.y * 3;
  int heads = gridDim.x, head = blockIdx.x, sequence = task[0], end = task[2];
  int first = task[1] + threadIdx.x / 32 * 16;
  int unseen = starts[sequence + 1] - lengths[sequence]; // query row r sees r + 1 - unseen tokens
  int reach = end - unseen;
  Cache cache = {keys, values, table + (long long)sequence * width, kv_heads,
                 head / (heads / kv_heads), block, reach};
  unsigned frag[DEPTHS][4];
  load_queries(q, heads, head, first, end, frag);
  Rows rows;
  begin(rows);
  fetch_tile(cache, 0, room);
  fetch_commit();
  for (int token = 0, stage = 0; token < reach; token += WIDE, stage ^= 1) {
    if (token + WIDE < reach)
      fetch_tile(cache, token + WIDE, room + (stage ^ 1) * STAGE_ELEMENTS);
    fetch_commit();
    fetch_wait<1>();
    __syncthreads();
    attend_tile(room + stage * STAGE_ELEMENTS, first + 1 - unseen - token, scale * LOG2E, frag,
                rows);
    __syncthreads();
  }
  finish(rows);
  write_rows(rows, heads, head, first, end, out, lse);
}
