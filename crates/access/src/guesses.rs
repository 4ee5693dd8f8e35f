//! A limit on guesses at passwords.

use std::collections::BTreeMap;

use entities::Timestamp;

/// Wrong passwords that a name may have in a window.
pub(crate) const LARGEST_GUESS_COUNT: u32 = 10;

/// How long a window is.
const WINDOW_MICROS: i64 = 60 * 1_000_000;

/// Names that are watched: a guesser who changes the name each time pushes out the oldest.
const LARGEST_NAME_COUNT: usize = 10_000;

/// How often each name was guessed at of late. Names are kept as digests, which are short.
#[derive(Default)]
pub(crate) struct Guesses {
    windows: BTreeMap<[u8; 32], Window>,
}

#[derive(Clone, Copy)]
struct Window {
    begin: Timestamp,
    count: u32,
}

impl Guesses {
    /// Notes that a password is about to be checked, as if it were wrong; or tells for how many seconds none is.
    ///
    /// Noted before the check, so that guesses at the same time count too.
    pub(crate) fn begin(&mut self, name: &str, now: Timestamp) -> Result<(), u64> {
        let key = *blake3::hash(name.as_bytes()).as_bytes();
        if !self.windows.contains_key(&key) {
            self.make_room(now);
        }
        let fresh = Window {
            begin: now,
            count: 0,
        };
        let window = self.windows.entry(key).or_insert(fresh);
        let left = window.begin.as_micros() + WINDOW_MICROS - now.as_micros();
        if left <= 0 {
            *window = fresh;
        }
        if window.count >= LARGEST_GUESS_COUNT {
            return Err(left.max(1).unsigned_abs().div_ceil(1_000_000));
        }
        window.count += 1;
        Ok(())
    }

    /// Notes that the password was right.
    pub(crate) fn forget(&mut self, name: &str) {
        self.windows
            .remove(blake3::hash(name.as_bytes()).as_bytes());
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.windows.len() < LARGEST_NAME_COUNT {
            return;
        }
        let is_open = |window: &Window| window.begin.as_micros() + WINDOW_MICROS > now.as_micros();
        self.windows.retain(|_, window| is_open(window));
        if self.windows.len() >= LARGEST_NAME_COUNT {
            let oldest = self.windows.iter().min_by_key(|(_, window)| window.begin);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                self.windows.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_name_is_guessed_at_ten_times_a_minute() {
        let mut guesses = Guesses::default();
        for _ in 0..LARGEST_GUESS_COUNT {
            assert_eq!(guesses.begin("ann", at(0)), Ok(()));
        }
        assert_eq!(guesses.begin("ann", at(1)), Err(59));
        assert_eq!(guesses.begin("ann", at(59)), Err(1));
        assert_eq!(guesses.begin("bob", at(59)), Ok(()));
        assert_eq!(guesses.begin("ann", at(60)), Ok(()));
    }

    #[test]
    fn a_right_password_ends_the_count() {
        let mut guesses = Guesses::default();
        for _ in 0..100 {
            assert_eq!(guesses.begin("ann", at(0)), Ok(()));
            guesses.forget("ann");
        }
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut guesses = Guesses::default();
        for number in 0..LARGEST_NAME_COUNT + 10 {
            guesses.begin(&number.to_string(), at(0)).unwrap();
        }
        assert_eq!(guesses.windows.len(), LARGEST_NAME_COUNT);
        guesses.begin("late", at(61)).unwrap();
        assert_eq!(guesses.windows.len(), 1);
    }
}
