//! A cache of digests of files, by what `stat` says of them.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use entities::{Clock, ObjectId, Timestamp};

/// Remembers the digest of each file for as long as device, inode, size, and the times of its last change of
/// content and of status stay the same.
///
/// Setting the time of the last change back does not deceive it: that sets the time of the change of status.
/// A file that was changed less than two seconds ago is not remembered, because a second change within one
/// tick of the file system's clock would leave all of these as they are.
///
/// *Cost*: a `stat` and a binary search for each file that is known.
pub struct DigestCache {
    path: PathBuf,
    clock: Box<dyn Clock>,
    /// What was read from disk: records sorted by key.
    known: Records,
    /// Which of the known records were asked for, a bit each.
    used: Vec<AtomicU64>,
    fresh: Mutex<BTreeMap<[u8; KEY_BYTES], [u8; 32]>>,
}

/// What `stat` says of the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size_bytes: u64,
    pub(crate) modified_ns: i64,
    pub(crate) changed_ns: i64,
}

pub(crate) const KEY_BYTES: usize = 40;
const RECORD_BYTES: usize = KEY_BYTES + 32;

/// First bytes of the file; the number is the format's version.
const HEADER: &[u8] = b"reproof digests 1\n";

/// Past this many records those that were not asked for are dropped: 262,144 records are 19 MB.
const RECORDS_MAX: usize = 262_144;

/// Coarser than the clock of any file system in use (ext3 and HFS+ count seconds, FAT two of them).
const YOUNG_NS: i64 = 2_000_000_000;

/// How often a file that changes under our hands is read again.
const ATTEMPTS: usize = 3;

impl DigestCache {
    /// Reads the cache; a file that is missing or damaged is an empty one.
    pub fn open(path: PathBuf) -> Self {
        Self::open_with_clock(path, Box::new(FileClock))
    }

    /// As `open`, with a clock of the caller's, which must be that of the file systems.
    pub fn open_with_clock(path: PathBuf, clock: Box<dyn Clock>) -> Self {
        let known = std::fs::read(&path)
            .ok()
            .and_then(Records::check)
            .unwrap_or_default();
        let used = (0..known.len().div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        Self {
            path,
            clock,
            known,
            used,
            fresh: Mutex::default(),
        }
    }

    /// Tells the digest of a regular file and its size, from the cache or by reading it.
    ///
    /// Links are followed. What is not a regular file, or keeps changing while it is read, is an error.
    pub fn digest(&self, path: &Path) -> io::Result<(ObjectId, u64)> {
        let metadata = path.metadata()?;
        if let Some(object) = self.find(&metadata) {
            return Ok((object, metadata.len()));
        }
        let file = open_regular(path)?;
        for _ in 0..ATTEMPTS {
            let before = file.metadata()?;
            let object = digest_file(&file)?;
            let after = file.metadata()?;
            if Stamp::of(&before) == Stamp::of(&after) {
                self.note(&before, object);
                return Ok((object, before.len()));
            }
        }
        Err(io::Error::other("the file changes while it is being read"))
    }

    /// Tells the digest of a file of which this is the metadata, if it is known.
    pub fn find(&self, metadata: &Metadata) -> Option<ObjectId> {
        if !metadata.is_file() {
            return None;
        }
        let key = Stamp::of(metadata).key();
        if let Some(index) = self.known.find(&key) {
            self.used[index / 64].fetch_or(1 << (index % 64), Ordering::Relaxed);
            return Some(ObjectId::from_bytes(self.known.digest(index)));
        }
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.get(&key).copied().map(ObjectId::from_bytes)
    }

    /// Remembers a digest. The metadata must have been the same before and after the file was read.
    pub fn note(&self, metadata: &Metadata, object: ObjectId) {
        let stamp = Stamp::of(metadata);
        if !metadata.is_file() || stamp.is_young(self.clock.now()) {
            return;
        }
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.insert(stamp.key(), *object.as_bytes());
    }

    /// Writes the cache if there is anything new, in one step; the last writer wins.
    pub fn save(&self) -> io::Result<()> {
        let fresh = self
            .fresh
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if fresh.is_empty() {
            return Ok(());
        }
        let is_full = self.known.len() + fresh.len() > RECORDS_MAX;
        let is_kept = |index: usize| {
            let key = self.known.key(index);
            let is_used = self.used[index / 64].load(Ordering::Relaxed) >> (index % 64) & 1 == 1;
            (is_used || !is_full) && !has_newer(&fresh, key)
        };
        let mut records: Vec<[u8; RECORD_BYTES]> = (0..self.known.len())
            .filter(|&index| is_kept(index))
            .map(|index| self.known.record(index))
            .collect();
        records.extend(fresh.iter().map(|(key, digest)| join(key, digest)));
        records.sort_unstable();
        let mut bytes = HEADER.to_vec();
        bytes.extend(records.iter().flatten());
        write_with_checksum(&self.path, bytes)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl std::fmt::Debug for DigestCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DigestCache")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Whether a record of the same inode is there that says something newer.
fn has_newer(fresh: &BTreeMap<[u8; KEY_BYTES], [u8; 32]>, key: &[u8]) -> bool {
    let mut first = [0; KEY_BYTES];
    first[..16].copy_from_slice(&key[..16]);
    fresh
        .range(first..)
        .next()
        .is_some_and(|(other, _)| other[..16] == key[..16])
}

fn join(key: &[u8; KEY_BYTES], digest: &[u8; 32]) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..KEY_BYTES].copy_from_slice(key);
    record[KEY_BYTES..].copy_from_slice(digest);
    record
}

/// The clock that file systems take their times from.
///
/// Time comes into the rooms below `cli` as a parameter; this one cannot, since it is compared with what the
/// kernel wrote into inodes, and any other clock would take a file that was just changed for an old one.
struct FileClock;

impl Clock for FileClock {
    fn now(&self) -> Timestamp {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Timestamp::from_micros(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)
    }
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(crate) fn of_stat(stat: &rustix::fs::Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size_bytes: stat.st_size as u64,
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    /// Ordered by device and inode first.
    pub(crate) fn key(&self) -> [u8; KEY_BYTES] {
        let Self {
            device,
            inode,
            size_bytes,
            modified_ns,
            changed_ns,
        } = *self;
        let words = [
            device,
            inode,
            size_bytes,
            modified_ns as u64,
            changed_ns as u64,
        ];
        let mut key = [0; KEY_BYTES];
        for (place, word) in key.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        key
    }

    /// Whether it was changed so lately that another change might not show, or in the future.
    pub(crate) fn is_young(&self, now: Timestamp) -> bool {
        let last = self.modified_ns.max(self.changed_ns);
        now.as_micros().saturating_mul(1000).saturating_sub(last) < YOUNG_NS
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

/// Opens a regular file for reading; whatever else is there is refused, without waiting for anybody.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

fn digest_file(mut file: &File) -> io::Result<ObjectId> {
    io::Seek::rewind(&mut file)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(ObjectId::from_bytes(*hasher.finalize().as_bytes()))
}

/// Sorted records as they stand on disk, so that opening the cache costs no more than reading it.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
}

impl Records {
    fn check(file: Vec<u8>) -> Option<Self> {
        let mut bytes = without_checksum(file)?;
        let records = bytes.strip_prefix(HEADER)?;
        if records.len() % RECORD_BYTES != 0 {
            return None;
        }
        bytes.drain(..HEADER.len());
        Some(Self { bytes })
    }

    fn len(&self) -> usize {
        self.bytes.len() / RECORD_BYTES
    }

    fn record(&self, index: usize) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        record.copy_from_slice(&self.bytes[index * RECORD_BYTES..][..RECORD_BYTES]);
        record
    }

    fn key(&self, index: usize) -> &[u8] {
        &self.bytes[index * RECORD_BYTES..][..KEY_BYTES]
    }

    fn digest(&self, index: usize) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(&self.bytes[index * RECORD_BYTES + KEY_BYTES..][..32]);
        digest
    }

    fn find(&self, key: &[u8; KEY_BYTES]) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }
}

/// Writes a cache in one step. It is not synced: what a crash leaves fails its checksum and is made again.
pub(crate) fn write_with_checksum(path: &Path, mut bytes: Vec<u8>) -> io::Result<()> {
    let checksum = *blake3::hash(&bytes).as_bytes();
    bytes.extend_from_slice(&checksum);
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Takes off the checksum; none where it is not that of the bytes before it.
pub(crate) fn without_checksum(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let checksum = bytes.split_off(bytes.len().checked_sub(32)?);
    (blake3::hash(&bytes).as_bytes()[..] == checksum[..]).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use super::*;

    /// A clock that stands where it was put, far enough ahead that files of now are old.
    #[derive(Clone)]
    struct SetClock(Arc<AtomicI64>);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    fn later(seconds: i64) -> Box<dyn Clock> {
        let micros = FileClock.now().as_micros() + seconds * 1_000_000;
        Box::new(SetClock(Arc::new(AtomicI64::new(micros))))
    }

    #[test]
    fn a_known_file_is_not_read_again_and_a_changed_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let (file, cache_file) = (folder.path().join("a"), folder.path().join("cache"));
        std::fs::write(&file, "one").unwrap();
        let cache = DigestCache::open_with_clock(cache_file.clone(), later(60));
        let metadata = file.metadata().unwrap();
        // A lie, to see that the cache is asked.
        cache.note(&metadata, ObjectId::of(b"lie"));
        assert_eq!(cache.digest(&file).unwrap(), (ObjectId::of(b"lie"), 3));
        cache.save().unwrap();

        let again = DigestCache::open_with_clock(cache_file, later(60));
        assert_eq!(again.digest(&file).unwrap().0, ObjectId::of(b"lie"));
        std::fs::write(&file, "two").unwrap();
        assert_eq!(again.digest(&file).unwrap().0, ObjectId::of(b"two"));
    }

    #[test]
    fn a_young_file_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let cache = DigestCache::open(folder.path().join("cache"));
        cache.digest(&file).unwrap();
        assert_eq!(cache.find(&file.metadata().unwrap()), None);
    }

    #[test]
    fn setting_the_time_back_does_not_deceive() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let before = file.metadata().unwrap();
        let cache = DigestCache::open_with_clock(folder.path().join("cache"), later(60));
        cache.digest(&file).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&file, "two").unwrap();
        let times = std::fs::FileTimes::new().set_modified(before.modified().unwrap());
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_times(times)
            .unwrap();
        assert_eq!(file.metadata().unwrap().mtime_nsec(), before.mtime_nsec());
        assert_eq!(cache.digest(&file).unwrap().0, ObjectId::of(b"two"));
    }

    #[test]
    fn a_damaged_cache_is_an_empty_one_whatever_byte_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, cache_file) = (folder.path().join("a"), folder.path().join("cache"));
        std::fs::write(&file, "one").unwrap();
        let cache = DigestCache::open_with_clock(cache_file.clone(), later(60));
        cache.digest(&file).unwrap();
        cache.save().unwrap();
        let whole = std::fs::read(&cache_file).unwrap();
        assert!(DigestCache::open(cache_file.clone()).known.len() == 1);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&cache_file, &damaged).unwrap();
            assert_eq!(
                DigestCache::open(cache_file.clone()).known.len(),
                0,
                "byte {at}"
            );
            std::fs::write(&cache_file, &whole[..at]).unwrap();
            assert_eq!(
                DigestCache::open(cache_file.clone()).known.len(),
                0,
                "cut at {at}"
            );
        }
    }

    #[test]
    fn what_an_inode_was_before_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (file, cache_file) = (folder.path().join("a"), folder.path().join("cache"));
        for content in ["one", "two, longer"] {
            std::fs::write(&file, content).unwrap();
            let cache = DigestCache::open_with_clock(cache_file.clone(), later(60));
            cache.digest(&file).unwrap();
            cache.save().unwrap();
        }
        assert_eq!(DigestCache::open(cache_file).known.len(), 1);
    }

    #[test]
    fn many_files_are_all_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache_file = folder.path().join("cache");
        let cache = DigestCache::open_with_clock(cache_file.clone(), later(60));
        let files: Vec<_> = (0..200)
            .map(|index| folder.path().join(format!("f{index}")))
            .collect();
        for (index, file) in files.iter().enumerate() {
            std::fs::write(file, format!("{index}")).unwrap();
            cache.digest(file).unwrap();
        }
        cache.save().unwrap();
        let again = DigestCache::open_with_clock(cache_file, later(60));
        for (index, file) in files.iter().enumerate() {
            let expected = ObjectId::of(index.to_string().as_bytes());
            assert_eq!(again.find(&file.metadata().unwrap()), Some(expected));
        }
    }

    #[test]
    fn only_regular_files_have_a_digest_and_nobody_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DigestCache::open(folder.path().join("cache"));
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(cache.digest(&fifo).is_err());
        assert!(cache.digest(folder.path()).is_err());
        assert!(cache.digest(Path::new("/dev/zero")).is_err());
        assert!(cache.digest(&folder.path().join("none")).is_err());
        std::fs::write(folder.path().join("empty"), "").unwrap();
        let digest = cache.digest(&folder.path().join("empty")).unwrap();
        assert_eq!(digest, (ObjectId::of(b""), 0));
    }
}
