"""A small neural network with a seed; linear algebra in several threads."""

import json
import pathlib

import joblib
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

OUT = pathlib.Path("outputs/mlp_digits")

with np.load("data/digits.npz") as data:
    images, labels = data["images"] / 16, data["labels"]
train_x, test_x, train_y, test_y = train_test_split(images, labels, random_state=4)
model = MLPClassifier(hidden_layer_sizes=(48,), max_iter=25, random_state=4)
model.fit(train_x, train_y)

OUT.mkdir(parents=True, exist_ok=True)
joblib.dump(model, OUT / "model.joblib")
metrics = {"loss": float(model.loss_), "accuracy": model.score(test_x, test_y)}
(OUT / "metrics.json").write_text(json.dumps(metrics))
