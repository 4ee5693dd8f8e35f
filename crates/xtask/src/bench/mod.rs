//! Benchmarks: each figure beside its peer's from the same run.

mod bulk;
mod capture;
mod cas;
mod corpus;
mod ledger;
mod machine;
mod measure;
mod migrate;
mod search;
mod server;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Deserialize;

use crate::error::TaskError;
use crate::process::{self, cargo};
use crate::{Context, setup};

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Parts to measure; all if none is named
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How often each pair is measured; the median counts
    #[arg(long, default_value_t = 5, value_name = "N")]
    pairs: usize,
    /// Also put the tables into this Markdown file, each in the place of the one before
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Measure this `reproof` instead of a release build of the checkout
    #[arg(long, value_name = "FILE")]
    reproof: Option<PathBuf>,
    /// Install b3sum with cargo, if it is not there, to be measured beside ours
    #[arg(long)]
    install_peers: bool,
    /// Only scripts of the corpus whose name holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What `reproof run` adds to a command
    Capture,
    /// Storing and checking out objects, beside `cp` and `b3sum`
    Cas,
    /// Appending events, and verifying 1,000,000 of them
    Ledger,
    /// Searches over 100,000 runs, on SQLite and on PostgreSQL
    Search,
    /// Tracking requests per second, beside stock `mlflow server`
    Server,
    /// Starting, memory, a history of 1,000,000 points and a file of 1 GiB, beside stock `mlflow server`
    Bulk,
    /// Taking over MLflow's folder of files, beside MLflow's own migration
    Migrate,
    /// How many scripts of the corpus are recreated
    Corpus,
}

impl Part {
    /// Whether it starts our binary and Python, and not only examples of rooms.
    fn needs_whole(self) -> bool {
        !matches!(self, Self::Cas | Self::Ledger | Self::Search)
    }

    fn measure(self, bench: &Bench<'_>) -> Result<Section, TaskError> {
        match self {
            Self::Capture => capture::measure(bench),
            Self::Cas => cas::measure(bench),
            Self::Ledger => ledger::measure(bench),
            Self::Search => search::measure(bench),
            Self::Server => server::measure(bench),
            Self::Bulk => bulk::measure(bench),
            Self::Migrate => migrate::measure(bench),
            Self::Corpus => corpus::measure(bench),
        }
    }
}

/// What all benchmarks need.
#[derive(Debug)]
struct Bench<'a> {
    context: &'a Context,
    /// The release build of `reproof`; empty where no part needs it.
    reproof: PathBuf,
    /// The tests' Python; empty where no part needs it.
    python: PathBuf,
    pairs: usize,
    install_peers: bool,
    only: Option<String>,
}

/// The figures of one benchmark, as a table.
#[derive(Debug)]
struct Section {
    title: &'static str,
    command: &'static str,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// Sentences below the table.
    notes: Vec<String>,
    /// What was not as it must be; the benchmark fails for it, but after it has printed.
    faults: Vec<String>,
}

/// Measures, prints and writes down; fails where a result is wrong, not where a figure is bad.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<(), TaskError> {
    let parts = match &arguments.parts[..] {
        [] => Part::value_variants(),
        parts => parts,
    };
    let (reproof, python) = if parts.iter().any(|part| part.needs_whole()) {
        let python = setup::prepare(context)?.python;
        let reproof = match &arguments.reproof {
            Some(file) => fs::canonicalize(file).map_err(TaskError::file(file))?,
            None => build_reproof(context)?,
        };
        (reproof, python)
    } else {
        Default::default()
    };
    let bench = Bench {
        context,
        reproof,
        python,
        pairs: arguments.pairs.max(1),
        install_peers: arguments.install_peers,
        only: arguments.only.clone(),
    };
    let machine = machine::describe()?;
    println!("{machine}");
    let mut faults = Vec::new();
    for part in parts {
        // One part that cannot be measured does not take the others with it.
        let section = match part.measure(&bench) {
            Ok(section) => section,
            Err(error) => {
                println!("{part:?}: {error}");
                faults.push(format!("{part:?} could not be measured"));
                continue;
            }
        };
        let text = section.to_markdown(&machine);
        println!("\n{text}");
        if let Some(path) = &arguments.output {
            put_section(path, section.title, &text)?;
        }
        faults.extend(section.faults);
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(TaskError::Steps { steps: faults })
}

fn build_reproof(context: &Context) -> Result<PathBuf, TaskError> {
    process::run(
        cargo()
            .args([
                "build",
                "--release",
                "--locked",
                "-p",
                "cli",
                "--bin",
                "reproof",
            ])
            .current_dir(&context.root),
    )?;
    Ok(context.target.join("release/reproof"))
}

impl Bench<'_> {
    /// A new git project in a temporary folder, with the data of the corpus and a keyring of its own.
    fn make_project(&self) -> Result<Project, TaskError> {
        let folder = tempfile::tempdir().map_err(TaskError::file("a temporary folder"))?;
        let root = folder.path().join("project");
        fs::create_dir(&root).map_err(TaskError::file(&root))?;
        let project = Project {
            root,
            configuration: folder.path().join("configuration"),
            _folder: folder,
        };
        project.write(".gitignore", "/data/\n/outputs/\n/.reproof/\n")?;
        for name in ["corpus", "bench"] {
            project.copy_scripts(&self.context.root.join("tests").join(name))?;
        }
        let identity = [
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@example.com",
        ];
        for arguments in [
            &["init", "-q"][..],
            &["add", "."],
            &["commit", "-q", "-m", "scripts"],
        ] {
            process::output_of(project.command("git").args(identity).args(arguments))?;
        }
        process::output_of(project.command(&self.python).arg("prepare.py"))?;
        Ok(project)
    }

    /// Builds an example in release mode, and makes a row of each line that it prints.
    fn run_example(
        &self,
        room: &str,
        example: &str,
        arguments: &[&str],
    ) -> Result<Vec<Vec<String>>, TaskError> {
        println!("measuring {room}");
        let text = process::output_of(
            cargo()
                .args(["run", "-q", "--release", "--locked", "-p", room])
                .args(["--example", example, "--"])
                .args(arguments)
                .current_dir(&self.context.root),
        )?;
        Ok(text.lines().map(row_of_example).collect())
    }
}

/// A project to measure in; gone when dropped.
#[derive(Debug)]
struct Project {
    root: PathBuf,
    configuration: PathBuf,
    _folder: tempfile::TempDir,
}

impl Project {
    /// A command in this project, which neither sees nor touches the settings of whoever measures.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
        let mut command = process::program(program);
        command
            .current_dir(&self.root)
            .env("REPROOF_CONFIG_DIR", &self.configuration)
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env_remove("MLFLOW_TRACKING_URI");
        command
    }

    fn write(&self, path: &str, text: &str) -> Result<(), TaskError> {
        let path = self.root.join(path);
        fs::write(&path, text).map_err(TaskError::file(&path))
    }

    fn copy_scripts(&self, folder: &Path) -> Result<(), TaskError> {
        for entry in fs::read_dir(folder).map_err(TaskError::file(folder))? {
            let path = entry.map_err(TaskError::file(folder))?.path();
            let is_script = path.extension().is_some_and(|extension| extension == "py");
            if let (true, Some(name)) = (is_script, path.file_name()) {
                fs::copy(&path, self.root.join(name)).map_err(TaskError::file(&path))?;
            }
        }
        Ok(())
    }
}

impl Section {
    fn to_markdown(&self, machine: &str) -> String {
        let mut text = format!("## {}\n\n`{}`\n\n", self.title, self.command);
        let rule = vec!["---".to_owned(); self.head.len()];
        let head = self.head.iter().map(|&cell| cell.to_owned()).collect();
        for row in [&head, &rule].into_iter().chain(&self.rows) {
            writeln!(text, "| {} |", row.join(" | ")).expect("writing to a string does not fail");
        }
        text.push('\n');
        for note in self.notes.iter().map(String::as_str).chain([machine]) {
            text.push_str(note);
            text.push('\n');
        }
        text
    }
}

/// Writes a section into a page, in place of the section with its title or at the end.
fn put_section(path: &Path, title: &str, text: &str) -> Result<(), TaskError> {
    let page = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        page => page.map_err(TaskError::file(path))?,
    };
    fs::write(path, with_section(&page, title, text)).map_err(TaskError::file(path))
}

fn with_section(page: &str, title: &str, text: &str) -> String {
    let heading = format!("## {title}");
    let is_heading = |line: &str| line.starts_with("## ");
    let lines: Vec<_> = page.lines().collect();
    let start = lines.iter().position(|line| *line == heading);
    let (before, after) = match start {
        Some(start) => {
            let rest = &lines[start + 1..];
            let length = rest
                .iter()
                .position(|line| is_heading(line))
                .unwrap_or(rest.len());
            (&lines[..start], &rest[length..])
        }
        None => (&lines[..], &[][..]),
    };
    let parts = [before.join("\n"), text.to_owned(), after.join("\n")];
    let parts: Vec<_> = parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("\n\n") + "\n"
}

/// Reads the lines of a program that prints JSON objects, and words between them.
fn json_lines<'text, T: Deserialize<'text>>(
    text: &'text str,
    command: &str,
) -> Result<Vec<T>, TaskError> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| {
            serde_json::from_str(line).map_err(|error| TaskError::Output {
                command: command.to_owned(),
                reason: format!("{error}, in `{line}`"),
            })
        })
        .collect()
}

/// One figure of an example.
#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    count: f64,
    unit: String,
    seconds: f64,
    per_second: f64,
}

/// What an example prints of one figure: a JSON object, or `what: figure`.
fn row_of_example(line: &str) -> Vec<String> {
    let Ok(figure) = serde_json::from_str::<Figure>(line) else {
        let (what, figure) = line.split_once(": ").unwrap_or((line, ""));
        return vec![what.to_owned(), figure.to_owned()];
    };
    let Figure {
        name,
        count,
        unit,
        seconds,
        per_second,
    } = figure;
    let seconds = if seconds < 1.0 {
        format!("{seconds:.3}")
    } else {
        format!("{seconds:.2}")
    };
    let figures = if unit == "bytes" {
        format!(
            "{} MiB in {seconds} s, {} MiB/s",
            grouped(count / MIB),
            grouped(per_second / MIB)
        )
    } else {
        let (amount, rate) = (grouped(count), grouped(per_second));
        format!("{amount} {unit} in {seconds} s, {rate} a second")
    };
    vec![name, figures]
}

const MIB: f64 = 1024.0 * 1024.0;

/// A whole number with a comma at each thousand.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_section_is_a_table_with_its_command() {
        let section = Section {
            title: "Things",
            command: "cargo xtask bench things",
            head: vec!["what", "seconds"],
            rows: vec![vec!["one".to_owned(), "1.0".to_owned()]],
            notes: vec!["A note.".to_owned()],
            faults: Vec::new(),
        };
        let expected = "## Things\n\n`cargo xtask bench things`\n\n| what | seconds |\n| --- | --- |\n| one | 1.0 |\n\nA note.\nMeasured here.\n";
        assert_eq!(section.to_markdown("Measured here."), expected);
    }

    #[test]
    fn a_section_takes_the_place_of_the_one_before_and_leaves_the_others() {
        let page = "# Page\n\nWords.\n\n## A\n\nold\n\n## B\n\nkept\n";
        let expected = "# Page\n\nWords.\n\n## A\n\nnew\n\n## B\n\nkept\n";
        let once = with_section(page, "A", "## A\n\nnew\n");
        assert_eq!(once, expected);
        assert_eq!(with_section(&once, "A", "## A\n\nnew\n"), expected);
        let added = with_section(expected, "C", "## C\n\nmore\n");
        assert_eq!(added, format!("{expected}\n## C\n\nmore\n"));
        assert_eq!(with_section("", "C", "## C\n"), "## C\n");
    }

    #[test]
    fn a_line_of_an_example_becomes_a_row() {
        let line = r#"{"name": "store", "count": 1234567, "unit": "events", "seconds": 0.12345, "per_second": 10000543.9}"#;
        let expected = "1,234,567 events in 0.123 s, 10,000,544 a second";
        assert_eq!(row_of_example(line), ["store", expected]);
        let line = r#"{"name": "store", "count": 1073741824, "unit": "bytes", "seconds": 2, "per_second": 536870912}"#;
        assert_eq!(
            row_of_example(line),
            ["store", "1,024 MiB in 2.00 s, 512 MiB/s"]
        );
        assert_eq!(
            row_of_example("verify them: 2.5 s"),
            ["verify them", "2.5 s"]
        );
    }

    #[test]
    fn json_lines_are_read_and_a_broken_one_is_an_error() {
        let values: Vec<Value> = json_lines("words\n{\"a\": 1}\n", "x").unwrap();
        assert_eq!(values, [serde_json::json!({"a": 1})]);
        let error = json_lines::<Value>("{\"a\": \n", "x").unwrap_err();
        assert!(error.to_string().contains('x'));
    }
}
