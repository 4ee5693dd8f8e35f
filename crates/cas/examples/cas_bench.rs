//! Measures storing and checking out; one JSON line for each figure.
//!
//! `cargo run --release -p cas --example cas_bench FOLDER`
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cas::{Cas, CasOptions};
use entities::ObjectId;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const LARGE_BYTES: u64 = 1 << 30;
const SMALL_FILES: u64 = 10_000;
const SMALL_BYTES: usize = 10_000;

fn main() -> Outcome<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;
    let folder = folder.path();
    measure_large(folder)?;
    measure_small(folder)?;
    measure_batches(folder)
}

/// One file of a gigabyte, a version of it with something inserted, and the whole of it verified.
fn measure_large(folder: &Path) -> Outcome<()> {
    let (source, copy) = (folder.join("large"), folder.join("large copy"));
    write_noise(&source, LARGE_BYTES, 1, 0)?;
    rustix::fs::sync();
    let (store, count) = (folder.join("large store"), LARGE_BYTES as f64);
    let object = tell_middle(
        "store 1 GiB in one file",
        count,
        "bytes",
        || remove_folder(&store),
        || store_file(&open(&store)?, &source),
    )?;
    let cas = open(&store)?;
    tell_middle(
        "check out 1 GiB in one file",
        count,
        "bytes",
        || remove_file(&copy),
        || Ok(cas.checkout_file(&object, &copy, false)?),
    )?;
    fs::remove_file(&copy)?;
    tell("store 1 GiB again, unchanged", count, "bytes", || {
        store_file(&cas, &source)
    })?;
    write_noise(&source, LARGE_BYTES, 1, 100)?;
    rustix::fs::sync();
    tell(
        "store 1 GiB again, with 100 bytes inserted",
        count,
        "bytes",
        || store_file(&cas, &source),
    )?;
    tell("digest 1 GiB without storing it", count, "bytes", || {
        Ok(cas::digest_file(&File::open(&source)?)?)
    })?;
    tell("verify the store of it", count, "bytes", || {
        let mut faults = 0;
        cas.verify(&mut |_| faults += 1)?;
        if faults == 0 {
            Ok(())
        } else {
            Err("the store is damaged".into())
        }
    })?;
    fs::remove_dir_all(folder.join("large store"))?;
    Ok(fs::remove_file(&source)?)
}

/// Many small files in one batch.
fn measure_small(folder: &Path) -> Outcome<()> {
    let (source, copy) = (folder.join("small"), folder.join("small copy"));
    fs::create_dir(&source)?;
    for number in 0..SMALL_FILES {
        write_noise(
            &source.join(number.to_string()),
            SMALL_BYTES as u64,
            1000 + number,
            0,
        )?;
    }
    rustix::fs::sync();
    let store_all = |cas: &Cas| {
        let batch = cas.batch();
        let mut objects = Vec::new();
        for number in 0..SMALL_FILES {
            objects.push(
                batch
                    .put_file(&File::open(source.join(number.to_string()))?)?
                    .object,
            );
        }
        batch.commit()?;
        Ok(objects)
    };
    let (store, count) = (folder.join("small store"), SMALL_FILES as f64);
    let objects = tell_middle(
        "store 10,000 files of 10 KB",
        count,
        "files",
        || remove_folder(&store),
        || store_all(&open(&store)?),
    )?;
    let cas = open(&store)?;
    tell_middle(
        "check out 10,000 files of 10 KB",
        count,
        "files",
        || remove_folder(&copy),
        || {
            fs::create_dir(&copy)?;
            for (number, object) in objects.iter().enumerate() {
                cas.checkout_file(object, &copy.join(number.to_string()), false)?;
            }
            Ok(())
        },
    )?;
    tell("store 10,000 files of 10 KB again", count, "files", || {
        store_all(&cas)
    })?;
    Ok(())
}

/// Batches of one small object, and looking one up in a store that is opened afresh after them.
fn measure_batches(folder: &Path) -> Outcome<()> {
    let merged = folder.join("store of batches");
    let objects = tell(
        "commit batches of one small object",
        300.0,
        "batches",
        || commit_batches(&merged),
    )?;
    tell(
        "open a store and find an object, after 300 batches",
        100.0,
        "times",
        || find_afresh(&merged, &objects),
    )?;
    // Whoever holds this lock keeps others from merging packs.
    let unmerged = folder.join("store of packs");
    drop(open(&unmerged)?);
    let lock = File::create(unmerged.join("objects/maintenance"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    let objects = commit_batches(&unmerged)?;
    tell(
        "open a store and find an object, among 300 packs",
        100.0,
        "times",
        || find_afresh(&unmerged, &objects),
    )
}

fn commit_batches(folder: &Path) -> Outcome<Vec<ObjectId>> {
    let cas = open(folder)?;
    let mut objects = Vec::new();
    for number in 0..300_u32 {
        let batch = cas.batch();
        objects.push(batch.put(&number.to_le_bytes())?);
        batch.commit()?;
    }
    Ok(objects)
}

fn find_afresh(folder: &Path, objects: &[ObjectId]) -> Outcome<()> {
    for object in &objects[..100] {
        if !open(folder)?.contains(object)? {
            return Err("an object is lost".into());
        }
    }
    Ok(())
}

fn open(folder: &Path) -> Outcome<Cas> {
    Ok(Cas::open(
        &folder.join("objects"),
        &folder.join("tmp"),
        CasOptions::default(),
    )?)
}

fn store_file(cas: &Cas, path: &Path) -> Outcome<ObjectId> {
    let batch = cas.batch();
    let object = batch.put_file(&File::open(path)?)?.object;
    batch.commit()?;
    Ok(object)
}

/// Writes a file that does not compress and syncs it; some bytes may be inserted in its middle.
fn write_noise(path: &Path, size_bytes: u64, seed: u64, inserted: usize) -> Outcome<()> {
    let mut noise = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut file = File::create(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut left = size_bytes;
    while left > 0 {
        let length = left.min(buffer.len() as u64);
        noise.fill(&mut buffer[..length as usize]);
        file.write_all(&buffer[..length as usize])?;
        left -= length;
        if left == size_bytes / 2 {
            file.write_all(&vec![7; inserted])?;
        }
    }
    if size_bytes > buffer.len() as u64 {
        file.sync_all()?;
    }
    Ok(())
}

fn remove_folder(path: &Path) -> Outcome<()> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    rustix::fs::sync();
    Ok(())
}

fn remove_file(path: &Path) -> Outcome<()> {
    if path.exists() {
        fs::remove_file(path)?;
    }
    rustix::fs::sync();
    Ok(())
}

fn tell<T>(name: &str, count: f64, unit: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let started = Instant::now();
    let done = work()?;
    print_figures(name, count, unit, started.elapsed().as_secs_f64());
    Ok(done)
}

/// Works three times, each time after some preparation, and tells the middle time: what is written first may fall on
/// memory that the machine has yet to be given, and takes up to three times as long then.
fn tell_middle<T>(
    name: &str,
    count: f64,
    unit: &str,
    mut prepare: impl FnMut() -> Outcome<()>,
    mut work: impl FnMut() -> Outcome<T>,
) -> Outcome<T> {
    let mut timed = || -> Outcome<(f64, T)> {
        prepare()?;
        let started = Instant::now();
        let done = work()?;
        Ok((started.elapsed().as_secs_f64(), done))
    };
    let (first, second, (third, done)) = (timed()?.0, timed()?.0, timed()?);
    let mut seconds = [first, second, third];
    seconds.sort_by(f64::total_cmp);
    print_figures(name, count, unit, seconds[1]);
    Ok(done)
}

fn print_figures(name: &str, count: f64, unit: &str, seconds: f64) {
    let figures = serde_json::json!({
        "name": name,
        "count": count,
        "unit": unit,
        "seconds": seconds,
        "per_second": count / seconds,
    });
    println!("{figures}");
}
