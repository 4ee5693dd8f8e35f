//! Names for runs and models that were given none.

use entities::Random;

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "ample", "blithe", "bold", "brave", "brief", "bright", "brisk",
    "calm", "candid", "civil", "clever", "crisp", "deft", "early", "eager", "exact", "fair",
    "fleet", "fond", "frank", "gentle", "glad", "grand", "happy", "hardy", "honest", "humble",
    "ideal", "jolly", "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "mild",
    "modest", "neat", "noble", "novel", "patient", "placid", "plain", "polite", "proud", "quick",
    "quiet", "ready", "robust", "serene", "sharp", "silent", "smart", "solid", "steady", "sunny",
    "swift", "tidy", "vivid", "wise",
];

const NOUNS: [&str; 64] = [
    "badger", "bat", "bear", "beaver", "bison", "bittern", "carp", "cat", "cod", "colt", "condor",
    "crane", "crow", "curlew", "deer", "dove", "dunlin", "eagle", "elk", "falcon", "finch", "fox",
    "gannet", "goose", "grebe", "hare", "hawk", "heron", "ibex", "jackdaw", "jay", "kestrel",
    "kite", "lark", "linnet", "lynx", "magpie", "marten", "mole", "moose", "newt", "osprey",
    "otter", "owl", "perch", "pike", "plover", "rook", "salmon", "seal", "shrew", "siskin",
    "snipe", "sparrow", "stoat", "stork", "swan", "swift", "tern", "trout", "vole", "weasel",
    "wren", "yak",
];

/// Draws a name such as `quiet-heron-417`.
pub(crate) fn draw_name(random: &dyn Random) -> String {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    let adjective = ADJECTIVES[usize::from(bytes[0]) % ADJECTIVES.len()];
    let noun = NOUNS[usize::from(bytes[1]) % NOUNS.len()];
    let number = u16::from_le_bytes([bytes[2], bytes[3]]) % 1000;
    format!("{adjective}-{noun}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_differ_and_no_word_stands_twice() {
        for words in [ADJECTIVES, NOUNS] {
            assert_eq!(BTreeSet::from(words).len(), words.len());
        }
        let random = testkit::SeededRandom::new(1);
        let names: BTreeSet<_> = (0..100).map(|_| draw_name(&random)).collect();
        assert!(names.len() > 95);
        assert!(names.iter().all(|name| name.split('-').count() == 3));
    }
}
