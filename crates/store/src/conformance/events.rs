//! Cases of events and leases.

use entities::{Change, Leaf};

use super::{at, commit, id, map, with_runs};
use crate::Store;

/// Gapless numbers, `prev` of each subject, at most eight subjects, and bodies that fit their leaves.
pub async fn events_are_numbered_chained_and_sequenced(store: &dyn Store) {
    with_runs(store, &["a", "b"]).await;
    let tag = |run: &str| Change::TagsSet {
        run: id(run),
        tags: map(&[("k", "v")]),
    };
    let mut many = commit("tags.set", "run:a", vec![tag("a")]);
    many.subjects
        .extend((0..20).map(|number| format!("thing:{number}")));
    many.subjects.insert(1, "run:a".to_owned());
    let leaf = store.commit(many).await.unwrap().leaf;
    assert_eq!(leaf.subject.len(), 8);
    assert_eq!(leaf.subject[..2], ["run:a", "thing:0"]);
    assert_eq!((leaf.wseq, leaf.prev.len()), (3, 1));
    assert!(leaf.prev["run:a"].ends_with(":1"));
    let unsequenced = store.list_events_of("run:a", 10).await.unwrap();
    assert!(unsequenced.iter().all(|event| event.index.is_none()));
    assert!(store.list_events(0, 10).await.unwrap().is_empty());
    assert_eq!(store.sequence().await.unwrap(), 4);
    let events = store.list_events(1, 2).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.index).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    for event in store.list_events(0, 10).await.unwrap() {
        let leaf = Leaf::decode(&event.leaf).unwrap();
        assert_eq!(Some(leaf.wseq), event.index);
        assert!(leaf.commits_to(&event.salt, &event.body));
    }
    let of_run = store.list_events_of("run:a", 1).await.unwrap();
    assert_eq!(of_run[0].index, Some(3), "the newest comes first");
}

/// Signed, integrated and sequenced ascend.
pub async fn progress_never_overtakes_itself(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    store.note_published(1, 0).await.unwrap_err();
    store.sequence().await.unwrap();
    store.note_published(2, 1).await.unwrap();
    store.note_published(1, 2).await.unwrap_err();
    store.note_published(3, 3).await.unwrap_err();
    let progress = store.ledger_progress().await.unwrap();
    assert_eq!((progress.committed, progress.sequenced), (2, 2));
    assert_eq!((progress.integrated, progress.signed), (2, 1));
}

/// Until its time is over, or its holder gives it back.
pub async fn a_lease_is_held_by_one(store: &dyn Store) {
    let take = |holder, millis| store.take_lease("signer", holder, at(millis), 100);
    assert!(take("x", 0).await.unwrap());
    assert!(!take("y", 99).await.unwrap());
    assert!(take("x", 99).await.unwrap(), "its holder prolongs it");
    assert!(!take("y", 198).await.unwrap());
    assert!(take("y", 199).await.unwrap(), "its time is over");
    store.release_lease("signer", "x").await.unwrap();
    assert!(
        !take("x", 200).await.unwrap(),
        "only the holder gives it back"
    );
    store.release_lease("signer", "y").await.unwrap();
    assert!(take("x", 200).await.unwrap());
}
