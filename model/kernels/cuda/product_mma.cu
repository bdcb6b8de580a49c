// Dense products on tensor cores: the projections and the shared feed-forward. See product_mma.cuh for the idea.
//
// Few tiles (a canvas has 256 rows) would leave a card idle, so the depth can be split over blocks: each writes its part,
// and `product_sum` adds the parts in a fixed order. Tiles of one column of blocks follow each other, so that the weights
// they share are read from memory once. Twin: product_plain, and matmul of this crate. Not yet run on a GPU.
#include "dense.cuh"

#define DENSE(name, BM, W)                                                                                             \
    KERNEL __launch_bounds__(PRODUCT_THREADS)                                                                          \
        name(const bf16* a, uint32_t a_stride, const void* w, void* out, uint32_t out_dtype, uint32_t out_stride,      \
             uint32_t rows, uint32_t cols, uint32_t depth, uint32_t split_depth, float softcap, float* parts) {        \
        using T = Tiling<BM, 128, W>;                                                                                  \
        Dense d{a, a_stride, w, out, out_dtype, out_stride, rows, cols, depth, split_depth, softcap, parts};           \
        dense<T>(d, [](const ProductOperands& o, Sums<T>& sums, uint32_t count, auto rows_of, auto cols_of) {           \
            product<T>(o, sums, count, rows_of, cols_of);                                                              \
        });                                                                                                            \
    }

DENSE(product_32_bf16, 32, BF16)
EXPORT(product_32_bf16)
DENSE(product_32_q8, 32, Q8)
EXPORT(product_32_q8)
DENSE(product_32_q4, 32, Q4)
EXPORT(product_32_q4)
DENSE(product_128_bf16, 128, BF16)
EXPORT(product_128_bf16)
DENSE(product_128_q8, 128, Q8)
EXPORT(product_128_q8)
DENSE(product_128_q4, 128, Q4)
EXPORT(product_128_q4)

// out = cap(Σ parts), in the order of the splits.
KERNEL product_sum(const float* parts, uint32_t splits, void* out, uint32_t out_dtype, uint32_t out_stride,
                   uint32_t rows, uint32_t cols, float softcap) {
    uint64_t row = blockIdx.x;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float sum = 0.0f;
        for (uint32_t s = 0; s < splits; s++) sum += parts[(uint64_t(s) * rows + row) * cols + c];
        if (softcap > 0.0f) sum = softcap * tanhf(sum / softcap);
        store(out, out_dtype, row * out_stride + c, sum);
    }
}
EXPORT(product_sum)
