"""Keeps blocks of data in temporary files that are gone at the end."""

import json
import pathlib
import tempfile

import numpy as np
from sklearn.decomposition import IncrementalPCA

OUT = pathlib.Path("outputs/temporary_files")

with np.load("data/digits.npz") as data:
    images = data["images"]
model = IncrementalPCA(n_components=8)
with tempfile.TemporaryDirectory() as folder:
    blocks = np.array_split(images, 6)
    for number, block in enumerate(blocks):
        np.save(pathlib.Path(folder) / f"{number}.npy", block)
    for number in range(len(blocks)):
        model.partial_fit(np.load(pathlib.Path(folder) / f"{number}.npy"))

OUT.mkdir(parents=True, exist_ok=True)
np.save(OUT / "components.npy", model.components_)
metrics = {"noise_variance": float(model.noise_variance_)}
(OUT / "metrics.json").write_text(json.dumps(metrics))
