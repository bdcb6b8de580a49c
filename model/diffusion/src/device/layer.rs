//! One layer on a device: its weights, and the passes over them. Shapes and order are those of `crate::layer`.

use super::buffers::Buffers;
use super::store::{Matrix, Part, Store, Vector};
use crate::attention::Mode;
use crate::config::{Config, LayerConfig, LayerKind};
use crate::error::LoadError;
use crate::layer::{DECODER, ENCODER};
use crate::plan::WeightFormat;
use lacuna_kernels::Span;
use lacuna_kernels::device::ops::{
    Attention, Branches, ExpertsDown, ExpertsGateUp, Heads, Residual, Router, Rows, attention, experts_down,
    experts_gate_up, group, heads, matmul, matmul_gated, matmul_scratch_bytes, residual, route_in,
    route_scratch_bytes,
};
use lacuna_kernels::device::{Device, DeviceError, Slice};

/// Weights of one layer.
#[derive(Debug)]
pub(crate) struct Layer {
    pub config: LayerConfig,
    heads: usize,
    top: usize,
    window: Option<usize>,
    eps: f32,
    qkv: Matrix,             // [(heads + kv_heads (+ kv_heads)) · head_dim, hidden]
    out: Matrix,             // [hidden, heads · head_dim]
    gate_up: Matrix,         // [2 · width, hidden]
    down: Matrix,            // [hidden, width]
    router: Matrix,          // [experts, hidden], always f32
    experts_gate_up: Matrix, // [experts · 2 · width, hidden]
    experts_down: Matrix,    // [experts · hidden, width]
    router_scale: Vector,    // router.scale · hidden^-0.5, [hidden]
    per_expert: Vector,      // [experts]
    q_norm: Vector,          // [head_dim]
    k_norm: Vector,          // [head_dim]
    pub input: Vector,       // norms, [hidden] each
    post_attention: Vector,
    pre_feedforward: Vector,
    post_feedforward_1: Vector,
    pre_feedforward_2: Vector,
    post_feedforward_2: Vector,
    post_feedforward: Vector,
    scalars: [f32; 2], // encoder, decoder
}

/// What one pass gives to every layer.
#[derive(Clone, Copy)]
pub(crate) struct Pass {
    pub mode: Mode,
    /// Sequences.
    pub batch: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Position of each one's first token: what the cache holds.
    pub position: usize,
    /// Whether the pass is launched anew for other positions, up to this one: [`Buffers::position`] then says which.
    pub recorded: bool,
}

impl Pass {
    pub(crate) fn rows(&self) -> usize {
        self.batch * self.tokens
    }

    fn position_now<'a>(&self, buffers: &'a Buffers) -> Option<Slice<'a>> {
        self.recorded.then(|| buffers.position().all())
    }
}

/// What one pass gives to one layer.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    /// Cached keys and values `[position, kv_heads · head_dim]`.
    pub prefix: (Rows<'a>, Rows<'a>),
    /// Where the pass puts its own, `[rows, kv_heads · head_dim]`.
    pub own: (Rows<'a>, Rows<'a>),
    /// Cosines and sines.
    pub rope: (Slice<'a>, Slice<'a>),
    /// Pairs that turn.
    pub pairs: usize,
}

impl Layer {
    /// Reads layer `index`; `shared` is the prefix under which this checkpoint keeps the shared weights.
    pub(crate) fn load(
        store: &mut Store<'_>,
        shared: &str,
        index: usize,
        config: &Config,
        format: WeightFormat,
    ) -> Result<Self, LoadError> {
        let (name, layer) = (format!("{shared}.layers.{index}"), config.layers[index]);
        let (hidden, experts, width) = (config.hidden_size, config.experts, config.expert_intermediate_size);
        let (q_width, kv_width) = (config.heads * layer.head_dim, layer.kv_heads * layer.head_dim);
        let at = |rest: &str| format!("{name}.{rest}");
        let mut joint = |parts: &[(&str, usize)], cols: usize| {
            let named: Vec<(String, [usize; 2])> =
                parts.iter().map(|(rest, rows)| (at(&format!("{rest}.weight")), [*rows, cols])).collect();
            let parts: Vec<Part<'_>> = named.iter().map(|(name, shape)| Part { name, shape }).collect();
            store.matrix(&parts, format)
        };
        let mut projections = vec![("self_attn.q_proj", q_width), ("self_attn.k_proj", kv_width)];
        projections.extend((layer.kind == LayerKind::Sliding).then_some(("self_attn.v_proj", kv_width)));
        let qkv = joint(&projections, hidden)?;
        let out = joint(&[("self_attn.o_proj", hidden)], q_width)?;
        let dense = config.intermediate_size;
        let gate_up = joint(&[("mlp.gate_proj", dense), ("mlp.up_proj", dense)], hidden)?;
        let down = joint(&[("mlp.down_proj", hidden)], dense)?;
        let stack = |store: &mut Store<'_>, rest: &str, shape: [usize; 3]| {
            store.matrix(&[Part { name: &at(rest), shape: &shape }], format)
        };
        let experts_gate_up = stack(store, "experts.gate_up_proj", [experts, 2 * width, hidden])?;
        let experts_down = stack(store, "experts.down_proj", [experts, hidden, width])?;
        let router = Part { name: &at("router.proj.weight"), shape: &[experts, hidden] };
        let router = store.matrix(&[router], WeightFormat::F32)?;
        let mut router_scale = store.host_vector(&at("router.scale"), hidden)?;
        let root = (hidden as f32).sqrt().recip();
        router_scale.iter_mut().for_each(|scale| *scale *= root);
        let norm = |which: &str| store.vector(&at(&format!("{which}.weight")), hidden);
        Ok(Self {
            config: layer,
            heads: config.heads,
            top: config.experts_per_token,
            window: (layer.kind == LayerKind::Sliding).then_some(config.sliding_window),
            eps: config.norm_eps,
            router_scale: store.upload_vector(&router_scale)?,
            per_expert: store.vector(&at("router.per_expert_scale"), experts)?,
            q_norm: store.vector(&at("self_attn.q_norm.weight"), layer.head_dim)?,
            k_norm: store.vector(&at("self_attn.k_norm.weight"), layer.head_dim)?,
            input: norm("input_layernorm")?,
            post_attention: norm("post_attention_layernorm")?,
            pre_feedforward: norm("pre_feedforward_layernorm")?,
            post_feedforward_1: norm("post_feedforward_layernorm_1")?,
            pre_feedforward_2: norm("pre_feedforward_layernorm_2")?,
            post_feedforward_2: norm("post_feedforward_layernorm_2")?,
            post_feedforward: norm("post_feedforward_layernorm")?,
            scalars: [
                store.scalar(&format!("{ENCODER}.layers.{index}.layer_scalar"), 0.9)?,
                store.scalar(&format!("{DECODER}.layers.{index}.layer_scalar"), 0.9)?,
            ],
            qkv,
            out,
            gate_up,
            down,
            router,
            experts_gate_up,
            experts_down,
        })
    }

    /// Keys and values of the pass, from the normed input in `buffers.a`; with `queries` those too.
    pub(crate) fn project(
        &self,
        buffers: &Buffers,
        pass: Pass,
        memory: &Memory<'_>,
        queries: bool,
    ) -> Result<(), DeviceError> {
        let (device, rows) = (buffers.device(), pass.rows());
        let joint = buffers.joint(rows, self.qkv.rows())?;
        matmul(device, buffers.a(rows)?, self.qkv.view()?, joint, buffers.scratch())?;
        device.mark("attention")?;
        heads(
            device,
            &Heads {
                joint,
                heads: self.heads,
                kv_heads: self.config.kv_heads,
                dim: self.config.head_dim,
                q_norm: self.q_norm.view(),
                k_norm: self.k_norm.view(),
                eps: self.eps,
                rope: memory.rope,
                pairs: memory.pairs,
                first_position: pass.position,
                position_now: pass.position_now(buffers),
                tokens: pass.tokens,
                q: if queries { Some(buffers.q(rows, self.heads * self.config.head_dim)?) } else { None },
                k: memory.own.0,
                v: memory.own.1,
            },
        )
    }

    /// Attention over what [`Layer::project`] made, added to the residual stream; leaves the two normed inputs of the
    /// second half in `buffers.a` and `buffers.b`.
    pub(crate) fn attend(
        &self,
        buffers: &Buffers,
        pass: Pass,
        memory: &Memory<'_>,
    ) -> Result<(), DeviceError> {
        let device = buffers.device();
        let (rows, width) = (pass.rows(), self.heads * self.config.head_dim);
        let mixed = buffers.mixed(rows, width)?;
        attention(
            device,
            &Attention {
                q: buffers.q(rows, width)?,
                k: memory.own.0,
                v: memory.own.1,
                prefix_k: memory.prefix.0,
                prefix_v: memory.prefix.1,
                prefix_now: pass.position_now(buffers),
                batch: pass.batch,
                heads: self.heads,
                kv_heads: self.config.kv_heads,
                dim: self.config.head_dim,
                scale: 1.0, // the reference's own: q_norm and k_norm carry the scale
                span: match pass.mode {
                    Mode::Causal => Span::Causal { window: self.window },
                    Mode::Canvas => Span::Canvas { window: self.window },
                },
                out: mixed,
                scratch: buffers.scratch(),
            },
        )?;
        device.mark("projections")?;
        let y = buffers.y(rows)?;
        matmul(device, mixed, self.out.view()?, y, buffers.scratch())?;
        device.mark("norms")?;
        residual(
            device,
            &Residual {
                x: buffers.x(rows)?,
                branches: Branches::One(y),
                post: self.post_attention.view(),
                eps: self.eps,
                scale: 1.0,
                norms: [
                    Some((Some(self.pre_feedforward.view()), buffers.a(rows)?)),
                    Some((Some(self.pre_feedforward_2.view()), buffers.b(rows)?)),
                ],
            },
        )
    }

    /// The dense feed-forward and the experts, added to the residual stream; `next` is a norm of the result, and where to.
    pub(crate) fn feed_forward(
        &self,
        buffers: &Buffers,
        pass: Pass,
        next: (Slice<'_>, Rows<'_>),
    ) -> Result<(), DeviceError> {
        let (device, rows) = (buffers.device(), pass.rows());
        let y = buffers.y(rows)?;
        let [aside, scratch] = self.scratches(buffers, rows)?;
        // The router keeps few of a device's cores busy: time enough for the dense feed-forward.
        let dense = || {
            device.mark("dense")?;
            let (gate_up, active) = (buffers.gate_up(rows)?, buffers.active(rows)?);
            let operands = (buffers.a(rows)?, self.gate_up.view()?, active);
            matmul_gated(device, operands, gate_up, aside)?;
            matmul(device, active, self.down.view()?, y, aside)
        };
        device.beside(dense, || self.run_experts(buffers, rows, scratch))?;
        device.mark("norms")?;
        residual(
            device,
            &Residual {
                x: buffers.x(rows)?,
                branches: Branches::Two([
                    (y, self.post_feedforward_1.view()),
                    (buffers.y2(rows)?, self.post_feedforward_2.view()),
                ]),
                post: self.post_feedforward.view(),
                eps: self.eps,
                scale: self.scalars[usize::from(pass.mode == Mode::Canvas)],
                norms: [Some((Some(next.0), next.1)), None],
            },
        )
    }

    /// Scratch memory of the dense feed-forward, and of the router beside it.
    fn scratches<'a>(
        &self,
        buffers: &'a Buffers,
        rows: usize,
    ) -> Result<[Option<Slice<'a>>; 2], DeviceError> {
        let Some(all) = buffers.scratch() else { return Ok([None, None]) };
        let router = self.route_bytes(buffers.device(), rows)?.min(all.len());
        Ok([Some(all.part(router, all.len() - router)?), Some(all.part(0, router)?)])
    }

    /// Routes the residual stream, and leaves the experts' weighted sum in `buffers.y2`.
    fn run_experts(
        &self,
        buffers: &Buffers,
        rows: usize,
        scratch: Option<Slice<'_>>,
    ) -> Result<(), DeviceError> {
        let device = buffers.device();
        device.mark("router")?;
        let (ids, weights) = buffers.routing();
        let router = Router {
            scale: self.router_scale.view(),
            eps: self.eps,
            proj: self.router.view()?,
            per_expert: self.per_expert.view(),
            top: self.top,
        };
        route_in(device, buffers.x(rows)?, &router, (ids, weights), scratch)?;
        let groups = buffers.groups();
        group(device, ids, rows * self.top, groups)?;
        device.mark("experts")?;
        let act = buffers.expert_active(rows * self.top)?;
        experts_gate_up(
            device,
            &ExpertsGateUp {
                a: buffers.b(rows)?,
                groups,
                top: self.top,
                weight: self.experts_gate_up.view()?,
                out: act,
            },
        )?;
        experts_down(
            device,
            &ExpertsDown {
                a: act,
                groups,
                weight: self.experts_down.view()?,
                weights,
                scratch: buffers.slots(),
                out: buffers.y2(rows)?,
            },
        )
    }

    /// Bytes on the device.
    pub(crate) fn bytes(&self) -> usize {
        let matrices = [
            &self.qkv,
            &self.out,
            &self.gate_up,
            &self.down,
            &self.router,
            &self.experts_gate_up,
            &self.experts_down,
        ];
        let vectors = [
            &self.router_scale,
            &self.per_expert,
            &self.q_norm,
            &self.k_norm,
            &self.input,
            &self.post_attention,
            &self.pre_feedforward,
            &self.post_feedforward_1,
            &self.pre_feedforward_2,
            &self.post_feedforward_2,
            &self.post_feedforward,
        ];
        matrices.map(Matrix::bytes).iter().sum::<usize>() + vectors.map(Vector::bytes).iter().sum::<usize>()
    }

    /// Scratch memory that its products and its router make good use of, bytes; the router works beside the feed-forward's.
    pub(crate) fn scratch_bytes(&self, device: &Device, rows: usize) -> Result<usize, DeviceError> {
        let product = |matrix: &Matrix| Ok(matmul_scratch_bytes(device, rows, matrix.view()?));
        let dense = product(&self.gate_up)?.max(product(&self.down)?);
        Ok(product(&self.qkv)?.max(product(&self.out)?).max(dense + self.route_bytes(device, rows)?))
    }

    /// Scratch memory that its router makes good use of, bytes; what follows it begins at a whole line.
    fn route_bytes(&self, device: &Device, rows: usize) -> Result<usize, DeviceError> {
        Ok(route_scratch_bytes(device, rows, self.router.view()?).next_multiple_of(256))
    }
}
