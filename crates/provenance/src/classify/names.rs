//! What the names of files and folders say: of the system, of tools and their caches, of code.

use std::ffi::OsStr;
use std::path::{Component, Path};

pub(super) fn is_installed_folder(name: &[u8]) -> bool {
    matches!(
        name,
        b"bin"
            | b"sbin"
            | b"etc"
            | b"include"
            | b"lib"
            | b"lib32"
            | b"lib64"
            | b"libx32"
            | b"libexec"
            | b"share"
    )
}

/// Folders of the system, wherever the interpreter is.
pub(super) fn is_system(path: &Path) -> bool {
    for root in ["/usr/local", "/usr", "/"] {
        if let Ok(inside) = path.strip_prefix(root)
            && let Some(first) = inside.components().next()
            && is_installed_folder(name_of(first))
        {
            return true;
        }
    }
    const ROOTS: &[&str] = &[
        "/var/lib/dpkg",
        "/var/lib/ca-certificates",
        "/nix/store",
        "/snap",
        "/gnu/store",
    ];
    ROOTS.iter().any(|root| path.starts_with(root)) || is_of_version_manager(path)
}

/// Interpreters and tools that version managers keep below the home folder, and settings of tools.
fn is_of_version_manager(path: &Path) -> bool {
    const FOLDERS: &[&[&str]] = &[
        &[".pyenv"],
        &[".asdf"],
        &[".rye"],
        &[".conda"],
        &[".nvm"],
        &[".rustup"],
        &[".mise"],
        &["miniconda3"],
        &["anaconda3"],
        &["miniforge3"],
        &["mambaforge"],
        &["micromamba", "envs"],
        &[".local", "share", "uv"],
        &[".local", "share", "pypoetry"],
        &[".local", "share", "mise"],
        &[".local", "pipx"],
        &[".config", "git"],
        &[".config", "mlflow"],
        &[".gitconfig"],
        &[".config", "pip"],
        &[".config", "fontconfig"],
    ];
    let names: Vec<_> = path.components().map(name_of).collect();
    has_folder(&names, FOLDERS)
        || names.windows(3).any(|window| {
            window[0] == b".local" && window[1] == b"lib" && window[2].starts_with(b"python")
        })
}

/// Caches of drawing, compiling and installing in the home folder and the system, which are filled whenever one needs them.
pub(super) fn is_user_cache(path: &Path) -> bool {
    const FOLDERS: &[&[&str]] = &[
        &[".cache", "uv"],
        &[".cache", "pip"],
        &[".cache", "matplotlib"],
        &[".cache", "fontconfig"],
        &[".cache", "numba"],
        &[".config", "matplotlib"],
        &[".matplotlib"],
        &[".fontconfig"],
        &[".nv", "ComputeCache"],
        &[".triton", "cache"],
        &[".ipython"],
        &[".jupyter"],
    ];
    let names: Vec<_> = path.components().map(name_of).collect();
    path.starts_with("/var/cache/fontconfig") || has_folder(&names, FOLDERS)
}

fn has_folder(names: &[&[u8]], folders: &[&[&str]]) -> bool {
    folders.iter().any(|folder| {
        names.windows(folder.len()).any(|window| {
            window
                .iter()
                .zip(*folder)
                .all(|(name, wanted)| *name == wanted.as_bytes())
        })
    })
}

/// Folders into which packages are installed, also inside a project.
pub(super) fn is_of_packages(path: &Path) -> bool {
    let is_folder = |component: Component<'_>| {
        matches!(
            name_of(component),
            b".venv" | b".tox" | b".nox" | b"node_modules" | b"site-packages" | b"dist-packages"
        )
    };
    path.components().any(is_folder)
}

/// What interpreters and tools leave behind to be faster the next time, wherever they do.
pub(super) fn is_bytecode_or_tool_cache(path: &Path) -> bool {
    let is_cache = |component: Component<'_>| {
        matches!(
            name_of(component),
            b"__pycache__"
                | b".pytest_cache"
                | b".mypy_cache"
                | b".ruff_cache"
                | b".ipynb_checkpoints"
        )
    };
    path.components().any(is_cache) || has_suffix(path, &["pyc", "pyo", "nbi", "nbc"])
}

/// A shared library outside the project, such as CUDA's below `/opt`.
pub(super) fn is_library(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    name.ends_with(".so") || name.contains(".so.")
}

/// Whether a file of the project is code by its name.
pub(super) fn is_source(path: &Path) -> bool {
    const SUFFIXES: &[&str] = &[
        "py", "pyx", "pxd", "pyi", "pyw", "pth", "so", "ipynb", "r", "R", "Rmd", "qmd", "jl", "m",
        "sh", "bash", "zsh", "fish", "toml", "yaml", "yml", "cfg", "ini", "conf", "sql", "rs",
        "go", "java", "scala", "kt", "c", "cc", "cpp", "cxx", "cu", "cuh", "h", "hh", "hpp", "f",
        "f90", "js", "mjs", "cjs", "ts", "tsx", "jsx", "lua", "pl", "rb", "swift", "proto",
        "jinja", "j2", "tf", "mk", "cmake", "gradle", "lock", "stan", "do", "sas",
    ];
    const NAMES: &[&str] = &[
        "Makefile",
        "makefile",
        "GNUmakefile",
        "Dockerfile",
        "Containerfile",
        "Snakefile",
        "Justfile",
        "justfile",
        "MLproject",
        "Pipfile",
        "Rakefile",
        "Gemfile",
        "CMakeLists.txt",
        "requirements.txt",
        "constraints.txt",
        "DESCRIPTION",
        "NAMESPACE",
    ];
    let name = path
        .file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    has_suffix(path, SUFFIXES)
        || NAMES.contains(&&*name)
        || (name.starts_with("requirements") && has_suffix(path, &["txt", "in"]))
}

fn has_suffix(path: &Path, suffixes: &[&str]) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|suffix| suffixes.contains(&suffix))
}

pub(super) fn name_of(component: Component<'_>) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    match component {
        Component::Normal(name) => name.as_bytes(),
        _ => b"",
    }
}
