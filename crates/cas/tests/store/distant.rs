//! Contents that are kept elsewhere: stored, collected and forgotten, whatever others do meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cas::{Announce, Cas, CasError, Distant, DistantError, GcOptions, PutError, Stored};
use entities::ObjectId;

use crate::support::{Store, files_below};

const HOUR_MS: u64 = 3_600_000;

/// A place in memory.
#[derive(Default)]
struct Place {
    contents: Mutex<BTreeMap<ObjectId, Vec<u8>>>,
    is_only_read: bool,
    /// Is called when a content was announced, before it is looked for.
    announced: Mutex<Option<Step>>,
    /// Is called when it was found, or was put.
    stored: Mutex<Option<Step>>,
}

type Step = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Place")
    }
}

impl Place {
    fn has(&self, id: &ObjectId) -> bool {
        self.contents.lock().unwrap().contains_key(id)
    }

    fn step(of: &Mutex<Option<Step>>) {
        // The lock is not held meanwhile.
        let step = of.lock().unwrap().take();
        if let Some(step) = step {
            step();
        }
    }
}

impl Distant for Place {
    fn place(&self) -> &'static str {
        "memory"
    }

    fn is_only_read(&self) -> bool {
        self.is_only_read
    }

    fn put(&self, content: &mut dyn Read, announce: &mut Announce<'_>) -> Result<Stored, PutError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        let (object, size_bytes) = (ObjectId::of(&bytes), bytes.len() as u64);
        announce(&object).map_err(PutError::Here)?;
        Self::step(&self.announced);
        self.contents.lock().unwrap().entry(object).or_insert(bytes);
        Self::step(&self.stored);
        Ok(Stored { object, size_bytes })
    }

    fn size_bytes(&self, id: &ObjectId) -> Result<Option<u64>, DistantError> {
        let contents = self.contents.lock().unwrap();
        Ok(contents.get(id).map(|content| content.len() as u64))
    }

    fn read(
        &self,
        id: &ObjectId,
        offset: u64,
        length: u64,
    ) -> Result<Option<Box<dyn Read + Send>>, DistantError> {
        let contents = self.contents.lock().unwrap();
        Ok(contents.get(id).map(|content| {
            let part = content.iter().skip(offset as usize).take(length as usize);
            Box::new(Cursor::new(part.copied().collect::<Vec<u8>>())) as _
        }))
    }

    fn remove(&self, id: &ObjectId) -> Result<bool, DistantError> {
        Ok(self.contents.lock().unwrap().remove(id).is_some())
    }

    fn list(&self, visit: &mut dyn FnMut(ObjectId, u64)) -> Result<(), DistantError> {
        let listed: Vec<(ObjectId, u64)> = {
            let contents = self.contents.lock().unwrap();
            let sizes = contents
                .iter()
                .map(|(id, content)| (*id, content.len() as u64));
            sizes.collect()
        };
        for (id, size_bytes) in listed {
            visit(id, size_bytes);
        }
        Ok(())
    }

    fn remove_all(&self, ids: &[ObjectId]) -> Result<(), DistantError> {
        let mut contents = self.contents.lock().unwrap();
        contents.retain(|id, _| !ids.contains(id));
        Ok(())
    }
}

/// A store that puts contents into a place in memory.
fn with_place() -> (Store, Arc<Place>) {
    let (store, place) = (Store::new(), Arc::new(Place::default()));
    store.cas.store_at(Arc::clone(&place) as _);
    (store, place)
}

/// The same store and place, as another process has them.
fn another(store: &Store, place: &Arc<Place>) -> Cas {
    store.reopened().with_distant(vec![Arc::clone(place) as _])
}

fn collect(cas: &Cas, live: &[ObjectId]) -> u64 {
    let options = GcOptions {
        grace_ms: HOUR_MS,
        is_dry_run: false,
    };
    let live = live.iter().copied().collect();
    cas.gc(&live, &options).unwrap().removed_objects
}

/// What was stored so far is two hours old.
fn age(store: &Store) {
    for path in files_below(&store.folder.path().join("objects/recent")) {
        let day = std::fs::File::options().append(true).open(path).unwrap();
        let modified = day.metadata().unwrap().modified().unwrap();
        day.set_modified(modified - Duration::from_secs(7200))
            .unwrap();
    }
}

fn put(cas: &Cas, content: &[u8]) -> ObjectId {
    cas.store(&mut &*content).unwrap().object
}

#[test]
fn what_is_elsewhere_is_read_as_if_it_were_here() {
    let (store, place) = with_place();
    let id = put(&store.cas, b"elsewhere");
    assert!(place.has(&id) && !store.cas.has_here(&id).unwrap());
    let other = another(&store, &place);
    assert!(other.contains(&id).unwrap());
    assert_eq!(other.size_bytes(&id).unwrap(), Some(9));
    assert_eq!(other.read(&id).unwrap(), b"elsewhere");
    assert_eq!(other.read_range(&id, 4, 2).unwrap(), b"wh");
    let missing = ObjectId::of(b"nowhere");
    assert!(matches!(
        other.read(&missing),
        Err(CasError::Missing { .. })
    ));
}

#[test]
fn what_is_live_or_young_stays_elsewhere_and_the_rest_goes() {
    let (store, place) = with_place();
    let (live, dead) = (put(&store.cas, b"live"), put(&store.cas, b"dead"));
    assert_eq!(collect(&store.cas, &[live]), 0, "it is young");
    age(&store);
    let young = put(&store.cas, b"young");
    // What is stored again is as young as what is new. The day's file holds all of a day.
    age(&store);
    let options = GcOptions {
        grace_ms: HOUR_MS,
        is_dry_run: true,
    };
    let tried = store.cas.gc(&BTreeSet::from([live]), &options).unwrap();
    assert_eq!((tried.removed_objects, tried.freed_bytes), (2, 9));
    assert!(place.has(&dead) && place.has(&young));
    assert_eq!(collect(&another(&store, &place), &[live]), 2);
    assert!(place.has(&live) && !place.has(&dead) && !place.has(&young));
}

#[test]
fn a_place_that_is_only_read_is_not_collected() {
    let (store, place) = with_place();
    let id = put(&store.cas, b"of another copy");
    age(&store);
    let contents = Mutex::new(place.contents.lock().unwrap().clone());
    let read = Arc::new(Place {
        contents,
        is_only_read: true,
        ..Place::default()
    });
    let copy = store.reopened().with_distant(vec![Arc::clone(&read) as _]);
    assert_eq!(collect(&copy, &[]), 0);
    assert!(read.has(&id));
    assert_eq!(copy.read(&id).unwrap(), b"of another copy");
    assert_eq!(collect(&another(&store, &place), &[]), 1);
}

#[test]
fn a_collection_while_a_content_is_stored_again_never_takes_it() {
    for is_announced in [true, false] {
        let (store, place) = with_place();
        let id = put(&store.cas, b"stored twice");
        age(&store);
        // Another process collects between the announcement and the look, or after the look.
        let other = another(&store, &place);
        let step: Step = Box::new(move || {
            assert_eq!(collect(&other, &[]), 0, "it was taken");
        });
        let when = if is_announced {
            &place.announced
        } else {
            &place.stored
        };
        *when.lock().unwrap() = Some(step);
        put(&store.cas, b"stored twice");
        assert!(when.lock().unwrap().is_none(), "nobody collected");
        assert!(place.has(&id));
        // And it is young from then on.
        assert_eq!(collect(&another(&store, &place), &[]), 0);
        age(&store);
        assert_eq!(collect(&another(&store, &place), &[]), 1);
    }
}

#[test]
fn a_content_that_is_forgotten_while_it_is_stored_again_is_not_told_as_stored() {
    let (store, place) = with_place();
    let id = put(&store.cas, b"forgotten");
    let other = another(&store, &place);
    *place.stored.lock().unwrap() = Some(Box::new(move || other.forget(&id).unwrap()));
    let refused = store.cas.store(&mut &b"forgotten"[..]).unwrap_err();
    assert!(refused.to_string().contains("store it again"), "{refused}");
    assert!(!place.has(&id));
    assert_eq!(put(&store.cas, b"forgotten"), id);
    assert!(place.has(&id));
    // One that is nowhere is missing, here and there.
    store.cas.forget(&id).unwrap();
    let again = store.cas.forget(&id).unwrap_err();
    assert!(matches!(again, CasError::Missing { .. }), "{again}");
}
