//! Where a store is: a URI as libpq and SQLAlchemy write it.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use store::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::connecting::Connecting;
use crate::locks::LockNames;
use crate::tls::Tls;

/// The schema of a store that names none.
const DEFAULT_SCHEMA: &str = "reproof";

/// Names of schemas are cut by PostgreSQL beyond these bytes.
const LONGEST_SCHEMA: usize = 63;

/// What is wrong with an address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is none of PostgreSQL.
    #[error("it does not begin with `postgresql://`")]
    Scheme,
    /// A sign that separates parts stands in one of them.
    #[error("there is an `@` after a `?`: in a name or password they are written `%40` and `%3F`")]
    Sign,
    /// A setting has a value that it cannot have.
    #[error("`{name}` cannot be `{value}`")]
    Setting {
        /// Which.
        name: &'static str,
        /// What was given.
        value: String,
    },
    /// The rest of it cannot be read.
    #[error("{0}")]
    Rest(#[from] tokio_postgres::Error),
}

/// Where a store is, and how to get there.
#[derive(Clone)]
pub struct PostgresAddress {
    config: Config,
    schema: String,
    verification: Verification,
    shown: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verification {
    /// Whoever answers.
    Nobody,
    /// The host that was named, by certificates in this file or of the machine.
    Host(Option<PathBuf>),
}

impl PostgresAddress {
    /// Whether a text is meant to be one.
    pub fn is_meant(uri: &str) -> bool {
        let scheme = uri.split("://").next().unwrap_or_default();
        uri.contains("://") && matches!(scheme.split('+').next(), Some("postgresql" | "postgres"))
    }

    /// Reads `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=…&sslmode=…`, also with SQLAlchemy's name of a driver
    /// behind the scheme. The password is used where the text has none.
    pub fn parse(uri: &str, password: Option<&str>) -> Result<Self, AddressError> {
        if !Self::is_meant(uri) {
            return Err(AddressError::Scheme);
        }
        let (_, rest) = uri.split_once("://").ok_or(AddressError::Scheme)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut schema = DEFAULT_SCHEMA.to_owned();
        let mut mode = String::from("prefer");
        let mut roots = None;
        let mut others = Vec::new();
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let plain = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "schema" => schema = plain,
                "sslmode" => mode = plain,
                "sslrootcert" => roots = Some(PathBuf::from(plain)),
                _ => others.push(setting),
            }
        }
        if schema.is_empty() || schema.len() > LONGEST_SCHEMA || schema.contains('\0') {
            return Err(AddressError::Setting {
                name: "schema",
                value: schema,
            });
        }
        if query.contains('@') {
            // A password with a question mark would be cut there, and a part of it shown.
            return Err(AddressError::Sign);
        }
        // What the client knows; the rest is ours.
        let (known, is_verified) = match mode.as_str() {
            "disable" => ("disable", false),
            "allow" | "prefer" => ("prefer", false),
            "require" => ("require", roots.is_some()),
            "verify-ca" | "verify-full" => ("require", true),
            _ => {
                return Err(AddressError::Setting {
                    name: "sslmode",
                    value: mode,
                });
            }
        };
        let mode = format!("sslmode={known}");
        others.push(&mode);
        let mut config = Config::from_str(&format!("postgresql://{place}?{}", others.join("&")))?;
        if config.get_password().is_none()
            && let Some(password) = password
        {
            config.password(password);
        }
        if config.get_application_name().is_none() {
            config.application_name("reproof");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        if !query.contains("keepalives_idle=") {
            config.keepalives_idle(Duration::from_secs(30));
        }
        // A network that is cut in the middle of a statement must not hold those that wait for long.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(60));
        }
        let shown = shown(&config);
        Ok(Self {
            config,
            schema,
            verification: if is_verified {
                Verification::Host(roots)
            } else {
                Verification::Nobody
            },
            shown,
        })
    }

    /// Takes the password out of a file of libpq's, where the address has none and the file has one for it: lines
    /// `HOST:PORT:DATABASE:USER:PASSWORD`, in which `*` is anything and a backslash stands before what means itself.
    #[must_use]
    pub fn with_password_file(mut self, text: &str) -> Self {
        if self.config.get_password().is_some() {
            return self;
        }
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            _ => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let user = self.config.get_user().unwrap_or_default().to_owned();
        let database = self.config.get_dbname().unwrap_or(&user).to_owned();
        let wanted = [host, port.to_string(), database, user];
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let found = lines.map(split_line).find(|fields| {
            fields.len() == 5
                && fields
                    .iter()
                    .zip(&wanted)
                    .all(|(field, wanted)| field == "*" || field == wanted)
        });
        if let Some(password) = found.as_ref().and_then(|fields| fields.last()) {
            self.config.password(password);
        }
        self
    }

    /// The address as it may be shown: without user, password and settings.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Database and schema, as they may be shown: what tells one store from another.
    pub fn place(&self) -> String {
        format!("{}, schema `{}`", self.shown, self.schema)
    }

    /// Server, database and settings, as they may be shown: what tells the tables of one program from those of another
    /// where no schema of ours is meant.
    pub fn identity(&self) -> String {
        let options = match self.config.get_options() {
            Some(options) => format!("?options={options}"),
            None => String::new(),
        };
        format!("{}{options}", self.shown)
    }

    /// The schema that holds the store.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub(crate) fn connecting(&self) -> Result<Connecting, StoreError> {
        let tls = match &self.verification {
            Verification::Nobody => Tls::unverified()?,
            Verification::Host(roots) => Tls::verified(roots.as_deref())?,
        };
        Ok(Connecting {
            config: Arc::new(self.config.clone()),
            tls,
            schema: self.schema.clone(),
            names: LockNames::new(&self.schema),
        })
    }
}

/// Where a configuration leads, without who asks and how: what tells one database from another.
fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts: Vec<_> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(place, host)| {
            let name = match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(folder) => folder.display().to_string().replace('/', "%2F"),
            };
            match ports.get(place).or(ports.first()).unwrap_or(&5432) {
                5432 => name,
                port => format!("{name}:{port}"),
            }
        })
        .collect();
    let database = config.get_dbname().or(config.get_user());
    format!(
        "postgresql://{}/{}",
        hosts.join(","),
        database.unwrap_or_default()
    )
}

/// The fields of a line, with what a backslash stands before taken as it is.
fn split_line(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.last_mut().expect("there is one from the start");
        match character {
            ':' => fields.push(String::new()),
            '\\' => last.extend(characters.next()),
            other => last.push(other),
        }
    }
    fields
}

impl std::fmt::Debug for PostgresAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    fn parse(uri: &str) -> PostgresAddress {
        PostgresAddress::parse(uri, None).unwrap()
    }

    #[test]
    fn an_address_of_sqlalchemy_is_read() {
        let address = parse(
            "postgresql+psycopg2://ann:p%40ss@db.example:6432/ml?schema=team&sslmode=require",
        );
        assert_eq!(address.schema(), "team");
        assert_eq!(address.config.get_user(), Some("ann"));
        assert_eq!(address.config.get_password(), Some(b"p@ss".as_slice()));
        assert_eq!(address.config.get_ports(), [6432]);
        assert_eq!(address.config.get_dbname(), Some("ml"));
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(address.verification, Verification::Nobody);
    }

    #[test]
    fn no_password_is_shown() {
        let address = parse("postgresql://ann:secret@host/ml?password=other");
        for shown in [address.shown().to_owned(), format!("{address:?}")] {
            assert_eq!(shown, "postgresql://host/ml");
        }
    }

    #[test]
    fn a_place_is_one_however_it_is_written() {
        let place = |uri: &str| parse(uri).place();
        assert_eq!(
            place("postgresql://h/ml"),
            place("postgresql://ann:x@h:5432/ml")
        );
        assert_eq!(
            place("postgresql://%2Frun%2Fa/ml"),
            place("postgresql:///ml?host=/run/a")
        );
        for (one, other) in [
            (
                "postgresql:///ml?host=/run/a",
                "postgresql:///ml?host=/run/b",
            ),
            ("postgresql://ann@h", "postgresql://bob@h"),
            ("postgresql://h/ml", "postgresql://h/ml?schema=other"),
            ("postgresql://h/ml", "postgresql://h:5433/ml"),
        ] {
            assert_ne!(place(one), place(other));
        }
    }

    #[test]
    fn what_tells_databases_apart_is_the_same_however_they_are_written() {
        let one = parse("postgresql+psycopg2://ann:secret@host/ml").identity();
        assert_eq!(one, "postgresql://host/ml");
        for same in [
            "postgres://bob@host:5432/ml",
            "postgresql://ann@host/ml?sslmode=require",
        ] {
            assert_eq!(parse(same).identity(), one, "{same}");
        }
        let socket = "postgresql://ann:secret@/ml?host=%2Frun%2Fpg&options=-csearch_path%3Dlab";
        assert_eq!(
            parse(socket).identity(),
            "postgresql://%2Frun%2Fpg/ml?options=-csearch_path=lab"
        );
    }

    #[test]
    fn a_password_from_elsewhere_is_used_where_there_is_none() {
        let with = PostgresAddress::parse("postgresql://ann@host/ml", Some("given")).unwrap();
        assert_eq!(with.config.get_password(), Some(b"given".as_slice()));
        let own = PostgresAddress::parse("postgresql://ann:own@host/ml", Some("given")).unwrap();
        assert_eq!(own.config.get_password(), Some(b"own".as_slice()));
    }

    #[test]
    fn a_password_file_is_read_as_libpq_reads_it() {
        let text =
            "# host:port:db:user:password\nother:*:*:*:no\nh:5432:d:ann:a\\:b\\\\c\n*:*:*:*:last\n";
        let of = |uri: &str| {
            let address = parse(uri).with_password_file(text);
            String::from_utf8(address.config.get_password().unwrap().to_vec()).unwrap()
        };
        assert_eq!(of("postgresql://ann@h/d"), "a:b\\c");
        assert_eq!(of("postgresql://ann@h:5433/d"), "last");
        assert_eq!(of("postgresql://ann:own@h/d"), "own");
        assert_eq!(of("postgresql://ann@other/d"), "no");
    }

    #[test]
    fn certificates_are_verified_where_it_is_asked_for() {
        for (settings, expected) in [
            ("", Verification::Nobody),
            ("?sslmode=verify-full", Verification::Host(None)),
            (
                "?sslmode=require&sslrootcert=%2Fa%20b",
                Verification::Host(Some("/a b".into())),
            ),
        ] {
            assert_eq!(
                parse(&format!("postgres://h/d{settings}")).verification,
                expected
            );
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let long = format!("postgresql://h/d?schema={}", "s".repeat(64));
        for uri in [
            "mysql://h/d",
            "postgresql",
            "sqlite:///postgresql://h",
            "postgresql://h/d?schema=",
            "postgresql://h/d?schema=a%00b",
            "postgresql://h/d?sslmode=maybe",
            "postgresql://h/d?no_such_setting=1",
            "postgresql://h:port/d",
            "postgresql://ann:se?cret@h/d",
            long.as_str(),
        ] {
            assert!(PostgresAddress::parse(uri, None).is_err(), "{uri}");
        }
    }
}
