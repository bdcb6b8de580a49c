"""Draws the loss curve of a run: python plot.py --log RUN/log.csv --out loss.png"""
import argparse
import csv

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--log", required=True)
    a.add_argument("--out", required=True)
    a = a.parse_args()
    with open(a.log) as file:
        rows = list(csv.DictReader(file))
    tokens = [int(r["clean_tokens"]) / 1e6 for r in rows]
    figure, axis = plt.subplots(figsize=(7, 4))
    for key, label in (("causal_loss", "causal, next token"), ("hole_loss", "canvas, hole tokens (weighted)")):
        axis.plot(tokens, [float(r[key]) for r in rows], label=label, linewidth=1)
    axis.set_xlabel("clean training tokens, millions")
    axis.set_ylabel("cross-entropy, nats a token")
    rate = axis.twinx()
    rate.plot(tokens, [float(r["rate"]) for r in rows], color="grey", linestyle=":", linewidth=1)
    rate.set_ylabel("learning rate, share of its peak (dotted)")
    rate.set_ylim(0, 1.05)
    axis.legend()
    figure.tight_layout()
    figure.savefig(a.out, dpi=130)


if __name__ == "__main__":
    main()
