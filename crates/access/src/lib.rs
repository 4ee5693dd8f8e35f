#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod cache;
mod error;
mod foreign;
mod forms;
mod guesses;
mod password;
mod rights;
mod roles;
mod services;
mod sign_on;
mod tokens;
mod users;
mod validation;

pub use error::*;
pub use foreign::{ForeignHashError, take_over_hash};
pub use forms::FormTokenError;
pub use password::{HashingCost, Password};
pub use rights::*;
pub use roles::*;
pub use services::*;
pub use sign_on::*;
pub use tokens::*;
pub use users::*;
pub use validation::{check_right, check_role_name, check_user_name, parse_kind, parse_permission};
