// A stand-in for kernels/compute/cuda/primitives.cuh: CUDA kernels as plain C++, run on a processor.
//
// Every thread of a block is a coroutine. One runs until it meets a barrier of its warp or block;
// when all have, they go on. Shared memory starts as NaN, and asynchronous copies land only when
// they are waited for, so that a missing wait or barrier shows.

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <tuple>
#include <utility>
#include <vector>

struct Index {
  unsigned x = 0, y = 0, z = 0;
};
struct uint4 {
  unsigned x, y, z, w;
};
struct Copy {
  void *to;
  const void *from;
  bool wanted;
};
enum Wait { NONE, WARP, BLOCK, DONE };
struct Thread {
  ucontext_t start;
  jmp_buf place;
  bool started = false;
  Index index;
  Wait wait = NONE;
  int turn = 0;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
  std::vector<char> stack = std::vector<char>(96 * 1024);
};

static std::vector<Thread> threads_;
static Thread *self_;
static jmp_buf scheduler_;
static Index block_, grid_, size_;
static std::vector<unsigned char> room_;
static uint64_t exchange_[2][1024][6];

#define threadIdx self_->index
#define blockIdx block_
#define gridDim grid_
#define blockDim size_
#define __global__
#define __launch_bounds__(n)
#define __align__(n) alignas(n)
#define DEVICE static inline
#define SHARED(type, name) type *name = (type *)(((uintptr_t)room_.data() + 127) / 128 * 128)
#define INFINITE INFINITY

static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline void sincospif(float x, float *s, float *c) {
  *s = (float)sin(M_PI * x);
  *c = (float)cos(M_PI * x);
}
static inline float __uint_as_float(unsigned x) {
  float y;
  memcpy(&y, &x, 4);
  return y;
}

static void stop(Wait wait) {
  self_->wait = wait;
  if (!_setjmp(self_->place)) _longjmp(scheduler_, 1);
}
static inline void __syncthreads() { stop(BLOCK); }
static inline void __syncwarp() { stop(WARP); }
static inline long long clock64() {
  static long long now = 0;
  return now += 1000;
}

#if ELEMENT == 0
typedef float element;
#else
typedef unsigned short element;
#endif

static inline unsigned bits_of_half(float x) {
  _Float16 half = (_Float16)x;
  unsigned short bits;
  memcpy(&bits, &half, 2);
  return bits;
}
static inline float half_wide(unsigned short x) {
  _Float16 half;
  memcpy(&half, &x, 2);
  return (float)half;
}
static inline unsigned half_pair(float low, float high) {
  return bits_of_half(low) | bits_of_half(high) << 16;
}
static inline unsigned half_fma(unsigned a, unsigned b, unsigned c) {
  auto lane = [](unsigned a, unsigned b, unsigned c) {
    return fmaf(half_wide((unsigned short)a), half_wide((unsigned short)b),
                half_wide((unsigned short)c));
  };
  return half_pair(lane(a, b, c), lane(a >> 16, b >> 16, c >> 16));
}
static inline unsigned bits_of_bfloat(float x) {
  unsigned bits;
  memcpy(&bits, &x, 4);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
static inline unsigned bfloat_pair(float low, float high) {
  return bits_of_bfloat(low) | bits_of_bfloat(high) << 16;
}
static inline float power_of_two(float x) { return exp2f(x); }
static inline unsigned choose_bytes(unsigned a, unsigned b, unsigned which) {
  uint64_t both = (uint64_t)b << 32 | a;
  unsigned y = 0;
  for (int i = 0; i < 4; i++) y |= (unsigned)(both >> 8 * (which >> 4 * i & 7) & 255) << 8 * i;
  return y;
}

// Give six words to the warp, and return those of all its lanes.
typedef uint64_t Words[6];
static const Words *shared_words(const Words &own) {
  int turn = self_->turn ^= 1;
  memcpy(exchange_[turn][threadIdx.x], own, sizeof(Words));
  stop(WARP);
  return exchange_[turn] + threadIdx.x / 32 * 32;
}
static inline float as_float(uint64_t x) { return __uint_as_float((unsigned)x); }
static inline unsigned as_bits(float x) {
  unsigned y;
  memcpy(&y, &x, 4);
  return y;
}

static inline float across(float x, int distance) {
  Words own = {as_bits(x)};
  return as_float(shared_words(own)[threadIdx.x % 32 ^ distance][0]);
}

template <typename Wide>
static void mma_of(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Wide wide) {
  Words own = {a[0], a[1], a[2], a[3], b0, b1};
  const Words *lanes = shared_words(own);
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  for (int i = 0; i < 4; i++) {
    int row = g + i / 2 * 8, column = 2 * t + i % 2;
    double sum = c[i];
    for (int k = 0; k < 16; k++) {
      uint64_t x = lanes[row % 8 * 4 + k % 8 / 2][k / 8 * 2 + row / 8];
      uint64_t y = lanes[column * 4 + k % 8 / 2][4 + k / 8];
      sum += (double)wide((unsigned short)(x >> k % 2 * 16)) * wide((unsigned short)(y >> k % 2 * 16));
    }
    c[i] = (float)sum;
  }
}
static void mma_half(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  mma_of(c, a, b0, b1, half_wide);
}
static void mma_bfloat(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  mma_of(c, a, b0, b1, [](unsigned short x) { return __uint_as_float((unsigned)x << 16); });
}

static void aligned(const void *place) {
  if ((uintptr_t)place % 16) {
    fprintf(stderr, "16 bytes at an odd address\n");
    abort();
  }
}

static void load_transposed(unsigned (&b)[4], const void *row) {
  aligned(row);
  Words own = {(uint64_t)(uintptr_t)row};
  const Words *lanes = shared_words(own);
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  for (int m = 0; m < 4; m++) {
    auto at = [&](int r) { return ((const unsigned short *)(uintptr_t)lanes[m * 8 + r][0])[g]; };
    b[m] = at(2 * t) | (unsigned)at(2 * t + 1) << 16;
  }
}

static void fetch(void *to, const void *from, bool wanted) {
  aligned(to);
  if (wanted) aligned(from);
  self_->open.push_back({to, from, wanted});
}
static void fetch_commit() {
  self_->groups.push_back(self_->open);
  self_->open.clear();
}
template <int N>
static void fetch_wait() {
  for (; self_->groups.size() > N; self_->groups.pop_front())
    for (const Copy &copy : self_->groups.front()) {
      if (copy.wanted)
        memcpy(copy.to, copy.from, 16);
      else
        memset(copy.to, 0, 16);
    }
}

// Run a thread until it stops. Contexts start it, jumps go on with it: they need no system call.
static void go_on(Thread &thread) {
  self_ = &thread;
  if (_setjmp(scheduler_)) return;
  if (thread.started) _longjmp(thread.place, 1);
  thread.started = true;
  setcontext(&thread.start);
}

// Run all threads of a block to their end.
static void run_block(void (*body)()) {
  for (size_t i = 0; i < threads_.size(); i++) {
    Thread &thread = threads_[i];
    thread.wait = NONE;
    thread.turn = 0;
    thread.started = false;
    thread.index.x = (unsigned)i;
    getcontext(&thread.start);
    thread.start.uc_stack.ss_sp = thread.stack.data();
    thread.start.uc_stack.ss_size = thread.stack.size();
    makecontext(&thread.start, body, 0);
  }
  std::fill(room_.begin(), room_.end(), 0xff);
  auto release = [](size_t first, size_t end, Wait kind) {
    bool waiting = false;
    for (size_t i = first; i < end; i++) {
      if (threads_[i].wait != kind && threads_[i].wait != DONE) return false;
      waiting |= threads_[i].wait == kind;
    }
    for (size_t i = first; i < end; i++)
      if (threads_[i].wait == kind) threads_[i].wait = NONE;
    return waiting;
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (Thread &thread : threads_)
      if (thread.wait == NONE) {
        moved = true;
        go_on(thread);
      }
    for (size_t i = 0; i < threads_.size(); i += 32) moved |= release(i, i + 32, WARP);
    moved |= release(0, threads_.size(), BLOCK);
  }
  for (const Thread &thread : threads_)
    if (thread.wait != DONE) {
      fprintf(stderr, "threads wait for each other\n");
      abort();
    }
}

template <typename... Arguments>
static void run_grid(void (*kernel)(Arguments...), void **given, const unsigned *grid,
                     unsigned size, size_t shared) {
  static std::tuple<Arguments...> arguments;
  static void (*entry)(Arguments...);
  entry = kernel;
  int i = 0;
  arguments = std::tuple<Arguments...>{*(Arguments *)given[i++]...};
  grid_ = {grid[0], grid[1], grid[2]};
  size_ = {size, 1, 1};
  threads_ = std::vector<Thread>(size);
  room_.resize(shared + 128);
  auto body = [] {
    std::apply(entry, arguments);
    stop(DONE);
  };
  for (block_.z = 0; block_.z < grid[2]; block_.z++)
    for (block_.y = 0; block_.y < grid[1]; block_.y++)
      for (block_.x = 0; block_.x < grid[0]; block_.x++) run_block(body);
}
