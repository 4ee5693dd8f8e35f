//! Sending a folder as a ZIP archive, which is made while it is sent.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use cas::Cas;
use entities::ObjectId;
use locations::{Found, Location};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::download::{CHUNK_BYTES, Chunks, insert, pump};
use super::media::attachment;
use super::path::has_drive;
use crate::app::App;
use crate::error::RequestError;
use crate::wire::{Archive, Sent};

/// The quickest: what is sent is looked at on the way, not kept.
const LEVEL: i64 = 1;

/// Files from here on have their sizes in 64 bits. The limit is 2^32 - 1 bytes, also for what was compressed, which may
/// become longer by a thousandth.
const LARGE_BYTES: u64 = 4_200_000_000;

/// A file of an archive.
#[derive(Debug)]
pub(super) struct Archived {
    /// Its path in the archive.
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) size_bytes: u64,
}

/// Where its content is.
#[derive(Debug)]
pub(super) enum Source {
    /// On record.
    Kept(ObjectId),
    /// Where clients write.
    Located(Arc<dyn Location>, String),
}

impl Source {
    fn open(&self, cas: &Cas) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Kept(object) => {
                let reader = cas.reader(object).map_err(io::Error::other)?;
                Ok(Box::new(reader))
            }
            Self::Located(location, path) => {
                match location.open(path).map_err(io::Error::other)? {
                    Found::File(file) => {
                        let size_bytes = file.size_bytes();
                        Ok(file.read(0, size_bytes).map_err(io::Error::other)?)
                    }
                    Found::Nothing | Found::Folder => Err(io::ErrorKind::NotFound.into()),
                }
            }
        }
    }
}

/// Answers with an archive of that name. Memory holds the names of its files, and of their contents a few chunks.
pub(super) async fn send_archive(
    app: &App,
    name: &str,
    entries: Vec<Archived>,
) -> Result<Sent<Archive>, RequestError> {
    let cas = app.tracking.cas().clone();
    let sent = app.figures.sent.clone();
    let archived = pump(sent, move |chunks| {
        let open = |entry: &Archived| entry.source.open(&cas);
        write_archive(entries, open, chunks);
        Ok::<_, RequestError>(())
    });
    let mut response = archived.await?.into_response();
    let media_type = HeaderValue::from_static("application/zip");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    let name = attachment(&format!("{name}.zip"));
    insert(&mut response, header::CONTENT_DISPOSITION, &name);
    Ok(Sent::new(response))
}

/// Writes an archive out; where a file cannot be read, the answer breaks off.
fn write_archive<R: Read>(
    entries: Vec<Archived>,
    open: impl FnMut(&Archived) -> io::Result<R>,
    chunks: &Chunks,
) {
    let is_closed = Rc::new(Cell::new(false));
    let sink = Sink {
        chunks,
        waiting: Vec::new(),
        is_closed: Rc::clone(&is_closed),
    };
    let mut archive = ZipWriter::new_stream(sink);
    let break_off = |error: &(dyn std::error::Error + 'static)| {
        let has_gone = is_closed.replace(true);
        if !has_gone {
            chunks.fail(error);
        }
    };
    if let Err(error) = write_entries(&mut archive, entries, open) {
        // The writer, where it is dropped, ends the archive as if it were whole: nobody may get that end.
        break_off(&error);
        return;
    }
    match archive.finish() {
        // Where the client has gone by now, nobody is left to be told.
        Ok(sink) => drop(sink.into_inner().send_rest()),
        Err(error) => break_off(&error),
    }
}

fn write_entries<W: Write + io::Seek, R: Read>(
    archive: &mut ZipWriter<W>,
    entries: Vec<Archived>,
    mut open: impl FnMut(&Archived) -> io::Result<R>,
) -> zip::result::ZipResult<()> {
    // Times are not known of artifacts; the same files make the same archive.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    let mut part = vec![0; CHUNK_BYTES as usize];
    for entry in entries {
        let mut reader = open(&entry)?;
        let is_large = entry.size_bytes >= LARGE_BYTES;
        archive.start_file(safe_name(entry.name), options.large_file(is_large))?;
        loop {
            match reader.read(&mut part)? {
                0 => break,
                length => archive.write_all(&part[..length])?,
            }
        }
    }
    Ok(())
}

/// A name that leads nowhere where an archive is unpacked. Paths of artifacts have no other way out than this one.
fn safe_name(name: String) -> String {
    if has_drive(&name) {
        name.replacen(':', "_", 1)
    } else {
        name
    }
}

/// Where an archive is written to: chunks for the client.
struct Sink<'c> {
    chunks: &'c Chunks,
    waiting: Vec<u8>,
    /// Whether nobody is to get any more.
    is_closed: Rc<Cell<bool>>,
}

impl Sink<'_> {
    fn send(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.waiting);
        if self.chunks.send(Bytes::from(chunk)) {
            return Ok(());
        }
        self.is_closed.set(true);
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn send_rest(mut self) -> io::Result<()> {
        self.send()
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed.get() {
            return Ok(bytes.len());
        }
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() as u64 >= CHUNK_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Chunks go out when they are full, not at the end of each small file.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::*;

    /// Bytes that went out, and whether the answer came to its end.
    fn written<R: Read>(
        entries: Vec<Archived>,
        open: impl FnMut(&Archived) -> io::Result<R>,
    ) -> (Vec<u8>, bool) {
        let (sender, mut receiver) = mpsc::channel(4096);
        write_archive(entries, open, &Chunks::new(sender));
        let (mut bytes, mut is_whole) = (Vec::new(), true);
        while let Ok(chunk) = receiver.try_recv() {
            match chunk {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(_) => is_whole = false,
            }
        }
        (bytes, is_whole)
    }

    fn entry(name: &str, size_bytes: u64) -> Archived {
        Archived {
            name: name.to_owned(),
            source: Source::Kept(ObjectId::of(b"")),
            size_bytes,
        }
    }

    /// What Python's `zipfile` finds in an archive; none where no interpreter is named.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is told by a variable which Python to start, and says why it starts none"
    )]
    fn found_by_python(archive: &[u8]) -> Option<Value> {
        let Some(python) = std::env::var_os("REPROOF_TEST_PYTHON") else {
            println!("skipped: REPROOF_TEST_PYTHON names no interpreter");
            return None;
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), archive).unwrap();
        let script = "import json, sys, zipfile\n\
            archive = zipfile.ZipFile(sys.argv[1])\n\
            assert archive.testzip() is None\n\
            names = archive.namelist()\n\
            few = {name: archive.read(name).decode() for name in names[:5]}\n\
            extra = [info.extract_version for info in archive.infolist()[:5]]\n\
            print(json.dumps([len(names), few, extra]))";
        let output = Command::new(python)
            .args(["-c", script])
            .arg(file.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        Some(serde_json::from_slice(&output.stdout).unwrap())
    }

    #[test]
    fn files_beyond_four_gigabytes_have_their_sizes_in_64_bits() {
        // The size that is told decides on the form; the content is a word, so that the test ends.
        let entries = vec![
            entry("large.bin", 5 << 30),
            entry("small.txt", 5),
            entry("limit.bin", LARGE_BYTES),
        ];
        let (archive, is_whole) = written(entries, |_| Ok(&b"words"[..]));
        assert!(is_whole);
        // The extra field 1 of APPNOTE 4.5.3 in the local header of the first: two sizes of 8 bytes.
        let name_end = 30 + "large.bin".len();
        assert_eq!(archive[name_end..name_end + 4], [1, 0, 16, 0]);
        assert_eq!(archive[4..6], [45, 0], "the version that such files need");
        if let Some(found) = found_by_python(&archive) {
            let few = json!({"large.bin": "words", "small.txt": "words", "limit.bin": "words"});
            assert_eq!((&found[0], &found[1]), (&json!(3), &few));
        }
    }

    #[test]
    fn there_may_be_more_files_than_16_bits_count() {
        let names = (0..70_000).map(|number| entry(&format!("d/{number:05}"), 0));
        let (archive, is_whole) = written(names.collect(), |_| Ok(io::empty()));
        assert!(is_whole);
        let end = archive.len() - 22 - 20 - 56;
        assert_eq!(archive[end..end + 4], *b"PK\x06\x06", "no ZIP64 end");
        if let Some(found) = found_by_python(&archive) {
            assert_eq!(found[0], 70_000);
        }
    }

    #[test]
    fn a_name_that_leads_to_another_drive_is_changed() {
        for (name, safe) in [
            ("C:/x", "C_/x"),
            ("c:/x:y", "c_/x:y"),
            ("a/C:/x", "a/C:/x"),
            ("ab:/x", "ab:/x"),
        ] {
            assert_eq!(safe_name(name.to_owned()), safe);
        }
    }

    /// Bytes that do not become shorter.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn an_archive_with_a_file_that_cannot_be_read_has_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::InvalidData.into())
            }
        }
        // The list at the end is longer than a chunk, so that it would be sent if it was written.
        let names = (0..10_000).map(|number| entry(&format!("{number:05}"), 0));
        let entries = || names.clone().chain([entry("last", 1 << 20)]).collect();
        for length in [0, 1, 1 << 20] {
            let content = noise(length);
            let (bytes, is_whole) = written(entries(), |entry| {
                let is_last = entry.size_bytes > 0;
                let content = if is_last { content.as_slice() } else { &[] };
                let rest: Box<dyn Read> = if is_last {
                    Box::new(Broken)
                } else {
                    Box::new(io::empty())
                };
                Ok(content.chain(rest))
            });
            assert!(!is_whole);
            assert!(!bytes.windows(4).any(|four| four == b"PK\x05\x06"));
            assert!(!bytes.windows(4).any(|four| four == b"PK\x01\x02"));
        }
        let missing = |_: &Archived| Err::<io::Empty, _>(io::ErrorKind::NotFound.into());
        assert_eq!(written(vec![entry("a", 1)], missing), (Vec::new(), false));
    }

    #[test]
    fn nothing_is_read_for_a_client_that_has_gone() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut opened = 0;
        let entries = (0..100).map(|number| entry(&number.to_string(), 1 << 20));
        let noise = noise(1 << 20);
        let open = |_: &Archived| {
            opened += 1;
            Ok(noise.as_slice())
        };
        write_archive(entries.collect(), open, &Chunks::new(sender));
        assert_eq!(opened, 1);
    }
}
