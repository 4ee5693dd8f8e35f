//! Packs: files that hold many objects and chunks, written once and never changed.

mod files;
mod format;
mod index;
mod opened;
mod syncer;
mod writer;

pub(crate) use files::FileCache;
pub(crate) use format::{ENTRY_BYTES, Entry, HEADER_BYTES, PackName, Role, encode_header};
pub(crate) use opened::Pack;
pub(crate) use writer::{PackWriter, Payload, SealedPack};
