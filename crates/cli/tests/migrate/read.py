"""Prints all that the client can read of a tracking server, but for where files are kept."""

import hashlib
import json
import math
import pathlib
import tempfile

import mlflow
from mlflow.entities import ViewType

client = mlflow.MlflowClient()


def number(value):
    return value if math.isfinite(value) else str(value)


def plain(value):
    """A value as it comes over the wire, where nothing and an empty text are one."""
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, dict) else str(value or "")


def ordered(value):
    """The same with all lists sorted: a folder gives them as they come."""
    if isinstance(value, dict):
        return {key: ordered(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted(map(ordered, value), key=lambda inner: json.dumps(inner, sort_keys=True))
    return value


def files(path, list_files, download):
    found = {}
    for entry in list_files(path):
        if entry.is_dir:
            found.update(files(entry.path, list_files, download))
        else:
            content = pathlib.Path(download(entry.path)).read_bytes()
            found[entry.path] = [entry.file_size, hashlib.sha256(content).hexdigest()]
    return found


def run(info):
    found = client.get_run(info.run_id)
    # A folder of files may hold a point twice; Reproof has each once.
    history = {
        key: sorted(
            {str([point.step, point.timestamp, number(point.value)]) for point in client.get_metric_history(info.run_id, key)}
        )
        for key in found.data.metrics
    }
    told = dict(found.info)
    kept = {}
    # MLflow does not find those of a deleted experiment in a folder of files.
    if client.get_experiment(info.experiment_id).lifecycle_stage == "active":
        with tempfile.TemporaryDirectory() as folder:
            kept = files(
                None,
                lambda path: client.list_artifacts(info.run_id, path),
                lambda path: client.download_artifacts(info.run_id, path, folder),
            )
    return {
        "info": {key: str(value) for key, value in told.items() if "uri" not in key},
        "params": found.data.params,
        "tags": found.data.tags,
        "latest": {key: number(value) for key, value in found.data.metrics.items()},
        "history": history,
        "inputs": ordered(found.inputs.to_dictionary()),
        "outputs": ordered(found.outputs.to_dictionary() if found.outputs else {}),
        "files": kept,
    }


def logged_model(model):
    told = model.to_dictionary()
    del told["artifact_location"]
    for key in ("model_type", "status_message"):
        told[key] = plain(told[key])
    # Reproof gives the latest point of each series, MLflow all of them, with 0 for NaN.
    latest = {}
    for metric in model.metrics or []:
        series = f"{metric.key} {metric.dataset_name} {metric.dataset_digest}"
        latest[series] = max(latest.get(series, []), [metric.step, metric.timestamp, metric.run_id])
    told["metrics"] = latest
    return told


def version(found):
    # Aliases are told with the model, the logged model from a folder of files only.
    left_out = ("source", "metrics", "params", "aliases", "model_id")
    told = {key: plain(value) for key, value in dict(found).items() if key not in left_out}
    if not found.source.startswith(("s3:", "dummy", "prompt")) and found.source:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(mlflow.artifacts.download_artifacts(f"models:/{found.name}/{found.version}", dst_path=folder))
            told["files"] = {
                str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in root.rglob("*")
                # The client writes this one itself.
                if path.is_file() and path.name != "registered_model_meta"
            }
    return told


def registered(filter_string):
    told = {}
    for model in client.search_registered_models(filter_string=filter_string):
        # A prompt cannot be got as a model.
        found = model if filter_string else client.get_registered_model(model.name)
        told[model.name] = {
            "description": plain(found.description),
            "times": [found.creation_timestamp, found.last_updated_timestamp],
            "tags": found.tags,
            "aliases": {} if filter_string else {alias: str(number) for alias, number in found.aliases.items()},
            "latest": sorted([str(latest.version), latest.current_stage] for latest in found.latest_versions),
        }
    return told


experiments = client.search_experiments(view_type=ViewType.ALL)
ids = [experiment.experiment_id for experiment in experiments]
answer = {
    "experiments": {
        experiment.experiment_id: {
            key: plain(value)
            for key, value in dict(experiment).items()
            # Every store makes the default experiment itself, at a time of its own.
            if key != "artifact_location" and not (experiment.experiment_id == "0" and "time" in key)
        }
        for experiment in experiments
    },
    "runs": {found.info.run_id: run(found.info) for found in client.search_runs(ids, run_view_type=ViewType.ALL)},
    "models": {model.model_id: logged_model(model) for model in client.search_logged_models(ids)},
    "registered": registered(None),
    "prompts": registered("tags.`mlflow.prompt.is_prompt` = 'true'"),
    "versions": {f"{found.name}/{found.version}": version(found) for found in client.search_model_versions()},
}
print(json.dumps(answer, sort_keys=True, indent=1))
