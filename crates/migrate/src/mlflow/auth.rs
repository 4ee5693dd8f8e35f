//! MLflow's database of users (`basic_auth.db`).
//!
//! *Source*: `mlflow/server/auth/db/models.py` of MLflow 3.17, and the tables of older releases in
//! `mlflow/server/auth/db/migrations/versions`; what a release does not have yet is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use entities::{ExperimentId, Permission, Resource, ResourceKind, scorer_pattern};
use store_sql::params;
use store_sql::sql::{Connection, Dialect, Row, Values};

use super::cells::Cells;
use super::database::{SqliteFile, database_fault, list_tables};
use crate::MigrateError;

/// The one workspace that there is here.
const WORKSPACE: &str = "default";

/// The version of MLflow's schema that has tables of roles, and no rights in them yet.
const ROLES_ALONE: &str = "c3d4e5f6a7b8";

/// Tables of rights of single users as older releases have them: the kind, the column that names one, and how it is named.
const OLDER_RIGHTS: [(&str, ResourceKind, &str); 3] = [
    (
        "experiment_permissions",
        ResourceKind::Experiment,
        "experiment_id",
    ),
    (
        "registered_model_permissions",
        ResourceKind::RegisteredModel,
        "name",
    ),
    ("scorer_permissions", ResourceKind::Scorer, "scorer_name"),
];

/// A database of users, open for reading.
pub(crate) struct AuthDatabase {
    connection: Box<dyn Connection>,
    dialect: Dialect,
    name: String,
    tables: BTreeSet<String>,
}

/// A user of MLflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceUser {
    pub(crate) number: i64,
    pub(crate) name: String,
    /// As Werkzeug made it.
    pub(crate) hash: String,
    pub(crate) is_admin: bool,
    /// Their own rights.
    pub(crate) rights: BTreeMap<Resource, Permission>,
    /// The names of their roles.
    pub(crate) roles: BTreeSet<String>,
}

/// A role of MLflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceRole {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) rights: BTreeMap<Resource, Permission>,
}

/// What a database of users holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceUsers {
    pub(crate) users: Vec<SourceUser>,
    pub(crate) roles: Vec<SourceRole>,
    /// What cannot be read, and what has no place here, each as a sentence.
    pub(crate) faults: Vec<String>,
}

/// A row of a role: who it is of, where it is the rights of one user.
struct RoleRow {
    number: i64,
    name: String,
    description: Option<String>,
    owner: Option<i64>,
}

impl AuthDatabase {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Self, MigrateError> {
        let name = path.display().to_string();
        let file = SqliteFile::open(path).map_err(database_fault(&name, "opening it"))?;
        Self::of(Box::new(file), Dialect::Sqlite, name)
    }

    /// Takes a connection to a database.
    ///
    /// *Errors*: `Database` if it cannot be read; `NotMlflow` if it has no users.
    pub(crate) fn of(
        connection: Box<dyn Connection>,
        dialect: Dialect,
        name: String,
    ) -> Result<Self, MigrateError> {
        let tables = list_tables(connection.as_ref(), dialect, &name)?;
        if !tables.contains("users") {
            return Err(MigrateError::NotMlflow {
                path: name,
                missing: "users",
            });
        }
        Ok(Self {
            connection,
            dialect,
            name,
            tables,
        })
    }

    /// Reads all users with their roles and rights.
    pub(crate) fn read(&self) -> Result<SourceUsers, MigrateError> {
        let mut found = SourceUsers::default();
        found.users = self.users(&mut found.faults)?;
        let numbers: BTreeMap<i64, usize> = found
            .users
            .iter()
            .enumerate()
            .map(|(place, user)| (user.number, place))
            .collect();
        let mut places: BTreeMap<i64, Holder> = BTreeMap::new();
        for role in self.role_rows(&mut found.faults)? {
            let holder = if let Some(owner) = role.owner {
                numbers.get(&owner).copied().map(Holder::User)
            } else {
                found.roles.push(SourceRole {
                    name: role.name,
                    description: role.description,
                    rights: BTreeMap::new(),
                });
                Some(Holder::Role(found.roles.len() - 1))
            };
            if let Some(holder) = holder {
                places.insert(role.number, holder);
            }
        }
        self.read_rights(&places, &mut found)?;
        self.read_members(&places, &numbers, &mut found)?;
        if self.has_older_rights()? {
            for (table, kind, column) in OLDER_RIGHTS {
                self.read_older_rights(table, kind, column, &numbers, &mut found)?;
            }
        }
        Ok(found)
    }

    fn users(&self, faults: &mut Vec<String>) -> Result<Vec<SourceUser>, MigrateError> {
        let columns = &["id", "username", "password_hash", "is_admin"];
        let sql = "SELECT id, username, password_hash, is_admin FROM users ORDER BY id";
        let rows = self.list("users", sql, params![], |row| {
            let cells = Cells { row, columns };
            let name = cells.text("username").ok().flatten().unwrap_or_default();
            let read = || -> Result<SourceUser, String> {
                Ok(SourceUser {
                    number: cells.some_integer("id")?,
                    name: cells.some_text("username")?,
                    hash: cells.some_text("password_hash")?,
                    is_admin: cells.integer("is_admin")?.unwrap_or(0) != 0,
                    rights: BTreeMap::new(),
                    roles: BTreeSet::new(),
                })
            };
            Ok(read().map_err(|why| format!("user `{name}`: {why}")))
        })?;
        Ok(kept(rows, faults))
    }

    fn role_rows(&self, faults: &mut Vec<String>) -> Result<Vec<RoleRow>, MigrateError> {
        let columns = &["id", "name", "workspace", "description"];
        let sql = "SELECT id, name, workspace, description FROM roles ORDER BY id";
        let rows = self.list("roles", sql, params![], |row| {
            let cells = Cells { row, columns };
            let name = cells.text("name").ok().flatten().unwrap_or_default();
            let read = || -> Result<RoleRow, String> {
                let workspace = cells.some_text("workspace")?;
                if workspace != WORKSPACE {
                    return Err(format!(
                        "it is of workspace `{workspace}`, and here is one alone"
                    ));
                }
                Ok(RoleRow {
                    number: cells.some_integer("id")?,
                    name: cells.some_text("name")?,
                    description: cells.text("description")?.filter(|text| !text.is_empty()),
                    owner: owner_of(&name),
                })
            };
            Ok(read().map_err(|why| format!("role `{name}`: {why}")))
        })?;
        Ok(kept(rows, faults))
    }

    fn read_rights(
        &self,
        places: &BTreeMap<i64, Holder>,
        found: &mut SourceUsers,
    ) -> Result<(), MigrateError> {
        let columns = &["role_id", "resource_type", "resource_pattern", "permission"];
        let sql = "SELECT role_id, resource_type, resource_pattern, permission FROM role_permissions ORDER BY id";
        let rows = self.list("role_permissions", sql, params![], |row| {
            let cells = Cells { row, columns };
            let read = || -> Result<_, String> {
                let kind = cells.some_text("resource_type")?;
                let kind = ResourceKind::find(&kind)
                    .ok_or_else(|| format!("`{kind}` is no kind of resource"))?;
                let resource = Resource::new(kind, cells.some_text("resource_pattern")?);
                let permission = permission_at(cells)?;
                Ok((cells.some_integer("role_id")?, resource, permission))
            };
            Ok(read().map_err(|why| format!("a right in `role_permissions`: {why}")))
        })?;
        for (role, resource, permission) in kept(rows, &mut found.faults) {
            // Roles that were left out have been told.
            if let Some(holder) = places.get(&role) {
                holder.rights(found).insert(resource, permission);
            }
        }
        Ok(())
    }

    fn read_members(
        &self,
        places: &BTreeMap<i64, Holder>,
        numbers: &BTreeMap<i64, usize>,
        found: &mut SourceUsers,
    ) -> Result<(), MigrateError> {
        let sql = "SELECT user_id, role_id FROM user_role_assignments ORDER BY id";
        let rows: Vec<(i64, i64)> = self.list("user_role_assignments", sql, params![], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        for (user, role) in rows {
            if let (Some(user), Some(Holder::Role(place))) = (numbers.get(&user), places.get(&role))
            {
                let name = found.roles[*place].name.clone();
                found.users[*user].roles.insert(name);
            }
        }
        Ok(())
    }

    /// Whether rights stand in tables of their own: MLflow leaves those where they are when it has moved them.
    fn has_older_rights(&self) -> Result<bool, MigrateError> {
        if !self.tables.contains("role_permissions") {
            return Ok(true);
        }
        let sql = "SELECT version_num FROM alembic_version_auth";
        let versions: Vec<String> =
            self.list("alembic_version_auth", sql, params![], |row| row.get(0))?;
        Ok(versions.iter().any(|version| version == ROLES_ALONE))
    }

    fn read_older_rights(
        &self,
        table: &'static str,
        kind: ResourceKind,
        column: &'static str,
        numbers: &BTreeMap<i64, usize>,
        found: &mut SourceUsers,
    ) -> Result<(), MigrateError> {
        let experiment = match kind {
            ResourceKind::Scorer => "experiment_id",
            _ => "NULL",
        };
        let workspace = match kind {
            ResourceKind::RegisteredModel if self.has_workspaces(table)? => "workspace",
            _ => "NULL",
        };
        let sql = format!(
            "SELECT user_id, {column}, {experiment}, {workspace}, permission FROM {table} ORDER BY id"
        );
        let columns = &["user_id", "name", "experiment", "workspace", "permission"];
        let rows = self.list(table, &sql, params![], |row| {
            let cells = Cells { row, columns };
            let read = || -> Result<_, String> {
                let name = cells.some_text("name")?;
                let workspace = cells.text("workspace")?;
                if workspace.is_some_and(|workspace| workspace != WORKSPACE) {
                    return Err(format!(
                        "`{name}` is of another workspace, and here is one alone"
                    ));
                }
                let pattern = match cells.text("experiment")? {
                    Some(experiment) => {
                        let id: Result<ExperimentId, _> = experiment.parse();
                        scorer_pattern(&id.map_err(|error| error.to_string())?, &name)
                    }
                    None => name,
                };
                // What was denied stays so; MLflow forgets it where it moves these rights, so that the default counts.
                let permission = match permission_at(cells)? {
                    Permission::NoPermissions => Permission::Deny,
                    permission => permission,
                };
                Ok((
                    cells.some_integer("user_id")?,
                    Resource::new(kind, pattern),
                    permission,
                ))
            };
            Ok(read().map_err(|why| format!("a right in `{table}`: {why}")))
        })?;
        for (user, resource, permission) in kept(rows, &mut found.faults) {
            if let Some(place) = numbers.get(&user) {
                let rights = &mut found.users[*place].rights;
                rights.entry(resource).or_insert(permission);
            }
        }
        Ok(())
    }

    fn has_workspaces(&self, table: &'static str) -> Result<bool, MigrateError> {
        let sql = match self.dialect {
            Dialect::Sqlite => "SELECT name FROM pragma_table_info(?1)",
            Dialect::Postgres => {
                "SELECT attname FROM pg_attribute
                 WHERE attrelid = to_regclass(?1) AND attnum > 0 AND NOT attisdropped"
            }
        };
        let columns: Vec<String> = self.list(table, sql, [table], |row| row.get(0))?;
        Ok(columns.iter().any(|column| column == "workspace"))
    }

    /// All rows of a statement; none where the release has no such table yet.
    fn list<T>(
        &self,
        table: &'static str,
        sql: &str,
        values: impl Values,
        read: impl FnMut(&Row<'_>) -> store_sql::sql::Result<T>,
    ) -> Result<Vec<T>, MigrateError> {
        if !self.tables.contains(table) {
            return Ok(Vec::new());
        }
        let rows = self.connection.list(sql, values, read);
        rows.map_err(database_fault(&self.name, table))
    }
}

/// Who has rights, by the place in what was found.
enum Holder {
    User(usize),
    Role(usize),
}

impl Holder {
    fn rights<'f>(&self, found: &'f mut SourceUsers) -> &'f mut BTreeMap<Resource, Permission> {
        match self {
            Self::User(place) => &mut found.users[*place].rights,
            Self::Role(place) => &mut found.roles[*place].rights,
        }
    }
}

fn permission_at(cells: Cells<'_>) -> Result<Permission, String> {
    let word = cells.some_text("permission")?;
    Permission::find(&word).ok_or_else(|| format!("`{word}` is no permission"))
}

/// The user whose own rights a role holds: MLflow calls it `__user_7__`.
fn owner_of(name: &str) -> Option<i64> {
    let number = name.strip_prefix("__user_")?.strip_suffix("__")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_number)
}

fn kept<T>(rows: Vec<Result<T, String>>, faults: &mut Vec<String>) -> Vec<T> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        match row {
            Ok(row) => found.push(row),
            Err(fault) => faults.push(fault),
        }
    }
    found
}
