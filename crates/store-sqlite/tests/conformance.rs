//! The cases that every store passes.

mod support;

use store_sqlite::SqliteStore;

#[expect(clippy::unused_async, reason = "other stores connect first")]
async fn make_store() -> Option<(SqliteStore, tempfile::TempDir)> {
    let folder = tempfile::tempdir().expect("a test can make a folder");
    let store = support::open(&folder.path().join("reproof.db"));
    Some((store, folder))
}

store::conformance_tests!(make_store);
