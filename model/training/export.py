"""Writes a checkpoint of `train.py` as the files a DiffusionGemma loader reads.

    python export.py --checkpoint RUN/checkpoint.pt --data DATA --out DIR

DIR gets config.json, generation_config.json, tokenizer.json and model.safetensors (bf16, the reference's names; the
encoder's copies and the head are tied and not stored; there is no vision tower, its config is a placeholder the
reference class needs to be built at all).
"""
import argparse
import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from holes import BUCKETS, FIM_SUFFIX_MAX, HOLE_MAX, SUFFIX_MIN, Task
from net import Dims, Net
from tokens import BLANK, BOS, EOS, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, MASK, PAD, Vocabulary

PROMPT_TOKENS_MAX = 512
FAR_SUFFIX_TOKENS_MAX = 128  # rows were trained with up to 170


def load(checkpoint: Path) -> Net:
    """The network of a checkpoint, f32, with its weights rounded to bf16 as they are shipped."""
    found = torch.load(checkpoint, weights_only=True)
    net, at = Net(Dims(**found["dims"])), 0
    for p in net.parameters():
        p.data = found["flat"][at:at + p.numel()].view(p.shape).bfloat16().float()
        at += p.numel()
    assert at == len(found["flat"]), f"checkpoint has {len(found['flat'])} numbers, the network takes {at}"
    return net.eval()


def tensors(net: Net) -> dict:
    """Reference name → tensor, bf16."""
    d = net.dims
    out = {"model.decoder.embed_tokens.weight": net.embed, "model.decoder.norm.weight": net.norm}
    conditioning = {"pre_norm": net.sc_norm, "gate_proj": net.sc_gate, "up_proj": net.sc_up, "down_proj": net.sc_down}
    out |= {f"model.decoder.self_conditioning.{k}.weight": v for k, v in conditioning.items()}
    for i, layer in enumerate(net.layers):
        at = f"model.decoder.layers.{i}."
        named = {
            "self_attn.q_proj": layer.q_proj, "self_attn.k_proj": layer.k_proj, "self_attn.v_proj": layer.v_proj,
            "self_attn.o_proj": layer.o_proj, "self_attn.q_norm": layer.q_norm, "self_attn.k_norm": layer.k_norm,
            "mlp.gate_proj": layer.mlp_gate, "mlp.up_proj": layer.mlp_up, "mlp.down_proj": layer.mlp_down,
            "input_layernorm": layer.input_norm, "post_attention_layernorm": layer.post_attention_norm,
            "pre_feedforward_layernorm": layer.pre_ff_norm, "pre_feedforward_layernorm_2": layer.pre_ff_norm_2,
            "post_feedforward_layernorm": layer.post_ff_norm, "post_feedforward_layernorm_1": layer.post_ff_norm_1,
            "post_feedforward_layernorm_2": layer.post_ff_norm_2,
            "router.proj": torch.zeros(1, d.hidden_size),
        }
        out |= {f"{at}{k}.weight": v for k, v in named.items() if v is not None}
        out[at + "router.scale"] = torch.ones(d.hidden_size)
        out[at + "router.per_expert_scale"] = torch.ones(1)
        out[at + "experts.gate_up_proj"] = torch.cat([layer.expert_gate, layer.expert_up])[None]
        out[at + "experts.down_proj"] = layer.expert_down[None]
        out[at + "layer_scalar"] = layer.decoder_scalar
        out[f"model.encoder.language_model.layers.{i}.layer_scalar"] = layer.encoder_scalar
    return {k: v.detach().to(torch.bfloat16).contiguous() for k, v in out.items()}


def text_config(d: Dims) -> dict:
    return {
        "model_type": "diffusion_gemma_text", "vocab_size": d.vocab_size, "hidden_size": d.hidden_size,
        "intermediate_size": d.intermediate_size, "num_hidden_layers": d.num_layers,
        "num_attention_heads": d.num_heads, "num_key_value_heads": d.num_kv_heads, "head_dim": d.head_dim,
        "global_head_dim": d.head_dim, "num_global_key_value_heads": d.num_kv_heads, "attention_k_eq_v": True,
        "num_experts": 1, "top_k_experts": 1, "moe_intermediate_size": d.moe_intermediate_size,
        "layer_types": ["sliding_attention"] * (d.num_layers - 1) + ["full_attention"],
        "sliding_window": d.positions_max, "max_position_embeddings": d.positions_max,
        "rope_parameters": {
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}},
        "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "final_logit_softcapping": 30.0,
        "attention_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02,
        "pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": BOS, "tie_word_embeddings": True,
        "use_bidirectional_attention": None,
    }


# Fitted on development cases to the weights of version 3 (fit.py); README.md, "What the document repeats", says how. Other weights want their own.
REPEATS = {"orders": [1, 2, 3, 5, 8], "weights": [22.0, 9.7, 5.2, 3.4, 1.5]}
CONFIDENCE = {"intercept": 0.695, "surprise": -1.048, "suffix": 0.2}


# JavaScript and TSX were not trained on; TypeScript is what they are likest.
LANGUAGE_TOKENS = {"rust": "<rust>", "python": "<python>", "typescript": "<typescript>", "typescriptreact": "<typescript>",
                   "javascript": "<typescript>"}


def lacuna(vocab: Vocabulary) -> dict:
    """What an engine must know to fill holes with this model; every key is explained in README.md."""
    return {
        "noise": {"kind": "mask", "mask_token_id": MASK, "uniform_share": Task.uniform_share,
                  "uniform_first_id": vocab.first_text_id},
        "blank_token_id": BLANK, "hole_buckets": list(BUCKETS), "hole_tokens_max": HOLE_MAX,
        "canvas_head_tokens": 1, "causal_guidance": 0.5, "drafts": {"causal": 4, "causal_alone": 3, "earlier": 8, "enough": 0.01},
        "repeats": REPEATS, "confidence": CONFIDENCE,
        "suffix_tokens_min": SUFFIX_MIN,
        "prompt_tokens_max": PROMPT_TOKENS_MAX,
        "prompt": {"begin": ["<bos>"], "languages": LANGUAGE_TOKENS, "far_suffix_tokens_max": FAR_SUFFIX_TOKENS_MAX},
        "fim": {"prefix": FIM_PREFIX, "suffix": FIM_SUFFIX, "middle": FIM_MIDDLE, "end": EOS, "suffix_tokens_max": FIM_SUFFIX_MAX},
        "end_of_document": {"first": EOS, "then": PAD},
    }


def config(d: Dims, vocab: Vocabulary) -> dict:
    placeholder = {"model_type": "gemma4_vision", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
                   "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 16,
                   "position_embedding_size": 64}
    return {"architectures": ["DiffusionGemmaForBlockDiffusion"], "model_type": "diffusion_gemma",
            "canvas_length": d.canvas_length, "dtype": "bfloat16", "tie_word_embeddings": True,
            "boi_token_id": None, "eoi_token_id": None, "image_token_id": None, "initializer_range": 0.02,
            "text_config": text_config(d), "vision_config": placeholder, "lacuna": lacuna(vocab),
            "transformers_version": "5.23.0"}


GENERATION = {"max_denoising_steps": 12, "t_min": 0.4, "t_max": 0.8, "stability_threshold": 1,
              "confidence_threshold": 0.005, "sampler_config": {"_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": 0.1},
              "bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS, "return_dict_in_generate": True,
              "transformers_version": "5.23.0"}


def write(net: Net, data: Path, out: Path):
    """Everything into a fresh sibling folder, then swapped in, so that a reader never sees half a model."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file(tensors(net), part / "model.safetensors", metadata={"format": "pt"})
    (part / "config.json").write_text(json.dumps(config(net.dims, Vocabulary(data)), indent=2) + "\n")
    (part / "generation_config.json").write_text(json.dumps(GENERATION, indent=2) + "\n")
    shutil.copy(data / "tokenizer.json", part / "tokenizer.json")
    out.mkdir(parents=True, exist_ok=True)
    for file in part.iterdir():
        os.replace(file, out / file.name)
    part.rmdir()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--checkpoint", type=Path, required=True)
    a.add_argument("--data", type=Path, required=True)
    a.add_argument("--out", type=Path, required=True)
    a = a.parse_args()
    net = load(a.checkpoint)
    write(net, a.data, a.out)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters to {a.out}")


if __name__ == "__main__":
    main()
