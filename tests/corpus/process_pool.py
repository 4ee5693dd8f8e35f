"""A pool of forked processes, each of which writes a part."""

import json
import multiprocessing
import pathlib

import numpy as np

OUT = pathlib.Path("outputs/process_pool")


def bootstrap(seed):
    with np.load("data/digits.npz") as data:
        images = data["images"]
    generator = np.random.default_rng(seed)
    means = [images[generator.integers(0, len(images), len(images))].mean() for _ in range(40)]
    np.save(OUT / f"part-{seed}.npy", means)
    return float(np.mean(means))


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(2) as pool:
        means = pool.map(bootstrap, range(6))
    (OUT / "metrics.json").write_text(json.dumps({"mean": float(np.mean(means))}))
