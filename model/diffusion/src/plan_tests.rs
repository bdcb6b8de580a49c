//! Memory plans of the 26B model, held against the sizes that its files have in the wild.

use super::*;
use crate::shape::Shape;

const GB: f64 = 1e9;

fn load(format: WeightFormat) -> Load {
    Load { format, batch: 1, canvas: 256 }
}

fn plan(format: WeightFormat, context: usize) -> MemoryPlan {
    MemoryPlan::new(&Shape::Full26b.config().unwrap(), load(format), context)
}

#[test]
fn weights_are_as_large_as_the_files_in_the_wild() {
    // 25.2 B parameters in the language model: bf16 50.5 GB (GGUF BF16: 47 GiB), Q8_0 25 GiB, 4.5 bits 14.2 GB.
    let gigabytes = |format| plan(format, 1).weight_bytes as f64 / GB;
    assert!((50.0..51.0).contains(&gigabytes(WeightFormat::Bf16)), "{}", gigabytes(WeightFormat::Bf16));
    assert!((26.5..27.2).contains(&gigabytes(WeightFormat::Q8)), "{}", gigabytes(WeightFormat::Q8));
    assert!((14.2..14.9).contains(&gigabytes(WeightFormat::Q4)), "{}", gigabytes(WeightFormat::Q4));
    let (full, half) = (plan(WeightFormat::F32, 1).weight_bytes, plan(WeightFormat::Bf16, 1).weight_bytes);
    assert_eq!(full, 2 * half - floats());
}

/// Bytes of what stays f32 in every format.
fn floats() -> usize {
    let config = Shape::Full26b.config().unwrap();
    let layer = |index: usize| {
        (config.experts + 8) * config.hidden_size + 2 * config.layers[index].head_dim + config.experts
    };
    let values: usize = (0..config.layers.len()).map(layer).sum::<usize>() + 2 * config.hidden_size;
    4 * values
}

#[test]
fn four_bits_and_8k_fit_into_18_gb_and_buffers_are_small() {
    let four = plan(WeightFormat::Q4, 8192);
    assert!(four.total() < 18_000_000_000, "{four}");
    for (format, batch) in
        [(WeightFormat::Q4, 1), (WeightFormat::Q4, 4), (WeightFormat::Q8, 4), (WeightFormat::Bf16, 8)]
    {
        let config = Shape::Full26b.config().unwrap();
        let plan = MemoryPlan::new(&config, Load { batch, ..load(format) }, 8192);
        let share = plan.buffer_bytes as f64 / plan.weight_bytes as f64;
        assert!(share <= 0.05, "{format:?}, batch {batch}: {share:.3} of the weights; {plan}");
    }
}

#[test]
fn keys_and_values_of_a_position_are_counted_by_hand() {
    // 25 sliding layers of 8 heads of 256, 5 full ones of 2 heads of 512; keys and values; bf16.
    let by_hand = (25 * 8 * 256 + 5 * 2 * 512) * 2 * 2;
    assert_eq!(plan(WeightFormat::Q4, 8192).kv_bytes, 8192 * by_hand);
    assert_eq!(plan(WeightFormat::F32, 3).kv_bytes, 3 * 2 * by_hand);
}

#[test]
fn the_largest_context_that_fits_is_taken() {
    let config = Shape::Full26b.config().unwrap();
    let wanted = 131_072;
    let everything = MemoryPlan::largest(&config, load(WeightFormat::Bf16), wanted, 139 << 30).unwrap();
    assert_eq!(everything.context, wanted);
    let free = 24_000_000_000;
    let found = MemoryPlan::largest(&config, load(WeightFormat::Q4), wanted, free).unwrap();
    assert!(found.total() <= free);
    let one_more = MemoryPlan::new(&config, load(WeightFormat::Q4), found.context + 1);
    assert!(one_more.total() > free, "{found}");
    assert!((30_000..50_000).contains(&found.context), "{found}");
}

#[test]
fn prompts_are_read_in_larger_chunks_where_there_is_room() {
    let config = Shape::Full26b.config().unwrap();
    let fit = |format, context, free| {
        let plan = MemoryPlan::fit(&config, load(format), (context, context), free).unwrap();
        assert!(plan.total() <= free, "{plan}");
        plan
    };
    let plenty = 139 << 30;
    for format in [WeightFormat::Bf16, WeightFormat::Q8, WeightFormat::Q4] {
        assert_eq!(fit(format, 8192, plenty).rows, 2048);
        let small = plan(format, 8192);
        assert_eq!(
            fit(format, 8192, small.total()),
            small,
            "what fits is not refused for the sake of larger chunks"
        );
    }
    let long = fit(WeightFormat::Q4, 131_072, plenty);
    assert!(long.rows == 1024, "with rotary tables that long, they would be large beside 4 bits: {long}");
    assert_eq!(fit(WeightFormat::Bf16, 600, plenty).rows, 600, "no more than the context");
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers_and_a_way_out() {
    let config = Shape::Full26b.config().unwrap();
    let refused = MemoryPlan::largest(&config, load(WeightFormat::Bf16), 8192, 24_000_000_000).unwrap_err();
    assert_eq!(refused.instead, Some(WeightFormat::Q4));
    let text = refused.to_string();
    assert!(
        text.starts_with("the model needs 50.") && text.contains("24.00 GB are free; q4 weights would fit"),
        "{text}"
    );
    let refused = MemoryPlan::largest(&config, load(WeightFormat::Q4), 8192, 8_000_000_000).unwrap_err();
    assert!(refused.to_string().ends_with("or run on the CPU with --device cpu"), "{refused}");
    assert_eq!(refused.plan.context, 256, "the plan shown is the least that would do");
    let exactly = MemoryPlan::fit(&config, load(WeightFormat::Q4), (8192, 8192), 16_000_000_000).unwrap_err();
    assert_eq!(exactly.plan.context, 8192, "a context that was asked for is not cut");
}

#[test]
fn widths_that_are_no_blocks_are_not_offered() {
    let mut config = Shape::Full26b.config().unwrap();
    assert!(storable(&config, WeightFormat::Q4));
    config.expert_intermediate_size = 700;
    assert!(!storable(&config, WeightFormat::Q8) && storable(&config, WeightFormat::Bf16));
    let refused = MemoryPlan::largest(&config, load(WeightFormat::Bf16), 8192, 24_000_000_000).unwrap_err();
    assert_eq!(refused.instead, None);
}

#[test]
fn plans_read_well() {
    let plan = MemoryPlan {
        format: WeightFormat::Q4,
        context: 8192,
        rows: 1024,
        step_rows: 256,
        weight_bytes: 14_550_000_000,
        kv_bytes: 1_845_000_000,
        buffer_bytes: 612_300_000,
    };
    assert_eq!(
        plan.to_string(),
        "weights 14.55 GB in q4, KV cache 1.84 GB for 8192 positions, buffers 612.3 MB"
    );
}
