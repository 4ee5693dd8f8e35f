"""Writes offline runs with W&B's client, in the working directory, and prints what it logged."""

import json
import pathlib

import wandb

told = {}
for number in range(2):
    run = wandb.init(
        mode="offline",
        project=f"project {number}",
        name=f"run {number}",
        notes="some\nnotes ü",
        tags=["a", "b/c"],
        group="g",
        config={"lr": 0.1, "net": {"layers": [1, 2], "act": "relu"}, "text": "x", "none": None},
    )
    points = {"loss": [], "acc.train": [], "odd": []}
    # More than a block of records.
    for step in range(1000):
        run.log({"loss": 1 / (step + 1), "acc": {"train": step}})
        points["loss"].append([step, repr(1 / (step + 1))])
        points["acc.train"].append([step, repr(float(step))])
    for at, value in enumerate([float("nan"), float("inf"), -0.5, 5e-324]):
        run.log({"odd": value, "said": "a text"}, step=2000 + at)
        points["odd"].append([2000 + at, repr(value)])
    run.log({"picture": wandb.Html("<p>kept</p>")}, step=3000)
    run.summary["best"] = 0.75
    run.summary["verdict"] = "good"
    run.config["later"] = True
    pathlib.Path(run.dir, "kept.txt").write_text(f"kept {number}")
    run.finish(exit_code=number)
    told[f"run {number}"] = points
print(json.dumps(told))
