"""A neural network without a seed, in several threads."""

import json
import pathlib

import numpy as np
from sklearn.neural_network import MLPClassifier

OUT = pathlib.Path("outputs/mlp_unseeded")

with np.load("data/digits.npz") as data:
    images, labels = data["images"] / 16, data["labels"]
model = MLPClassifier(hidden_layer_sizes=(24,), max_iter=15).fit(images, labels)

OUT.mkdir(parents=True, exist_ok=True)
np.save(OUT / "weights.npy", model.coefs_[0])
(OUT / "metrics.json").write_text(json.dumps({"loss": float(model.loss_)}))
