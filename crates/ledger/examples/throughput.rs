//! Measures appending to and verifying a ledger of a million entries, on disk.
//!
//! `cargo run --release -p ledger --example throughput [ENTRIES [FOLDER]]`
#![expect(clippy::print_stdout, reason = "an example shows its figures")]

use std::error::Error;
use std::time::Instant;

use entities::{Actor, Leaf, Timestamp, commitment};
use ledger::{
    DirectoryTiles, EntryProof, Integrator, LedgerError, SigningKey, WriterChecker, encode_leaf,
    verify,
};

const BATCH: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = arguments.next().unwrap_or_else(|| ".".to_owned());
    let root = tempfile::tempdir_in(folder)?;
    let tiles = DirectoryTiles::new(root.path());
    let key = SigningKey::from_seed("example.com/log", &[1; 32])?;
    let mut integrator = Integrator::new();

    let started = Instant::now();
    while integrator.head().size < count {
        let first = integrator.head().size;
        let entries: Vec<Vec<u8>> = (first..count.min(first + BATCH))
            .map(leaf)
            .collect::<Result<_, _>>()?;
        integrator.append(&tiles, &entries)?;
        integrator.publish(&tiles, &[&key])?;
    }
    let append_s = started.elapsed().as_secs_f64();
    let size_bytes = leaf(0)?.len();
    println!("encode and append {count} events of about {size_bytes} bytes: {append_s:.2} s");

    let keys = [key.verifier()];
    let started = Instant::now();
    let checkpoint = verify(&tiles, &keys, |_, _| Ok(()))?;
    let verify_s = started.elapsed().as_secs_f64();
    println!("verify {} entries: {verify_s:.2} s", checkpoint.head.size);

    let mut checker = WriterChecker::new();
    let started = Instant::now();
    verify(&tiles, &keys, |_, bytes| {
        checker.check_bytes(bytes).map(drop)
    })?;
    let verify_s = started.elapsed().as_secs_f64();
    println!("verify them and read every leaf: {verify_s:.2} s");

    let started = Instant::now();
    let resumed = Integrator::load(&tiles, checkpoint.head)?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    println!(
        "load the integrator at {}: {load_ms:.2} ms",
        resumed.head().size
    );

    let started = Instant::now();
    EntryProof::make(&tiles, &keys, count / 3)?;
    let prove_ms = started.elapsed().as_secs_f64() * 1e3;
    println!("prove one entry: {prove_ms:.2} ms");

    let mut single = resumed;
    let started = Instant::now();
    for number in 0..100 {
        single.append(&tiles, &[leaf(count + number)?])?;
        single.publish(&tiles, &[&key])?;
    }
    let single_ms = started.elapsed().as_secs_f64() * 1e3 / 100.0;
    println!("append and sign one entry, flushed: {single_ms:.2} ms");
    Ok(())
}

/// The events of runs that each have ten.
fn leaf(wseq: u64) -> Result<Vec<u8>, LedgerError> {
    let run = format!("run:{:032x}", wseq / 10);
    let prev = (!wseq.is_multiple_of(10))
        .then(|| (run.clone(), format!("w-0123456789abcdef:{}", wseq - 1)));
    encode_leaf(&Leaf {
        v: 1,
        ts: Timestamp::from_micros(1_795_559_974_000_000 + wseq as i64),
        writer: "w-0123456789abcdef".parse().expect("a valid id"),
        wseq,
        actor: Actor {
            id: "u:ann".to_owned(),
            auth: "local".to_owned(),
        },
        kind: "run.metrics".to_owned(),
        subject: vec![run],
        prev: prev.into_iter().collect(),
        body_c: commitment(&[7; 32], &wseq.to_be_bytes()),
        body_len: 8,
        schema: "audit/1".to_owned(),
        reason: None,
        req: None,
    })
}
