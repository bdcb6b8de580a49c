//! Our CPU kernels beside candle's on the shapes of a denoising step: why the CPU path does not run on candle tensors.
//!
//! `cargo bench -p lacuna-benches --bench candle`
#![allow(clippy::expect_used, missing_docs, reason = "a bench fails loudly")]

use candle_core::{DType, Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lacuna_kernels::{PackedWeight, Precision, WeightView, matmul};

/// (rows, in, out): a projection, the dense gate and up, the head of the shipped model; a layer of a larger one.
const SHAPES: &[(usize, usize, usize)] =
    &[(64, 256, 256), (64, 256, 768), (64, 256, 4096), (256, 2048, 2048)];

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0).collect()
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matmul");
    for &(rows, depth, out) in SHAPES {
        let (x, w) = (values(rows * depth), values(out * depth));
        let shape = format!("{rows}x{depth}x{out}");
        group.throughput(Throughput::Elements((2 * rows * depth * out) as u64)); // floating-point operations
        for precision in [Precision::F32, Precision::Bf16] {
            let packed = PackedWeight::pack(WeightView::F32(&w), out, depth, precision);
            let mut y = vec![0.0; rows * out];
            group.bench_function(BenchmarkId::new(format!("ours {precision:?}"), &shape), |bencher| {
                bencher.iter(|| matmul(&x, rows, &packed, &mut y));
            });
            let dtype = if precision == Precision::F32 { DType::F32 } else { DType::BF16 };
            let tensor = |data: &[f32], dims: (usize, usize)| {
                Tensor::from_slice(data, dims, &Device::Cpu)
                    .and_then(|t| t.to_dtype(dtype))
                    .expect("a CPU tensor")
            };
            let (x, w) = (tensor(&x, (rows, depth)), tensor(&w, (out, depth)).t().expect("two dimensions"));
            group.bench_function(BenchmarkId::new(format!("candle {precision:?}"), &shape), |bencher| {
                bencher.iter(|| x.matmul(&w).expect("the shapes fit"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, products);
criterion_main!(benches);
