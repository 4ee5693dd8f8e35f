//! Tracking requests per second, beside stock `mlflow server`, from one client script.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use serde::Deserialize;

use super::{Bench, Project, Section, json_lines};
use crate::error::TaskError;
use crate::listening::{Server, free_port};
use crate::postgres::{Durability, PrivatePostgres};
use crate::process;

/// How long each kind of request is sent.
pub(super) const SECONDS: &str = "8";
/// Where stock MLflow keeps its record by default, in the folder of the project.
const STOCK_FILE: &str = "sqlite:///stock.db";

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    let project = bench.make_project()?;
    let mut rows = Vec::new();
    compare(bench, &project, None, &mut rows)?;
    let mut notes = vec![
        format!(
            "`tests/bench/tracking_client.py`, one connection if not said otherwise, {SECONDS} s each; CPU is that of the server's process and its children, for each request."
        ),
        "mlflow is stock `mlflow server` with its defaults; of its latency, about 40 ms are spent waiting (its answers meet the delayed acknowledgement of TCP), and the CPU column is free of that.".to_owned(),
    ];
    if PrivatePostgres::find().is_some() {
        let project = bench.make_project()?;
        let server = PrivatePostgres::start(Durability::Real)?;
        let addresses = Addresses::of(server)?;
        compare(bench, &project, Some(&addresses), &mut rows)?;
        notes.push("On PostgreSQL, both talk to one server by its socket, with its settings as installed; its own CPU is in neither column.".to_owned());
    } else {
        notes.push("PostgreSQL is not installed here, so nothing was measured on it.".to_owned());
    }
    Ok(Section {
        title: "Server",
        command: "cargo xtask bench server",
        head: vec![
            "request",
            "server",
            "per second",
            "beside mlflow",
            "p50, ms",
            "p95, ms",
            "p99, ms",
            "CPU, ms",
        ],
        rows,
        notes,
        faults: Vec::new(),
    })
}

/// Where each of the two keeps its record in PostgreSQL.
pub(super) struct Addresses {
    reproof: String,
    stock: String,
    server: PrivatePostgres,
}

impl Addresses {
    /// A database for each of them in one server.
    pub(super) fn of(server: PrivatePostgres) -> Result<Self, TaskError> {
        let uri = server.make_database("stock")?;
        Ok(Self {
            reproof: server.uri(),
            // With the driver that is installed: SQLAlchemy's own choice differs between its versions.
            stock: uri.replacen("postgresql:", "postgresql+psycopg2:", 1),
            server,
        })
    }
}

/// Measures both on SQLite, or on PostgreSQL.
fn compare(
    bench: &Bench<'_>,
    project: &Project,
    addresses: Option<&Addresses>,
    rows: &mut Vec<Vec<String>>,
) -> Result<(), TaskError> {
    let ours = measure_server(bench, project, Peer::Reproof, addresses)?;
    let stock = measure_server(bench, project, Peer::Stock, addresses)?;
    let database = match addresses {
        Some(_) => "PostgreSQL",
        None => "SQLite",
    };
    for (ours, stock) in ours.iter().zip(&stock) {
        let times = ours.requests_per_s / stock.requests_per_s;
        rows.push(ours.row(
            &format!("reproof, {database}"),
            &format!("{times:.1} times"),
        ));
        rows.push(stock.row(&format!("mlflow, {database}"), "1"));
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Figures {
    name: String,
    requests_per_s: f64,
    latency_ms_p50: f64,
    latency_ms_p95: f64,
    latency_ms_p99: f64,
    cpu_ms_per_request: f64,
}

impl Figures {
    fn row(&self, server: &str, times: &str) -> Vec<String> {
        vec![
            self.name.clone(),
            server.to_owned(),
            format!("{:.0}", self.requests_per_s),
            times.to_owned(),
            format!("{:.2}", self.latency_ms_p50),
            format!("{:.2}", self.latency_ms_p95),
            format!("{:.2}", self.latency_ms_p99),
            format!("{:.2}", self.cpu_ms_per_request),
        ]
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    Reproof,
    Stock,
}

impl Peer {
    /// Where its record is, as MLflow and its clients name it; none where it is Reproof's.
    pub(super) fn stock_uri(self, addresses: Option<&Addresses>) -> Option<&str> {
        match self {
            Self::Reproof => None,
            Self::Stock => Some(addresses.map_or(STOCK_FILE, |addresses| &addresses.stock)),
        }
    }

    /// How much the record takes on the disk, with its indexes and what is not yet worked in.
    pub(super) fn record_bytes(
        self,
        project: &Project,
        addresses: Option<&Addresses>,
    ) -> Result<u64, TaskError> {
        let (file, database) = match self {
            Self::Reproof => (".reproof/reproof.db", "postgres"),
            Self::Stock => ("stock.db", "stock"),
        };
        if let Some(addresses) = addresses {
            return addresses.server.size_bytes(database);
        }
        let parts = ["", "-wal"].map(|end| project.root.join(format!("{file}{end}")));
        let sizes = parts.iter().map(|part| match fs::metadata(part) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(TaskError::file(part)(error)),
        });
        sizes.sum()
    }

    pub(super) fn command(
        self,
        bench: &Bench<'_>,
        project: &Project,
        addresses: Option<&Addresses>,
        port: u16,
    ) -> Command {
        let port = port.to_string();
        match self {
            Self::Reproof => {
                let mut command = project.command(&bench.reproof);
                command.args(["server", "--port", &port]);
                if let Some(addresses) = addresses {
                    command.args(["--backend-store-uri", &addresses.reproof]);
                }
                command
            }
            Self::Stock => {
                let mut command = project.command(&bench.python);
                command
                    .args([
                        "-m",
                        "mlflow",
                        "server",
                        "--host",
                        "127.0.0.1",
                        "--port",
                        &port,
                    ])
                    .arg("--backend-store-uri")
                    .args(self.stock_uri(addresses))
                    .args(["--artifacts-destination", "stock-artifacts"]);
                command
            }
        }
    }
}

fn measure_server(
    bench: &Bench<'_>,
    project: &Project,
    peer: Peer,
    addresses: Option<&Addresses>,
) -> Result<Vec<Figures>, TaskError> {
    println!("measuring {peer:?}");
    let port = free_port()?;
    let log = project.root.join(format!("{peer:?}.log"));
    let server = Server::start(peer.command(bench, project, addresses, port), port, &log)?;
    let text = process::output_of(
        project
            .command(&bench.python)
            .arg("tracking_client.py")
            .arg(format!("http://127.0.0.1:{port}"))
            .args([&server.child.id().to_string(), SECONDS]),
    )?;
    json_lines(&text, "tracking_client.py")
}
