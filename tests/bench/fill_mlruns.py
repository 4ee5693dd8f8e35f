"""Writes a folder of files as MLflow does: RUNS runs, each with POINTS points of 10 metrics, params, tags and an artifact."""

import pathlib
import sys

runs, points = int(sys.argv[1]), int(sys.argv[2])
root = pathlib.Path("mlruns")
first = 1_700_000_000_000


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


for experiment, name in [("0", "Default"), ("1", "many")]:
    write(
        root / experiment / "meta.yaml",
        f"artifact_location: {(root / experiment).resolve().as_uri()}\ncreation_time: {first}\n"
        f"experiment_id: '{experiment}'\nlast_update_time: {first}\nlifecycle_stage: active\nname: {name}\n",
    )
for number in range(runs):
    run = f"{number + 1:032x}"
    folder = root / "1" / run
    write(
        folder / "meta.yaml",
        f"artifact_uri: {(folder / 'artifacts').resolve().as_uri()}\nend_time: {first + number + 9}\n"
        f"entry_point_name: ''\nexperiment_id: '1'\nlifecycle_stage: active\nrun_id: {run}\nrun_name: run-{number}\n"
        f"source_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: {first + number}\nstatus: 3\ntags: []\n"
        "user_id: ann\n",
    )
    for index in range(10):
        write(folder / "params" / f"param-{index}", f"{number}-{index}")
        write(folder / "tags" / f"tag-{index}", f"{index}")
        lines = (f"{first + step} {step / (index + 1)} {step}\n" for step in range(points // 10))
        write(folder / "metrics" / f"metric-{index}", "".join(lines))
    write(folder / "tags" / "mlflow.runName", f"run-{number}")
    write(folder / "artifacts" / "model" / "weights.txt", run * 300)
