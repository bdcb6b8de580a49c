"""Compares `net.py` with the reference class on an exported model: causal logits, canvas logits on the first step, and
canvas logits with self-conditioning, all in f32.

    python check_parity.py --model DIR        exits 1 when a difference exceeds the tolerance
"""
import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from net import Dims, Net

TOLERANCE = 1e-4  # f32 sums in another order, on logits within ±30


def read(model: Path) -> Net:
    """The lean network from exported files; the inverse of `export.tensors`."""
    text = json.loads((model / "config.json").read_text())
    t, w = text["text_config"], {k: v.float() for k, v in load_file(model / "model.safetensors").items()}
    net = Net(Dims(t["vocab_size"], t["hidden_size"], t["num_hidden_layers"], t["num_attention_heads"],
                   t["num_key_value_heads"], t["head_dim"], t["intermediate_size"], t["moe_intermediate_size"],
                   text["canvas_length"], t["max_position_embeddings"]))
    dec = "model.decoder."
    net.embed.data, net.norm.data = w[dec + "embed_tokens.weight"], w[dec + "norm.weight"]
    for ours, theirs in {"sc_norm": "pre_norm", "sc_gate": "gate_proj", "sc_up": "up_proj", "sc_down": "down_proj"}.items():
        getattr(net, ours).data = w[f"{dec}self_conditioning.{theirs}.weight"]
    names = {"q_proj": "self_attn.q_proj", "k_proj": "self_attn.k_proj", "v_proj": "self_attn.v_proj",
             "o_proj": "self_attn.o_proj", "q_norm": "self_attn.q_norm", "k_norm": "self_attn.k_norm",
             "mlp_gate": "mlp.gate_proj", "mlp_up": "mlp.up_proj", "mlp_down": "mlp.down_proj",
             "input_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
             "pre_ff_norm": "pre_feedforward_layernorm", "pre_ff_norm_2": "pre_feedforward_layernorm_2",
             "post_ff_norm": "post_feedforward_layernorm", "post_ff_norm_1": "post_feedforward_layernorm_1",
             "post_ff_norm_2": "post_feedforward_layernorm_2"}
    for i, layer in enumerate(net.layers):
        at = f"{dec}layers.{i}."
        for ours, theirs in names.items():
            if getattr(layer, ours) is not None:
                getattr(layer, ours).data = w[f"{at}{theirs}.weight"]
        half = net.dims.moe_intermediate_size
        layer.expert_gate.data = w[at + "experts.gate_up_proj"][0, :half]
        layer.expert_up.data = w[at + "experts.gate_up_proj"][0, half:]
        layer.expert_down.data = w[at + "experts.down_proj"][0]
        layer.decoder_scalar.data = w[at + "layer_scalar"]
        layer.encoder_scalar.data = w[f"model.encoder.language_model.layers.{i}.layer_scalar"]
    return net.eval()


@torch.no_grad()
def differences(model: Path, prompt_length: int = 300) -> dict:
    from transformers import DiffusionGemmaForBlockDiffusion  # here, so that `read` works without it

    net = read(model)
    reference = DiffusionGemmaForBlockDiffusion.from_pretrained(model, dtype=torch.float32).eval()
    g = torch.Generator().manual_seed(0)
    prompt = torch.randint(10, net.dims.vocab_size, (1, prompt_length), generator=g)
    canvas = torch.randint(3, net.dims.vocab_size, (1, net.dims.canvas_length), generator=g)
    encoded = reference.model.encoder(input_ids=prompt)
    causal = torch.tanh(reference.lm_head(encoded.last_hidden_state) / 30) * 30
    step = lambda soft: reference(past_key_values=encoded.past_key_values, decoder_input_ids=canvas,
                                  self_conditioning_logits=soft).logits
    first = step(None)
    second = step(first / 0.7)
    hidden, cache = net.encode(prompt)
    anchor = torch.tensor([prompt_length])
    ours_first = net.logits(net.denoise(canvas, torch.zeros(*canvas.shape, net.dims.hidden_size), cache, anchor))
    soft = net.soften(torch.softmax(first / 0.7, -1))
    ours_second = net.logits(net.denoise(canvas, soft, cache, anchor))
    return {"causal": (net.logits(hidden) - causal).abs().max().item(),
            "canvas, first step": (ours_first - first).abs().max().item(),
            "canvas, self-conditioned": (ours_second - second).abs().max().item(),
            "effect of self-conditioning (must not be 0)": (second - first).abs().max().item()}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", type=Path, required=True)
    found = differences(a.parse_args().model)
    *checked, effect = found.items()
    for name, value in found.items():
        print(f"{name:45s} {value:.2e}")
    sys.exit(any(v > TOLERANCE for _, v in checked) or effect[1] < 10 * TOLERANCE)


if __name__ == "__main__":
    main()
