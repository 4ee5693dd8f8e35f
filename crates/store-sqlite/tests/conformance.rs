//! The cases that every store passes.

mod support;

use store_sqlite::SqliteStore;

async fn make_store() -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = support::open(&folder.path().join("reproof.db"));
    (store, folder)
}

store::conformance_tests!(make_store);
