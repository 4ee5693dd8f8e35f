#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod checkpoint;
mod directory;
mod error;
mod fault;
mod integrate;
mod key;
mod leaf;
mod merkle;
mod note;
mod proof;
mod storage;
mod tile;
mod verify;
mod writer;

pub use checkpoint::*;
pub use directory::*;
pub use error::*;
pub use fault::*;
pub use integrate::*;
pub use key::*;
pub use leaf::*;
pub use merkle::*;
pub use note::*;
pub use proof::*;
pub use storage::*;
pub use tile::*;
pub use verify::*;
pub use writer::*;
