//! Every statement is prepared once against the schema.

use crate::connection::open_scratch;
use crate::migrations::migrate;
use store_sql::sql::Dialect;

#[test]
fn every_statement_fits_the_schema() {
    let mut connection = open_scratch().unwrap();
    migrate(&mut connection).unwrap();
    let own = [
        crate::ledger::ALL,
        crate::migrations::ALL,
        crate::store::ALL,
        crate::verify::ALL,
    ]
    .concat();
    let shared = store_sql::all_statements();
    assert!(shared.len() > 160, "only {}", shared.len());
    let named = own.into_iter().chain(shared);
    let named = named.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let adding = store_sql::all_row_statements().into_iter();
    let adding = adding.map(|(name, rows)| (name.to_owned(), rows.of_one().to_owned()));
    let composed = store_sql::all_searches(Dialect::Sqlite)
        .into_iter()
        .chain(store_sql::all_lists(Dialect::Sqlite));
    for (name, text) in named.chain(adding).chain(composed) {
        let prepared = connection.prepare(&text);
        assert!(prepared.is_ok(), "{name}: {}", prepared.unwrap_err());
    }
}
