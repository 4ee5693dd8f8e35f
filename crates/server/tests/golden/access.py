"""Sends requests about users, roles and rights to an MLflow server and writes down its answers, one line a pair.

    MLFLOW_AUTH_ADMIN_PASSWORD=adminpassword1234 mlflow server --app-name basic-auth --workers 1
    python access.py http://127.0.0.1:5000 > mlflow-access-3.17.2.jsonl

The server must be new. Its default permission is READ, as MLflow's own.
"""

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

BASE = sys.argv[1]
V2 = "/api/2.0/mlflow/"
V3 = "/api/3.0/mlflow/"
PASSWORDS = {"admin": "adminpassword1234", "ann": "ann's password", "bob": "bob's password", "eve": "eve's password", "wsa": "wsa's password"}
known = {}


def fill(text):
    for key, value in known.items():
        text = text.replace(key, value)
    return text


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def send(name, who, method, path, body=None, note=None, raw=None, headers=None):
    headers = dict(headers or {})
    if who is not None:
        headers["Authorization"] = basic(who, PASSWORDS[who])
    text = raw if raw is not None else None if body is None else json.dumps(body)
    if text is not None:
        headers.setdefault("Content-Type", "application/json")
    data = None if text is None else fill(text).encode()
    request = urllib.request.Request(BASE + fill(path), data=data, method=method, headers=headers)
    if text is None and method in ("POST", "PATCH"):
        request.data = b""
        headers["Content-Type"] = "application/json"
        request.add_header("Content-Type", "application/json")
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    told = answer.read().decode(errors="replace")
    if note:
        key, *place = note
        value = json.loads(told)
        for part in place:
            value = value[part]
        known[key] = value
    for key, value in known.items():
        told = told.replace(value, key)
    pair = {"name": name, "method": method, "path": path}
    if text is not None:
        pair["body"] = text
    pair.update(headers=headers, status=answer.status, content_type=answer.headers.get("Content-Type", ""), answer=told[:2000])
    print(json.dumps(pair))


def query(**fields):
    return "?" + urllib.parse.urlencode(fields)


# Who asks.
send("nobody", None, "GET", V2 + "experiments/get?experiment_id=0")
send("nobody health", None, "GET", "/health")
send("nobody version", None, "GET", "/version")
send("nobody unknown", None, "GET", "/api/2.0/mlflow/nothing")
send("nobody server info", None, "GET", "/api/3.0/mlflow/server-info")
send("nobody artifact", None, "GET", "/api/2.0/mlflow-artifacts/artifacts/0/x")
send("nobody otlp", None, "POST", "/v1/traces", raw="{}")
for label, value in [
    ("wrong", basic("admin", "wrong password")),
    ("unknown", basic("nobody", "wrong password")),
    ("empty", ""),
    ("scheme", "Digest x"),
    ("no base64", "Basic !!!"),
    ("no colon", "Basic " + base64.b64encode(b"admin").decode()),
    ("lower scheme", basic("admin", PASSWORDS["admin"]).replace("Basic", "basic")),
    ("bearer", "Bearer something"),
]:
    send("credentials " + label, None, "GET", V2 + "experiments/get?experiment_id=0", headers={"Authorization": value})
send("admin version", "admin", "GET", "/version")

# Users.
send("current admin", "admin", "GET", V2 + "users/current")
send("create ann", "admin", "POST", V2 + "users/create", {"username": "ann", "password": PASSWORDS["ann"]})
send("create bob", "admin", "POST", V2 + "users/create", {"username": "bob", "password": PASSWORDS["bob"]})
send("create eve", "admin", "POST", "/ajax-api/2.0/mlflow/users/create", {"username": "eve", "password": PASSWORDS["eve"]})
send("create again", "admin", "POST", V2 + "users/create", {"username": "ann", "password": PASSWORDS["ann"]})
send("create short", "admin", "POST", V2 + "users/create", {"username": "x", "password": "12345678901"})
send("create no name", "admin", "POST", V2 + "users/create", {"password": PASSWORDS["ann"]})
send("create empty name", "admin", "POST", V2 + "users/create", {"username": "", "password": PASSWORDS["ann"]})
send("create no password", "admin", "POST", V2 + "users/create", {"username": "x"})
send("create empty password", "admin", "POST", V2 + "users/create", {"username": "x", "password": ""})
send("create form", "admin", "POST", V2 + "users/create", raw="username=x&password=yyyyyyyyyyyyyyyy", headers={"Content-Type": "application/x-www-form-urlencoded"})
send("create by ann", "ann", "POST", V2 + "users/create", {"username": "x", "password": PASSWORDS["ann"]})
send("get ann", "admin", "GET", V2 + "users/get?username=ann")
send("get ann by ann", "ann", "GET", V2 + "users/get?username=ann")
send("get bob by ann", "ann", "GET", V2 + "users/get?username=bob")
send("get none", "admin", "GET", V2 + "users/get?username=none")
send("get no name", "admin", "GET", V2 + "users/get")
send("list", "admin", "GET", V2 + "users/list")
send("list by ann", "ann", "GET", V2 + "users/list")
send("current ann", "ann", "GET", "/ajax-api/2.0/mlflow/users/current")
send("current permissions of admin", "admin", "GET", V3 + "users/current/permissions")
send("current permissions of ann", "ann", "GET", V3 + "users/current/permissions")
send("admin by ann", "ann", "PATCH", V2 + "users/update-admin", {"username": "ann", "is_admin": True})
send("admin of eve", "admin", "PATCH", V2 + "users/update-admin", {"username": "eve", "is_admin": True})
send("get eve", "admin", "GET", V2 + "users/get?username=eve")
send("admin of eve taken", "admin", "PATCH", V2 + "users/update-admin", {"username": "eve", "is_admin": False})
send("admin of none", "admin", "PATCH", V2 + "users/update-admin", {"username": "none", "is_admin": True})
send("admin no flag", "admin", "PATCH", V2 + "users/update-admin", {"username": "eve"})
send("password of bob by ann", "ann", "PATCH", V2 + "users/update-password", {"username": "bob", "password": "a new password"})
send("own password alone", "ann", "PATCH", V2 + "users/update-password", {"username": "ann", "password": "a new password"})
send("own password wrong", "ann", "PATCH", V2 + "users/update-password", {"username": "ann", "password": "a new password", "current_password": "wrong password"})
send("own password same", "ann", "PATCH", V2 + "users/update-password", {"username": "ann", "password": PASSWORDS["ann"], "current_password": PASSWORDS["ann"]})
send("own password short", "ann", "PATCH", V2 + "users/update-password", {"username": "ann", "password": "short", "current_password": PASSWORDS["ann"]})
send("own password", "ann", "PATCH", V2 + "users/update-password", {"username": "ann", "password": "ann's new password", "current_password": PASSWORDS["ann"]})
send("old password", "ann", "GET", V2 + "users/current")
PASSWORDS["ann"] = "ann's new password"
send("new password", "ann", "GET", V2 + "users/current")
send("password of bob", "admin", "PATCH", V2 + "users/update-password", {"username": "bob", "password": "bob's new password"})
PASSWORDS["bob"] = "bob's new password"
send("password of none", "admin", "PATCH", V2 + "users/update-password", {"username": "none", "password": "a new password"})
send("password short", "admin", "PATCH", V2 + "users/update-password", {"username": "bob", "password": "short"})

# Experiments, with READ as default.
send("experiment of ann", "ann", "POST", V2 + "experiments/create", {"name": "of ann"})
send("experiment of bob", "bob", "POST", V2 + "experiments/create", {"name": "of bob"})
send("permissions of ann", "ann", "GET", V3 + "users/current/permissions")
send("read of bob by ann", "ann", "GET", V2 + "experiments/get?experiment_id=2")
send("read by name", "ann", "GET", V2 + "experiments/get-by-name?experiment_name=of+bob")
send("read by name none", "ann", "GET", V2 + "experiments/get-by-name?experiment_name=none")
send("read no id", "ann", "GET", V2 + "experiments/get")
send("read none", "ann", "GET", V2 + "experiments/get?experiment_id=4711")
send("rename of bob by ann", "ann", "POST", V2 + "experiments/update", {"experiment_id": "2", "new_name": "x"})
send("delete of bob by ann", "ann", "POST", V2 + "experiments/delete", {"experiment_id": "2"})
send("run in bob by ann", "ann", "POST", V2 + "runs/create", {"experiment_id": "2"})
send("run in ann", "ann", "POST", V2 + "runs/create", {"experiment_id": "1", "start_time": 1, "run_name": "r"}, ("{run}", "run", "info", "run_id"))
send("read run by bob", "bob", "GET", V2 + "runs/get?run_id={run}")
send("log by bob", "bob", "POST", V2 + "runs/log-metric", {"run_id": "{run}", "key": "a", "value": 1, "timestamp": 1})
send("log by ann", "ann", "POST", V2 + "runs/log-metric", {"run_id": "{run}", "key": "a", "value": 1, "timestamp": 1})
send("delete run by bob", "bob", "POST", V2 + "runs/delete", {"run_id": "{run}"})
send("read run none", "bob", "GET", V2 + "runs/get?run_id=0123456789abcdef0123456789abcdef")
send("log no run", "bob", "POST", V2 + "runs/log-metric", {"key": "a", "value": 1, "timestamp": 1})
send("put by bob", "bob", "PUT", "/api/2.0/mlflow-artifacts/artifacts/1/{run}/artifacts/a.txt", raw="x")
send("put by ann", "ann", "PUT", "/api/2.0/mlflow-artifacts/artifacts/1/{run}/artifacts/a.txt", raw="x")
send("get by bob", "bob", "GET", "/api/2.0/mlflow-artifacts/artifacts/1/{run}/artifacts/a.txt")
send("delete by bob", "bob", "DELETE", "/api/2.0/mlflow-artifacts/artifacts/1/{run}/artifacts/a.txt")

# Rights of one user.
def grant(label, who, user, kind, which, permission):
    send(label, who, "POST", V3 + "users/permissions/grant", {"username": user, "resource_type": kind, "resource_id": which, "permission": permission})


def revoke(label, who, user, kind, which):
    send(label, who, "POST", V3 + "users/permissions/revoke", {"username": user, "resource_type": kind, "resource_id": which})


def ask(label, who, user, kind, which):
    send(label, who, "GET", V3 + "users/permissions/get" + query(username=user, resource_type=kind, resource_id=which).replace("%7B", "{").replace("%7D", "}"))


ask("ask default", "admin", "bob", "experiment", "1")
ask("ask own", "ann", "ann", "experiment", "1")
ask("ask another", "ann", "bob", "experiment", "1")
grant("grant by bob", "bob", "bob", "experiment", "1", "MANAGE")
grant("grant by ann", "ann", "bob", "experiment", "1", "EDIT")
ask("ask granted", "bob", "bob", "experiment", "1")
grant("grant again", "ann", "bob", "experiment", "1", "READ")
send("log by bob granted", "bob", "POST", V2 + "runs/log-metric", {"run_id": "{run}", "key": "a", "value": 2, "timestamp": 1})
send("delete run by bob granted", "bob", "POST", V2 + "runs/delete", {"run_id": "{run}"})
grant("grant by editor", "bob", "eve", "experiment", "1", "READ")
grant("grant none", "admin", "none", "experiment", "1", "READ")
grant("grant bad permission", "admin", "eve", "experiment", "1", "ALL")
grant("grant no permissions", "admin", "eve", "experiment", "1", "NO_PERMISSIONS")
grant("grant bad kind", "admin", "eve", "thing", "1", "READ")
grant("grant workspace", "admin", "eve", "workspace", "*", "USE")
grant("grant one run", "admin", "eve", "run", "{run}", "READ")
grant("grant any run", "admin", "eve", "run", "*", "DENY")
grant("grant any by ann", "ann", "eve", "experiment", "*", "READ")
send("grant no fields", "admin", "POST", V3 + "users/permissions/grant", {})
send("denied runs", "eve", "GET", V2 + "runs/get?run_id={run}")
send("denied runs in experiment", "eve", "GET", V2 + "experiments/get?experiment_id=1")
ask("ask any run", "admin", "eve", "run", "*")
ask("ask one run", "admin", "eve", "run", "{run}")
ask("ask workspace", "admin", "eve", "workspace", "*")
ask("ask bad kind", "admin", "eve", "thing", "x")
ask("ask none", "admin", "none", "experiment", "0")
revoke("revoke any run", "admin", "eve", "run", "*")
revoke("revoke again", "admin", "eve", "run", "*")
revoke("revoke by bob", "bob", "ann", "experiment", "1")
grant("deny eve", "ann", "eve", "experiment", "1", "DENY")
send("denied", "eve", "GET", V2 + "experiments/get?experiment_id=1")
send("denied by name", "eve", "GET", V2 + "experiments/get-by-name?experiment_name=of+ann")
send("denied run", "eve", "GET", V2 + "runs/get?run_id={run}")
send("denied file", "eve", "GET", "/api/2.0/mlflow-artifacts/artifacts/1/{run}/artifacts/a.txt")
send("denied encoded", "eve", "GET", "/api/2.0/mlflow-artifacts/artifacts/%2531/x")
send("denied search", "eve", "POST", V2 + "runs/search", {"experiment_ids": ["1"]})
send("list permissions of eve", "admin", "GET", V3 + "users/permissions/list?username=eve")
send("list permissions of eve by ann", "ann", "GET", V3 + "users/permissions/list?username=eve")
send("list own permissions", "eve", "GET", V3 + "users/permissions/list?username=eve")
send("list permissions of none", "admin", "GET", V3 + "users/permissions/list?username=none")

# Roles.
send("create role", "admin", "POST", V3 + "roles/create", {"workspace": "default", "name": "team", "description": "who works together"})
send("create role again", "admin", "POST", V3 + "roles/create", {"workspace": "default", "name": "team"})
send("create role no name", "admin", "POST", V3 + "roles/create", {"workspace": "default"})
send("create role blank", "admin", "POST", V3 + "roles/create", {"workspace": "default", "name": " "})
send("create role reserved", "admin", "POST", V3 + "roles/create", {"workspace": "default", "name": "__user_7__"})
send("create role no workspace", "admin", "POST", V3 + "roles/create", {"name": "x"})
send("create role by ann", "ann", "POST", V3 + "roles/create", {"workspace": "default", "name": "mine"})
send("create role number", "admin", "POST", V3 + "roles/create", {"workspace": "default", "name": "y", "description": 7})
send("list permissions before", "admin", "GET", V3 + "roles/list?workspace=default")
send("list roles by ann", "ann", "GET", V3 + "roles/list?workspace=default")
send("list all by ann", "ann", "GET", V3 + "roles/list")
send("list none", "admin", "GET", V3 + "roles/list?workspace=nothing")
# The numbers of roles: ann's, bob's and eve's own were made before.
TEAM = 4
send("get role", "admin", "GET", V3 + f"roles/get?role_id={TEAM}")
send("get role none", "admin", "GET", V3 + "roles/get?role_id=4711")
send("get role word", "admin", "GET", V3 + "roles/get?role_id=x")
send("get role by ann", "ann", "GET", V3 + f"roles/get?role_id={TEAM}")
send("get role none by ann", "ann", "GET", V3 + "roles/get?role_id=4711")
send("update role", "admin", "PATCH", V3 + "roles/update", {"role_id": TEAM, "name": "crew"})
send("update role description", "admin", "PATCH", V3 + "roles/update", {"role_id": TEAM, "description": "other"})
send("update role nothing", "admin", "PATCH", V3 + "roles/update", {"role_id": TEAM})
send("update role none", "admin", "PATCH", V3 + "roles/update", {"role_id": 4711, "name": "z"})
send("update role reserved", "admin", "PATCH", V3 + "roles/update", {"role_id": TEAM, "name": "__user_x"})
send("update role by ann", "ann", "PATCH", V3 + "roles/update", {"role_id": TEAM, "name": "x"})
send("add permission", "admin", "POST", V3 + "roles/permissions/add", {"role_id": TEAM, "resource_type": "experiment", "resource_pattern": "2", "permission": "EDIT"})
send("add permission again", "admin", "POST", V3 + "roles/permissions/add", {"role_id": TEAM, "resource_type": "experiment", "resource_pattern": "2", "permission": "READ"})
send("add permission bad", "admin", "POST", V3 + "roles/permissions/add", {"role_id": TEAM, "resource_type": "experiment", "resource_pattern": "*", "permission": "no"})
send("add workspace read", "admin", "POST", V3 + "roles/permissions/add", {"role_id": TEAM, "resource_type": "workspace", "resource_pattern": "*", "permission": "READ"})
send("add workspace one", "admin", "POST", V3 + "roles/permissions/add", {"role_id": TEAM, "resource_type": "workspace", "resource_pattern": "x", "permission": "USE"})
send("add permission one trace", "admin", "POST", V3 + "roles/permissions/add", {"role_id": TEAM, "resource_type": "trace", "resource_pattern": "x", "permission": "READ"})
send("add permission none", "admin", "POST", V3 + "roles/permissions/add", {"role_id": 4711, "resource_type": "experiment", "resource_pattern": "*", "permission": "READ"})
send("add permission by ann", "ann", "POST", V3 + "roles/permissions/add", {"role_id": TEAM, "resource_type": "experiment", "resource_pattern": "*", "permission": "READ"})
send("list permissions", "admin", "GET", V3 + f"roles/permissions/list?role_id={TEAM}")
send("list permissions none", "admin", "GET", V3 + "roles/permissions/list?role_id=4711")
send("assign", "admin", "POST", V3 + "roles/assign", {"username": "ann", "role_id": TEAM})
send("assign again", "admin", "POST", V3 + "roles/assign", {"username": "ann", "role_id": TEAM})
send("assign none", "admin", "POST", V3 + "roles/assign", {"username": "none", "role_id": TEAM})
send("assign role none", "admin", "POST", V3 + "roles/assign", {"username": "ann", "role_id": 4711})
send("assign by ann", "ann", "POST", V3 + "roles/assign", {"username": "ann", "role_id": TEAM})
send("run in bob by role", "ann", "POST", V2 + "runs/create", {"experiment_id": "2", "start_time": 1, "run_name": "r"}, ("{second}", "run", "info", "run_id"))
send("get role by member", "ann", "GET", V3 + f"roles/get?role_id={TEAM}")
send("list roles by member", "ann", "GET", V3 + "roles/list?workspace=default")
send("roles of ann", "admin", "GET", V3 + "users/roles/list?username=ann")
send("roles of ann by ann", "ann", "GET", V3 + "users/roles/list?username=ann")
send("roles of bob by ann", "ann", "GET", V3 + "users/roles/list?username=bob")
send("roles of none", "admin", "GET", V3 + "users/roles/list?username=none")
send("members", "admin", "GET", V3 + f"roles/users/list?role_id={TEAM}")
send("members by ann", "ann", "GET", V3 + f"roles/users/list?role_id={TEAM}")
send("users with roles", "admin", "GET", V2 + "users/list")
send("permissions of ann with role", "ann", "GET", V3 + "users/current/permissions")
# The number of the role's right.
RIGHT = 5
send("update permission", "admin", "PATCH", V3 + "roles/permissions/update", {"role_permission_id": RIGHT, "permission": "READ"})
send("update permission bad", "admin", "PATCH", V3 + "roles/permissions/update", {"role_permission_id": RIGHT, "permission": "NO_PERMISSIONS"})
send("update permission none", "admin", "PATCH", V3 + "roles/permissions/update", {"role_permission_id": 4711, "permission": "READ"})
send("run in bob by role that reads", "ann", "POST", V2 + "runs/create", {"experiment_id": "2"})
send("update permission by ann", "ann", "PATCH", V3 + "roles/permissions/update", {"role_permission_id": RIGHT, "permission": "MANAGE"})
send("remove permission by ann", "ann", "DELETE", V3 + "roles/permissions/remove", {"role_permission_id": RIGHT})
send("remove permission", "admin", "DELETE", V3 + "roles/permissions/remove", {"role_permission_id": RIGHT})
send("remove permission again", "admin", "DELETE", V3 + "roles/permissions/remove", {"role_permission_id": RIGHT})
send("unassign", "admin", "DELETE", V3 + "roles/unassign", {"username": "ann", "role_id": TEAM})
send("unassign again", "admin", "DELETE", V3 + "roles/unassign", {"username": "ann", "role_id": TEAM})
send("delete role by ann", "ann", "DELETE", V3 + "roles/delete", {"role_id": TEAM})
send("delete role", "admin", "DELETE", V3 + "roles/delete", {"role_id": TEAM})
send("delete role again", "admin", "DELETE", V3 + "roles/delete", {"role_id": TEAM})

# One who manages all.
send("create wsa", "admin", "POST", V2 + "users/create", {"username": "wsa", "password": PASSWORDS["wsa"]})
send("create managers", "admin", "POST", V3 + "roles/create", {"workspace": "default", "name": "managers"}, None)
send("managers manage", "admin", "POST", V3 + "roles/permissions/add", {"role_id": 4, "resource_type": "workspace", "resource_pattern": "*", "permission": "MANAGE"})
send("assign managers", "admin", "POST", V3 + "roles/assign", {"username": "wsa", "role_id": 4})
send("manager reads", "wsa", "GET", V2 + "runs/get?run_id={second}")
send("manager lists users", "wsa", "GET", V2 + "users/list")
send("manager creates user", "wsa", "POST", V2 + "users/create", {"username": "new", "password": "new's password"})
send("manager deletes user", "wsa", "DELETE", V2 + "users/delete", {"username": "new"})
send("manager creates role", "wsa", "POST", V3 + "roles/create", {"workspace": "default", "name": "by manager"})
send("manager grants any", "wsa", "POST", V3 + "users/permissions/grant", {"username": "eve", "resource_type": "experiment", "resource_id": "*", "permission": "READ"})
send("manager makes admin", "wsa", "PATCH", V2 + "users/update-admin", {"username": "wsa", "is_admin": True})
send("manager sets password", "wsa", "PATCH", V2 + "users/update-password", {"username": "admin", "password": "a new password"})
send("manager reads user", "wsa", "GET", V2 + "users/get?username=eve")
send("manager lists webhooks", "wsa", "GET", V2 + "webhooks")

# The registry.
send("model of ann", "ann", "POST", V2 + "registered-models/create", {"name": "net"})
send("prompt of ann", "ann", "POST", V2 + "registered-models/create", {"name": "ask", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]})
send("model read by bob", "bob", "GET", V2 + "registered-models/get?name=net")
send("model changed by bob", "bob", "PATCH", V2 + "registered-models/update", {"name": "net", "description": "x"})
send("model deleted by bob", "bob", "DELETE", V2 + "registered-models/delete", {"name": "net"})
send("model renamed by ann", "ann", "POST", V2 + "registered-models/rename", {"name": "net", "new_name": "web"})
send("permissions after rename", "ann", "GET", V3 + "users/current/permissions")
send("deny model", "ann", "POST", V3 + "users/permissions/grant", {"username": "eve", "resource_type": "registered_model", "resource_id": "web", "permission": "DENY"})
send("denied model", "eve", "GET", V2 + "registered-models/get?name=web")
send("denied models", "eve", "GET", V2 + "registered-models/search")
send("denied version", "eve", "GET", V2 + "model-versions/get?name=web&version=1")
send("version by bob", "bob", "POST", V2 + "model-versions/create", {"name": "web", "source": "mlflow-artifacts:/1/x/artifacts/m"})
send("model none", "eve", "GET", V2 + "registered-models/get?name=none")
send("model deleted", "ann", "DELETE", V2 + "registered-models/delete", {"name": "web"})
send("permissions after delete", "ann", "GET", V3 + "users/current/permissions")

# Webhooks, and what is not there.
send("webhooks by ann", "ann", "GET", V2 + "webhooks")
send("unknown by ann", "ann", "GET", "/api/2.0/mlflow/nothing")
send("home by ann", "ann", "GET", "/version")

# The end.
send("delete self", "admin", "DELETE", V2 + "users/delete", {"username": "admin"})
send("delete by ann", "ann", "DELETE", V2 + "users/delete", {"username": "bob"})
send("delete bob", "admin", "DELETE", V2 + "users/delete", {"username": "bob"})
send("delete again", "admin", "DELETE", V2 + "users/delete", {"username": "bob"})
send("after the end", "bob", "GET", V2 + "users/current")
send("experiments by eve", "eve", "POST", V2 + "experiments/search", {"max_results": 10})
send("create role other workspace", "admin", "POST", V3 + "roles/create", {"workspace": "other", "name": "elsewhere"})
