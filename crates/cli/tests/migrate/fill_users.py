"""Has MLflow's own store of users fill a database, which is named in the first argument."""

import sys
import types

# The store is below a package that wants what its page to sign up needs, which the store does not.
for name in ("flask_wtf", "flask_wtf.csrf"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["flask_wtf.csrf"].CSRFProtect = object

from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore  # noqa: E402

store = SqlAlchemyStore()
store.init_db(sys.argv[1])
store.create_user("admin", "password1234", is_admin=True)
store.create_user("chief", "the password of chief", is_admin=True)
store.create_user("ann", "the password of ann")
store.create_user("bob", "the password of bob")
store.grant_user_permission("ann", "experiment", "0", "EDIT")
store.grant_user_permission("ann", "registered_model", "greeting", "EDIT")
store.grant_user_permission("ann", "scorer", "0/is%20good", "MANAGE")
team = store.create_role("team", "default", "those of the sea")
store.add_role_permission(team.id, "registered_model", "*", "READ")
store.add_role_permission(team.id, "experiment", "0", "DENY")
store.assign_role_to_user(store.get_user("bob").id, team.id)
