//! Which class a file of a run falls into.

mod names;

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::names::{
    is_bytecode_or_tool_cache, is_installed_folder, is_library, is_of_packages, is_source,
    is_system, is_user_cache, name_of,
};
use crate::matches_path;

/// What a file is to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileClass {
    /// Source code of the project.
    Code,
    /// Interpreter, packages, system: named by digest, its bytes are not kept.
    Environment,
    /// What was read: kept as it was when first read.
    Input,
    /// What was written: kept as it was at the end.
    Output,
    /// Created and deleted again: only counted.
    Scratch,
    /// Matches a rule for secrets: only its path is kept.
    Secret,
    /// The machinery of kernel, git and Reproof: not recorded.
    Internal,
}

/// What must be known of a run to tell the classes of its files.
#[derive(Clone, Debug, Default)]
pub struct ClassifyContext {
    /// Absolute path of the project.
    pub project_root: PathBuf,
    /// Absolute paths of the folders where Reproof keeps its own records.
    pub own_folders: Vec<PathBuf>,
    /// Where interpreters are installed: `sys.prefix`, `sys.base_prefix`.
    pub prefixes: Vec<PathBuf>,
    /// Folders that hold installed packages.
    pub site_packages: Vec<PathBuf>,
    /// Folders of caches that programs fill and empty as they like (`MPLCONFIGDIR`, fontconfig's).
    pub caches: Vec<PathBuf>,
    /// Files of the code tree, relative to the project.
    pub code_files: BTreeSet<PathBuf>,
    /// The user's own rules, the first that fits decides.
    pub rules: Vec<ClassRule>,
}

/// A rule of the user: files that the pattern covers are of this class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRule {
    /// As for `matches_path`; with a `/` first it speaks of absolute paths, else of paths in the project.
    pub pattern: String,
    /// The class. `Output` says: what of these is written counts, what is read does not.
    pub class: FileClass,
}

/// What was seen of one file.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Its absolute path.
    pub path: PathBuf,
    /// Whether it was read before the run itself wrote to it.
    pub was_read_first: bool,
    /// Whether it was created or changed.
    pub was_written: bool,
    /// Whether it was gone at the end, by the run's own doing.
    pub was_deleted: bool,
    /// Whether it was there at the start.
    pub existed_before: bool,
    /// Whether it was executed.
    pub executed: bool,
    /// Whether the caller's rules for secrets cover it.
    pub is_secret: bool,
}

/// Tells every class of a file, sorted; a file that was read and then changed is input and output.
///
/// None where nothing of it matters: it was only looked at, or was there before and only deleted
/// (which the record lists by itself).
pub fn classify_observation(
    observation: &Observation,
    context: &ClassifyContext,
) -> Vec<FileClass> {
    let Observation {
        path,
        was_read_first,
        was_written,
        was_deleted,
        existed_before,
        executed,
        is_secret,
    } = observation;
    if !(*was_read_first || *was_written || *was_deleted || *executed) {
        return Vec::new();
    }
    let class = classify(path, context);
    if class == FileClass::Internal {
        return vec![class];
    }
    if *is_secret {
        return vec![FileClass::Secret];
    }
    if matches!(class, FileClass::Scratch | FileClass::Secret) {
        return vec![class];
    }
    if class == FileClass::Environment {
        return classes_in_environment(observation, context);
    }
    if *was_deleted && !existed_before {
        return vec![FileClass::Scratch];
    }
    let mut classes = Vec::new();
    // A program that the run built and then executed is what it wrote, not what it was given.
    let was_executed_as_given = *executed && (*existed_before || !was_written);
    if was_executed_as_given && class != FileClass::Output {
        let is_of_project = path.starts_with(&context.project_root);
        classes.push(if is_of_project {
            FileClass::Code
        } else {
            FileClass::Environment
        });
    } else if *was_read_first && class != FileClass::Output {
        classes.push(class);
    }
    if *was_written && !was_deleted {
        classes.push(FileClass::Output);
    }
    classes
}

/// A file of the environment that a run changes is what it was given and what it made, as any other.
fn classes_in_environment(observation: &Observation, context: &ClassifyContext) -> Vec<FileClass> {
    let Observation {
        path,
        was_read_first,
        was_written,
        was_deleted,
        existed_before,
        ..
    } = observation;
    let is_changed = (*was_written || *was_deleted) && !is_cache(path, context);
    if !is_changed {
        return vec![FileClass::Environment];
    }
    if *was_deleted && !existed_before {
        return vec![FileClass::Scratch];
    }
    let mut classes = Vec::new();
    if *was_read_first {
        classes.push(FileClass::Input);
    }
    if *was_written && !was_deleted {
        classes.push(FileClass::Output);
    }
    classes
}

/// Tells the class of a path by what it is, as for a file that is read.
///
/// Where one root stands inside another (a virtual environment in the project, a project below `/usr`),
/// the innermost decides.
pub fn classify(path: &Path, context: &ClassifyContext) -> FileClass {
    if is_internal(path, context) {
        return FileClass::Internal;
    }
    if let Some(rule) = context
        .rules
        .iter()
        .find(|rule| rule_covers(rule, path, context))
    {
        return rule.class;
    }
    let inside = within_project(path, context);
    if is_bytecode_or_tool_cache(inside)
        || is_of_packages(inside)
        || is_in_environment(path, context)
    {
        return FileClass::Environment;
    }
    match path.strip_prefix(&context.project_root) {
        Ok(inside) if is_source(inside) || is_kept_program(inside, context) => FileClass::Code,
        Err(_) if is_system(path) || is_library(path) || is_user_cache(path) => {
            FileClass::Environment
        }
        Ok(_) | Err(_) => FileClass::Input,
    }
}

/// Whether tools keep something in this file of the environment to be faster the next time: what a run writes there
/// is no result of it. What it writes elsewhere in its environment is.
pub fn is_cache(path: &Path, context: &ClassifyContext) -> bool {
    let is_own_cache = context
        .caches
        .iter()
        .any(|cache| is_set(cache) && path.starts_with(cache));
    is_own_cache || is_bytecode_or_tool_cache(within_project(path, context)) || is_user_cache(path)
}

fn rule_covers(rule: &ClassRule, path: &Path, context: &ClassifyContext) -> bool {
    let text = if rule.pattern.starts_with('/') {
        Ok(path)
    } else {
        path.strip_prefix(&context.project_root)
    };
    text.is_ok_and(|text| matches_path(&rule.pattern, &text.to_string_lossy()))
}

/// The path in the project, for rules on names that must not look at where the project itself stands.
fn within_project<'a>(path: &'a Path, context: &ClassifyContext) -> &'a Path {
    path.strip_prefix(&context.project_root).unwrap_or(path)
}

fn is_internal(path: &Path, context: &ClassifyContext) -> bool {
    let is_kernel = ["/proc", "/sys", "/dev", "/run"]
        .iter()
        .any(|root| path.starts_with(root))
        && !is_data_of_the_machine(path);
    let is_of_project = is_set(&context.project_root) && path.starts_with(&context.project_root);
    // A project may stand below Reproof's own folder (a replay), or on a RAM disk in /dev/shm: it is still a project.
    let is_own = context.own_folders.iter().any(|own| {
        is_set(own)
            && path.starts_with(own)
            && !(is_of_project && context.project_root.starts_with(own))
    });
    let is_machinery =
        |component: Component<'_>| matches!(name_of(component), b".git" | b".reproof");
    let has_machinery =
        within_project(path, context).components().any(is_machinery) && !is_annexed(path);
    is_own || has_machinery || (is_kernel && !is_of_project)
}

/// Whether a path below the kernel's folders is one of data all the same: a RAM disk, or a disk that a desktop mounted.
fn is_data_of_the_machine(path: &Path) -> bool {
    // Memory that processes share, and not files that anybody reads.
    const SHARED_MEMORY: &[&str] = &[
        "sem.",
        "psm_",
        "pym-",
        "torch_",
        "nccl-",
        "cuda",
        "pulse-shm",
        "__KMP_",
        "lttng",
    ];
    let is_memory = |path: &Path| {
        let name = path.iter().next().unwrap_or_default().to_string_lossy();
        SHARED_MEMORY.iter().any(|start| name.starts_with(start))
    };
    let is_mounted = |path: &Path| {
        path.starts_with("/run/media") || path.starts_with("/run/mount") || is_of_gvfs(path)
    };
    match path.strip_prefix("/dev/shm") {
        Ok(inside) => !is_memory(inside),
        Err(_) => is_mounted(path),
    }
}

/// `/run/user/<id>/gvfs/…`, where desktops show network folders.
fn is_of_gvfs(path: &Path) -> bool {
    let mut parts = path.iter().skip(1);
    let is_user = parts.next().is_some_and(|part| part == "run")
        && parts.next().is_some_and(|part| part == "user");
    is_user && parts.nth(1).is_some_and(|part| part == "gvfs")
}

/// Whether a path is that of data which git-annex or DataLad keeps beside the repository.
pub fn is_annexed(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().collect();
    parts
        .windows(3)
        .any(|parts| parts[0] == ".git" && parts[1] == "annex" && parts[2] == "objects")
}

/// Whether the innermost root around the path is one of the environment.
fn is_in_environment(path: &Path, context: &ClassifyContext) -> bool {
    let depth = |root: &Path| root.components().count();
    let project_depth = if path.starts_with(&context.project_root) {
        depth(&context.project_root)
    } else {
        0
    };
    let is_inner =
        |root: &&PathBuf| is_set(root) && path.starts_with(root) && depth(root) > project_depth;
    context
        .site_packages
        .iter()
        .chain(&context.caches)
        .any(|root| is_inner(&root))
        || context
            .prefixes
            .iter()
            .filter(is_inner)
            .any(|prefix| is_of_prefix(path, prefix))
}

/// A prefix of its own belongs to the environment whole; in one that is shared with other things, the usual folders do.
fn is_of_prefix(path: &Path, prefix: &Path) -> bool {
    let is_shared = ["/", "/usr", "/usr/local", "/opt"]
        .iter()
        .any(|shared| prefix == Path::new(shared));
    let inside = path
        .strip_prefix(prefix)
        .ok()
        .and_then(|inside| inside.components().next());
    !is_shared || inside.is_some_and(|first| is_installed_folder(name_of(first)))
}

/// A file of the code tree whose name has no suffix is a program such as `bin/train`.
fn is_kept_program(path: &Path, context: &ClassifyContext) -> bool {
    path.extension().is_none() && context.code_files.contains(path)
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> ClassifyContext {
        ClassifyContext {
            project_root: "/home/ann/project".into(),
            own_folders: vec![
                "/home/ann/project/.reproof".into(),
                "/home/ann/.config/reproof/signed".into(),
            ],
            prefixes: vec!["/home/ann/project/env".into(), "/usr".into()],
            site_packages: vec![
                "/home/ann/project/env/lib/python3.11/site-packages".into(),
                "/shared/packages".into(),
            ],
            caches: vec!["/tmp/mpl-cache".into()],
            code_files: BTreeSet::from([
                "src/train.py".into(),
                "prompts/a.txt".into(),
                "bin/fit".into(),
            ]),
            rules: Vec::new(),
        }
    }

    #[test]
    fn data_on_a_ram_disk_or_a_mounted_disk_is_data() {
        for (path, class) in [
            ("/dev/shm/train.csv", FileClass::Input),
            ("/dev/shm/ann/part-0.parquet", FileClass::Input),
            ("/dev/shm/sem.mp-x", FileClass::Internal),
            ("/dev/shm/psm_1234", FileClass::Internal),
            ("/run/media/ann/DISK/train.csv", FileClass::Input),
            (
                "/run/user/1000/gvfs/smb-share:server=x/train.csv",
                FileClass::Input,
            ),
            ("/run/user/1000/bus", FileClass::Internal),
            ("/run/lock/x", FileClass::Internal),
            ("/dev/null", FileClass::Internal),
            ("/proc/self/maps", FileClass::Internal),
            (
                "/home/ann/project/.git/annex/objects/a/b/x.csv",
                FileClass::Input,
            ),
            ("/home/ann/project/.git/annex/index", FileClass::Internal),
            ("/home/ann/project/.git/config", FileClass::Internal),
        ] {
            assert_eq!(classify(Path::new(path), &context()), class, "{path}");
        }
    }

    #[test]
    fn what_a_run_changes_in_its_environment_is_input_and_output_save_caches() {
        let classes = |path: &str, change: fn(&mut Observation)| {
            let mut observation = Observation {
                path: path.into(),
                was_read_first: true,
                existed_before: true,
                ..Observation::default()
            };
            change(&mut observation);
            classify_observation(&observation, &context())
        };
        let site_packages = "/home/ann/project/env/lib/python3.11/site-packages";
        let module = format!("{site_packages}/pkg/data.json");
        let bytecode = format!("{site_packages}/pkg/__pycache__/a.cpython-311.pyc");
        use FileClass::{Environment, Input, Output, Scratch};
        for path in [
            module.as_str(),
            "/usr/share/x/data.json",
            "/shared/packages/a.txt",
        ] {
            assert_eq!(classes(path, |_| {}), [Environment]);
            assert_eq!(
                classes(path, |seen| seen.was_written = true),
                [Input, Output]
            );
            assert_eq!(classes(path, |seen| seen.was_deleted = true), [Input]);
            let made = |seen: &mut Observation| {
                (seen.was_read_first, seen.existed_before) = (false, false);
                seen.was_written = true;
            };
            assert_eq!(classes(path, made), [Output]);
            let made_and_removed = |seen: &mut Observation| {
                seen.existed_before = false;
                (seen.was_written, seen.was_deleted) = (true, true);
            };
            assert_eq!(classes(path, made_and_removed), [Scratch]);
        }
        for path in [
            bytecode.as_str(),
            "/tmp/mpl-cache/f.json",
            "/home/ann/.cache/pip/x",
        ] {
            assert_eq!(
                classes(path, |seen| seen.was_written = true),
                [Environment],
                "{path}"
            );
            assert_eq!(
                classes(path, |seen| seen.was_deleted = true),
                [Environment],
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_has_the_class_of_its_place() {
        use FileClass::{Code, Environment, Input, Internal};
        let cases = [
            ("/home/ann/project/src/train.py", Code),
            ("/home/ann/project/ignored.py", Code),
            ("/home/ann/project/conf/base.yaml", Code),
            ("/home/ann/project/Makefile", Code),
            ("/home/ann/project/requirements-dev.txt", Code),
            (
                "/home/ann/project/fast.cpython-311-x86_64-linux-gnu.so",
                Code,
            ),
            ("/home/ann/project/bin/fit", Code),
            ("/home/ann/project/bin/other", Input),
            ("/home/ann/project/prompts/a.txt", Input),
            ("/home/ann/project/data.csv", Input),
            ("/home/ann/project/notes.txt", Input),
            ("/home/ann/project/outputs/old/model.pkl", Input),
            ("/home/ann/project/.reproof/objects/aa", Internal),
            ("/home/ann/project/.git/HEAD", Internal),
            ("/home/ann/project/sub/.git/HEAD", Internal),
            ("/home/ann/project/.github/x.md", Input),
            ("/home/ann/project/env/bin/python", Environment),
            ("/home/ann/project/env/nltk_data/x", Environment),
            ("/home/ann/project/.venv/lib/x.py", Environment),
            (
                "/home/ann/project/src/__pycache__/train.cpython-311.pyc",
                Environment,
            ),
            ("/home/ann/project/.ipynb_checkpoints/a.ipynb", Environment),
            ("/shared/packages/numpy/x.npy", Environment),
            ("/tmp/mpl-cache/fontlist.json", Environment),
            ("/proc/self/maps", Internal),
            ("/sys/devices/system/cpu/online", Internal),
            ("/dev/urandom", Internal),
            ("/etc/ld.so.cache", Environment),
            ("/etc/localtime", Environment),
            ("/usr/share/zoneinfo/UTC", Environment),
            ("/usr/lib/locale/C.utf8/LC_CTYPE", Environment),
            ("/lib/x86_64-linux-gnu/libc.so.6", Environment),
            ("/lib64/ld-linux-x86-64.so.2", Environment),
            ("/library/books.csv", Input),
            ("/usr/data/a.csv", Input),
            ("/usr/local/cuda/lib64/libcudart.so.12", Environment),
            ("/opt/mkl/libmkl_rt.so", Environment),
            ("/home/ann/.pyenv/versions/3.11/lib/x.py", Environment),
            ("/home/ann/.local/lib/python3.11/x", Environment),
            ("/home/ann/.local/share/uv/python/x", Environment),
            ("/home/ann/.cache/matplotlib/fontlist.json", Environment),
            ("/home/ann/.cache/huggingface/hub/model.bin", Input),
            ("/home/ann/scikit_learn_data/x.pkz", Input),
            ("/home/ann/projects/data.csv", Input),
            ("/shared/lib-of-team/util.py", Input),
            ("/tmp/a.csv", Input),
        ];
        for (path, expected) in cases {
            assert_eq!(classify(Path::new(path), &context()), expected, "{path}");
        }
    }

    #[test]
    fn a_project_below_the_interpreters_prefix_is_still_a_project() {
        let context = ClassifyContext {
            project_root: "/usr/share/app".into(),
            prefixes: vec!["/usr".into()],
            ..ClassifyContext::default()
        };
        assert_eq!(
            classify(Path::new("/usr/share/app/data.csv"), &context),
            FileClass::Input
        );
        assert_eq!(
            classify(Path::new("/usr/share/app/a.py"), &context),
            FileClass::Code
        );
        assert_eq!(
            classify(Path::new("/usr/share/zoneinfo/UTC"), &context),
            FileClass::Environment
        );
        let replay = ClassifyContext {
            project_root: "/p/.reproof/tmp/.tox/replay".into(),
            own_folders: vec!["/p/.reproof".into()],
            ..ClassifyContext::default()
        };
        let class = |path: &str| classify(Path::new(path), &replay);
        assert_eq!(class("/p/.reproof/tmp/.tox/replay/a.csv"), FileClass::Input);
        assert_eq!(
            class("/p/.reproof/tmp/.tox/replay/.git/HEAD"),
            FileClass::Internal
        );
        assert_eq!(class("/p/.reproof/reproof.db"), FileClass::Internal);
        let in_memory = ClassifyContext {
            project_root: "/dev/shm/p".into(),
            ..ClassifyContext::default()
        };
        assert_eq!(
            classify(Path::new("/dev/shm/p/a.csv"), &in_memory),
            FileClass::Input
        );
        assert_eq!(
            classify(Path::new("/dev/shm/sem.other"), &in_memory),
            FileClass::Internal
        );
    }

    #[test]
    fn what_was_done_decides_the_classes() {
        use FileClass::{Code, Environment, Input, Internal, Output, Scratch, Secret};
        // r read first, w written, d deleted, b existed before, x executed, s secret
        let cases: &[(&str, &str, &[FileClass])] = &[
            ("data.csv", "rb", &[Input]),
            ("data.csv", "rwb", &[Input, Output]),
            ("data.csv", "wb", &[Output]),
            ("model.pkl", "w", &[Output]),
            ("model.pkl", "wd", &[Scratch]),
            ("data.csv", "rdb", &[Input]),
            ("data.csv", "db", &[]),
            ("data.csv", "wdb", &[]),
            ("data.csv", "b", &[]),
            ("train.py", "rb", &[Code]),
            ("conf.yaml", "rwb", &[Code, Output]),
            ("report.ipynb", "w", &[Output]),
            ("build/tool", "xb", &[Code]),
            ("build/tool", "wx", &[Output]),
            ("run.sh", "xrb", &[Code]),
            ("__pycache__/a.pyc", "w", &[Environment]),
            ("__pycache__/a.pyc.1234", "wd", &[Environment]),
            (".env", "rbs", &[Secret]),
            (".git/index", "rwb", &[Internal]),
            (".git/config", "rbs", &[Internal]),
            ("/opt/tool/run", "xb", &[Environment]),
            ("/tmp/x", "w", &[Output]),
            ("/usr/bin/env", "xb", &[Environment]),
        ];
        for (path, done, expected) in cases {
            let did = |letter| done.contains(letter);
            let observation = Observation {
                path: Path::new("/home/ann/project").join(path),
                was_read_first: did('r'),
                was_written: did('w'),
                was_deleted: did('d'),
                existed_before: did('b'),
                executed: did('x'),
                is_secret: did('s'),
            };
            assert_eq!(
                classify_observation(&observation, &context()),
                *expected,
                "{path} {done}"
            );
        }
    }

    #[test]
    fn a_rule_of_the_user_goes_before_ours_but_not_before_the_machinery() {
        let rule = |pattern: &str, class| ClassRule {
            pattern: pattern.to_owned(),
            class,
        };
        let context = ClassifyContext {
            rules: vec![
                rule("vendor/**", FileClass::Environment),
                rule("*.lookup.py", FileClass::Input),
                rule("/mnt/cache/**", FileClass::Scratch),
                rule("state.json", FileClass::Output),
                rule("/**/.git/**", FileClass::Input),
            ],
            ..context()
        };
        let class = |path: &str| classify(Path::new(path), &context);
        assert_eq!(
            class("/home/ann/project/vendor/x/data.csv"),
            FileClass::Environment
        );
        assert_eq!(class("/home/ann/project/a.lookup.py"), FileClass::Input);
        assert_eq!(class("/mnt/cache/deep/x"), FileClass::Scratch);
        assert_eq!(
            class("/mnt/vendor/x.csv"),
            FileClass::Input,
            "a relative rule speaks of the project only"
        );
        assert_eq!(class("/home/ann/project/.git/HEAD"), FileClass::Internal);
        let state = |was_written| Observation {
            path: "/home/ann/project/state.json".into(),
            was_read_first: true,
            existed_before: true,
            was_written,
            ..Observation::default()
        };
        assert_eq!(classify_observation(&state(false), &context), []);
        assert_eq!(
            classify_observation(&state(true), &context),
            [FileClass::Output]
        );
    }
}
