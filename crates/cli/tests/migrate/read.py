"""Prints all that the client can read of a tracking server, but for where files are kept."""

import hashlib
import json
import math
import pathlib
import tempfile

import mlflow
from mlflow.entities import ViewType
from mlflow.genai.datasets import get_dataset, search_datasets
from mlflow.tracking._tracking_service.utils import _get_store

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
            # MLflow's server tells no size of an empty file.
            found[entry.path] = [entry.file_size or 0, hashlib.sha256(content).hexdigest()]
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


def exact(value):
    """A value as it comes over the wire, where nothing is no number and all numbers have 64 bits."""
    if isinstance(value, dict):
        return {key: exact(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        return str(value)
    return value


def judged(value):
    """The value of an assessment, whose numbers are all floats on the wire."""
    if isinstance(value, dict):
        return {key: judged(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [judged(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def assessment(found):
    error = getattr(found, "error", None)
    return {
        "name": found.name,
        "kind": type(found).__name__,
        "value": found.issue_name if found.issue else judged((found.feedback or found.expectation).value),
        "error": [error.error_code, error.error_message, error.stack_trace] if error else None,
        "source": [found.source.source_type, found.source.source_id],
        "rationale": found.rationale or "",
        # Reproof keeps the run among the metadata, where the client looks for it too.
        "run": found.run_id,
        "metadata": {key: value for key, value in (found.metadata or {}).items() if key != "mlflow.assessment.sourceRunId"},
        "span": found.span_id or "",
        "times": [found.create_time_ms, found.last_update_time_ms],
        "overrides": found.overrides or "",
        # A folder of files does not tell it of all.
        "valid": found.valid is not False,
    }


def span(found):
    return {
        "parent": found.parent_id,
        "name": found.name,
        "type": found.span_type,
        "times": [found.start_time_ns, found.end_time_ns],
        "status": [found.status.status_code, found.status.description],
        "attributes": exact(found.attributes),
        "events": [[event.name, event.timestamp, exact(event.attributes)] for event in found.events],
        "links": [[link.trace_id, link.span_id, exact(link.attributes or {})] for link in found.links],
    }


def spans(info):
    told = {inner.span_id: span(inner) for inner in mlflow.get_trace(info.trace_id).data.spans}
    assert told == batch.pop(info.trace_id)
    return told


def trace(info):
    return {
        "experiment": info.experiment_id,
        "times": [info.request_time, info.execution_duration],
        "state": info.state,
        "request": [info.client_request_id or "", info.request_preview or "", info.response_preview or ""],
        "tags": {key: value for key, value in info.tags.items() if key != "mlflow.artifactLocation"},
        "metadata": info.trace_metadata,
        # MLflow does not find the files of a deleted experiment in a folder of files.
        "spans": spans(info) if info.experiment_id in active else {},
        "assessments": {one.assessment_id: assessment(one) for one in info.assessments},
        "assessments one by one": {
            one.assessment_id: assessment(mlflow.get_assessment(info.trace_id, one.assessment_id))
            for one in info.assessments
        },
    }


def search_traces(experiments, filter_string=None, include_spans=False):
    found = []
    for one in experiments:
        try:
            found += mlflow.search_traces(
                locations=[one], filter_string=filter_string, include_spans=include_spans, return_type="list", max_results=500
            )
        except mlflow.exceptions.MlflowException:
            # A folder of files knows no such filter.
            if filter_string is None:
                raise
    return found


def datasets():
    told = {}
    for found in search_datasets(filter_string="name LIKE '%'"):
        found = get_dataset(dataset_id=found.dataset_id)
        records = found.to_df().to_dict("records")
        told[found.dataset_id] = {
            "row": [found.name, found.digest, json.loads(found.schema or "{}"), found.profile, found.created_by, found.last_updated_by],
            "times": [found.created_time, found.last_update_time],
            "tags": found.tags,
            "experiments": sorted(found.experiment_ids),
            "records": {record["dataset_record_id"]: exact({**record, "source": str(record["source"])}) for record in records},
        }
    return told


def scorers():
    store = _get_store()
    found = [version for one in active for scorer in store.list_scorers(one) for version in store.list_scorer_versions(one, scorer.scorer_name)]
    told = {}
    for version in found:
        one = {key: value for key, value in vars(version).items() if "workspace" not in key}
        told[f"{version.experiment_id}/{version.scorer_name}/{version.scorer_version}"] = {key: plain(value) for key, value in one.items()}
    if not found:
        return told
    scorings = store.get_online_scoring_configs(sorted({version.scorer_id for version in found}))
    return told | {"scorings": sorted(str(vars(scoring)) for scoring in scorings)}


def webhooks():
    return {
        found.webhook_id: {
            "row": [found.name, found.url, plain(found.description), str(found.status)],
            "times": [found.creation_timestamp, found.last_updated_timestamp],
            "events": sorted(str(event) for event in found.events),
        }
        for found in client.list_webhooks()
    }


is_folder = "://" not in mlflow.get_tracking_uri() or mlflow.get_tracking_uri().startswith("file:")
experiments = client.search_experiments(view_type=ViewType.ALL)
ids = [experiment.experiment_id for experiment in experiments]
active = [experiment.experiment_id for experiment in experiments if experiment.lifecycle_stage == "active"]
batch = {
    found.info.trace_id: {inner.span_id: span(inner) for inner in found.data.spans}
    for found in search_traces(active, include_spans=True)
}
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
    "traces": {found.info.trace_id: trace(found.info) for found in search_traces(ids)},
    "traces by filter": {
        filter_string: sorted(found.info.trace_id for found in search_traces(ids, filter_string))
        for filter_string in [
            *(f"run_id = '{found.info.run_id}'" for found in client.search_runs(ids, run_view_type=ViewType.ALL)),
            "prompt = 'greeting/1'",
            "prompt = 'greeting/2'",
            "metadata.`mlflow.trace.session` = 'chat 1'",
            "trace.status = 'ERROR'",
            "span.type = 'TOOL'",
            "feedback.quality = 'true'",
        ]
    },
    # A folder of files has none.
    "datasets": {} if is_folder else datasets(),
    "scorers": {} if is_folder else scorers(),
    "webhooks": {} if is_folder else webhooks(),
    "versions": {f"{found.name}/{found.version}": version(found) for found in client.search_model_versions()},
}
print(json.dumps(answer, sort_keys=True, indent=1))
