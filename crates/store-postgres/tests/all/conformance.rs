//! The cases that every store passes.

use store_postgres::PostgresStore;

use testkit::TestSchema;

async fn make_store() -> Option<(PostgresStore, TestSchema)> {
    let schema = TestSchema::make()?;
    let store = schema.open(7).await;
    Some((store, schema))
}

store::conformance_tests!(make_store);
