"""Writes `schema.sql`: the tables of a new MLflow database, as the installed release makes them in SQLite."""

import pathlib
import sqlite3
import tempfile

import mlflow
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "mlflow.db")
    SqlAlchemyStore(f"sqlite:///{path}", folder)
    with sqlite3.connect(path) as database:
        statements = [
            sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name")
        ]
        [(version,)] = database.execute("SELECT version_num FROM alembic_version").fetchall()
        [workspace] = database.execute("SELECT name, description FROM workspaces").fetchall()
statements.sort(key=lambda sql: not sql.startswith("CREATE TABLE"))
lines = [
    f"-- The tables of MLflow {mlflow.__version__} in SQLite, written by schema.py.",
    *(f"{' '.join(sql.split())};" for sql in statements),
    f"INSERT INTO alembic_version VALUES ('{version}');",
    f"INSERT INTO workspaces (name, description) VALUES ('{workspace[0]}', '{workspace[1]}');",
]
pathlib.Path(__file__).with_name("schema.sql").write_text("\n".join(lines) + "\n")
