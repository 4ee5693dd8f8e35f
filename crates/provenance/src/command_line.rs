//! Params from a command line, for code that tells nobody of them.

use std::collections::BTreeMap;

/// Reads the params of a command: `--lr 0.1`, `--lr=0.1`, `-x 3`, `--flag`, `key=value`, `+a.b=c`.
///
/// Only what the script or program itself is given counts, so the options of interpreters and launchers
/// (`python -u -m pkg.mod`, `torchrun --nproc_per_node 2`) are left out, and so are positional arguments.
/// Reading stops at `--`.
///
/// A command line does not say which options take a value, so these rules decide:
/// - An option takes the next argument as its value unless that begins with `-` and is no number, or there is none;
///   without a value it is `true`.
/// - Further numbers after a number are part of the value (`--layers 64 32` is `64 32`).
/// - Of an option given twice, the last counts, as for most parsers.
pub fn params_from_command_line<S: AsRef<str>>(arguments: &[S]) -> BTreeMap<String, String> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let mut params = BTreeMap::new();
    let mut rest = arguments_of_script(&arguments);
    while let Some((&argument, after)) = rest.split_first() {
        rest = after;
        if argument == "--" {
            break;
        }
        let (key, value) = match option_of(argument) {
            Some(Given::WithValue(key, value)) => (key, value.to_owned()),
            Some(Given::Bare(key)) => {
                let taken = value_of(key, rest);
                rest = &rest[taken.len()..];
                (
                    key,
                    if taken.is_empty() {
                        "true".to_owned()
                    } else {
                        taken.join(" ")
                    },
                )
            }
            None => match assignment_of(argument) {
                Some((key, value)) => (key, value.to_owned()),
                None => continue,
            },
        };
        params.insert(key.to_owned(), value);
    }
    params
}

enum Given<'a> {
    WithValue(&'a str, &'a str),
    Bare(&'a str),
}

fn option_of(argument: &str) -> Option<Given<'_>> {
    if is_number(argument) {
        return None;
    }
    let body = argument
        .strip_prefix("--")
        .or_else(|| argument.strip_prefix('-'))?;
    if let Some((key, value)) = body.split_once('=') {
        return is_key(key).then_some(Given::WithValue(key, value));
    }
    // `-n5`: one letter and a number.
    if !argument.starts_with("--")
        && body.len() > 1
        && body.is_char_boundary(1)
        && is_number(&body[1..])
        && is_key(&body[..1])
    {
        return Some(Given::WithValue(&body[..1], &body[1..]));
    }
    is_key(body).then_some(Given::Bare(body))
}

/// The arguments that belong to an option as its value.
fn value_of<'a, 'b>(key: &str, rest: &'b [&'a str]) -> &'b [&'a str] {
    let Some(&first) = rest.first() else {
        return &[];
    };
    // Hydra's switch is commonly followed by overrides, which are params of their own.
    let is_switch = key == "multirun" && assignment_of(first).is_some();
    if is_switch || (first.starts_with('-') && first != "-" && !is_number(first)) {
        return &[];
    }
    let numbers = rest
        .iter()
        .take_while(|argument| is_number(argument))
        .count();
    &rest[..numbers.max(1)]
}

/// `key=value`, with the `+` or `++` of Hydra; paths and URLs that hold a `=` are none.
fn assignment_of(argument: &str) -> Option<(&str, &str)> {
    let (key, value) = argument.trim_start_matches('+').split_once('=')?;
    (is_key(key) && !key.contains("://") && !argument.starts_with("./")).then_some((key, value))
}

/// A key: a letter or `_` first, then also digits and `_ - . / :`, which is what MLflow takes.
fn is_key(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && text
            .chars()
            .all(|character| character.is_alphanumeric() || "_-./:".contains(character))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_word = matches!(
        digits.to_ascii_lowercase().as_str(),
        "inf" | "infinity" | "nan"
    );
    let begins = digits
        .strip_prefix('.')
        .unwrap_or(digits)
        .starts_with(|first: char| first.is_ascii_digit());
    (begins || is_word) && text.parse::<f64>().is_ok()
}

/// Programs that start another one, which is found among their arguments.
const LAUNCHERS: &[&str] = &[
    "accelerate",
    "conda",
    "coverage",
    "deepspeed",
    "env",
    "hatch",
    "horovodrun",
    "ionice",
    "mamba",
    "micromamba",
    "mpiexec",
    "mpirun",
    "nice",
    "nohup",
    "numactl",
    "pdm",
    "pipenv",
    "pixi",
    "poetry",
    "ray",
    "rye",
    "setsid",
    "srun",
    "stdbuf",
    "sudo",
    "taskset",
    "time",
    "timeout",
    "torchrun",
    "uv",
    "xvfb-run",
];

/// Interpreters, by the beginning of their name; a version may follow.
const INTERPRETERS: &[&str] = &[
    "python", "pypy", "ipython", "Rscript", "julia", "node", "ruby", "perl", "bash", "sh", "dash",
    "zsh",
];

/// Options of interpreters whose value is the next argument.
const INTERPRETER_OPTIONS: &[&str] = &[
    "-W",
    "-X",
    "--check-hash-based-pycs",
    "-O",
    "-o",
    "-r",
    "--require",
];

const SCRIPT_SUFFIXES: &[&str] = &[
    ".py", ".R", ".r", ".jl", ".sh", ".js", ".rb", ".pl", ".ipynb",
];

/// The arguments after the script, module or program that a command line runs in the end.
fn arguments_of_script<'a, 'b>(arguments: &'b [&'a str]) -> &'b [&'a str] {
    let Some((program, mut rest)) = arguments.split_first() else {
        return &[];
    };
    let mut program = *program;
    while LAUNCHERS.contains(&base_name(program)) {
        let starts = |argument: &&str| {
            is_interpreter(argument)
                || LAUNCHERS.contains(&base_name(argument))
                || is_script(argument)
        };
        let Some(at) = rest.iter().position(starts) else {
            return rest_of_unknown(rest);
        };
        program = rest[at];
        rest = &rest[at + 1..];
    }
    if is_interpreter(program) {
        after_interpreter_options(program, rest)
    } else {
        rest
    }
}

/// A launcher whose program has a name we do not know: it is the first argument that is neither option nor assignment.
fn rest_of_unknown<'a, 'b>(rest: &'b [&'a str]) -> &'b [&'a str] {
    let is_program = |argument: &&str| {
        !argument.starts_with('-') && !argument.contains('=') && !is_number(argument)
    };
    rest.iter()
        .position(is_program)
        .map_or(&[], |at| &rest[at + 1..])
}

fn after_interpreter_options<'a, 'b>(interpreter: &str, mut rest: &'b [&'a str]) -> &'b [&'a str] {
    let is_python = ["python", "pypy", "ipython"]
        .iter()
        .any(|name| base_name(interpreter).starts_with(name));
    while let Some((&argument, after)) = rest.split_first() {
        rest = after;
        if !argument.starts_with('-') || argument == "-" {
            return rest;
        }
        let is_module_or_code = if is_python {
            matches!(argument, "-m" | "-c")
        } else {
            matches!(argument, "-c" | "-e")
        };
        if is_module_or_code {
            return rest.split_first().map_or(&[], |(_, after)| after);
        }
        // `-mpkg.mod` and `-ccode` name what is run in the same argument.
        if is_python && (argument.starts_with("-m") || argument.starts_with("-c")) {
            return rest;
        }
        let takes_value =
            INTERPRETER_OPTIONS.contains(&argument) && !(is_python && argument == "-O");
        if takes_value {
            rest = rest.split_first().map_or(&[], |(_, after)| after);
        }
    }
    rest
}

fn is_interpreter(argument: &str) -> bool {
    let name = base_name(argument);
    INTERPRETERS.iter().any(|interpreter| {
        name.strip_prefix(interpreter).is_some_and(|version| {
            version
                .chars()
                .all(|character| character.is_ascii_digit() || matches!(character, '.' | 't'))
        })
    })
}

fn is_script(argument: &str) -> bool {
    !argument.starts_with('-')
        && SCRIPT_SUFFIXES
            .iter()
            .any(|suffix| argument.len() > suffix.len() && argument.ends_with(suffix))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(line: &str) -> String {
        let arguments: Vec<_> = line
            .split(' ')
            .filter(|argument| !argument.is_empty())
            .collect();
        let pairs: Vec<_> = params_from_command_line(&arguments)
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        pairs.join("; ")
    }

    #[test]
    fn every_form_of_param_is_read() {
        let cases = [
            ("python train.py --lr 0.1", "lr=0.1"),
            ("python train.py --lr=0.1", "lr=0.1"),
            ("python train.py --name=", "name="),
            ("python train.py --expr=a=b", "expr=a=b"),
            ("python train.py -x 3", "x=3"),
            ("python train.py -x3 -y=4", "x=3; y=4"),
            ("python train.py -lr 0.1", "lr=0.1"),
            ("python train.py --verbose", "verbose=true"),
            ("python train.py --verbose --lr 1", "lr=1; verbose=true"),
            (
                "python train.py --shift -0.5 --low -1e-3 --min -inf --at -.5",
                "at=-.5; low=-1e-3; min=-inf; shift=-0.5",
            ),
            ("python train.py --layers 64 32 --x 1", "layers=64 32; x=1"),
            ("python train.py --lr 0.1 --lr 0.2", "lr=0.2"),
            ("python train.py --in -", "in=-"),
            (
                "python train.py lr=0.1 +model.depth=3 ++a=b db/engine=pg",
                "a=b; db/engine=pg; lr=0.1; model.depth=3",
            ),
            ("python train.py --multirun lr=1,2", "lr=1,2; multirun=true"),
        ];
        for (line, expected) in cases {
            assert_eq!(params(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_param_is_left_out() {
        let cases = [
            ("python train.py data.csv out", ""),
            ("python train.py -5 7", ""),
            ("python train.py --lr 1 -- --x 2 y=3", "lr=1"),
            (
                "python train.py s3://bucket/x=1 ./a=b /a=b http://h/?q=1",
                "",
            ),
            ("python train.py =x -= --=3", ""),
            ("python -u -W ignore -X dev -O train.py --lr 1", "lr=1"),
            ("python3.11 -m pkg.mod --lr 1", "lr=1"),
            ("python -mpkg.mod --lr 1", "lr=1"),
            ("/usr/bin/python3 -c code --lr 1", "lr=1"),
            ("python", ""),
            ("python -m", ""),
            ("", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(params(line), expected, "{line}");
        }
    }

    #[test]
    fn launchers_keep_their_own_options() {
        let cases = [
            ("uv run --with numpy python train.py --lr 1", "lr=1"),
            ("env A=1 B=2 python train.py lr=1", "lr=1"),
            ("torchrun --nproc_per_node 2 train.py --lr 1", "lr=1"),
            (
                "accelerate launch --mixed_precision fp16 train.py --lr 1",
                "lr=1",
            ),
            ("mpirun -n 4 nice -n 5 python3 -u train.py --lr 1", "lr=1"),
            ("uv run train --lr 1", "lr=1"),
            ("nice -n 5 ./train --lr 1", "lr=1"),
            ("./train --lr 1", "lr=1"),
            ("./shrink --lr 1", "lr=1"),
            ("Rscript --vanilla fit.R --k 3", "k=3"),
        ];
        for (line, expected) in cases {
            assert_eq!(params(line), expected, "{line}");
        }
    }

    #[test]
    fn arguments_of_any_script_cannot_break_the_reader() {
        let texts = [
            "-",
            "--",
            "---",
            "=",
            "-é",
            "-é5",
            "+",
            "",
            "-=",
            "--é=é",
            "%bytes:ff",
        ];
        for first in texts {
            for second in texts {
                let read = params_from_command_line(&["python", "x.py", first, second]);
                assert!(read.len() <= 2, "{first} {second}: {read:?}");
            }
        }
        assert_eq!(
            params("python x.py --é=é -é5"),
            "é=é; é5=true",
            "one letter and a number are option and value in ASCII only"
        );
    }
}
