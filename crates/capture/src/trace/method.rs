//! Ways of observing.

/// A way of observing a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The kernel asks before each call of interest (seccomp user notification).
    Notify,
    /// The same calls through the debugging interface.
    Ptrace,
    /// Files before and after.
    Scan,
}

impl Method {
    /// Its word in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Ptrace => "ptrace",
            Self::Scan => "scan",
        }
    }
}

/// Which way to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MethodChoice {
    /// The best that works here.
    #[default]
    Auto,
    /// This one, or none.
    Force(Method),
}
