#!/usr/bin/env python3
"""Writes a made-up checkpoint, for measuring how fast weights get to a card: checkpoint.py DIR [--layers N] [--like CONFIG]

Hugging Face layout: config.json and model.safetensors in bf16, with the sizes of the 26B model (1.7 GB a layer, and 1.5 GB
of embedding) or those of another config.json, and N layers, the last of them a full one. The numbers are random, small and
repeat themselves. Standard library only.
"""
import argparse
import array
import json
import math
import random
import struct
from pathlib import Path

SIZES_26B = dict(vocab_size=262144, hidden_size=2816, intermediate_size=2112, num_attention_heads=16, num_key_value_heads=8,
                 head_dim=256, num_global_key_value_heads=2, global_head_dim=512, num_experts=128, top_k_experts=8,
                 moe_intermediate_size=704, sliding_window=1024, max_position_embeddings=262144, rms_norm_eps=1e-06,
                 final_logit_softcapping=30.0, hidden_activation="gelu_pytorch_tanh", model_type="diffusion_gemma_text")


def config_of(like, layers):
    """A config.json's content with `layers` layers."""
    if like is None:
        text, canvas = dict(SIZES_26B), 256
    else:
        other = json.loads(Path(like).read_text())
        text, canvas = dict(other["text_config"]), other["canvas_length"]
        last = text.pop("per_layer_config", {}).popitem()[1]
        text["global_head_dim"], text["num_global_key_value_heads"] = last["head_dim"], last["num_key_value_heads"]
    text["num_hidden_layers"] = layers
    text["layer_types"] = ["sliding_attention"] * (layers - 1) + ["full_attention"]
    return {"architectures": ["DiffusionGemmaForBlockDiffusion"], "model_type": "diffusion_gemma", "canvas_length": canvas,
            "tie_word_embeddings": True, "text_config": text}


def tensors(text):
    """Names and shapes of all tensors of the language model, in the order in which they are written."""
    hidden, dense = text["hidden_size"], text["intermediate_size"]
    experts, width = text["num_experts"], text["moe_intermediate_size"]
    heads = text["num_attention_heads"]
    yield "model.decoder.embed_tokens.weight", [text["vocab_size"], hidden]
    for index, kind in enumerate(text["layer_types"]):
        full = kind == "full_attention"
        dim = text["global_head_dim"] if full else text["head_dim"]
        keys = dim * (text["num_global_key_value_heads"] if full else text["num_key_value_heads"])
        layer = f"model.decoder.layers.{index}"
        yield f"{layer}.self_attn.q_proj.weight", [heads * dim, hidden]
        yield f"{layer}.self_attn.k_proj.weight", [keys, hidden]
        if not full:
            yield f"{layer}.self_attn.v_proj.weight", [keys, hidden]
        yield f"{layer}.self_attn.o_proj.weight", [hidden, heads * dim]
        yield f"{layer}.self_attn.q_norm.weight", [dim]
        yield f"{layer}.self_attn.k_norm.weight", [dim]
        for name in ("gate_proj", "up_proj"):
            yield f"{layer}.mlp.{name}.weight", [dense, hidden]
        yield f"{layer}.mlp.down_proj.weight", [hidden, dense]
        yield f"{layer}.experts.gate_up_proj", [experts, 2 * width, hidden]
        yield f"{layer}.experts.down_proj", [experts, hidden, width]
        yield f"{layer}.router.proj.weight", [experts, hidden]
        yield f"{layer}.router.scale", [hidden]
        yield f"{layer}.router.per_expert_scale", [experts]
        for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            yield f"{layer}.{name}_layernorm.weight", [hidden]
        for name in ("post_feedforward_layernorm_1", "pre_feedforward_layernorm_2", "post_feedforward_layernorm_2"):
            yield f"{layer}.{name}.weight", [hidden]
        for part in ("decoder", "encoder.language_model"):
            yield f"model.{part}.layers.{index}.layer_scalar", [1]
    for name, shape in (("gate_proj", [dense, hidden]), ("up_proj", [dense, hidden]), ("down_proj", [hidden, dense])):
        yield f"model.decoder.self_conditioning.{name}.weight", shape
    yield "model.decoder.self_conditioning.pre_norm.weight", [hidden]
    yield "model.decoder.norm.weight", [hidden]


def write(to, config):
    """Writes both files and says how many bytes the weights take."""
    to.mkdir(parents=True, exist_ok=True)
    (to / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    header, at = {}, 0
    for name, shape in tensors(config["text_config"]):
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # bf16 of either sign between 1/128 and 1/32: the exponent of those, and random bits.
    draw = random.Random(0)
    some = array.array("H", (0x3C00 | draw.getrandbits(8) | draw.getrandbits(1) << 15 for _ in range(1 << 20)))
    piece = some.tobytes() * 16
    with open(to / "model.safetensors", "wb", buffering=0) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for left in range(at, 0, -len(piece)):
            file.write(piece[:left])
    return at


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--like", help="a config.json with other sizes")
    arguments = parser.parse_args()
    print(f"{arguments.dir}: {write(arguments.dir, config_of(arguments.like, arguments.layers)) / 1e9:.2f} GB of weights")


if __name__ == "__main__":
    main()
