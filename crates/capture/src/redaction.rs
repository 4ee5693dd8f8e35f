//! Keeping secrets out of a record.
//!
//! Three ways: variables keep their value only if they are on a list, files that hold secrets keep only their
//! path, and in text (arguments, URLs) what looks like a secret becomes `***`.
//! The rules would rather redact too much than too little, but spare what machine learning calls tokens and keys
//! (`--max-tokens`, `--tokenizer`, `--key-column`), because a param that reads `***` is lost.

mod files;
mod names;
mod shapes;
mod text;
mod url;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use entities::{RecordedPath, Variables};

use self::files::FilePatterns;

/// What stands in place of a secret.
pub const MARK: &str = "***";

/// The rules of a project for what is secret.
#[derive(Clone)]
pub struct Redaction {
    allowed_variables: Vec<String>,
    secret_files: FilePatterns,
    variable_key: [u8; 32],
    /// Values that are secrets wherever they stand.
    known: Vec<String>,
}

/// A shorter secret is only hidden where it is a whole word of the command: it stands in many others by chance.
const KNOWN_LENGTH_MIN: usize = 4;

impl Redaction {
    /// Takes the built-in rules and those of the user.
    ///
    /// `allowed_variables` are names of environment variables whose values may be kept; `*` at the end is any text.
    /// `secret_files` are patterns of paths: `*` is any text without `/`, `**` any text, `?` one character;
    /// without a `/` it speaks of the last part of the path, with one of the end of the path,
    /// with one at the beginning of the whole absolute path, and with one at the end of all that is in that folder.
    pub fn new(
        allowed_variables: &[String],
        secret_files: &[String],
        variable_key: [u8; 32],
    ) -> Self {
        let built_in = ALLOWED_VARIABLES.iter().map(|&name| name.to_owned());
        Self {
            allowed_variables: built_in.chain(allowed_variables.iter().cloned()).collect(),
            secret_files: FilePatterns::new(secret_files),
            variable_key,
            known: Vec::new(),
        }
    }

    /// Adds values that are secrets wherever they stand, such as that of a param `password` in the command's words.
    #[must_use]
    pub fn knowing(mut self, secrets: impl IntoIterator<Item = String>) -> Self {
        self.known.extend(secrets);
        self.known.retain(|secret| !secret.is_empty());
        // One that holds another goes first, lest its rest be left.
        self.known
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self
    }

    /// Splits variables into those whose value may be kept and those that only have a keyed digest.
    ///
    /// Left out are `REPROOF_…` and, where they name the run's own endpoint, `MLFLOW_TRACKING_…`:
    /// they are new for each run and say nothing about it.
    /// A value that is not UTF-8, or in which something looks like a secret, has a digest whatever its name.
    pub fn variables(&self, environment: &[(OsString, OsString)]) -> Variables {
        let is_own_endpoint = names_own_endpoint(environment);
        let mut variables = Variables::default();
        for (name, value) in environment {
            let recorded = RecordedPath::new(name).as_str().to_owned();
            let is_own = recorded.starts_with("REPROOF_")
                || is_own_endpoint && OWN_ENDPOINT.contains(&recorded.as_str());
            if is_own {
                continue;
            }
            match self.kept_value(&recorded, value) {
                Some(value) => variables.values.insert(recorded, value),
                None => variables.digests.insert(recorded, self.value_digest(value)),
            };
        }
        variables
    }

    fn kept_value(&self, name: &str, value: &OsStr) -> Option<String> {
        let is_allowed =
            self.allowed_variables
                .iter()
                .any(|allowed| match allowed.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == allowed,
                });
        let value = value.to_str()?;
        (is_allowed && self.text(value) == value).then(|| value.to_owned())
    }

    /// Digests a value with the key of this installation: equal values have equal digests, and without the key
    /// no value can be guessed and checked.
    pub fn value_digest(&self, value: &OsStr) -> String {
        blake3::keyed_hash(&self.variable_key, value.as_bytes())
            .to_hex()
            .to_string()
    }

    /// Records arguments of a command, secrets redacted.
    ///
    /// An argument after `--password` and the like is one, and so is what looks like one by itself.
    pub fn arguments(&self, arguments: &[OsString]) -> Vec<RecordedPath> {
        let mut recorded = Vec::with_capacity(arguments.len());
        let mut value_of: Option<text::Flag> = None;
        for argument in arguments {
            let lossy = argument.to_string_lossy();
            let is_known = self.known.iter().any(|secret| *secret == lossy);
            let lossy = if is_known {
                Cow::Borrowed(MARK)
            } else {
                self.without_known(&lossy)
            };
            let redacted = match value_of.take() {
                Some(flag) if !text::is_flag(&lossy) => text::redact_value(flag, &lossy),
                _ => {
                    value_of = text::flag_before_value(&lossy);
                    match text::attached_user(&lossy) {
                        Some((flag, value)) => {
                            flag.to_owned() + &text::redact_value(text::Flag::User, value)
                        }
                        None => text::redact(&lossy),
                    }
                }
            };
            recorded.push(if redacted == argument.to_string_lossy() {
                RecordedPath::new(argument)
            } else {
                RecordedPath::new(redacted)
            });
        }
        recorded
    }

    /// A value as it may be written down under a name: `***` for that of a password.
    pub fn named(&self, key: &str, value: &str) -> String {
        if self.known.iter().any(|secret| secret == value) {
            return MARK.to_owned();
        }
        let option = format!("--{key}=");
        let redacted = text::redact(&self.without_known(&format!("{option}{value}")));
        redacted.strip_prefix(&option).unwrap_or(value).to_owned()
    }

    /// Redacts what looks like a secret in any text.
    pub fn text(&self, text: &str) -> String {
        text::redact(&self.without_known(text))
    }

    fn without_known<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.known {
            if secret.len() >= KNOWN_LENGTH_MIN && text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MARK));
            }
        }
        text
    }

    /// Redacts credentials in a URL.
    pub fn url(&self, url: &str) -> String {
        redact_url(&self.without_known(url))
    }

    /// Tells whether a file holds secrets, by its path alone.
    pub fn is_secret_file(&self, path: &Path) -> bool {
        self.secret_files.cover(path)
    }
}

impl std::fmt::Debug for Redaction {
    /// Without the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Redaction").finish_non_exhaustive()
    }
}

/// Redacts credentials in a URL: user and password, and query parameters that are named like secrets.
///
/// The user of an SSH URL stays, since `git@` is no secret.
pub(crate) fn redact_url(url: &str) -> String {
    text::redact(url)
}

/// Variables through which a run finds its own endpoint.
const OWN_ENDPOINT: [&str; 2] = ["MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN"];

fn names_own_endpoint(environment: &[(OsString, OsString)]) -> bool {
    let find = |wanted: &str| {
        environment
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    let own = find("REPROOF_ENDPOINT");
    own.is_some() && own == find("MLFLOW_TRACKING_URI")
}

/// Variables whose values say what a run did and are not secrets: paths, locale, threads, devices, and the switches
/// of numeric libraries.
const ALLOWED_VARIABLES: &[&str] = &[
    "BLIS_*",
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_CACHE_DISABLE",
    "CUDA_DEVICE_ORDER",
    "CUDA_HOME",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDNN_*",
    "GOMP_*",
    "GOTO_NUM_THREADS",
    "HIP_VISIBLE_DEVICES",
    "HOME",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "JAX_PLATFORM_NAME",
    "JULIA_DEPOT_PATH",
    "JULIA_LOAD_PATH",
    "JULIA_NUM_THREADS",
    "JULIA_PROJECT",
    "KMP_*",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LOGNAME",
    "LOKY_MAX_CPU_COUNT",
    "MKL_*",
    "MPLBACKEND",
    "NCCL_ALGO",
    "NCCL_PROTO",
    "NPY_*",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_*",
    "NVIDIA_TF32_OVERRIDE",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_*",
    "ONEDNN_*",
    "OPENBLAS_*",
    "PATH",
    "POLARS_MAX_THREADS",
    "PWD",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "PYTHONHOME",
    "PYTHONIOENCODING",
    "PYTHONNOUSERSITE",
    "PYTHONOPTIMIZE",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONUNBUFFERED",
    "PYTHONUSERBASE",
    "PYTHONUTF8",
    "PYTHONWARNINGS",
    "PYTORCH_CUDA_ALLOC_CONF",
    "RAYON_NUM_THREADS",
    "ROCR_VISIBLE_DEVICES",
    "R_HOME",
    "R_LIBS",
    "R_LIBS_SITE",
    "R_LIBS_USER",
    "SHELL",
    "SOURCE_DATE_EPOCH",
    "TBB_NUM_THREADS",
    "TERM",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TMPDIR",
    "TOKENIZERS_PARALLELISM",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TZ",
    "USER",
    "VECLIB_MAXIMUM_THREADS",
    "VIRTUAL_ENV",
    "XLA_FLAGS",
];

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn redaction() -> Redaction {
        Redaction::new(
            &["MY_SETTING".to_owned(), "ACME_*".to_owned()],
            &[],
            [7; 32],
        )
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn words(list: &[&str]) -> Vec<String> {
        let list: Vec<OsString> = list.iter().map(OsString::from).collect();
        redaction()
            .arguments(&list)
            .iter()
            .map(|word| word.as_str().to_owned())
            .collect()
    }

    #[test]
    fn a_known_secret_is_hidden_wherever_it_stands() {
        let redaction = redaction().knowing([
            "hunter2".to_owned(),
            "hunter2-long".to_owned(),
            "x1".to_owned(),
            String::new(),
        ]);
        let list = [
            "--login",
            "hunter2",
            "user=me;pw=hunter2-long!",
            "x1",
            "x10",
            "plain",
        ];
        let list: Vec<OsString> = list.iter().map(OsString::from).collect();
        let told = redaction.arguments(&list);
        let told: Vec<_> = told.iter().map(RecordedPath::as_str).collect();
        assert_eq!(
            told,
            ["--login", "***", "user=me;pw=***!", "***", "x10", "plain"]
        );
        assert_eq!(redaction.text("a hunter2 b"), "a *** b");
        assert!(
            !redaction
                .url("https://h.example.org/hunter2")
                .contains("hunter2")
        );
        let variables =
            redaction.variables(&pairs(&[("MY_SETTING", "is hunter2"), ("ACME_A", "y")]));
        assert_eq!(variables.values.keys().collect::<Vec<_>>(), ["ACME_A"]);
    }

    #[test]
    fn only_listed_variables_keep_their_value() {
        let environment = pairs(&[
            ("PATH", "/bin"),
            ("OMP_NUM_THREADS", "4"),
            ("MY_SETTING", "x"),
            ("ACME_MODE", "y"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("PATHS", "z"),
        ]);
        let variables = redaction().variables(&environment);
        let kept: Vec<_> = variables.values.keys().map(String::as_str).collect();
        assert_eq!(kept, ["ACME_MODE", "MY_SETTING", "OMP_NUM_THREADS", "PATH"]);
        let hidden: Vec<_> = variables.digests.keys().map(String::as_str).collect();
        assert_eq!(hidden, ["AWS_SECRET_ACCESS_KEY", "PATHS"]);
        let text = serde_json::to_string(&variables).unwrap();
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn a_listed_variable_with_a_secret_in_it_has_a_digest() {
        let environment = pairs(&[("PYTHONPATH", "https://u:pw@host/x"), ("HOME", "/home/u")]);
        let variables = redaction().variables(&environment);
        assert!(variables.values.contains_key("HOME"));
        assert!(variables.digests.contains_key("PYTHONPATH"));
    }

    #[test]
    fn equal_values_have_equal_digests_under_one_key_only() {
        let (one, other) = (redaction(), Redaction::new(&[], &[], [8; 32]));
        assert_eq!(
            one.value_digest("a".as_ref()),
            redaction().value_digest("a".as_ref())
        );
        assert_ne!(
            one.value_digest("a".as_ref()),
            one.value_digest("b".as_ref())
        );
        assert_ne!(
            one.value_digest("a".as_ref()),
            other.value_digest("a".as_ref())
        );
        assert_ne!(
            one.value_digest("a".as_ref()),
            blake3::hash(b"a").to_hex().to_string()
        );
        assert!(!format!("{one:?}").contains('7'), "the key is shown");
    }

    #[test]
    fn the_runs_own_endpoint_is_left_out_and_the_users_is_not() {
        let own = pairs(&[
            ("REPROOF_ENDPOINT", "http://127.0.0.1:1"),
            ("REPROOF_TOKEN", "t"),
            ("MLFLOW_TRACKING_URI", "http://127.0.0.1:1"),
            ("MLFLOW_TRACKING_TOKEN", "t"),
        ]);
        assert_eq!(redaction().variables(&own), Variables::default());
        let elsewhere = pairs(&[
            ("REPROOF_ENDPOINT", "http://127.0.0.1:1"),
            ("MLFLOW_TRACKING_URI", "https://mlflow.example.com"),
            ("MLFLOW_TRACKING_TOKEN", "t"),
        ]);
        let variables = redaction().variables(&elsewhere);
        let hidden: Vec<_> = variables.digests.keys().map(String::as_str).collect();
        assert_eq!(hidden, ["MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_URI"]);
    }

    #[test]
    fn variables_that_are_not_text_are_recorded_without_loss_of_names() {
        let bytes = OsString::from_vec(b"\xff".to_vec());
        let environment = vec![(bytes.clone(), bytes.clone()), ("PATH".into(), bytes)];
        let variables = redaction().variables(&environment);
        assert!(variables.digests.contains_key("%bytes:ff"));
        assert!(variables.digests.contains_key("PATH"));
    }

    #[test]
    fn the_argument_after_a_secret_flag_is_redacted() {
        let cases: [(&[&str], &[&str]); 13] = [
            (
                &["x", "--password", "hunter2", "--lr", "0.1"],
                &["x", "--password", "***", "--lr", "0.1"],
            ),
            (&["x", "--api-key", "-weird-"], &["x", "--api-key", "***"]),
            (
                &["x", "--token", "--lr", "0.1"],
                &["x", "--token", "--lr", "0.1"],
            ),
            (&["x", "--token=t", "y"], &["x", "--token=***", "y"]),
            (
                &["curl", "-u", "me:pw", "-H", "X: 1"],
                &["curl", "-u", "me:***", "-H", "X: 1"],
            ),
            (&["python", "-u", "train.py"], &["python", "-u", "train.py"]),
            (&["curl", "-ume:pw"], &["curl", "-ume:***"]),
            (
                &["curl", "--user=me:pw", "--proxy-user=a:b"],
                &["curl", "--user=me:***", "--proxy-user=a:***"],
            ),
            (
                &["docker", "run", "--user=1000:1000", "-u1000:1000"],
                &["docker", "run", "--user=1000:1000", "-u1000:1000"],
            ),
            (&["x", "--wandb-key", "abc"], &["x", "--wandb-key", "***"]),
            (
                &["x", "--sort-key", "loss", "--primary-key=id"],
                &["x", "--sort-key", "loss", "--primary-key=id"],
            ),
            (
                &["x", "--use-auth-token", "true"],
                &["x", "--use-auth-token", "true"],
            ),
            (&["x", "--max-tokens", "100"], &["x", "--max-tokens", "100"]),
        ];
        for (given, expected) in cases {
            assert_eq!(words(given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_value_is_masked_by_its_name_by_its_shape_or_because_it_is_known() {
        let redaction = redaction().knowing(["hunter2".to_owned()]);
        for (key, value, expected) in [
            ("lr", "0.1", "0.1"),
            ("db_password", "x", "***"),
            ("login", "hunter2", "***"),
            ("url", "https://me:pw@host/x", "https://***@host/x"),
            ("user", "team:ml", "team:ml"),
            ("db_password", "***", "***"),
        ] {
            assert_eq!(redaction.named(key, value), expected, "{key}");
        }
    }

    #[test]
    fn an_argument_that_is_not_text_is_kept_byte_for_byte_unless_it_holds_a_secret() {
        let plain = OsString::from_vec(b"d\xff".to_vec());
        let secret = OsString::from_vec(b"--password=\xffhunter2".to_vec());
        let recorded = redaction().arguments(&[plain.clone(), secret]);
        assert_eq!(recorded[0].to_path().as_os_str(), plain);
        assert_eq!(recorded[1].as_str(), "--password=***");
    }

    #[test]
    fn the_value_of_a_secret_flag_that_is_not_text_is_redacted() {
        let secret = OsString::from_vec(b"\xffhunter2".to_vec());
        let recorded = redaction().arguments(&["--password".into(), secret]);
        assert_eq!(recorded[1].as_str(), "***");
    }
}
