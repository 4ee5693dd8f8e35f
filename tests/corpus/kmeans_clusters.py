"""Seeded k-means on the digits; centres and labels go to an npz file."""

import json
import pathlib

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

OUT = pathlib.Path("outputs/kmeans_clusters")

with np.load("data/digits.npz") as data:
    images, labels = data["images"], data["labels"]
model = KMeans(n_clusters=10, n_init=4, random_state=3).fit(images)

OUT.mkdir(parents=True, exist_ok=True)
np.savez(OUT / "clusters.npz", centres=model.cluster_centers_, labels=model.labels_)
metrics = {
    "inertia": float(model.inertia_),
    "adjusted_rand": adjusted_rand_score(labels, model.labels_),
}
(OUT / "metrics.json").write_text(json.dumps(metrics))
