"""A training of some seconds, for measuring what capture adds. Takes how many trees to grow."""

import json
import pathlib
import sys

import joblib
import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

with np.load("data/digits.npz") as data:
    images, labels = data["images"], data["labels"]
model = GradientBoostingClassifier(n_estimators=int(sys.argv[1]), max_depth=3, random_state=0)
model.fit(images[:1200], labels[:1200])
score = model.score(images[1200:], labels[1200:])

pathlib.Path("outputs").mkdir(exist_ok=True)
joblib.dump(model, "outputs/model.joblib")
pathlib.Path("outputs/metrics.json").write_text(json.dumps({"accuracy": score}))
