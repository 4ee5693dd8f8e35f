"""Prints whether a database has the schema of one that MLflow makes anew, and what differs."""

import pathlib
import sqlite3
import sys
import tempfile

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def schema(path):
    with sqlite3.connect(path) as database:
        parts = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
        version = database.execute("SELECT version_num FROM alembic_version").fetchall()
    return {(kind, name, table, " ".join(sql.split()) if sql else None) for kind, name, table, sql in parts} | set(version)


with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "mlflow.db")
    SqlAlchemyStore(f"sqlite:///{path}", folder)
    theirs = schema(path)
print(sorted(map(str, theirs ^ schema(sys.argv[1]))))
