//! Starting, memory, a long history and a large file, beside stock `mlflow server`.

use serde::Deserialize;

use super::server::{Addresses, Peer, SECONDS};
use super::{Bench, Section, json_lines};
use crate::error::TaskError;
use crate::listening::{Server, free_port};
use crate::postgres::{Durability, PrivatePostgres};
use crate::process;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    let mut rows = Vec::new();
    compare(bench, None, &mut rows)?;
    let mut notes = vec![
        format!(
            "`tests/bench/bulk_client.py`; what has a p95 is asked for {SECONDS} s. Memory and CPU are those of the server's process and its children. The file does not compress."
        ),
        "Reproof's million points are logged through the API, a thousand at a time; MLflow's are put into its database.".to_owned(),
    ];
    if PrivatePostgres::find().is_some() {
        let server = PrivatePostgres::start(Durability::Real)?;
        let addresses = Addresses::of(server)?;
        compare(bench, Some(&addresses), &mut rows)?;
        notes.push(
            "PostgreSQL on the same machine, by its socket; its own CPU and memory are in no column."
                .to_owned(),
        );
    } else {
        notes.push("PostgreSQL is not installed here, so nothing was measured on it.".to_owned());
    }
    Ok(Section {
        title: "Histories, files and memory",
        command: "cargo xtask bench bulk",
        head: vec![
            "what",
            "database",
            "reproof",
            "mlflow",
            "times as good",
            "CPU, ms: reproof",
            "mlflow",
        ],
        rows,
        notes,
        faults: Vec::new(),
    })
}

#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    value: f64,
    unit: String,
    cpu_ms: Option<f64>,
    /// Whether more is better.
    is_rate: bool,
}

fn compare(
    bench: &Bench<'_>,
    addresses: Option<&Addresses>,
    rows: &mut Vec<Vec<String>>,
) -> Result<(), TaskError> {
    let ours = measure_server(bench, Peer::Reproof, addresses)?;
    let stock = measure_server(bench, Peer::Stock, addresses)?;
    let database = match addresses {
        Some(_) => "PostgreSQL",
        None => "SQLite",
    };
    for (ours, stock) in ours.iter().zip(&stock) {
        let times = if ours.is_rate {
            ours.value / stock.value
        } else {
            stock.value / ours.value
        };
        let cpu = |figure: &Figure| {
            figure
                .cpu_ms
                .map_or_else(String::new, |ms| format!("{ms:.1}"))
        };
        let value = |figure: &Figure| format!("{:.1} {}", figure.value, figure.unit);
        rows.push(vec![
            ours.name.clone(),
            database.to_owned(),
            value(ours),
            value(stock),
            format!("{times:.1}"),
            cpu(ours),
            cpu(stock),
        ]);
    }
    Ok(())
}

fn measure_server(
    bench: &Bench<'_>,
    peer: Peer,
    addresses: Option<&Addresses>,
) -> Result<Vec<Figure>, TaskError> {
    println!("measuring {peer:?}");
    let project = bench.make_project()?;
    let port = free_port()?;
    let log = project.root.join(format!("{peer:?}.log"));
    // The first start makes the database.
    drop(Server::start(
        peer.command(bench, &project, addresses, port),
        port,
        &log,
    )?);
    let server = Server::start(peer.command(bench, &project, addresses, port), port, &log)?;
    let mut client = project.command(&bench.python);
    client
        .arg("bulk_client.py")
        .arg(format!("http://127.0.0.1:{port}"))
        .args([&server.child.id().to_string(), SECONDS]);
    client.args(peer.stock_uri(addresses));
    let text = process::output_of(&mut client)?;
    let mut figures = vec![Figure {
        name: "start until it answers".to_owned(),
        value: server.start_ms,
        unit: "ms".to_owned(),
        cpu_ms: None,
        is_rate: false,
    }];
    figures.extend(json_lines::<Figure>(&text, "bulk_client.py")?);
    figures.push(Figure {
        name: "database with a history of 1,000,000 points".to_owned(),
        value: peer.record_bytes(&project, addresses)? as f64 / f64::from(1 << 20),
        unit: "MiB".to_owned(),
        cpu_ms: None,
        is_rate: false,
    });
    Ok(figures)
}
