"""What MLflow's own clients do with a server that asks for names and passwords.

    python client.py http://127.0.0.1:5000

Passes on `mlflow server --app-name basic-auth` of MLflow 3.17.2 with `admin_password = adminpassword1234`, and must
pass on `reproof server --app-name basic-auth` likewise. The server must be new.
"""

import os
import sys
import types

import mlflow
import mlflow.server
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

# The app itself needs more packages than its client.
package = types.ModuleType("mlflow.server.auth")
package.__path__ = [os.path.join(os.path.dirname(mlflow.server.__file__), "auth")]
sys.modules["mlflow.server.auth"] = package
from mlflow.server.auth.client import AuthServiceClient  # noqa: E402

URI = sys.argv[1]
PASSWORDS = {"admin": "adminpassword1234", "ann": "ann's password", "bob": "bob's password"}
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
mlflow.set_tracking_uri(URI)
mlflow.set_registry_uri(URI)
client = MlflowClient(URI, URI)
auth = AuthServiceClient(URI)


def become(user):
    os.environ["MLFLOW_TRACKING_USERNAME"] = user
    os.environ["MLFLOW_TRACKING_PASSWORD"] = PASSWORDS[user]


def refused(call, *arguments, code="PERMISSION_DENIED", **named):
    try:
        call(*arguments, **named)
    except (MlflowException, requests.HTTPError) as error:
        told = getattr(error, "error_code", None), str(error)
        assert code in f"{told}" or (code == "PERMISSION_DENIED" and "Permission denied" in told[1]), told
        return told
    raise AssertionError(f"{call} was not refused")


# Users.
become("admin")
ann = auth.create_user("ann", PASSWORDS["ann"])
assert (ann.username, ann.is_admin, ann.password_hash) == ("ann", False, "REDACTED")
bob = auth.create_user("bob", PASSWORDS["bob"])
assert auth.get_user("bob").id == bob.id != ann.id
refused(auth.create_user, "ann", PASSWORDS["ann"], code="RESOURCE_ALREADY_EXISTS")
refused(auth.create_user, "x", "short", code="INVALID_PARAMETER_VALUE")
refused(auth.get_user, "nobody", code="RESOURCE_DOES_NOT_EXIST")
auth.update_user_admin("bob", True)
assert auth.get_user("bob").is_admin
auth.update_user_admin("bob", False)
auth.update_user_password("bob", "bob's other password")
become("bob")
refused(auth.get_user, "bob", code="401")
PASSWORDS["bob"] = "bob's other password"
become("bob")
auth.update_user_password("bob", "bob's third password", current_password=PASSWORDS["bob"])
PASSWORDS["bob"] = "bob's third password"
become("bob")
assert auth.get_user("bob").username == "bob"
refused(auth.get_user, "ann")
refused(auth.update_user_admin, "bob", True)
refused(auth.delete_user, "ann")

# What somebody makes is theirs, and by default others read it.
become("ann")
experiment = mlflow.set_experiment("of ann").experiment_id
with mlflow.start_run() as run:
    mlflow.log_param("p", 1)
    mlflow.log_metric("m", 0.5)
    mlflow.log_metrics({"n": 1.0})
    mlflow.set_tag("t", "v")
    mlflow.log_text("hello", "a.txt")
run_id = run.info.run_id
with mlflow.start_span("work"):
    pass
mlflow.flush_trace_async_logging()
trace_id = mlflow.search_traces(locations=[experiment], return_type="list")[0].info.trace_id
client.create_registered_model("net")
version = client.create_model_version("net", f"runs:/{run_id}/model", run_id)
client.set_registered_model_alias("net", "best", version.version)
become("bob")
assert client.get_run(run_id).data.metrics == {"m": 0.5, "n": 1.0}
assert mlflow.artifacts.load_text(f"runs:/{run_id}/a.txt") == "hello"
assert [found.info.run_id for found in client.search_runs([experiment])] == [run_id]
assert client.get_model_version_by_alias("net", "best").version == version.version
assert mlflow.get_trace(trace_id) is not None
refused(client.log_metric, run_id, "m", 1)
refused(client.log_text, run_id, "x", "b.txt")
refused(client.delete_run, run_id)
refused(client.set_experiment_tag, experiment, "k", "v")
refused(client.rename_experiment, experiment, "x")
refused(client.delete_experiment, experiment)
refused(client.create_run, experiment)
refused(client.update_registered_model, "net", "x")
refused(client.delete_registered_model, "net")
refused(client.set_registered_model_alias, "net", "best", version.version)
refused(client.set_trace_tag, trace_id, "k", "v")

# Rights of one user.
refused(auth.grant_user_permission, "bob", "experiment", experiment, "EDIT")
become("ann")
auth.grant_user_permission("bob", "experiment", experiment, "EDIT")
refused(auth.grant_user_permission, "bob", "experiment", experiment, "EDIT", code="RESOURCE_ALREADY_EXISTS")
found = auth.get_user_permission("ann", "experiment", experiment)
assert (found.allowed, found.permission) == (True, "MANAGE")
become("bob")
found = auth.get_user_permission("bob", "experiment", experiment)
assert (found.allowed, found.permission) == (True, "EDIT")
client.log_metric(run_id, "m", 1)
client.set_trace_tag(trace_id, "k", "v")
refused(client.delete_run, run_id)
refused(auth.revoke_user_permission, "bob", "experiment", experiment)
become("ann")
auth.revoke_user_permission("bob", "experiment", experiment)
refused(auth.revoke_user_permission, "bob", "experiment", experiment, code="RESOURCE_DOES_NOT_EXIST")
auth.grant_user_permission("bob", "experiment", experiment, "DENY")
auth.grant_user_permission("bob", "registered_model", "net", "DENY")
become("bob")
refused(client.get_run, run_id)
refused(client.get_experiment, experiment)
refused(mlflow.artifacts.load_text, f"runs:/{run_id}/a.txt")
refused(client.get_registered_model, "net")
assert client.search_runs([experiment]) == []
assert "of ann" not in [found.name for found in client.search_experiments()]
assert client.search_registered_models() == []
assert client.search_model_versions("name = 'net'") == []
become("ann")
auth.revoke_user_permission("bob", "experiment", experiment)
auth.revoke_user_permission("bob", "registered_model", "net")

# Roles.
become("admin")
role = auth.create_role("default", "team", "who works together")
assert (role.name, role.workspace, role.description) == ("team", "default", "who works together")
assert role.permissions == []
refused(auth.create_role, "default", "team", code="RESOURCE_ALREADY_EXISTS")
added = auth.add_role_permission(role.id, "experiment", experiment, "EDIT")
assert (added.role_id, added.resource_type, added.resource_pattern) == (role.id, "experiment", experiment)
assert [found.id for found in auth.list_role_permissions(role.id)] == [added.id]
assert auth.get_role(role.id).permissions[0].permission == "EDIT"
assignment = auth.assign_role("bob", role.id)
assert (assignment.user_id, assignment.role_id) == (bob.id, role.id)
assert [found.user_id for found in auth.list_role_users(role.id)] == [bob.id]
assert "team" in [found.name for found in auth.list_user_roles("bob")]
assert role.id in [found.id for found in auth.list_roles("default")]
assert role.id in [found.id for found in auth.list_all_roles()]
assert auth.list_roles("elsewhere") == []
become("bob")
client.log_metric(run_id, "m", 2)
assert "team" in [found.name for found in auth.list_user_roles("bob")]
assert auth.get_role(role.id).name == "team"
refused(auth.assign_role, "bob", role.id)
refused(auth.create_role, "default", "mine")
refused(auth.list_user_roles, "ann")
become("admin")
changed = auth.update_role_permission(added.id, "READ")
assert changed.permission == "READ"
renamed = auth.update_role(role.id, name="crew", description="other")
assert (renamed.name, renamed.description) == ("crew", "other")
become("bob")
refused(client.log_metric, run_id, "m", 3)
become("admin")
auth.remove_role_permission(added.id)
assert auth.list_role_permissions(role.id) == []
auth.unassign_role("bob", role.id)
auth.delete_role(role.id)
refused(auth.get_role, role.id, code="RESOURCE_DOES_NOT_EXIST")

# Prompts are rights of their own.
become("ann")
mlflow.genai.register_prompt("ask", "Why {{what}}?")
become("bob")
assert mlflow.genai.load_prompt("prompts:/ask/1").template == "Why {{what}}?"
refused(mlflow.genai.register_prompt, "ask", "Who?")

# The end.
become("admin")
client.list_webhooks()
become("bob")
refused(client.list_webhooks)
become("admin")
refused(auth.delete_user, "admin", code="BAD_REQUEST")
auth.delete_user("bob")
become("bob")
refused(client.search_experiments, code="401")
become("ann")
client.delete_registered_model("net")
client.delete_experiment(experiment)
print("done")
