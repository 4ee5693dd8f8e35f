//! What an edge tells its callers of an error.

/// What kind of error it is: what an edge tells its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request is wrong.
    Invalid,
    /// What it is about is not there.
    NotFound,
    /// What it makes is there already.
    Exists,
    /// It may succeed later.
    Unavailable,
    /// Something is wrong here.
    Internal,
}
