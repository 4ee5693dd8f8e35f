//! The cases that every store passes.

use store_postgres::PostgresStore;

use crate::support::Schema;

async fn make_store() -> Option<(PostgresStore, Schema)> {
    let schema = Schema::make()?;
    let store = schema.open(7).await;
    Some((store, schema))
}

store::conformance_tests!(make_store);
