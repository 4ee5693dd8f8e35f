"""A Gaussian process whose kernel is fitted; dense linear algebra throughout."""

import json
import pathlib

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

OUT = pathlib.Path("outputs/gaussian_process")

generator = np.random.default_rng(15)
times = np.sort(generator.uniform(0, 10, 160))[:, None]
values = np.sin(times[:, 0]) + generator.normal(0, 0.2, len(times))
model = GaussianProcessRegressor(RBF() + WhiteKernel(), n_restarts_optimizer=1, random_state=15)
model.fit(times, values)
mean, deviation = model.predict(np.linspace(0, 10, 200)[:, None], return_std=True)

OUT.mkdir(parents=True, exist_ok=True)
np.savez_compressed(OUT / "curve.npz", mean=mean, deviation=deviation)
metrics = {"log_likelihood": float(model.log_marginal_likelihood_value_)}
(OUT / "metrics.json").write_text(json.dumps(metrics))
