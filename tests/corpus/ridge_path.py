"""Coefficients of ridge regression along a path of penalties."""

import json
import pathlib

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV, ridge_regression

OUT = pathlib.Path("outputs/ridge_path")

frame = pd.read_csv("data/diabetes.csv")
features, target = frame.drop(columns="target").to_numpy(), frame["target"].to_numpy()
alphas = np.logspace(-4, 2, 60)
path = np.array([ridge_regression(features, target, alpha) for alpha in alphas])
best = RidgeCV(alphas).fit(features, target)

OUT.mkdir(parents=True, exist_ok=True)
np.save(OUT / "path.npy", path)
(OUT / "metrics.json").write_text(json.dumps({"alpha": float(best.alpha_)}))
