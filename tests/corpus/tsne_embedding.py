"""t-SNE of some digits: many steps in several threads, each building on the last."""

import json
import pathlib

import numpy as np
from sklearn.manifold import TSNE

OUT = pathlib.Path("outputs/tsne_embedding")

with np.load("data/digits.npz") as data:
    images = data["images"][:250]
model = TSNE(perplexity=15, max_iter=300, random_state=16, init="pca", n_jobs=2)
embedding = model.fit_transform(images)

OUT.mkdir(parents=True, exist_ok=True)
np.save(OUT / "embedding.npy", embedding)
(OUT / "metrics.json").write_text(json.dumps({"divergence": float(model.kl_divergence_)}))
