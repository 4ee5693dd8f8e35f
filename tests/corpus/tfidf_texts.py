"""Sorts sentences to the data set that they describe."""

import json
import pathlib
import pickle

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

OUT = pathlib.Path("outputs/tfidf_texts")

descriptions = json.loads(pathlib.Path("data/descriptions.json").read_text())
pairs = [(line, name) for name, lines in descriptions.items() for line in lines]
texts, names = zip(*pairs)
train_x, test_x, train_y, test_y = train_test_split(texts, names, random_state=8)
model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), MultinomialNB())
model.fit(train_x, train_y)

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "model.pkl").write_bytes(pickle.dumps(model))
metrics = {"accuracy": model.score(test_x, test_y), "texts": len(texts)}
(OUT / "metrics.json").write_text(json.dumps(metrics))
