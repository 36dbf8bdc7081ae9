// Decode attention over a paged cache of BITS-bit codes (KIVI, arXiv 2402.02750), dequantised in
// registers: 4 or 2 bits, keys by channel over groups of tokens, values by token over groups of
// channels, packed as in kernels/compute/quantise.py. Work is split as in decode.cu, in slices of
// 64 tokens a warp. DIM is 64 or 128, groups are multiples of 32.
//
// A code c set into the fraction of a half is f = 1 + c / SPAN, and low + scale c is one fused
// multiply-add, f (SPAN scale) + (low - SPAN scale).
//
// One word of a row of codes (4 bits) or half a word (2 bits) holds one column of eight tiles.
// Which number stands where is free as long as both sides of a product agree: `number` says which
// of 64 neighbours is column n of tile j.

#include "attention.cuh"

#define SLICE 64
#define STAGES 2
#define SPAN (1 << BITS)
#define KEY_BYTES (SLICE * BITS / 8)
#define ROW_BYTES (DIM * BITS / 8)
#define VALUE_STEP (ROW_BYTES == 64 ? 96 : ROW_BYTES) // four rows in different banks
#define SUBS (DIM / 32)
#define VALUES_AT (DIM * KEY_BYTES)
#define KEY_SIDES_AT (VALUES_AT + SLICE * VALUE_STEP)
#define VALUE_SIDES_AT (KEY_SIDES_AT + 2 * 2 * DIM * 4)
#define STAGE_BYTES (VALUE_SIDES_AT + SUBS * 2 * SLICE * 4)

#if BITS == 4
#define UNIT 32
DEVICE int number(int n, int j) { return n / 4 * 32 + j / 4 * 16 + n % 4 * 4 + j % 4; }
DEVICE int column_of(int number) { return number / 32 * 4 + number % 16 / 4; }
DEVICE int tile_of(int number) { return number / 16 % 2 * 4 + number % 4; }
DEVICE int sub_of(int n, int j) { return n / 4; }
DEVICE unsigned load_codes(const unsigned char *row, int n) { return *(const unsigned *)(row + 4 * n); }
#else
#define UNIT 64
DEVICE int number(int n, int j) { return j / 2 * 16 + n * 2 + j % 2; }
DEVICE int column_of(int number) { return number % 16 / 2; }
DEVICE int tile_of(int number) { return number / 16 * 2 + number % 2; }
DEVICE int sub_of(int n, int j) { return j / 4; }
DEVICE unsigned load_codes(const unsigned char *row, int n) {
  return *(const unsigned short *)(row + 2 * n);
}
#endif

// Where a token's values lie, so that a warp's reads of 8 columns meet different banks.
DEVICE int place_of(int token) {
  int n = column_of(token);
  return tile_of(token) * 8 + n % 2 * 4 + n / 2;
}

// Codes of tile j of two rows as halves 1 + c / SPAN.
DEVICE unsigned fractions(unsigned first, unsigned second, int j) {
#if BITS == 4
  unsigned both = choose_bytes(first, second, j % 4 < 2 ? 0x5410 : 0x7632);
  int shift = 6 - 8 * (j % 2) - 4 * (j / 4);
  const unsigned mask = 0x03c003c0u;
#else
  unsigned both = choose_bytes(first, second, 0x5410);
  int shift = 8 - 8 * (j % 2) - 2 * (j / 2);
  const unsigned mask = 0x03000300u;
#endif
  unsigned moved = shift > 0 ? both << shift : both >> -shift;
  return (moved & mask) | 0x3c003c00u;
}

// Multiplier and addend of two numbers.
struct Sides {
  unsigned by, plus;
};

DEVICE Sides sides_of(const float *scale, const float *low, int first, int second) {
  float a = SPAN * scale[first], b = SPAN * scale[second];
  return {half_pair(a, b), half_pair(low[first] - a, low[second] - b)};
}

struct Cache {
  const unsigned char *keys, *values;
  const float *key_scale, *key_low, *value_scale, *value_low;
  const int *pages; // of this sequence
  int kv_heads, head, block, group, end;
};

// A page of this head; tokens beyond the end borrow page 0, and are not read.
DEVICE long long page_of(const Cache &cache, int token) {
  int page = token < cache.end ? cache.pages[token / cache.block] : 0;
  return (long long)page * cache.kv_heads + cache.head;
}

DEVICE void fetch_keys(const Cache &cache, int token, unsigned char *to) {
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int u = 0; u < SLICE / UNIT; u++) {
    int at = token + u * UNIT, within = at % cache.block;
    const unsigned char *from =
        cache.keys + (page_of(cache, at) * DIM * cache.block + within) * BITS / 8;
    for (int row = lane; row < DIM; row += 32)
      fetch(to + row * KEY_BYTES + u * 16, from + (long long)row * cache.block * BITS / 8,
            at < cache.end);
  }
#pragma unroll
  for (int sub = 0; sub < 2; sub++) {
    int at = token + sub * 32;
    long long groups = page_of(cache, at) * (cache.block / cache.group);
    long long from = (groups + at % cache.block / cache.group) * DIM;
    for (int i = lane; i < DIM / 2; i += 32) {
      int piece = i % (DIM / 4) * 4;
      const float *side = i < DIM / 4 ? cache.key_scale : cache.key_low;
      fetch(to + KEY_SIDES_AT + ((sub * 2 + i / (DIM / 4)) * DIM + piece) * 4, side + from + piece,
            at < cache.end);
    }
  }
}

DEVICE void fetch_values(const Cache &cache, int token, unsigned char *to) {
  int lane = threadIdx.x % 32;
  const int pieces = ROW_BYTES / 16;
  for (int i = lane; i < SLICE * pieces; i += 32) {
    int row = i / pieces, at = token + row;
    long long from = page_of(cache, at) * cache.block + at % cache.block;
    fetch(to + VALUES_AT + place_of(row) * VALUE_STEP + i % pieces * 16,
          cache.values + from * ROW_BYTES + i % pieces * 16, at < cache.end);
  }
  for (int i = lane; i < SUBS * 2 * SLICE / 4; i += 32) {
    int row = i % (SLICE / 4) * 4, sub = i / (SLICE / 4) / 2, at = token + row;
    long long groups = page_of(cache, at) * (DIM / cache.group) + sub * 32 / cache.group;
    const float *side = i / (SLICE / 4) % 2 ? cache.value_low : cache.value_scale;
    fetch(to + VALUE_SIDES_AT + (i / (SLICE / 4) * SLICE + row) * 4,
          side + groups * cache.block + at % cache.block, at < cache.end);
  }
}

DEVICE void fetch_slice(const Cache &cache, int token, unsigned char *to) {
  if (token < cache.end) {
    fetch_keys(cache, token, to);
    fetch_values(cache, token, to);
  }
  fetch_commit();
}

// Scores of 64 tokens. Slots 2t, 2t + 1, 2t + 8, 2t + 9 of a depth of 16 are channels t, t + 4,
// t + 8, t + 12: four threads then read neighbouring rows.
DEVICE void score(const unsigned char *slice, const unsigned (&q)[DEPTHS][4],
                  float (&scores)[8][4]) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  const float *sides = (const float *)(slice + KEY_SIDES_AT);
#pragma unroll
  for (int k = 0; k < DEPTHS; k++) {
    unsigned word[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
      word[i] = load_codes(slice + (k * 16 + i * 4 + t) * KEY_BYTES, g);
#pragma unroll
    for (int half = 0; half < (BITS == 4 ? 1 : 2); half++) {
      const float *side = sides + sub_of(g, half * 4) * 2 * DIM + k * 16 + t;
      Sides low = sides_of(side, side + DIM, 0, 4), high = sides_of(side, side + DIM, 8, 12);
#pragma unroll
      for (int j = half * 4; j < (BITS == 4 ? 8 : half * 4 + 4); j++)
        mma_half(scores[j], q[k], half_fma(fractions(word[0], word[1], j), low.by, low.plus),
                 half_fma(fractions(word[2], word[3], j), high.by, high.plus));
    }
  }
}

// Add weighted values: 16 tokens, those of two tiles of scores, and 64 channels at a time.
DEVICE void weigh(const unsigned char *slice, const float (&weights)[8][4], Rows &rows) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < 8; j += 2) {
    unsigned a[4] = {half_pair(weights[j][0], weights[j][1]),
                     half_pair(weights[j][2], weights[j][3]),
                     half_pair(weights[j + 1][0], weights[j + 1][1]),
                     half_pair(weights[j + 1][2], weights[j + 1][3])};
    int token[4] = {number(2 * t, j), number(2 * t + 1, j), number(2 * t, j + 1),
                    number(2 * t + 1, j + 1)};
#pragma unroll
    for (int c = 0; c < DIM / 64; c++) {
      unsigned word[4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        word[i] = load_codes(
            slice + VALUES_AT + ((j + i / 2) * 8 + i % 2 * 4 + t) * VALUE_STEP + c * KEY_BYTES, g);
#pragma unroll
      for (int half = 0; half < (BITS == 4 ? 1 : 2); half++) {
        const float *side = (const float *)(slice + VALUE_SIDES_AT) +
                            (c * 2 + sub_of(g, half * 4)) * 2 * SLICE;
        Sides low = sides_of(side, side + SLICE, token[0], token[1]);
        Sides high = sides_of(side, side + SLICE, token[2], token[3]);
#pragma unroll
        for (int i = half * 4; i < (BITS == 4 ? 8 : half * 4 + 4); i++)
          mma_half(rows.out[c * 8 + i], a,
                   half_fma(fractions(word[0], word[1], i), low.by, low.plus),
                   half_fma(fractions(word[2], word[3], i), high.by, high.plus));
      }
    }
  }
}

DEVICE void attend_slice(const unsigned char *slice, int seen, float factor,
                         const unsigned (&q)[DEPTHS][4], Rows &rows) {
  int t = threadIdx.x % 4;
  float scores[8][4] = {};
  score(slice, q, scores);
#pragma unroll
  for (int j = 0; j < 8; j++)
#pragma unroll
    for (int k = 0; k < 4; k++)
      scores[j][k] = number(2 * t + k % 2, j) < seen ? scores[j][k] * factor : -INFINITE;
  soften(scores, rows);
  weigh(slice, scores, rows);
}

// The a fragments of query rows as halves, channels in the order of `score`.
DEVICE void load_queries(const element *q, int count, unsigned (&frag)[DEPTHS][4]) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int k = 0; k < DEPTHS; k++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int row = g + i % 2 * 8, channel = k * 16 + t + i / 2 * 8;
      const element *at = q + row * DIM + channel;
      frag[k][i] = row < count ? half_pair(wide(at[0]), wide(at[4])) : 0u;
    }
}

// Grid (splits, kv_heads x ceil(group of heads / 16), batch), 128 threads.
extern "C" __global__ void __launch_bounds__(128)
attend(const element *q, const unsigned char *keys, const float *key_scale, const float *key_low,
       const unsigned char *values, const float *value_scale, const float *value_low,
       const int *table, const int *lengths, float scale, int heads, int kv_heads, int block,
       int group, int width, int chunk, float *parts, float *sides) {
  SHARED(unsigned char, room);
  int warp = threadIdx.x / 32, sequence = blockIdx.z, first = blockIdx.x * chunk;
  int head = blockIdx.y % kv_heads, row = blockIdx.y / kv_heads * 16;
  int length = lengths[sequence], end = min(first + chunk, length), count = min(16, heads - row);
  if (first >= length) return;
  long long query = ((long long)sequence * kv_heads + head) * heads + row;
  Cache cache = {keys, values, key_scale, key_low, value_scale, value_low,
                 table + (long long)sequence * width, kv_heads, head, block, group, end};
  unsigned char *own = room + warp * STAGES * STAGE_BYTES;
  unsigned frag[DEPTHS][4];
  load_queries(q + query * DIM, count, frag);
  Rows rows;
  begin(rows);
  int token = first + warp * SLICE, stage = 0;
  fetch_slice(cache, token, own);
  for (; token < end; token += WARPS * SLICE) {
    fetch_slice(cache, token + WARPS * SLICE, own + (stage ^ 1) * STAGE_BYTES);
    fetch_wait<1>();
    __syncwarp();
    attend_slice(own + stage * STAGE_BYTES, end - token, scale * LOG2E, frag, rows);
    __syncwarp();
    stage ^= 1;
  }
  finish(rows);
  fetch_wait<0>();
  __syncthreads();
  leave(rows, (float *)room + warp * WARP_FLOATS,
        [](int i, int n) { return i / 8 * 64 + number(n, i % 8); });
  __syncthreads();
  long long at = query * gridDim.x + blockIdx.x;
  merge((float *)room, count, (long long)gridDim.x * DIM, 2LL * gridDim.x, parts + at * DIM,
        sides + at * 2);
}
