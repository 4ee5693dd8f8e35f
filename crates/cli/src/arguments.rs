//! The command line.

mod access;
mod server;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::Wait;

pub(crate) use access::{TokenCommand, UserCommand};
pub(crate) use server::{HOST, ServerArguments, Unsupported};

/// Record ML experiments, run them again exactly, compare and prove them.
#[derive(Debug, Parser)]
#[command(name = "reproof", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 the answer is no, 2 wrong usage or bad input, 3 a job failed, 4 a system fault.
`reproof run` passes on the status of its command; its own faults are 125 to 127.
`reproof explain CODE` says more about an error; `reproof demo` shows the first five minutes.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Print JSON instead of tables and sentences
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Work as if started in this directory
    // Named so that no command's own `directory` is taken for it: clap tells arguments apart by these names.
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub(crate) start_directory: Option<PathBuf>,
    /// Say less
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more; twice for much more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// How what is said on standard error is written: for people, or each line as an object of JSON for collectors of logs
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        env = "REPROOF_LOG_FORMAT",
        global = true
    )]
    pub(crate) log_format: LogFormat,
}

/// How what is said on standard error is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a store (`.reproof/`) and a commented `reproof.toml` here
    Init(InitArguments),
    /// Run a command, captured
    Run(RunArguments),
    /// Log into the run that this command is part of
    #[command(subcommand)]
    Log(LogCommand),
    /// List runs
    Runs(RunsArguments),
    /// Show a run, with everything that is known of it
    Show(ShowArguments),
    /// Print what a run wrote to its standard output and error
    Logs(LogsArguments),
    /// Say what differs between two runs
    Diff(DiffArguments),
    /// Recreate the code and data of a run in a new directory
    Restore(RestoreArguments),
    /// Run a recorded run again and compare
    Replay(ReplayArguments),
    /// Remove objects that no run refers to, and runs that were deleted long ago
    Gc(GcArguments),
    /// Remove one object for good, such as a secret that slipped through
    Forget(ForgetArguments),
    /// Copy the store to a folder of backups, while it is used
    Backup(BackupArguments),
    /// Put a store back from a backup, into a folder without one
    RestoreBackup(RestoreBackupArguments),
    /// Register models, and say which is used
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look at the ledger and verify it
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Serve the MLflow REST API
    Server(Box<ServerArguments>),
    /// Say who may sign on to the server
    #[command(subcommand)]
    User(UserCommand),
    /// Make what programs bring to the server in place of a password
    #[command(subcommand)]
    Token(TokenCommand),
    /// Take over what another tool has on record
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Look whether all is well here, or with a server
    Doctor(DoctorArguments),
    /// Show the first five minutes, on real data
    Demo(DemoArguments),
    /// Explain an error code
    Explain(ExplainArguments),
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("it must be a whole number".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Where to make it; here if not given
    pub(crate) directory: Option<PathBuf>,
    /// Make it even inside another store's project
    #[arg(long)]
    pub(crate) nested: bool,
    /// Keep the record in a PostgreSQL database: postgresql://USER@HOST/DATABASE[?schema=NAME]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) postgresql: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Experiment to file the run under
    #[arg(short, long, value_name = "NAME")]
    pub(crate) experiment: Option<String>,
    /// Name of the run
    #[arg(short, long)]
    pub(crate) name: Option<String>,
    /// Param: logged, exported as an environment variable, and put where the command says {K}
    #[arg(short, long = "param", value_name = "K=V", value_parser = parse_pair)]
    pub(crate) params: Vec<(String, String)>,
    /// Tag of the run
    #[arg(long = "tag", value_name = "K=V", value_parser = parse_pair)]
    pub(crate) tags: Vec<(String, String)>,
    /// Metrics file that the command writes (JSON); may be a pattern
    #[arg(long = "metrics", value_name = "PATH")]
    pub(crate) metrics: Vec<String>,
    /// How to observe
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    pub(crate) trace: Method,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// The best that this machine allows
    Auto,
    /// seccomp user notification
    Notify,
    /// ptrace
    Ptrace,
    /// Compare the project before and after
    Scan,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Log a metric point
    Metric {
        /// Its key
        key: String,
        /// Its value; NaN and infinity are values too
        #[arg(allow_negative_numbers = true)]
        value: f64,
        /// The step of training that it belongs to
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        step: i64,
        #[command(flatten)]
        target: LogTarget,
    },
    /// Log a param
    Param {
        /// Its key
        key: String,
        /// Its value
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        target: LogTarget,
    },
    /// Set a tag
    Tag {
        /// Its key
        key: String,
        /// Its value
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        target: LogTarget,
    },
    /// Keep a file, or a folder with all below it, as an artifact
    Artifact {
        /// The file or folder
        path: PathBuf,
        /// Path of the artifact; the file's own name if not given
        #[arg(long = "as", value_name = "PATH")]
        artifact_path: Option<String>,
        #[command(flatten)]
        target: LogTarget,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LogTarget {
    /// Run to log to; the one that this command is part of if not given
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List registered models
    List {
        /// Which, in MLflow's grammar: name LIKE 'fraud%' AND tags.team = 'a'
        filter: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 100, value_parser = at_least_one)]
        limit: usize,
    },
    /// Show a registered model, or one version and what it was made from
    Show {
        /// NAME for all versions, NAME/VERSION or NAME@ALIAS for one
        model: String,
    },
    /// Register what a run made as a new version; the name is made if it is new
    Register {
        /// Name of the registered model
        name: String,
        /// The run: id or its beginning, name, or `latest`
        #[arg(default_value = "latest")]
        run: String,
        /// An artifact of the run, or a file or folder that it wrote; its one logged model if not given
        #[arg(long)]
        path: Option<String>,
        /// What it is
        #[arg(long)]
        description: Option<String>,
        /// Tag of the version
        #[arg(long = "tag", value_name = "K=V", value_parser = parse_pair)]
        tags: Vec<(String, String)>,
    },
    /// Make an alias point at a version
    Alias {
        /// NAME/VERSION or NAME@ALIAS; with `--delete` NAME is enough
        model: String,
        /// The alias, such as champion
        alias: String,
        /// Delete the alias instead
        #[arg(long)]
        delete: bool,
    },
    /// Move a version to a stage: MLflow's older way; aliases are the newer one
    Stage {
        /// NAME/VERSION or NAME@ALIAS
        model: String,
        /// None, Staging, Production or Archived
        stage: String,
        /// Archive the versions that stand in it
        #[arg(long)]
        archive: bool,
    },
    /// Put a version into use, if the evidence is there
    Promote {
        /// NAME/VERSION or NAME@ALIAS
        model: String,
        /// The alias that is to point at it
        #[arg(long = "to", default_value = "champion", value_name = "ALIAS")]
        alias: String,
        /// Promote it although evidence is missing, for this reason; goes into the ledger
        #[arg(long, value_name = "WHY")]
        reason: Option<String>,
    },
    /// Write the files of a version as they were registered
    Download {
        /// NAME/VERSION or NAME@ALIAS
        model: String,
        /// Directory to make; it must not exist or be empty
        directory: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Take over an MLflow database or `mlruns` folder with its artifacts, and compare all of it again; or write one back
    Mlflow {
        /// sqlite:///mlflow.db, postgresql://USER@HOST/DATABASE, http://HOST:PORT, or the path of a database or of an
        /// `mlruns` folder
        #[arg(required_unless_present_any = ["reverse", "auth_db"], conflicts_with = "reverse")]
        source: Option<String>,
        /// Folder in which the MLflow server kept artifacts (`--artifacts-destination`), or is to keep them;
        /// `mlartifacts` beside the database, or here, if not given
        #[arg(long, value_name = "DIR")]
        artifacts: Option<PathBuf>,
        /// Take over users, with their passwords, roles and rights, from MLflow's database of them:
        /// sqlite:///basic_auth.db, or postgresql://USER@HOST/DATABASE
        #[arg(long, value_name = "URI", conflicts_with = "reverse")]
        auth_db: Option<String>,
        /// The other way round: write all that this store holds into a new MLflow database, sqlite:///mlflow.db
        #[arg(long, value_name = "URI")]
        reverse: Option<String>,
    },
    /// Take over event files of TensorBoard, each folder of them as a run, and compare all of it again
    Tensorboard {
        /// The folder that TensorBoard is started with (`--logdir`)
        directory: PathBuf,
        /// The experiment of the runs, which is made if it is not there; the folder's name if not given
        #[arg(short, long, value_name = "NAME")]
        experiment: Option<String>,
    },
    /// Take over experiments of DVC and DVCLive, and compare all of them again
    DvcExp {
        /// The folder of a DVC project, or one in it
        #[arg(default_value = ".")]
        directory: PathBuf,
        /// DVC's cache, where it is not in the repository; it is read wherever it is
        #[arg(long, value_name = "FOLDER")]
        cache: Option<PathBuf>,
        /// The experiment of the runs, which is made if it is not there; the name of the project's folder if not given
        #[arg(short, long, value_name = "NAME")]
        experiment: Option<String>,
    },
    /// Take over runs that W&B keeps on this machine, such as offline ones, and compare all of them again
    Wandb {
        /// The folder `wandb`, or one that holds it
        directory: PathBuf,
        /// The experiment of all runs, which is made if it is not there; one for each project if not given
        #[arg(short, long, value_name = "NAME")]
        experiment: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// Which runs, in MLflow's grammar: metrics.auc > 0.9 AND params.model = 'forest'
    pub(crate) filter: Option<String>,
    /// Order, such as "metrics.auc DESC"; may be given several times
    #[arg(long = "order-by", value_name = "FIELD [ASC|DESC]")]
    pub(crate) order_by: Vec<String>,
    /// Only this experiment
    #[arg(short, long, value_name = "NAME")]
    pub(crate) experiment: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    pub(crate) limit: usize,
    /// Deleted runs too
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The run: id or its beginning, name, or `latest`, the last one that is no replay
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// List every input, output, package and variable
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// The run: id or its beginning, name, or `latest`, the last one that is no replay
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// Only what went to standard error
    #[arg(long)]
    pub(crate) stderr: bool,
    /// Only what went to standard output
    #[arg(long, conflicts_with = "stderr")]
    pub(crate) stdout: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The one run
    pub(crate) a: String,
    /// The other run
    pub(crate) b: String,
    /// Names of the files only, no patches
    #[arg(long)]
    pub(crate) stat: bool,
    /// Only the patch of the code, as `git apply` takes it
    #[arg(long, conflicts_with_all = ["stat", "json"])]
    pub(crate) patch: bool,
    /// Exit with 1 if something differs
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The run: id or its beginning, name, or `latest`, the last one that is no replay
    pub(crate) run: String,
    /// Directory to make; it must not exist or be empty
    pub(crate) directory: PathBuf,
    /// The files that the run wrote too, at their places
    #[arg(long)]
    pub(crate) outputs: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The run: id or its beginning, name, or `latest`, the last one that is no replay
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// Directory to replay in; it must not exist or be empty. A temporary one if not given
    #[arg(long, value_name = "DIR")]
    pub(crate) into: Option<PathBuf>,
    /// Which Python environment: rebuilt from the record, or the one that is installed now.
    /// If not given: the one that is there when it is the same, else rebuilt
    #[arg(long, value_enum)]
    pub(crate) env: Option<EnvironmentChoice>,
    /// Exit with 1 unless everything is identical or within tolerance
    #[arg(long)]
    pub(crate) verify: bool,
    /// Set a variable of the command, to see what it changes
    #[arg(long = "variable", value_name = "K=V", value_parser = parse_pair)]
    pub(crate) variables: Vec<(String, String)>,
    /// How far a metric may be off: auc=0.01, loss=1%, f1=1e-6rel; `*` speaks of all
    #[arg(long, value_name = "METRIC=TOLERANCE")]
    pub(crate) tolerance: Vec<String>,
    /// With --verify: a file that differs only in an embedded time or id is good enough
    #[arg(long)]
    pub(crate) allow_embedded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnvironmentChoice {
    /// Build it from the record
    Rebuild,
    /// Take the one that is installed now
    Current,
}

#[derive(Debug, Args)]
pub(crate) struct GcArguments {
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep unreferenced objects that are younger than this many hours; those of the last minute always stay
    #[arg(long, default_value_t = 2, value_name = "HOURS")]
    pub(crate) grace_hours: u64,
    /// Before that, remove deleted runs and experiments for good, where the settings allow it (`[retention]`)
    #[arg(long)]
    pub(crate) deleted_runs: bool,
    #[command(flatten)]
    pub(crate) removal: RemovalArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --deleted-runs")]
pub(crate) struct RemovalArguments {
    /// Only what was deleted so long ago, such as 30d or 2d8h5m20s; the settings may ask for longer
    #[arg(long, value_name = "TIME", requires = "deleted_runs")]
    pub(crate) older_than: Option<Wait>,
    /// Only these runs, by their ids, with commas between them; nothing of what is named is passed over in silence
    #[arg(
        long,
        value_name = "ID,…",
        value_delimiter = ',',
        requires = "deleted_runs"
    )]
    pub(crate) run_ids: Vec<String>,
    /// Only these experiments with all their runs, by their ids, with commas between them
    #[arg(
        long,
        value_name = "ID,…",
        value_delimiter = ',',
        requires = "deleted_runs"
    )]
    pub(crate) experiment_ids: Vec<String>,
    /// Why; goes into the ledger
    #[arg(long, requires = "deleted_runs")]
    pub(crate) reason: Option<String>,
    /// Do it: there is no way back
    #[arg(long, requires = "deleted_runs")]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArguments {
    /// `b3:` and 64 hex digits, or RUN:PATH for all versions of a file of a run (code, input, output, artifact, and
    /// git's difference that shows it), RUN:MODEL_ID/PATH for one of a logged model, or RUN:@stdout, RUN:@stderr,
    /// RUN:@stdin, RUN:@patch
    pub(crate) object: String,
    /// Why; goes into the ledger
    #[arg(long)]
    pub(crate) reason: String,
    /// Do it: there is no way back
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The folder of backups, which is made if it is not there; objects that it has are not copied again
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Copy the keys too: whoever reads the backup can sign in your name then
    #[arg(long)]
    pub(crate) with_keys: bool,
    /// Keep the newest so many backups, and remove the older ones with the objects that only they have
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    pub(crate) keep: Option<usize>,
    /// Neither verify the store first nor read all objects of the folder again at the end
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only list the backups
    #[arg(long, conflicts_with_all = ["with_keys", "keep", "quick"])]
    pub(crate) list: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreBackupArguments {
    /// The folder of backups
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Where to put the store; there must be none
    #[arg(value_name = "TARGET")]
    pub(crate) target: PathBuf,
    /// Which backup, as `reproof backup DIR --list` names them; the newest if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) backup: Option<String>,
    /// Where the record goes, if it was in PostgreSQL: postgresql://USER@HOST/DATABASE[?schema=NAME]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) postgresql: Option<String>,
    /// Take the keys of the backup too, where they are not there
    #[arg(long)]
    pub(crate) with_keys: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List events
    Log {
        /// Only events about this subject: a run (id, its beginning, name,
        /// or `latest`, the last one that is no replay) or `experiment:0`, `model:…`, …
        subject: Option<String>,
        /// At most this many, the newest
        #[arg(long, default_value_t = 50, value_parser = at_least_one)]
        limit: usize,
        /// Whole leaves and bodies
        #[arg(long)]
        full: bool,
    },
    /// Recompute the tree, check the signature, rebuild the rows from the events, check every object
    Verify {
        /// Leave the objects out
        #[arg(long)]
        quick: bool,
        /// Accept no signature but that of this public key: the text that `audit verify` prints, or a file that holds
        /// it, kept where whoever may write to the store cannot
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Sign a ledger again that does not contain what you signed before, as when a backup was put back
    Accept {
        /// Why it is right; goes into the ledger
        #[arg(long)]
        reason: String,
        /// Also one whose history is another than the one that was signed, which no backup has
        #[arg(long)]
        rewritten: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Look at this server as its clients do: http://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Send the server a small file, read it again and remove it; the ledger says so
    #[arg(long, requires = "server")]
    pub(crate) probe: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Directory to make
    #[arg(default_value = "reproof-demo")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The code, such as E0005; all codes are listed if not given
    pub(crate) code: Option<String>,
}

/// Prints what is wrong with a command line, or the help that was asked for, and says how to exit.
///
/// `run` exits as for its own faults, so that a mistyped option is not taken for the command's status.
pub(crate) fn tell(refusal: &clap::Error, words: impl Iterator<Item = OsString>) -> ExitCode {
    let _ = refusal.print();
    match refusal.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if names_run(words) => ExitCode::from(125),
        _ => ExitCode::from(2),
    }
}

/// Whether the first word that is neither an option nor the value of one is `run`.
fn names_run(words: impl Iterator<Item = OsString>) -> bool {
    let mut words = words.skip(1);
    while let Some(word) = words.next() {
        if word == "-C" || word == "--directory" {
            words.next();
        } else if !word.as_encoded_bytes().starts_with(b"-") {
            return word == "run";
        }
    }
    false
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_status_of_a_mistyped_command_line_depends_on_the_command() {
        let names = |words: &[&str]| names_run(words.iter().map(OsString::from));
        assert!(names(&["reproof", "-q", "-C", "runs", "run", "--nonsense"]));
        assert!(!names(&["reproof", "-C", "run", "runs"]));
        assert!(!names(&["reproof", "--version"]));
    }

    #[test]
    fn no_command_has_an_argument_that_is_named_as_a_global_one() {
        let command = Arguments::command();
        let globals: Vec<_> = command
            .get_arguments()
            .filter(|argument| argument.is_global_set())
            .collect();
        for subcommand in command.get_subcommands() {
            for argument in subcommand.get_arguments() {
                let is_taken = globals
                    .iter()
                    .any(|global| global.get_id() == argument.get_id());
                assert!(
                    !is_taken,
                    "`{}` of `{}`",
                    argument.get_id(),
                    subcommand.get_name()
                );
            }
        }
    }

    #[test]
    fn a_command_keeps_its_own_options() {
        let arguments = Arguments::parse_from([
            "reproof", "run", "-p", "lr=0.1", "python", "train.py", "-p", "x", "--json",
        ]);
        let Command::Run(run) = arguments.command else {
            panic!("not a run")
        };
        assert_eq!(run.command, ["python", "train.py", "-p", "x", "--json"]);
        assert!(!arguments.common.json);
        assert_eq!(run.params, [("lr".to_owned(), "0.1".to_owned())]);
    }
}
