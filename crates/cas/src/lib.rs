#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod batch;
mod cas;
mod chunking;
mod codec;
mod consolidate;
mod distant;
mod error;
mod forget;
mod gc;
mod held;
mod large;
mod layout;
mod list;
mod locks;
mod pack;
mod packs;
mod pins;
mod reader;
mod rewrite;
mod verify;

pub use batch::{Batch, Stored};
pub use cas::{Cas, CasOptions, digest_file, digest_reader};
pub use distant::{Announce, Distant, DistantError, DistantFault, PutError};
pub use error::{CasError, Damage};
pub use gc::{GcOptions, GcSummary};
pub use held::{HeldPacks, PackFile};
pub use reader::ObjectReader;
pub use verify::{CasFault, VerifySummary};
