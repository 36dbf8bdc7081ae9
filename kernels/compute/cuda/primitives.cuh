// Element types and warp operations of sm_80 and later, without vendor headers.
//
// ELEMENT  0 float, 1 half, 2 bfloat16; the last two are kept as 16 bits.
// Fragments are those of mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"): with
// g = lane / 4 and t = lane % 4, a thread holds
//   a[0..3]  rows g, g + 8, g, g + 8 of columns 2t, 2t + 1, the last two 8 columns further
//   b[0..1]  rows 2t, 2t + 1 of column g, the second 8 rows further
//   c[0..3]  row g, columns 2t and 2t + 1, then row g + 8

#define DEVICE __device__ __forceinline__
#define SHARED(type, name)                                  \
  extern __shared__ __align__(128) unsigned char shared_[]; \
  type *name = (type *)shared_
#define EVERY 0xffffffffu
#define INFINITE __int_as_float(0x7f800000)

#if ELEMENT == 0
typedef float element;
#else
typedef unsigned short element;
#endif

DEVICE float half_wide(unsigned short x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
  return y;
}

DEVICE unsigned half_pair(float low, float high) {
  unsigned y;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}

DEVICE unsigned half_fma(unsigned a, unsigned b, unsigned c) {
  unsigned y;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(a), "r"(b), "r"(c));
  return y;
}

DEVICE unsigned bfloat_pair(float low, float high) {
  unsigned y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}

DEVICE float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Bytes of a (0 to 3) and b (4 to 7), chosen by the digits of `which`, lowest first.
DEVICE unsigned choose_bytes(unsigned a, unsigned b, unsigned which) {
  return __byte_perm(a, b, which);
}

DEVICE float across(float x, int distance) { return __shfl_xor_sync(EVERY, x, distance); }

DEVICE void mma_half(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

DEVICE void mma_bfloat(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

DEVICE unsigned shared_address(const void *place) {
  return (unsigned)__cvta_generic_to_shared(place);
}

// Four 8 x 8 matrices of 16 bits, transposed; lane l gives the address of row l % 8 of matrix l / 8.
DEVICE void load_transposed(unsigned (&b)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"(shared_address(row)));
}

// Start copying 16 bytes to shared memory; of zeros, if not `wanted`.
DEVICE void fetch(void *to, const void *from, bool wanted) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(from), "r"(wanted ? 16 : 0)
               : "memory");
}

DEVICE void fetch_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until no more than N groups of copies are under way.
template <int N>
DEVICE void fetch_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
