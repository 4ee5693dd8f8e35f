//! `reproof demo`: the first five minutes, on real data, with the same commands that a user would type.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::arguments::DemoArguments;
use crate::error::CommandError;
use crate::output::{Output, in_shell_words};
use crate::project::cannot_write;

const TRAIN: &str = include_str!("../demo/train.py");

/// What the demo trains with. The versions are exact, so that the demo shows the same numbers everywhere.
const REQUIREMENTS: [&str; 3] = [
    "scikit-learn==1.7.2",
    "mlflow-skinny==3.17.2",
    "joblib==1.5.1",
];

/// The package that "the world" upgrades afterwards: small, and imported by every run.
const UPGRADE: &str = "joblib==1.5.2";

/// The grid of the ten runs.
const GRID: [&[&str]; 5] = [
    &["--model", "forest", "--trees", "20"],
    &["--model", "forest", "--trees", "100"],
    &["--model", "forest", "--trees", "200"],
    &["--model", "logistic", "--c", "0.1"],
    &["--model", "logistic", "--c", "1.0"],
];
const SEEDS: [&str; 2] = ["0", "1"];

pub(crate) fn run(arguments: &DemoArguments, output: &Output) -> Result<ExitCode, CommandError> {
    let demo = Demo::set_up(&arguments.directory, output)?;
    demo.heading(
        "Ten runs over a grid of models and seeds; train.py does not know that it is watched",
    );
    for seed in SEEDS {
        for model in GRID {
            let command = [
                &["run", ".venv/bin/python", "train.py"],
                model,
                &["--seed", seed],
            ]
            .concat();
            demo.reproof(&command)?;
        }
    }
    demo.heading("What is on record");
    demo.reproof(&["runs", "--order-by", "metrics.auc DESC"])?;
    let ranked = demo.ranked_runs()?;
    let (best, second) = match ranked.as_slice() {
        [best, second, ..] => (best.as_str(), second.as_str()),
        _ => {
            return Err(CommandError::system(
                "E0020",
                "the demo recorded fewer than two runs",
            ));
        }
    };
    demo.heading("The best run, with everything that is known of it");
    demo.reproof(&["show", best])?;
    demo.heading("What makes it differ from the second best");
    demo.reproof(&["diff", best, second])?;
    demo.let_the_world_move_on()?;
    demo.heading("The same command today gives something else, and the record says why");
    let again = demo.command_of(best)?;
    let words: Vec<_> = again.iter().map(String::as_str).collect();
    demo.reproof(&[&["run"], &words[..]].concat())?;
    demo.reproof(&["diff", best, "latest"])?;
    demo.heading("The best run again, from its record: old code, old data, old packages");
    demo.reproof(&[
        "replay",
        best,
        "--into",
        "../replayed",
        "--env",
        "rebuild",
        "--verify",
    ])?;
    demo.compare_models(best)?;
    demo.heading("Nothing was changed behind the ledger's back");
    demo.reproof(&["audit", "verify"])?;
    demo.close(best);
    Ok(ExitCode::SUCCESS)
}

struct Demo<'a> {
    project: PathBuf,
    program: PathBuf,
    output: &'a Output,
}

impl<'a> Demo<'a> {
    /// Makes the git project and its virtual environment.
    fn set_up(directory: &Path, output: &'a Output) -> Result<Self, CommandError> {
        let is_free =
            std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
        if !is_free {
            return Err(CommandError::usage(
                "E0009",
                format!("{} is there and not empty", directory.display()),
            )
            .hint("`reproof demo OTHER-DIR` makes it elsewhere"));
        }
        let project = directory.join("project");
        std::fs::create_dir_all(project.join("data"))
            .map_err(|error| cannot_write(&project, &error))?;
        let project = project
            .canonicalize()
            .map_err(|error| cannot_write(&project, &error))?;
        let program = std::env::current_exe().map_err(|error| {
            CommandError::system("E0020", format!("cannot find this program: {error}"))
        })?;
        let demo = Self {
            project,
            program,
            output,
        };
        demo.heading(&format!("A small project in {}", demo.project.display()));
        let working = output.work("making a virtual environment");
        demo.silent("python3", &["-m", "venv", ".venv"])?;
        drop(working);
        let working = output.work(&format!(
            "installing {} (some 100 MB, once)",
            REQUIREMENTS.join(", ")
        ));
        let install = [
            &[
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ],
            &REQUIREMENTS[..],
        ];
        demo.silent(".venv/bin/python", &install.concat())?;
        drop(working);
        demo.write("train.py", TRAIN)?;
        demo.write(".gitignore", ".venv/\nout/\n__pycache__/\n")?;
        demo.copy_data()?;
        demo.git(&["init", "--quiet", "--initial-branch", "main"])?;
        demo.reproof(&["init"])?;
        demo.commit("Train a classifier on the breast-cancer data")?;
        Ok(demo)
    }

    /// Copies the CSV that ships inside the scikit-learn wheel.
    fn copy_data(&self) -> Result<(), CommandError> {
        let code = "import sklearn.datasets, os, shutil; \
                    source = os.path.join(os.path.dirname(sklearn.datasets.__file__), 'data', 'breast_cancer.csv'); \
                    shutil.copyfile(source, 'data/breast_cancer.csv')";
        self.silent(".venv/bin/python", &["-c", code])
    }

    /// Changes data, code and an imported package, as happens to everybody.
    fn let_the_world_move_on(&self) -> Result<(), CommandError> {
        self.heading(
            "The world moves on: the data is corrected, the code is changed, a package is upgraded",
        );
        let data = self.project.join("data/breast_cancer.csv");
        let text = std::fs::read_to_string(&data).map_err(|error| cannot_write(&data, &error))?;
        let is_kept = |line: usize| line == 0 || !line.is_multiple_of(19);
        let kept: Vec<_> = text
            .lines()
            .enumerate()
            .filter(|(line, _)| is_kept(*line))
            .map(|(_, line)| line)
            .collect();
        self.write("data/breast_cancer.csv", &format!("{}\n", kept.join("\n")))?;
        self.write("train.py", &TRAIN.replace("test_size=0.3", "test_size=0.2"))?;
        self.commit("Drop doubtful rows, keep more for training")?;
        let working = self.output.work(&format!("pip install {UPGRADE}"));
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            UPGRADE,
        ];
        self.silent(".venv/bin/python", &install)?;
        drop(working);
        self.silent("rm", &["-rf", "out"])
    }

    /// Prints the digests of the two models, as another program computes them.
    fn compare_models(&self, best: &str) -> Result<(), CommandError> {
        self.heading("The model of the replay beside the one on record, as sha256sum sees them");
        self.reproof(&["restore", best, "../restored", "--outputs"])?;
        let parent = self.project.parent().unwrap_or(&self.project).to_owned();
        self.output.step("restored/ holds code, data and outputs as they are on record; replayed/ holds what the replay wrote");
        self.show_command(
            &parent,
            "sha256sum",
            &["replayed/out/model.joblib", "restored/out/model.joblib"],
        )
    }

    /// Ids of all runs, the best first.
    fn ranked_runs(&self) -> Result<Vec<String>, CommandError> {
        let answer = self.ask(&["runs", "--order-by", "metrics.auc DESC"])?;
        let runs = answer["runs"].as_array().cloned().unwrap_or_default();
        let ids = runs
            .iter()
            .filter_map(|run| run["run_id"].as_str()?.get(..8).map(str::to_owned));
        Ok(ids.collect())
    }

    /// The command of a run, as it is on record.
    fn command_of(&self, run: &str) -> Result<Vec<String>, CommandError> {
        let answer = self.ask(&["show", run])?;
        let words = answer["recipe"]["command"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(words
            .iter()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect())
    }

    /// Calls this very program for its answer as JSON.
    fn ask(&self, arguments: &[&str]) -> Result<serde_json::Value, CommandError> {
        let failed = |why: String| {
            CommandError::system(
                "E0020",
                format!("`reproof {}` {why}", in_shell_words(arguments)),
            )
        };
        let answer = Self::command(&self.project, &self.program)
            .args(arguments)
            .arg("--json")
            .output()
            .map_err(|error| failed(format!("could not be started: {error}")))?;
        serde_json::from_slice(&answer.stdout)
            .map_err(|error| failed(format!("gave an answer that cannot be read: {error}")))
    }

    fn close(&self, best: &str) {
        self.heading("What to type next");
        self.output
            .line(&format!("  cd {}", self.project.display()));
        if !is_on_path("reproof") {
            self.output.line(&format!(
                "  alias reproof={}    # `cargo install --path crates/cli` makes it a command",
                in_shell_words([&*self.program.to_string_lossy()])
            ));
        }
        for (command, meaning) in [
            (
                "reproof runs \"metrics.auc > 0.99\"".to_owned(),
                "search, in MLflow's grammar",
            ),
            (
                format!("reproof show {best} --full"),
                "every input, package and library",
            ),
            (
                format!("reproof audit log {best}"),
                "who did what to it, and when",
            ),
            (
                "reproof server".to_owned(),
                "an MLflow server over these runs",
            ),
            (
                "reproof run .venv/bin/python train.py --trees 300".to_owned(),
                "your own try",
            ),
        ] {
            self.output.line(&format!("  {command:<52} # {meaning}"));
        }
    }

    fn heading(&self, text: &str) {
        self.output.line(&format!("\n== {text}"));
    }

    fn write(&self, path: &str, text: &str) -> Result<(), CommandError> {
        let path = self.project.join(path);
        std::fs::write(&path, text).map_err(|error| cannot_write(&path, &error))
    }

    fn commit(&self, message: &str) -> Result<(), CommandError> {
        self.git(&["add", "--all"])?;
        let identity = ["-c", "user.name=Demo", "-c", "user.email=demo@example.org"];
        self.git(&[&identity[..], &["commit", "--quiet", "-m", message]].concat())
    }

    fn git(&self, arguments: &[&str]) -> Result<(), CommandError> {
        self.silent("git", arguments)
    }

    /// Runs this very program, showing what a user would type.
    fn reproof(&self, arguments: &[&str]) -> Result<(), CommandError> {
        self.output
            .line(&format!("\n$ reproof {}", in_shell_words(arguments)));
        Self::finish(
            "reproof",
            arguments,
            Self::command(&self.project, &self.program).args(arguments),
        )
    }

    fn show_command(
        &self,
        directory: &Path,
        program: &str,
        arguments: &[&str],
    ) -> Result<(), CommandError> {
        self.output
            .line(&format!("\n$ {program} {}", in_shell_words(arguments)));
        Self::finish(
            program,
            arguments,
            Self::command(directory, program).args(arguments),
        )
    }

    /// Runs a step of the set-up; what it prints is shown only when it fails.
    fn silent(&self, program: &str, arguments: &[&str]) -> Result<(), CommandError> {
        let failed = |why: &str| {
            CommandError::system("E0020", format!("`{program} {}` failed: {why}", in_shell_words(arguments)))
                .hint("the demo needs git, python3 with its venv module, and a Python package index that can be reached")
        };
        let answer = Self::command(&self.project, program)
            .args(arguments)
            .output()
            .map_err(|error| failed(&error.to_string()))?;
        if answer.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&answer.stderr);
        let last: Vec<_> = words.trim_end().lines().rev().take(5).collect();
        Err(failed(
            &last.into_iter().rev().collect::<Vec<_>>().join("\n"),
        ))
    }

    fn finish(
        program: &str,
        arguments: &[&str],
        command: &mut Command,
    ) -> Result<(), CommandError> {
        let failed = |why: String| {
            CommandError::system(
                "E0020",
                format!("`{program} {}` {why}", in_shell_words(arguments)),
            )
        };
        let status = command
            .status()
            .map_err(|error| failed(format!("could not be started: {error}")))?;
        if status.success() {
            Ok(())
        } else {
            Err(failed(format!("ended with {status}")))
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the demo types commands as a user would"
    )]
    fn command(directory: &Path, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(directory)
            // The client's own chatter is no part of the story, and a demo calls nobody.
            .env("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stdin(std::process::Stdio::null());
        command
    }
}

/// Whether a shell finds a program of this name.
fn is_on_path(name: &str) -> bool {
    crate::system::variable("PATH").is_some_and(|folders| {
        std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
    })
}
