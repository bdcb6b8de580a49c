//! How far a mean may be off by chance: percentile bootstrap over cases.
//!
//! Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

/// Resamples drawn.
pub const RESAMPLES: usize = 1000;
const SEED: u64 = 0x1ac0_0a5e;

/// An interval that holds the mean in 95 of 100 such samples of cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// 2.5th percentile of the resampled means.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// The 95 % interval of the mean of `values`; the same values give the same interval. Nothing has the interval 0 to 0.
pub fn interval(values: &[f64]) -> Interval {
    let count = values.len();
    if count == 0 {
        return Interval { low: 0.0, high: 0.0 };
    }
    let mut random = SplitMix::new(SEED);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..count).map(|_| values[random.below(count)]).sum::<f64>() / count as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    let tail = RESAMPLES / 40;
    Interval { low: means[tail], high: means[RESAMPLES - 1 - tail] }
}

/// Steele, Lea and Flood's `SplitMix64`: small, seeded, the same everywhere.
pub struct SplitMix(u64);

impl SplitMix {
    /// A stream of its own for each seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the bias of the multiplication is below bound / 2⁶⁴.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_leave_no_doubt() {
        assert_eq!(interval(&[0.25; 40]), Interval { low: 0.25, high: 0.25 });
        assert_eq!(interval(&[]), Interval { low: 0.0, high: 0.0 });
    }

    #[test]
    fn the_interval_has_the_width_that_theory_says() {
        // 400 coins of p = 0.3: standard error √(0.21 / 400) = 0.0229, so 0.3 ± 0.045.
        let coins: Vec<f64> = (0..400).map(|n| if n % 10 < 3 { 1.0 } else { 0.0 }).collect();
        let Interval { low, high } = interval(&coins);
        assert!((low - 0.255).abs() < 0.008 && (high - 0.345).abs() < 0.008, "{low} to {high}");
        assert_eq!(interval(&coins), interval(&coins));
    }
}
