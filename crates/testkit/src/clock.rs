//! A clock that tells what it is told.

use std::sync::atomic::{AtomicI64, Ordering};

use entities::{Clock, Timestamp};

/// A clock that stands still, or ticks at each look, and can be set.
#[derive(Debug)]
pub struct MockClock {
    now_micros: AtomicI64,
    tick_micros: i64,
}

impl MockClock {
    /// 2026-01-01T00:00:00Z: what a new clock shows.
    pub const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

    /// A clock that stands still.
    pub const fn standing() -> Self {
        Self::ticking(0)
    }

    /// A clock that goes on by so many microseconds after each look.
    pub const fn ticking(tick_micros: i64) -> Self {
        Self {
            now_micros: AtomicI64::new(Self::START.as_micros()),
            tick_micros,
        }
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.now_micros.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Puts the clock on, or back.
    pub fn advance_millis(&self, millis: i64) {
        self.now_micros.fetch_add(millis * 1000, Ordering::SeqCst);
    }
}

impl Clock for MockClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(
            self.now_micros
                .fetch_add(self.tick_micros, Ordering::SeqCst),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_what_it_was_set_to_and_ticks_where_asked() {
        assert_eq!(MockClock::START.to_string(), "2026-01-01T00:00:00.000000Z");
        let clock = MockClock::standing();
        assert_eq!(clock.now(), clock.now());
        clock.advance_millis(5);
        assert_eq!(clock.now().as_millis(), MockClock::START.as_millis() + 5);
        let clock = MockClock::ticking(2);
        clock.set(Timestamp::from_micros(10));
        assert_eq!(clock.now().as_micros(), 10);
        assert_eq!(clock.now().as_micros(), 12);
    }
}
