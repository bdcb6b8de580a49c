//! The engine's own randomness: a counter-based generator, and what "noise" means to a checkpoint.
//!
//! A draw depends only on (seed, stream, step, position), never on how many draws came before it, so an answer is the
//! same on any thread count, in any batch, and whether or not another candidate stopped early.

use crate::config::Noise;

/// One draw's coordinates: which canvas (`stream`), which denoising step, which position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coordinates {
    pub stream: u64,
    pub step: u64,
    pub position: u64,
}

/// Where renoised rows get their tokens from.
#[derive(Clone, Debug)]
pub(crate) enum NoiseSource {
    /// The engine's own generator.
    Drawn(Generator),
    /// Recorded noise `[steps, rows]`, to replay another implementation's run.
    #[cfg(test)]
    Recorded(Vec<u32>, usize),
}

impl NoiseSource {
    /// A uniform number in [0, 1), for sampling a token.
    pub(crate) fn unit(&self, at: Coordinates) -> f32 {
        match self {
            Self::Drawn(generator) => generator.unit(at, 2),
            #[cfg(test)]
            Self::Recorded(..) => 0.0,
        }
    }

    /// The noise token of a row that `step` (from 1) did not accept.
    pub(crate) fn noise(&self, at: Coordinates, noise: Noise, vocabulary: u32) -> u32 {
        match self {
            Self::Drawn(generator) => generator.noise(at, noise, vocabulary),
            #[cfg(test)]
            Self::Recorded(tokens, rows) => tokens[(at.step as usize - 1) * rows + at.position as usize],
        }
    }
}

/// Stateless generator: SplitMix64's finaliser over the mixed coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generator {
    seed: u64,
}

impl Generator {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// What it was made with.
    #[cfg(feature = "device")]
    pub(crate) const fn seed(self) -> u64 {
        self.seed
    }

    /// 64 random bits for `at`; `lane` separates several draws at the same coordinates.
    pub(crate) fn bits(self, at: Coordinates, lane: u64) -> u64 {
        let mut state = self.seed;
        for word in [at.stream, at.step, at.position, lane] {
            state = mix(state ^ word.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
        state
    }

    /// A uniform number in [0, 1) with 24 random bits.
    pub(crate) fn unit(self, at: Coordinates, lane: u64) -> f32 {
        (self.bits(at, lane) >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// A uniform integer below `bound` (> 0), by the multiply-shift map.
    pub(crate) fn below(self, at: Coordinates, lane: u64, bound: u32) -> u32 {
        ((u128::from(self.bits(at, lane)) * u128::from(bound)) >> 64) as u32
    }

    /// What a hole holds before the first step: pure noise, and where noise is a mask nothing but the mask.
    pub(crate) fn first_noise(self, at: Coordinates, noise: Noise, vocabulary: u32) -> u32 {
        match noise {
            Noise::Uniform => self.below(at, 0, vocabulary),
            Noise::Mask { mask_token_id, .. } => mask_token_id,
        }
    }

    /// A whole hole of `length` such rows.
    pub(crate) fn fresh_hole(self, stream: u64, length: usize, noise: Noise, vocabulary: u32) -> Vec<u32> {
        let at = |position| Coordinates { stream, step: 0, position };
        (0..length as u64).map(|position| self.first_noise(at(position), noise, vocabulary)).collect()
    }

    /// A noise token as the checkpoint defines it.
    pub(crate) fn noise(self, at: Coordinates, noise: Noise, vocabulary: u32) -> u32 {
        match noise {
            Noise::Uniform => self.below(at, 0, vocabulary),
            Noise::Mask { mask_token_id, uniform_share, uniform_first_id: first } => {
                if self.unit(at, 1) < uniform_share {
                    first + self.below(at, 0, vocabulary - first)
                } else {
                    mask_token_id
                }
            }
        }
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> Coordinates {
        Coordinates { stream: 1, step: 2, position }
    }

    #[test]
    fn draws_are_uniform_enough_and_stay_below_their_bound() {
        let generator = Generator::new(7);
        let mut counts = [0_u32; 10];
        for position in 0..100_000 {
            counts[generator.below(at(position), 0, 10) as usize] += 1;
        }
        // 100 000 draws of p = 0.1: sigma is 95, so five sigma either way.
        assert!(counts.iter().all(|&count| (9_525..10_475).contains(&count)), "{counts:?}");
    }

    #[test]
    fn mask_noise_holds_its_share_of_uniform_tokens() {
        let generator = Generator::new(0);
        let noise = Noise::Mask { mask_token_id: 3, uniform_share: 0.15, uniform_first_id: 16 };
        let masks = (0..20_000).filter(|&p| generator.noise(at(p), noise, 4096) == 3).count();
        assert!((16_700..17_300).contains(&masks), "{masks}");
    }

    #[test]
    fn the_same_coordinates_draw_the_same_and_a_seed_changes_them() {
        assert_eq!(Generator::new(5).bits(at(9), 0), Generator::new(5).bits(at(9), 0));
        assert_ne!(Generator::new(5).bits(at(9), 0), Generator::new(6).bits(at(9), 0));
        assert_ne!(Generator::new(5).bits(at(9), 0), Generator::new(5).bits(at(9), 1));
    }
}
