"""A seeded mixture model, whose numbers come from numpy's global generator."""

import json
import pathlib
import random

import numpy as np
import pandas as pd
from sklearn.mixture import GaussianMixture

OUT = pathlib.Path("outputs/gaussian_mixture")

random.seed(19)
np.random.seed(19)
frame = pd.read_csv("data/iris.csv").drop(columns="target")
noisy = frame + np.random.normal(0, 0.01, frame.shape)
model = GaussianMixture(n_components=random.choice([3]), n_init=3).fit(noisy)

OUT.mkdir(parents=True, exist_ok=True)
np.savez(OUT / "mixture.npz", means=model.means_, weights=model.weights_)
(OUT / "metrics.json").write_text(json.dumps({"bic": float(model.bic(noisy))}))
