// Dense bf16 products by Hopper's warpgroups. The twin of product_128_bf16, launched instead of it on compute capability 9.0
// where LACUNA_WGMMA=1 asks for it: it has not yet run on a GPU (the emulator follows its descriptors, not its asynchrony).
#include "dense.cuh"
#include "wgmma.cuh"

KERNEL __launch_bounds__(PRODUCT_THREADS, 2)
    product_wgmma(const bf16* a, uint32_t a_stride, const void* w, void* out, uint32_t out_dtype, uint32_t out_stride,
                  uint32_t rows, uint32_t cols, uint32_t depth, uint32_t split_depth, float softcap, float* parts) {
    using T = WgmmaTiling;
    Dense d{a, a_stride, w, out, out_dtype, out_stride, rows, cols, depth, split_depth, softcap, parts};
    dense<T>(d, [](const ProductOperands& o, Sums<T>& sums, uint32_t, auto rows_of, auto cols_of) {
        product_by_warpgroups(o, sums, rows_of, cols_of);
    });
}
EXPORT(product_wgmma)
