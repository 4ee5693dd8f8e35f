#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod beneath;
mod folder;
mod location;
mod uri;

pub use folder::FolderRoot;
pub use location::{
    Entry, Found, FoundFile, Located, Location, LocationError, Locations, Root, Walk, exactly,
};
