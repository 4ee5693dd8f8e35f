"""A support vector classifier on half of the digits; prediction on the other half."""

import json
import pathlib
import pickle

import numpy as np
from sklearn.metrics import confusion_matrix
from sklearn.svm import SVC

OUT = pathlib.Path("outputs/svc_digits")

with np.load("data/digits.npz") as data:
    images, labels = data["images"], data["labels"]
half = len(images) // 2
model = SVC(gamma=0.001).fit(images[:half], labels[:half])
predicted = model.predict(images[half:])

OUT.mkdir(parents=True, exist_ok=True)
with open(OUT / "model.pkl", "wb") as file:
    pickle.dump(model, file)
np.savetxt(OUT / "confusion.csv", confusion_matrix(labels[half:], predicted), "%d", ",")
metrics = {"accuracy": float(np.mean(predicted == labels[half:]))}
(OUT / "metrics.json").write_text(json.dumps(metrics))
