"""Random sequences from a seed: what a client might do, and what none should, by what is there already.

Nothing here looks at answers: names stand for what will be bound, so that a sequence is the same for both servers and can be
cut down to fewer steps.
"""

import json
import re

from state import (
    KEYS, ODD_KEYS, ODD_PAGES, ODD_STEPS, ODD_TIMES, ODD_VALUES, PROXY, STEPS, State, T0, TEXTS, TIMES, V2, V3,
    VALUES, call, drop, scoped,
)
from steps import step


# Filters and orders.

def literal(state, kind):
    if kind == "number":
        return state.pick(["0", "1", "0.5", "-1.5", "1e3", "2"], ["'1'", "abc", "", "nan", "1.", ".5", "0x1", "1_000", "--1", "+1"])
    if kind == "time":
        return state.pick([str(T0), str(T0 + 500), "0"], ["'x'", "1.5", "1e3", f"'{T0}'", "-1", str(2**63)])
    text = state.pick(["x", "y", "1", "Hello", "hell%", "%l%", "_", "a b", "50%", "", "%", "a_b", "ü", "Ü"], ["it''s", "it's", "\\"], 0.03)
    quote = state.pick(["'"], ['"', "", "`"], 0.08)
    return f"{quote}{text}{quote}"


def listed(state, values):
    inside = ", ".join(f"'{state.source.choice(values)}'" for _ in range(state.source.randint(1, 3)))
    return state.pick([f"({inside})"], ["()", "(1)", f"({inside}", f"{inside}", f"({inside},)", "('a' 'b')"], 0.06)


def comparison(state, fields):
    name, kind = state.source.choice(fields)
    if kind in ("number", "time"):
        operator = state.pick([">", ">=", "=", "!=", "<", "<="], ["LIKE", "IN", "==", "<>", "IS NULL", "", "=>"], 0.05)
        return f"{name} {operator} {literal(state, kind)}"
    if kind.startswith("["):
        known = kind[1:-1].split("|")
        operator = state.pick(["=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"], [">", "in", "IS NULL", "IS NOT NULL"], 0.08)
        if operator.upper().endswith("IN"):
            return f"{name} {operator} {listed(state, known)}"
        if "NULL" in operator:
            return f"{name} {operator}"
        return f"{name} {operator} '{state.source.choice(known)}'"
    operator = state.pick(["=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"], [">", "IN", "like", "is null", "NOT LIKE", "BETWEEN", "~"], 0.06)
    if "null" in operator.lower():
        return f"{name} {operator}"
    if operator == "IN":
        return f"{name} IN {listed(state, ['x', 'y'])}"
    space = state.pick([" "], ["", "  ", "\t", "\n"], 0.05)
    return f"{name}{space}{operator}{space}{literal(state, kind)}"


def filter_of(state, fields, always=None):
    parts = [comparison(state, fields) for _ in range(state.pick([0, 1, 1, 1, 2, 2, 3]))]
    if always:
        parts.insert(0, always)
    if not parts:
        return None
    text = state.pick([" AND "], [" and ", " And ", " AND\n"], 0.2).join(parts)
    if state.chance(0.04):
        damage = state.source.choice(["or", "paren", "cut", "tail", "semicolon", "comment", "double", "junk"])
        text = {
            "or": f"{text} OR {parts[0]}",
            "paren": f"({text})",
            "cut": text[: state.source.randint(0, len(text))],
            "tail": f"{text} AND",
            "semicolon": f"{text};",
            "comment": f"{text} -- x",
            "double": f"{text} AND AND {parts[0]}",
            "junk": state.source.choice(["'", "x", "=", "AND", "a = ", "1 = 1", "()", "'; DROP TABLE runs; --", "metrics", "metrics.a", "a.b.c = 'x'", " "]),
        }[damage]
    return text


def order_of(state, names):
    orders = []
    for name in state.source.sample(names, state.pick([0, 0, 1, 1, 2])):
        orders.append(name + state.pick(["", " ASC", " DESC"], [" desc", " asc", " sideways", " DESC DESC", ","], 0.08))
    if state.chance(0.04):
        orders.append(state.source.choice(["bogus", "", "metrics.", "a b c", "attributes.zzz", "metrics.a; DROP", "'a'"]))
    return orders or None


RUN_FIELDS = [
    ("metrics.a", "number"), ("metrics.b", "number"), ("metrics.loss", "number"), ("metric.`acc/val`", "number"),
    ('metrics."k w"', "number"), ("metrics.m.x", "number"), ("metrics.none", "number"),
    ("params.a", "text"), ("params.b", "text"), ("parameter.loss", "text"), ("param.`k w`", "text"), ("params.none", "text"),
    ("tags.a", "text"), ("tag.b", "text"), ("tags.`acc/val`", "text"), ("tags.`mlflow.runName`", "text"), ("tags.none", "text"),
    ("attributes.status", "[RUNNING|FINISHED|FAILED|finished]"), ("status", "[RUNNING|KILLED]"), ("attribute.run_name", "text"), ("run_name", "text"),
    ("attributes.`Run name`", "text"), ("`run name`", "text"), ("attributes.start_time", "time"), ("start_time", "time"), ("end_time", "time"), ("created", "time"), ("attr.`Start Time`", "time"),
    ("run_id", "[@run1@|@run2@|zzz]"), ("attributes.run_id", "[@run1@|@run3@]"), ("user_id", "text"), ("attributes.user", "text"),
    ("attributes.artifact_uri", "text"), ("lifecycle_stage", "[active|deleted]"), ("experiment_id", "[1|0]"),
    ("datasets.name", "[d1|d2]"), ("dataset.digest", "[1|2]"), ("dataset.context", "[train|eval]"), ("datasets.zzz", "text"), ("foo.a", "text"), ("attributes.zzz", "text"),
]
RUN_ORDERS = ["metrics.a", "metrics.b", "metrics.loss", "params.a", "params.b", "tags.a", "start_time", "attributes.start_time", "end_time", "status", "run_name", "metric.`k w`", "tags.`mlflow.runName`", "metrics.none", "Created", "attributes.`Start Time`", "lifecycle_stage", "dataset.name"]


# Experiments and runs.

def make_experiment(state):
    name = state.new("exp")
    body = {"name": state.pick([f"@ns@{name}"], ["", None, 1, "@ns@exp1", f"@ns@{name} ", "@ns@ü'\"%", "@ns@" + "x" * 490, "@ns@" + "x" * 520], 0.1)}
    if state.chance(0.3):
        body["tags"] = state.some(lambda: drop({"key": state.key(), "value": state.text()}, state), 2)
    if state.chance(0.08):
        body["artifact_location"] = state.source.choice(["s3://bucket/x", "/tmp/elsewhere", "", "mlflow-artifacts:/x", "file:///tmp/z", "s3://b/x?y=1#f", "http://h/x", "x" * 2049])
    return call(state, "POST", f"{V2}/experiments/create", body, binds={name: "/experiment_id"})


def make_run(state):
    name = state.new("run")
    number = int(name[3:])
    body = {
        "experiment_id": state.one("exp"),
        "start_time": state.pick([T0 + number * 10], [None, 0, -1, "x", "1700000000009", 1.5, 2**63], 0.05),
        "user_id": state.pick([None, "ann"], [1, ""], 0.05),
        # A name that is drawn would put the runs of the two servers into another order.
        "run_name": state.pick([f"r{number}", "same"], [1, "x" * 300], 0.05),
    }
    if state.chance(0.4):
        body["tags"] = state.some(lambda: drop({"key": state.pick(KEYS + ["mlflow.runName", "mlflow.user", "mlflow.parentRunId"], ODD_KEYS), "value": state.text()}, state), 3)
    # A run without a time of its own stands where the clock says.
    body = drop(body, state)
    if not isinstance(body.get("start_time"), int):
        body.setdefault("start_time", T0 + number * 10)
    return step("POST", f"{V2}/runs/create", body, binds={name: "/run/info/run_id"})


def point(state):
    return drop({
        "key": state.key(), "value": state.pick(VALUES, ODD_VALUES, 0.08), "timestamp": state.pick(TIMES, ODD_TIMES, 0.05), "step": state.pick(STEPS, ODD_STEPS, 0.04),
    }, state)


def log_metric(state):
    body = {"run_id": state.one("run"), **point(state)}
    if state.chance(0.05):
        body.update({"model_id": state.one("model", 0.3), "dataset_name": state.pick(["d1", None]), "dataset_digest": state.pick(["1", None])})
    return call(state, "POST", f"{V2}/runs/log-metric", body)


def log_param(state):
    return call(state, "POST", f"{V2}/runs/log-parameter", {"run_id": state.one("run"), "key": state.key(), "value": state.text()})


def set_tag(state):
    key = state.pick(KEYS + ["mlflow.runName", "mlflow.note.content", "mlflow.user"], ODD_KEYS, 0.08)
    return call(state, "POST", f"{V2}/runs/set-tag", {"run_id": state.one("run"), "key": key, "value": state.text()})


def delete_tag(state):
    return call(state, "POST", f"{V2}/runs/delete-tag", {"run_id": state.one("run"), "key": state.pick(KEYS + ["mlflow.runName"], ODD_KEYS)})


def log_batch(state):
    pair = lambda: drop({"key": state.key(0.02), "value": state.text(0.02)}, state, 0.01)
    body = {"run_id": state.one("run"), "metrics": state.some(lambda: point(state), 4), "params": state.some(pair, 2), "tags": state.some(pair, 2)}
    if state.chance(0.05):
        size = state.source.choice([999, 1000, 1001])
        body["metrics"] = [{"key": "many", "value": at, "timestamp": T0 + at, "step": at} for at in range(size)]
    if state.chance(0.03):
        body["params"] = [{"key": f"p{at}", "value": "1"} for at in range(state.source.choice([100, 101]))]
    if state.chance(0.03):
        body["tags"] = [{"key": f"t{at}", "value": "1"} for at in range(state.source.choice([100, 101]))]
    return call(state, "POST", f"{V2}/runs/log-batch", body)


def log_inputs(state):
    state.inputs = getattr(state, "inputs", 0) + 1

    def dataset():
        made = {"name": state.pick(["d1", "d2"], ["", None, 1, "x" * 500, "x" * 501]), "digest": state.pick([str(state.inputs)], ["", None, "x" * 36, "x" * 37]), "source_type": state.pick(["local", "code"], [None, ""]), "source": state.pick(["s", "{}"], [None, ""]), "schema": state.pick([None, "{}"]), "profile": state.pick([None, "p"])}
        tags = [{"key": state.pick(["mlflow.data.context", "k"], ["", None, "x" * 256]), "value": state.pick(["train", "eval"], [None, ""])} for _ in range(state.pick([0, 1, 1, 2]))]
        return drop({"dataset": drop(made, state), "tags": tags}, state)
    body = {"run_id": state.one("run"), "datasets": state.some(dataset, 2)}
    if state.chance(0.15):
        body["models"] = state.some(lambda: drop({"model_id": state.one("model")}, state), 2)
    return call(state, "POST", f"{V2}/runs/log-inputs", body)


def log_outputs(state):
    body = {"run_id": state.one("run"), "models": state.some(lambda: drop({"model_id": state.one("model"), "step": state.pick([0, 1], ODD_STEPS)}, state), 2)}
    return call(state, "POST", f"{V2}/runs/outputs", body)


def get_run(state):
    return call(state, "GET", f"{V2}/runs/get", query=[["run_id", state.one("run")], ["run_uuid", state.pick([None], ["@run1@"], 0.03)]])


def update_run(state):
    body = {"run_id": state.one("run"), "status": state.pick([None, "FINISHED", "FAILED", "RUNNING", "KILLED", "SCHEDULED"], ["BAD", 3, "finished", 99], 0.06), "end_time": state.pick([None, T0 + 5000], [0, "1700000005000", -1, "x"], 0.06), "run_name": state.pick([None, "renamed"], ["", 1, "x" * 300], 0.06)}
    return call(state, "POST", f"{V2}/runs/update", body)


def end_or_restore_run(state):
    verb = state.pick(["delete", "restore"])
    return call(state, "POST", f"{V2}/runs/{verb}", {"run_id": state.one("run")})


def end_or_restore_experiment(state):
    verb = state.pick(["delete", "restore"])
    return call(state, "POST", f"{V2}/experiments/{verb}", {"experiment_id": state.one("exp")})


def update_experiment(state):
    body = {"experiment_id": state.one("exp"), "new_name": state.pick([f"@ns@new{state.source.randint(0, 3)}", "@ns@exp1"], ["", None, 1])}
    return call(state, "POST", f"{V2}/experiments/update", body)


def tag_experiment(state):
    if state.chance(0.3):
        return call(state, "POST", f"{V2}/experiments/delete-experiment-tag", {"experiment_id": state.one("exp"), "key": state.key()})
    return call(state, "POST", f"{V2}/experiments/set-experiment-tag", {"experiment_id": state.one("exp"), "key": state.key(), "value": state.text()})


def get_experiment(state):
    if state.chance(0.4):
        return call(state, "GET", f"{V2}/experiments/get-by-name", query=[["experiment_name", state.pick(["@ns@exp1", "@ns@new1"], ["nope", "", "Default"])]])
    return call(state, "GET", f"{V2}/experiments/get", query=[["experiment_id", state.one("exp")]])


EXPERIMENT_FIELDS = [
    ("name", "text"), ("attribute.name", "text"), ("attributes.name", "text"), ("creation_time", "time"), ("attributes.last_update_time", "time"),
    ("tags.a", "text"), ("tag.`k w`", "text"), ('tags."b"', "text"), ("experiment_id", "[@exp1@|@exp2@|77777]"), ("lifecycle_stage", "text"), ("foo", "text"), ("metrics.a", "number"),
]


def search_experiments(state):
    text = filter_of(state, EXPERIMENT_FIELDS, "name LIKE '@ns@%'")
    # Others' experiments stand among these where a filter lost its beginning.
    if text is None or "@ns@" not in text:
        text = "name LIKE '@ns@%'"
    orders = order_of(state, ["name", "experiment_id", "creation_time", "last_update_time", "attributes.name", "tags.a", "lifecycle_stage"])
    view = state.pick([None, "ACTIVE_ONLY", "DELETED_ONLY", "ALL", 3], ["all", 9, "0"], 0.05)
    body = {"filter": text, "max_results": state.pick([1, 2, 100], ODD_PAGES, 0.06), "order_by": orders, "view_type": view}
    made = call(state, "POST", f"{V2}/experiments/search", body)
    if state.chance(0.1):
        query = [["filter", text], ["max_results", body["max_results"]], *[["order_by", order] for order in orders or []], ["view_type", view]]
        made = step("GET", f"{V2}/experiments/search", query=query)
    return scoped(made, f"{V2}/experiments/search")


def search_runs(state):
    ids = [state.one("exp", 0.01) for _ in range(state.pick([1, 1, 2, 3]))]
    body = {
        "experiment_ids": ids, "filter": filter_of(state, RUN_FIELDS), "run_view_type": state.pick([None, None, "ACTIVE_ONLY", "DELETED_ONLY", "ALL", 3], ["all", 9], 0.05),
        "max_results": state.page(), "order_by": order_of(state, RUN_ORDERS),
    }
    made = call(state, "POST", f"{V2}/runs/search", body)
    if body["max_results"] in (1, 2, 3, "2"):
        state.last_search = (f"{V2}/runs/search", body, state.new("page"))
        made.setdefault("binds", {})[state.last_search[2]] = "/next_page_token"
    return made


def next_page(state):
    known = getattr(state, "last_search", None)
    if not known:
        return search_runs(state)
    # From the first page on: what was made since then stands on other pages, by places in MLflow and by keys here.
    path, body, _ = known
    body = {key: value for key, value in body.items() if value is not None}
    first, second = state.new("page"), state.new("page")
    return [
        step("POST", path, body, binds={first: "/next_page_token"}),
        step("POST", path, {**body, "page_token": f"@{first}@"}, binds={second: "/next_page_token"}),
        step("POST", path, {**body, "page_token": f"@{second}@"}),
    ]


def get_history(state):
    query = [["run_id", state.one("run")], ["metric_key", state.pick(KEYS + ["many", "none"], ["", "../x"])], ["max_results", state.pick([None, None, 2, 1000], ODD_PAGES)]]
    return call(state, "GET", f"{V2}/metrics/get-history", query=query)


def get_history_bulk(state):
    runs = [["run_id", state.one("run")] for _ in range(state.pick([1, 2, 3], [0], 0.05))]
    query = runs + [["metric_key", state.pick(KEYS + ["many"], ["", None])], ["max_results", state.pick([None, 2, 100], ODD_PAGES)]]
    return call(state, "GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk", query=query)


def get_history_interval(state):
    runs = [["run_ids", state.one("run")] for _ in range(state.pick([1, 2, 3], [0], 0.05))]
    query = runs + [["metric_key", state.pick(KEYS + ["many", "many"], ["", None])], ["max_results", state.pick([2, 5, 100, 320], ODD_PAGES + [2500, 2501])]]
    if state.chance(0.4):
        query += [["start_step", state.pick([0, -10, 1, 100], ["x"])], ["end_step", state.pick([3, 500, 0, 1000], [None, "x"])]]
    return call(state, "GET", f"{V2}/metrics/get-history-bulk-interval", query=query)


def search_datasets(state):
    body = {"experiment_ids": [state.one("exp") for _ in range(state.pick([1, 2], [0, 21], 0.1))]}
    return call(state, "POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", body)


RUN_STEPS = [
    (3, make_run), (1, make_experiment), (8, log_metric), (4, log_param), (4, set_tag), (2, delete_tag), (4, log_batch), (2, log_inputs), (1, log_outputs), (5, get_run),
    (3, update_run), (2, end_or_restore_run), (1, end_or_restore_experiment), (9, search_runs), (3, next_page), (4, get_history), (2, get_history_bulk), (2, get_history_interval), (1, search_datasets),
]
EXPERIMENT_STEPS = [(4, make_experiment), (2, update_experiment), (2, end_or_restore_experiment), (4, tag_experiment), (4, get_experiment), (6, search_experiments), (1, make_run), (1, search_runs)]


# Logged models.

def make_model(state):
    name = state.new("model")
    pair = lambda: drop({"key": state.key(0.03), "value": state.text(0.03)}, state, 0.02)
    body = {"experiment_id": state.one("exp"), "name": state.pick([f"m{name}", "same", None], ["", "a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", 1, "x" * 300, "ü"], 0.1), "model_type": state.pick([None, "Agent", "x"], ["", 1]), "source_run_id": state.pick([None, state.one("run")])}
    if state.chance(0.5):
        body["params"] = state.some(pair, 2)
        body["tags"] = state.some(pair, 2)
    return call(state, "POST", f"{V2}/logged-models", body, binds={name: "/model/info/model_id"})


def get_model(state):
    return call(state, "GET", f"{V2}/logged-models/{path_part(state.one('model'))}")


def path_part(text):
    return text if text.startswith("@") else re.sub(r"[^\w.\-]", "_", text, flags=re.ASCII) or "none"


def finalize_model(state):
    return call(state, "PATCH", f"{V2}/logged-models/{path_part(state.one('model'))}", {"model_id": state.pick(["x", None]), "status": state.pick(["LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED", "LOGGED_MODEL_PENDING", 2], ["BAD", None, 0, "READY"], 0.1)})


def change_model(state):
    model = path_part(state.one("model"))
    pair = lambda: drop({"key": state.key(0.05), "value": state.text(0.05)}, state, 0.02)
    kind = state.pick(["params", "tags", "tags", "untag"])
    if kind == "params":
        return call(state, "POST", f"{V2}/logged-models/{model}/params", {"params": state.some(pair, 3)})
    if kind == "tags":
        return call(state, "PATCH", f"{V2}/logged-models/{model}/tags", {"tags": state.some(pair, 3)})
    return call(state, "DELETE", f"{V2}/logged-models/{model}/tags/{state.pick(['a', 'b', 'loss', 'none', 'k%20w'])}")


def delete_model(state):
    return call(state, "DELETE", f"{V2}/logged-models/{path_part(state.one('model'))}")


MODEL_FIELDS = [
    ("name", "text"), ("attributes.name", "text"), ("model_id", "[@model2@|@model3@|zzz]"), ("model_type", "[Agent|x]"), ("status", "[READY|PENDING|LOGGED_MODEL_READY]"), ("source_run_id", "text"),
    ("creation_timestamp", "time"), ("creation_time", "time"), ("last_updated_timestamp", "time"), ("metrics.a", "number"), ("metrics.`k w`", "number"), ("params.a", "text"), ("params.b", "text"), ("tags.a", "text"), ("tags.b", "text"), ("experiment_id", "text"), ("foo", "text"),
]


def search_models(state):
    orders = [{"field_name": state.pick(["creation_time", "creation_timestamp", "metrics.a", "params.a", "tags.a", "name", "model_id", "last_updated_timestamp"], ["bogus", "", 1]), "ascending": state.pick([True, False, None], ["x"])} for _ in range(state.pick([0, 0, 1, 1, 2]))]
    body = {"experiment_ids": [state.one("exp", 0.02)], "filter": filter_of(state, MODEL_FIELDS), "max_results": state.pick([None, 1, 2, 50], ODD_PAGES), "order_by": [drop(order, state) for order in orders] or None}
    if state.chance(0.1):
        body["datasets"] = [drop({"dataset_name": state.pick(["d1", "d2"]), "dataset_digest": state.pick(["1", None])}, state, 0.1)]
    made = call(state, "POST", f"{V2}/logged-models/search", body)
    if body["max_results"] in (1, 2):
        state.last_search = (f"{V2}/logged-models/search", body, state.new("page"))
        made.setdefault("binds", {})[state.last_search[2]] = "/next_page_token"
    return made


def log_model_metric(state):
    return call(state, "POST", f"{V2}/runs/log-metric", {"run_id": state.one("run"), **point(state), "model_id": state.one("model"), "dataset_name": state.pick(["d1", None]), "dataset_digest": state.pick(["1", None])})


MODEL_STEPS = [(4, make_model), (1, make_run), (3, get_model), (3, finalize_model), (5, change_model), (1, delete_model), (7, search_models), (2, next_page), (4, log_model_metric), (1, log_outputs), (1, log_inputs), (2, get_run)]


# The registry.

def name_of(state):
    return state.pick([f"@ns@rm{state.source.randint(1, 3)}"], ["nope", "", None, 1, "@ns@rm9"], 0.06)


def version_of(state):
    return state.pick(["1", "2", "3"], ["0", "99", "x", "", None, 1, "-1", "1.0", "01"], 0.08)


def registry_tag(state):
    key = state.pick(KEYS + ["mlflow.prompt.is_prompt"], ["", None, "k" * 250, "k" * 251, "bad*key", "/abs", "../x", 1])
    value = "true" if key == "mlflow.prompt.is_prompt" else state.text()
    return {"key": key, "value": value}


def make_registered(state):
    body = {"name": state.pick([f"@ns@rm{state.source.randint(1, 4)}"], ["", None, 1, "a/b", "a:b", "@ns@" + "x" * 252, "@ns@ü '", "@ns@" + "x" * 260], 0.08), "description": state.pick([None, "about"], ["", 1])}
    if state.chance(0.3):
        body["tags"] = state.some(lambda: drop(registry_tag(state), state), 3)
    return call(state, "POST", f"{V2}/registered-models/create", body)


def get_registered(state):
    return call(state, "GET", f"{V2}/registered-models/get", query=[["name", name_of(state)]])


def update_registered(state):
    if state.chance(0.4):
        return call(state, "POST", f"{V2}/registered-models/rename", {"name": name_of(state), "new_name": state.pick([f"@ns@rm{state.source.randint(1, 5)}"], ["", None, "a/b"])})
    return call(state, "PATCH", f"{V2}/registered-models/update", {"name": name_of(state), "description": state.pick(["new", "other"], ["", None, 1])})


def delete_registered(state):
    return call(state, "DELETE", f"{V2}/registered-models/delete", {"name": name_of(state)})


def tag_registered(state):
    body = {"name": name_of(state), **registry_tag(state)}
    if state.chance(0.3):
        body.pop("value")
        return call(state, "DELETE", f"{V2}/registered-models/delete-tag", body)
    return call(state, "POST", f"{V2}/registered-models/set-tag", body)


def alias(state):
    body = {"name": name_of(state), "alias": state.pick(["best", "next", "a-b"], ["v1", "latest", "LATEST", "a b", "", None, "x" * 256, "1", "V2", "ü"], 0.1)}
    verb = state.pick(["POST", "POST", "GET", "DELETE"])
    if verb == "GET":
        return call(state, verb, f"{V2}/registered-models/alias", query=list(map(list, body.items())))
    if verb == "POST":
        body["version"] = version_of(state)
    return call(state, verb, f"{V2}/registered-models/alias", body)


def latest_versions(state):
    stages = state.pick([None, ["Production"], ["None", "Staging"]], [["zzz"], [], "Production", ["production"]])
    if state.chance(0.2):
        return call(state, "GET", f"{V2}/registered-models/get-latest-versions", query=[["name", name_of(state)], *[["stages", stage] for stage in stages or []]])
    return call(state, "POST", f"{V2}/registered-models/get-latest-versions", {"name": name_of(state), "stages": stages})


def make_version(state):
    body = {
        "name": name_of(state), "description": state.pick([None, "v"], [""]), "run_link": state.pick([None, None, "http://l"], [1]),
        "source": state.pick(["s3://b/model", "https://h/x", "dbfs:/x", "s3://b/x"], ["", None, 1, "/etc", "file:///etc/passwd", "mlflow-artifacts:/0/x/artifacts/model", "mlflow-artifacts:/0/../x", "s3://b/../x", "models:/nope/1", "runs:/@run1@/model", "http://h/a%2e%2e/b", "relative/x", "s3://b/x?y=../z", "../x", "."], 0.15),
        "run_id": state.pick([None, None, state.one("run")]),
    }
    if state.chance(0.3):
        body["tags"] = state.some(lambda: drop(registry_tag(state), state), 2)
    return call(state, "POST", f"{V2}/model-versions/create", body)


def get_version(state):
    path = state.pick(["get", "get", "get-download-uri"])
    return call(state, "GET", f"{V2}/model-versions/{path}", query=[["name", name_of(state)], ["version", version_of(state)]])


def change_version(state):
    both = {"name": name_of(state), "version": version_of(state)}
    kind = state.pick(["update", "stage", "stage", "delete", "tag", "tag", "untag"])
    if kind == "update":
        return call(state, "PATCH", f"{V2}/model-versions/update", {**both, "description": state.pick(["new"], ["", None, 1])})
    if kind == "stage":
        return call(state, "POST", f"{V2}/model-versions/transition-stage", {**both, "stage": state.pick(["Staging", "Production", "Archived", "None", "production"], ["zzz", "", None, "PRODUCTION"]), "archive_existing_versions": state.pick([None, False, True], ["true", 1])})
    if kind == "delete":
        return call(state, "DELETE", f"{V2}/model-versions/delete", both)
    if kind == "tag":
        return call(state, "POST", f"{V2}/model-versions/set-tag", {**both, **registry_tag(state)})
    return call(state, "DELETE", f"{V2}/model-versions/delete-tag", {**both, "key": state.key()})


REGISTERED_FIELDS = [("name", "text"), ("tags.a", "text"), ("tags.b", "text"), ("tag.`k w`", "text"), ("tags.`mlflow.prompt.is_prompt`", "[true|false]"), ("attributes.name", "text"), ("name", "[@ns@rm1|@ns@rm2]"), ("creation_timestamp", "time"), ("foo", "text")]
VERSION_FIELDS = [("name", "[@ns@rm1|@ns@rm2]"), ("version_number", "number"), ("run_id", "[@run1@|@run2@|zzz]"), ("source_path", "[s3://b/model|s3://b/x]"), ("tags.a", "text"), ("tags.`k w`", "text"), ("attributes.version_number", "number"), ("creation_timestamp", "time"), ("current_stage", "text"), ("foo", "text"), ("user_id", "text")]


def search_registry(state):
    versions = state.chance(0.5)
    text = filter_of(state, VERSION_FIELDS if versions else REGISTERED_FIELDS, "name LIKE '@ns@%'")
    if text is None or "@ns@" not in text:
        text = "name LIKE '@ns@%'"
    names = ["name", "version_number", "creation_timestamp", "last_updated_timestamp", "run_id"] if versions else ["name", "last_updated_timestamp", "creation_timestamp", "timestamp"]
    path = f"{V2}/{'model-versions' if versions else 'registered-models'}/search"
    query = [["filter", text], ["max_results", state.pick([None, None, 2, 100, 1], ["0", "-1", "x", "1001", "200001", "1.5", ""], 0.06)], *[["order_by", order] for order in order_of(state, names) or []]]
    return scoped(call(state, "GET", path, query=query), path)


REGISTRY_STEPS = [(4, make_registered), (2, make_run), (6, make_version), (3, get_registered), (2, update_registered), (1, delete_registered), (3, tag_registered), (5, alias), (2, latest_versions), (3, get_version), (7, change_version), (7, search_registry)]


# Artifacts.

PATHS = ["a.txt", "d/b.txt", "d/e/c.json", "x%20y.txt", "%C3%BC.bin", "model/MLmodel", "d", "a%20b.txt", "dot.", "a+b.txt", "noext", "p.html", "q.png", "%F0%9F%98%80.txt", "a;b", "a,b", "semi:colon", "q%3Fm", "h%23h", "at@t"]
ODD_PATHS = ["..", "../x", "%2e%2e/x", "%2E%2E%2Fx", "%252e%252e%252fx", "d/../../x", "/etc/passwd", "%2Fetc%2Fpasswd", "C:%5Cx", "C:/x", "d%5C..%5Cx", "d//b.txt", "./a.txt", "", "d/", "%00", "a%00b", "~/x", "file:///etc/passwd", "..%5C..%5Cx", "d/./b.txt", "%25", "a%", "%zz", "....//x", "x" * 300]


def artifact_path(state):
    return state.pick(PATHS, ODD_PATHS, 0.18)


def put_artifact(state):
    content = state.pick([b"", b"hello", b"\x00\xff" * 50, b'{"a": 1}'])
    return {"method": "PUT", "path": f"{PROXY}/{state.one('exp', 0)}/{state.one('run', 0)}/artifacts/{artifact_path(state)}", "bytes": content.hex(), "headers": {"Content-Type": state.pick(["application/octet-stream", "text/plain"])}}


def get_artifact(state):
    run = state.one("run", 0)
    kind = state.pick(["proxy", "proxy", "list", "list", "old", "delete", "root"])
    if kind == "proxy":
        return step("GET", f"{PROXY}/{state.one('exp', 0)}/{run}/artifacts/{artifact_path(state)}")
    if kind == "delete":
        return step("DELETE", f"{PROXY}/{state.one('exp', 0)}/{run}/artifacts/{artifact_path(state)}", headers={"Content-Type": None})
    decoded = state.pick(["", "d", "d/e", "model", "none", "a.txt"], ["..", "../x", "%2e%2e", "/etc", "d/../..", "C:\\x", "d//e", "./d", "d/", "%252e%252e", "\u0000", "..\\x", "file:///etc"], 0.2)
    if kind == "list":
        return step("GET", f"{V2}/artifacts/list", query=[["run_id", state.one("run")], ["path", decoded or None]])
    if kind == "old":
        return step("GET", "/get-artifact", query=[["run_id", run], ["path", state.pick(["a.txt", "d/b.txt", "x y.txt", "none"], ["../x", "/etc/passwd", "", "%2e%2e/x", "d"], 0.2)]])
    return step("GET", PROXY, query=[["path", f"{state.one('exp', 0)}/{run}/artifacts/{decoded}".rstrip("/") if state.chance(0.8) or decoded == "" else decoded]])


ARTIFACT_STEPS = [(1, make_run), (6, put_artifact), (8, get_artifact)]


# Webhooks.

def make_webhook(state):
    name = state.new("hook")
    body = {
        "name": state.pick(["hook", "a-b", "x1"], ["", None, 1, "-", "a b", "x" * 64, "ü"], 0.08), "url": state.pick(["https://93.184.216.34/x"], ["http://93.184.216.34/", "https://127.0.0.1/", "", None, "ftp://x", "x"], 0.1),
        "events": [{"entity": state.pick(["MODEL_VERSION", "REGISTERED_MODEL"]), "action": state.pick(["CREATED"], ["SET"])} for _ in range(state.pick([1], [0], 0.1))], "secret": state.pick([None, "s3cret"]), "status": state.pick([None, "ACTIVE", "DISABLED"]), "description": state.pick([None, "d"], [""]),
    }
    return call(state, "POST", f"{V2}/webhooks", body, binds={name: "/webhook/webhook_id"})


def use_webhook(state):
    hook = path_part(state.one("hook"))
    verb = state.pick(["GET", "PATCH", "PATCH", "DELETE"])
    if verb == "PATCH":
        return call(state, verb, f"{V2}/webhooks/{hook}", {"name": state.pick([None, "renamed"], ["", 1]), "description": state.pick([None, "other"], [""]), "status": state.pick([None, "DISABLED", "ACTIVE"])})
    return call(state, verb, f"{V2}/webhooks/{hook}")


WEBHOOK_STEPS = [(3, make_webhook), (5, use_webhook)]


# Traces.

def make_trace(state):
    number = state.count + 1
    name = state.new("trace")
    trace = {
        "trace_id": f"tr-@ns@{number}", "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": state.one("exp", 0.02)}},
        "request_time": f"2023-11-14T22:13:{number % 60:02}.{number % 1000:03}Z", "execution_duration": state.pick(["0.5s", "1s", "0.001s"], [None, "2.123456789s"]), "state": state.pick(["OK", "ERROR", "IN_PROGRESS"], [None, "STATE_UNSPECIFIED", 1]),
        "request_preview": state.pick([None, "question"]), "response_preview": state.pick([None, "answer"]), "client_request_id": state.pick([None, "c1"]),
        "tags": {state.source.choice(KEYS): state.source.choice(TEXTS) for _ in range(state.pick([0, 1, 2]))}, "trace_metadata": {state.pick(["a", "mlflow.trace.session", "mlflow.sourceRun"]): state.pick(["x", "y"]) for _ in range(state.pick([0, 1]))},
    }
    return step("POST", f"{V3}/traces", {"trace": {"trace_info": {key: value for key, value in trace.items() if value is not None}}}, binds={name: "/trace/trace_info/trace_id"})


def get_trace(state):
    trace = path_part(state.one("trace"))
    kind = state.pick(["info", "info", "infos", "v2"])
    if kind == "info":
        return step("GET", f"{V3}/traces/{trace}")
    if kind == "infos":
        return step("POST", f"{V3}/traces/batchGetInfos", {"trace_ids": [state.one("trace") for _ in range(2)]})
    return step("GET", f"{V2}/traces/{trace}/info")


def tag_trace(state):
    trace = path_part(state.one("trace"))
    path = state.pick([V2, V3])
    if state.chance(0.3):
        return call(state, "DELETE", f"{path}/traces/{trace}/tags", {"key": state.key()})
    return call(state, "PATCH", f"{path}/traces/{trace}/tags", {"key": state.key(), "value": state.text()})


def assess(state):
    name = state.new("assessment")
    body = {"assessment_name": state.pick(["quality", "right"], ["", None]), "trace_id": "x", "source": {"source_type": state.pick(["HUMAN", "CODE", "LLM_JUDGE"]), "source_id": state.pick(["ann", "bob"])}, "create_time": "2023-11-14T22:13:20Z", "last_update_time": "2023-11-14T22:13:20Z"}
    if state.chance(0.6):
        body["feedback"] = {"value": state.pick([True, 1, 0.5, "yes", None, [1, "a"], {"k": 1}])}
    else:
        body["expectation"] = {"value": state.pick(["Paris", 4, True, [1], {"k": [1]}])}
    body["rationale"] = state.pick([None, "because"])
    body["metadata"] = state.pick([None, {"m": "1"}])
    body = {key: value for key, value in body.items() if value is not None}
    return step("POST", f"{V3}/traces/{path_part(state.one('trace'))}/assessments", {"assessment": body}, binds={name: "/assessment/assessment_id"})


def use_assessment(state):
    path = f"{V3}/traces/{path_part(state.one('trace'))}/assessments/{path_part(state.one('assessment'))}"
    verb = state.pick(["GET", "PATCH", "DELETE"])
    if verb != "PATCH":
        return step(verb, path)
    mask = state.pick(["feedback", "rationale", "assessmentName", "metadata"], ["assessment_name", "zzz", ""])
    body = {"assessment": {"feedback": {"value": state.pick([True, "no", 3])}, "rationale": "new", "assessment_name": "renamed", "metadata": {"n": "2"}}, "update_mask": mask}
    return step(verb, path, body)


TRACE_FIELDS = [
    ("status", "[OK|ERROR|IN_PROGRESS]"), ("trace.status", "[OK|ERROR]"), ("attributes.status", "[OK|ERROR]"), ("timestamp_ms", "time"), ("timestamp", "time"), ("trace.execution_time_ms", "number"), ("execution_time", "number"),
    ("tags.a", "text"), ("tag.`k w`", "text"), ("metadata.a", "text"), ("request_metadata.a", "text"), ("request_id", "[@trace1@|@trace2@]"), ("trace.client_request_id", "text"), ("run_id", "text"), ("name", "text"),
]


def search_traces(state):
    body = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": state.one("exp", 0.02)}}], "filter": filter_of(state, TRACE_FIELDS), "max_results": state.pick([None, 2, 100], [0, -1, 501, "x"], 0.06), "order_by": order_of(state, ["timestamp_ms", "status", "tags.a", "execution_time", "timestamp"])}
    body = {key: value for key, value in body.items() if value is not None}
    made = step("POST", f"{V3}/traces/search", body)
    if body.get("max_results") == 2:
        state.last_search = (f"{V3}/traces/search", body, state.new("page"))
        made["binds"] = {state.last_search[2]: "/next_page_token"}
    return made


def delete_traces(state):
    body = {"experiment_id": state.one("exp", 0.02)}
    if state.chance(0.7):
        body["request_ids"] = [state.one("trace") for _ in range(state.pick([1, 2]))]
    else:
        body.update({"max_timestamp_millis": state.pick([T0 + 3000, 0]), "max_traces": state.pick([None, 1], [0])})
    return call(state, "POST", f"{V3}/traces/delete-traces", body)


def link_traces(state):
    return call(state, "POST", f"{V2}/traces/link-to-run", {"trace_ids": [state.one("trace", 0.02) for _ in range(state.pick([1, 2]))], "run_id": state.one("run", 0.02)})


TRACE_STEPS = [(5, make_trace), (1, make_run), (4, get_trace), (4, tag_trace), (4, assess), (3, use_assessment), (7, search_traces), (2, next_page), (1, delete_traces), (1, link_traces)]


# Evaluation datasets.

def make_dataset(state):
    name = state.new("dataset")
    body = {"name": state.pick([f"@ns@{name}"], ["", None, 1]), "experiment_ids": [state.one("exp", 0) for _ in range(state.pick([0, 1, 2]))], "tags": state.pick([None, '{"a": "x"}', '{"team": "y"}'])}
    return call(state, "POST", f"{V3}/datasets/create", body, binds={name: "/dataset/dataset_id"})


def use_dataset(state):
    path = f"{V3}/datasets/{path_part(state.one('dataset'))}"
    kind = state.pick(["get", "get", "tags", "untag", "experiments", "add", "remove", "delete"])
    if kind == "tags":
        return call(state, "PATCH", f"{path}/tags", {"tags": state.pick(['{"a": "y"}', '{"b": "1", "a": "z"}'])})
    if kind == "untag":
        return step("DELETE", f"{path}/tags/{state.pick(['a', 'b', 'none'])}")
    if kind == "experiments":
        return step("GET", f"{path}/experiment-ids")
    if kind in ("add", "remove"):
        return call(state, "POST", f"{path}/{kind}-experiments", {"experiment_ids": [state.one("exp", 0) for _ in range(state.pick([1, 2]))]})
    return step("GET" if kind == "get" or state.chance(0.7) else "DELETE", path)


def use_records(state):
    path = f"{V3}/datasets/{path_part(state.one('dataset'))}/records"
    kind = state.pick(["merge", "merge", "list", "delete"])
    if kind == "list":
        name = state.new("record")
        return step("GET", path, query=[["max_results", state.pick([None, 100])]], binds={name: "/records/least/dataset_record_id"})
    if kind == "delete":
        return step("DELETE", path, {"dataset_record_ids": [state.one("record", 0.1)]})
    records = [drop({"inputs": {state.pick(["q", "z"]): state.pick([1, 1.0, "a", "b", None, [1], True])}, "expectations": state.pick([None, {"e": 1}, {"f": [1]}]), "tags": state.pick([None, {"t": "1"}])}, state, 0) for _ in range(state.pick([1, 2, 3]))]
    return step("POST", path, {"records": json.dumps(records)})


def search_evaluation_datasets(state):
    text = filter_of(state, [("name", "text"), ("tags.a", "text"), ("created_by", "text"), ("created_time", "time"), ("last_update_time", "time")], "name LIKE '@ns@%'")
    if "@ns@" not in (text or ""):
        text = "name LIKE '@ns@%'"
    body = {"experiment_ids": [state.one("exp", 0) for _ in range(state.pick([0, 1]))], "filter_string": text, "max_results": state.pick([None, 100]), "order_by": order_of(state, ["name", "created_time", "last_update_time"])}
    return scoped(call(state, "POST", f"{V3}/datasets/search", body), f"{V3}/datasets/search")


DATASET_STEPS = [(3, make_dataset), (1, make_experiment), (5, use_dataset), (5, use_records), (4, search_evaluation_datasets)]

# Scorers.

def scorer_name(state):
    return state.pick(["exact", "close"], ["", None, 1, "none"], 0.06)


def register_scorer(state):
    text = json.dumps({"name": "exact", "builtin_scorer_class": state.pick(["Correctness", "Safety"]), "builtin_scorer_pydantic_data": {}})
    body = {"experiment_id": state.one("exp", 0.03), "name": scorer_name(state), "serialized_scorer": state.pick([text], ["", None, "garbage", "[]", "1"])}
    return call(state, "POST", f"{V3}/scorers/register", body)


def use_scorer(state):
    kind = state.pick(["list", "versions", "get", "get", "delete"])
    both = [["experiment_id", state.one("exp", 0.03)], ["name", scorer_name(state)]]
    version = state.pick([None, 1, 2], [0, 99, "x", -1], 0.1)
    if kind == "list":
        return call(state, "GET", f"{V3}/scorers/list", query=both[:1])
    if kind == "versions":
        return call(state, "GET", f"{V3}/scorers/versions", query=both)
    if kind == "get":
        return call(state, "GET", f"{V3}/scorers/get", query=[*both, ["version", version]])
    return call(state, "DELETE", f"{V3}/scorers/delete", {**dict(map(tuple, both)), "version": version})


SCORER_STEPS = [(4, register_scorer), (6, use_scorer)]

KINDS = {
    "scorers": (SCORER_STEPS, [make_experiment]),
    "runs": (RUN_STEPS, [make_experiment, make_run, make_run]),
    "experiments": (EXPERIMENT_STEPS, [make_experiment]),
    "models": (MODEL_STEPS, [make_experiment, make_model, make_run]),
    "registry": (REGISTRY_STEPS, [make_experiment, make_run, make_registered]),
    "artifacts": (ARTIFACT_STEPS, [make_experiment, make_run, put_artifact]),
    "traces": (TRACE_STEPS, [make_experiment, make_trace]),
    "datasets": (DATASET_STEPS, [make_experiment, make_dataset]),
    "webhooks": (WEBHOOK_STEPS, [make_webhook]),
}


def sequence(kind, source):
    """A random sequence of one kind."""
    weighted, begin = KINDS[kind]
    state = State(source)
    steps = [make(state) for make in begin]
    weights, makers = zip(*weighted)
    length = source.randint(5, 15) if kind == "webhooks" else source.randint(15, 40)
    for make in source.choices(makers, weights, k=length):
        made = make(state)
        steps += made if isinstance(made, list) else [made]
    if kind == "webhooks":
        steps += [step("DELETE", f"{V2}/webhooks/@{name}@") for name in state.things.get("hook", [])]
    return steps
