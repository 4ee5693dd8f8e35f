//! Passwords that somebody types, pipes in, or has drawn.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use entities::Random as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::error::CommandError;
use crate::output::Output;
use crate::system::SystemRandom;

/// Letters and digits that are not taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// 120 bits.
const LENGTH: usize = 24;

/// Draws a password.
pub(crate) fn draw_password() -> String {
    let mut bytes = [0; LENGTH];
    SystemRandom.fill(&mut bytes);
    let letters = bytes.iter().map(|byte| ALPHABET[usize::from(*byte) % 32]);
    letters.map(char::from).collect()
}

/// Reads a password: from a terminal twice and without showing it, else the first line of standard input.
pub(crate) fn read_password(output: &Output) -> Result<String, CommandError> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return read_line();
    }
    let first = read_hidden("password: ")?;
    let second = read_hidden("once more: ")?;
    if first != second {
        return Err(CommandError::usage("E0022", "the two passwords differ"));
    }
    output.say("");
    Ok(first)
}

fn read_line() -> Result<String, CommandError> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| CommandError::usage("E0022", format!("cannot read a password: {error}")))?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(
            CommandError::usage("E0022", "there is no password on standard input")
                .hint("pipe it in, as one line")
                .hint("`--draw` draws one and prints it"),
        );
    }
    Ok(line.to_owned())
}

fn read_hidden(prompt: &str) -> Result<String, CommandError> {
    let cannot = |error| CommandError::system("E0018", format!("cannot use the terminal: {error}"));
    let input = std::io::stdin();
    let shown = tcgetattr(&input).map_err(cannot)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let mut terminal = std::io::stderr().lock();
    // Where it cannot be asked for, it can be typed.
    let _ = write!(terminal, "{prompt}").and_then(|()| terminal.flush());
    tcsetattr(&input, OptionalActions::Flush, &hidden).map_err(cannot)?;
    let line = read_line();
    tcsetattr(&input, OptionalActions::Flush, &shown).map_err(cannot)?;
    let _ = writeln!(terminal);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_passwords_are_long_and_differ() {
        let (first, second) = (draw_password(), draw_password());
        assert_eq!(first.len(), LENGTH);
        assert_ne!(first, second);
        assert!(first.bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
