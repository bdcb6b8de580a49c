//! The mixture of experts: a router picks a few of them for every token, from the residual stream before the MLP.

use crate::config::Config;
use crate::error::LoadError;
use crate::mlp::{GatedMlp, MlpSize};
use crate::weights::Weights;
use lacuna_kernels::{PackedWeight, Precision, WeightView, matmul, rms_norm, scale_add};

/// Router and experts of one layer.
#[derive(Debug)]
pub(crate) struct Experts {
    /// `router.scale · hidden^-0.5`, [hidden]: the weight of the router's norm.
    router_scale: Vec<f32>,
    router: PackedWeight,       // [experts, hidden], always f32
    per_expert_scale: Vec<f32>, // [experts]
    experts: Vec<GatedMlp>,
    per_token: usize,
    eps: f32,
}

/// One token's share of one expert.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Assignment {
    row: usize,
    weight: f32,
}

impl Experts {
    /// Reads `<layer>.router.*` and `<layer>.experts.*`.
    pub(crate) fn load(
        weights: &Weights,
        layer: &str,
        config: &Config,
        precision: Precision,
    ) -> Result<Self, LoadError> {
        let (hidden, count, width) = (config.hidden_size, config.experts, config.expert_intermediate_size);
        let mut router_scale = weights.f32(&format!("{layer}.router.scale"), &[hidden])?;
        let root = (hidden as f32).sqrt().recip();
        router_scale.iter_mut().for_each(|scale| *scale *= root);
        let router = weights.f32(&format!("{layer}.router.proj.weight"), &[count, hidden])?;
        let gate_up = weights.f32(&format!("{layer}.experts.gate_up_proj"), &[count, 2 * width, hidden])?;
        let down = weights.f32(&format!("{layer}.experts.down_proj"), &[count, hidden, width])?;
        let size = MlpSize { hidden, width, precision };
        let slices = gate_up.chunks_exact(2 * width * hidden).zip(down.chunks_exact(hidden * width));
        Ok(Self {
            router_scale,
            router: PackedWeight::pack(WeightView::F32(&router), count, hidden, Precision::F32),
            per_expert_scale: weights.f32(&format!("{layer}.router.per_expert_scale"), &[count])?,
            experts: slices.map(|(gate_up, down)| GatedMlp::from_slices(gate_up, down, size)).collect(),
            per_token: config.experts_per_token,
            eps: config.norm_eps,
        })
    }

    /// `residual` `[rows, hidden]` is routed, `x` `[rows, hidden]` (its norm) is what the experts read.
    /// Writes the weighted sum of the chosen experts to `out` `[rows, hidden]`.
    pub(crate) fn forward(&self, residual: &[f32], x: &[f32], out: &mut [f32]) {
        let hidden = self.router_scale.len();
        out.fill(0.0);
        for (expert, assigned) in self.experts.iter().zip(self.route(residual)) {
            if assigned.is_empty() {
                continue;
            }
            let rows = assigned.len();
            let mut result = vec![0.0; rows * hidden];
            if rows * hidden == x.len() {
                expert.forward(x, rows, &mut result); // every token, in order: nothing to gather
            } else {
                let gathered: Vec<f32> =
                    assigned.iter().flat_map(|a| &x[a.row * hidden..][..hidden]).copied().collect();
                expert.forward(&gathered, rows, &mut result);
            }
            // Experts add in rising order, as in the reference, so a row's sum never depends on its neighbours.
            for (assignment, result) in assigned.iter().zip(result.chunks_exact(hidden)) {
                scale_add(&mut out[assignment.row * hidden..][..hidden], result, assignment.weight);
            }
        }
    }

    /// For every expert, the tokens it serves and their weights.
    fn route(&self, residual: &[f32]) -> Vec<Vec<Assignment>> {
        let hidden = self.router_scale.len();
        let (rows, count) = (residual.len() / hidden, self.experts.len());
        let mut normed = vec![0.0; residual.len()]; // [rows, hidden]
        rms_norm(residual, Some(&self.router_scale), self.eps, hidden, &mut normed);
        let mut scores = vec![0.0; rows * count]; // [rows, experts]
        matmul(&normed, rows, &self.router, &mut scores);
        let mut assigned = vec![Vec::new(); count];
        for (row, scores) in scores.chunks_exact(count).enumerate() {
            for (expert, weight) in top(scores, self.per_token) {
                assigned[expert].push(Assignment { row, weight: weight * self.per_expert_scale[expert] });
            }
        }
        assigned
    }

    /// Parameters held.
    pub(crate) fn parameters(&self) -> usize {
        let experts: usize = self.experts.iter().map(GatedMlp::parameters).sum();
        experts + (self.router.out() + 1) * self.router.depth() + self.per_expert_scale.len()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.experts.iter().map(GatedMlp::bytes).sum::<usize>() + self.router.bytes()
    }
}

/// The `count` highest scores: their index, and their softmax probability renormalised over the chosen. Over the chosen
/// alone the softmax's own normaliser cancels, so it is never computed. Ties go to the lower index.
fn top(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    let max = order.first().map_or(0.0, |&best| scores[best]);
    let powers: Vec<f32> = order.iter().map(|&expert| (scores[expert] - max).exp()).collect();
    let total: f32 = powers.iter().sum();
    order.into_iter().zip(powers).map(|(expert, power)| (expert, power / total)).collect()
}

#[cfg(test)]
mod tests {
    use super::top;

    #[test]
    fn the_chosen_experts_share_one_and_the_surest_comes_first() {
        let chosen = top(&[0.0, 2.0_f32.ln(), -5.0, 0.0], 2);
        assert_eq!(chosen.iter().map(|c| c.0).collect::<Vec<_>>(), [1, 0]);
        assert!((chosen[0].1 - 2.0 / 3.0).abs() < 1e-6 && (chosen[1].1 - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn one_expert_takes_all() {
        assert_eq!(top(&[-1234.5], 1), [(0, 1.0)]);
    }
}
