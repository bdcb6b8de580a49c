//! Measures every kernel at the shapes of the shipped model and prints its speed:
//! `cargo run --release -p lacuna-kernels --example throughput [part of a name] [threads] [instruction set]`.
//! (0 threads is all of them; instruction sets are named as the first line of the output names the best one.)
//!
//! Each number is the best of many runs, so that a busy machine shows as little as possible.

#![allow(clippy::print_stdout, reason = "a measurement prints its results")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use lacuna_kernels::{
    AttentionArgs, Isa, PackedWeight, Precision, RopeTables, Span, WeightView, attention_in, gelu_tanh_mul,
    matmul, rms_norm, rope, row_stats_all, soft_embedding_sparse_all, softcap, softmax_rows,
};

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Bf16];

/// Runs what its filter lets through.
struct Bench {
    filter: String,
}

impl Bench {
    /// Prints the shortest time of one call over about 0.4 s of calls, and what that makes in operations and traffic
    /// (0 for not worth saying).
    fn run(&self, name: &str, (flops, bytes): (usize, usize), mut call: impl FnMut()) {
        if !name.contains(&self.filter) {
            return;
        }
        call();
        let (begin, mut best) = (Instant::now(), Duration::MAX);
        while begin.elapsed() < Duration::from_millis(400) {
            let start = Instant::now();
            call();
            best = best.min(start.elapsed());
        }
        let ns = best.as_nanos().max(1) as f64;
        print!("{name:52} {:9.1} us", ns / 1e3);
        if flops > 0 {
            print!(" {:8.1} GFLOP/s", flops as f64 / ns);
        }
        if bytes > 0 {
            print!(" {:8.1} GB/s", bytes as f64 / ns);
        }
        println!();
    }
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 2_654_435_761) % 65_536) as f32 / 32_768.0 - 1.0).collect()
}

fn products(bench: &Bench) {
    let shapes = [
        (1, 256, 256),
        (1, 256, 4096),
        (1, 2048, 2048),
        (8, 256, 640),
        (64, 256, 256),
        (64, 256, 640),
        (64, 640, 256),
        (64, 256, 4096),
        (64, 4096, 256),
        (512, 256, 384),
        (512, 256, 640),
        (64, 2048, 2048),
        (256, 2048, 2048),
    ];
    for (rows, depth, out) in shapes {
        let (x, w) = (numbers(rows * depth), numbers(depth * out));
        let mut y = vec![0.0; rows * out];
        for precision in PRECISIONS {
            let packed = PackedWeight::pack(WeightView::F32(&w), out, depth, precision);
            let bytes = if rows == 1 { packed.bytes() } else { 0 };
            let name = format!("matmul {rows}x{depth}x{out} {precision:?}");
            bench
                .run(&name, (2 * rows * depth * out, bytes), || matmul(black_box(&x), rows, &packed, &mut y));
        }
    }
}

fn attentions(bench: &Bench) {
    let (heads, kv_heads, dim) = (4, 2, 64);
    for (batch, tokens, prefix, span) in [
        (1, 64, 512, Span::Canvas { window: None }),
        (8, 64, 512, Span::Canvas { window: None }),
        (1, 64, 512, Span::Canvas { window: Some(256) }),
        (1, 512, 0, Span::Causal { window: None }),
        (1, 1, 512, Span::Causal { window: None }),
    ] {
        let (q, k) = (numbers(batch * tokens * heads * dim), numbers(batch * tokens * kv_heads * dim));
        let cached = numbers(prefix * kv_heads * dim);
        let mut out = vec![0.0; q.len()];
        let seen = match span {
            Span::Canvas { window } => tokens + window.map_or(prefix, |w| w - 1),
            Span::Causal { .. } => prefix + tokens.div_ceil(2),
        };
        for precision in PRECISIONS {
            let args = AttentionArgs {
                q: &q,
                k: &k,
                v: &k,
                tokens,
                prefix_k: &cached,
                prefix_v: &cached,
                panels: None,
                batch,
                heads,
                kv_heads,
                dim,
                scale: 1.0,
                span,
            };
            let name = format!("attention {batch}x{tokens}+{prefix} {span:?} {precision:?}");
            bench.run(&name, (4 * q.len() * seen, 0), || attention_in(black_box(args), precision, &mut out));
        }
    }
}

fn rows(bench: &Bench) {
    let (rows, hidden, width, vocabulary) = (64, 256, 640, 4096);
    let (x, w) = (numbers(rows * hidden), numbers(hidden));
    let mut out = vec![0.0; x.len()];
    bench.run("rms_norm 64x256", (0, 8 * x.len()), || {
        rms_norm(black_box(&x), Some(&w), 1e-6, hidden, &mut out)
    });
    let (cos, sin) = (numbers(rows * 32), numbers(rows * 32));
    let tables = RopeTables { cos: &cos, sin: &sin, pairs: 32 };
    bench.run("rope 64x4x64", (0, 8 * x.len()), || rope(black_box(&mut out), tables, 4, 64));
    let (gate, mut y) = (numbers(rows * width), vec![0.0; rows * width]);
    bench.run("gelu_tanh_mul 64x640", (0, 12 * y.len()), || gelu_tanh_mul(black_box(&gate), &gate, &mut y));
    let logits = numbers(rows * vocabulary);
    let mut p = logits.clone();
    let traffic = (0, 8 * p.len());
    bench.run("softcap 64x4096", traffic, || softcap(black_box(&mut p), 30.0));
    p.copy_from_slice(&logits);
    bench.run("softmax_rows 64x4096", traffic, || softmax_rows(black_box(&mut p), vocabulary, 0.6));
    bench.run("row_stats_all 64x4096", (0, 4 * p.len()), || {
        black_box(row_stats_all(black_box(&logits), vocabulary, 0.6));
    });
    let e = numbers(vocabulary * hidden);
    let peaked: Vec<f32> = logits.iter().map(|x| x * 30.0).collect();
    bench.run("soft_embedding_sparse_all 64x4096x256", (0, 0), || {
        soft_embedding_sparse_all(black_box(&peaked), vocabulary, 0.6, WeightView::F32(&e), &mut out);
    });
}

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let threads = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(0);
    let bench = Bench { filter };
    let wanted = std::env::args().nth(3);
    let isa = Isa::supported()
        .into_iter()
        .rev()
        .find(|isa| wanted.as_deref().is_none_or(|name| name == isa.name()));
    let isa = isa.unwrap_or(Isa::Portable);
    let work = || {
        println!("{}, {} threads", isa.name(), rayon::current_num_threads());
        isa.with(|| {
            products(&bench);
            attentions(&bench);
            rows(&bench);
        });
    };
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(work),
        Err(error) => println!("no pool: {error}"),
    }
}
