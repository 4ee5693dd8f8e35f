//! The level of evidence that a run has reached: computed, never set.

use std::collections::BTreeSet;

use entities::{Gap, Record, ReplayLevel, ReplayVerdict, RunDetail};
use serde::Serialize;

/// How much is known of a run. Each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceLevel {
    /// Somebody reported params and numbers.
    Logged,
    /// Code, data and environment were observed; what is missing is listed.
    Captured,
    /// A replay had identical results, or metrics within tolerance.
    Reproducible,
}

/// The level of a run and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The level.
    pub level: EvidenceLevel,
    /// What is missing for the next level, as sentences without a full stop; empty at the highest.
    pub missing_for_next: Vec<String>,
    /// How often it was replayed.
    pub replays: usize,
    /// How many of those were identical in all that was compared.
    pub identical_replays: usize,
    /// On how many kinds of machines those ran.
    pub identical_hosts: usize,
    /// How many were identical, within tolerance, or reached R3: all metrics within tolerance, though a file differs.
    pub successful_replays: usize,
}

/// Gaps that a way of observing always has: they say how far the method sees, and nothing of this run.
const LIMITS_OF_METHODS: [&str; 2] = ["entry_only", "io_uring_unseen"];

/// Whether a gap is a known limit of the method by which a run was observed.
///
/// What is left are gaps of the run itself.
pub fn is_limit_of_method(gap: &Gap) -> bool {
    LIMITS_OF_METHODS.contains(&gap.code.as_str())
}

/// Whether reads, executions and connections of a run were out of sight, so that none on record does not mean none.
pub fn is_blind_to_reads(record: &Record) -> bool {
    let is_blind = |gap: &Gap| [READS_NOT_SEEN, CUT_SHORT].contains(&gap.code.as_str());
    record.gaps.iter().any(is_blind)
}

/// Code of the gap of a run of whose standard input nothing is on record.
pub const STANDARD_INPUT_NOT_KEPT: &str = "stdin_not_kept";

/// Code of the gap of a run whose standard input was a file that was not kept: its replays lack an input.
pub const STANDARD_INPUT_FILE_NOT_KEPT: &str = "stdin_file_not_kept";

/// Code of the gap of a run with an output that another process wrote too.
pub const WRITTEN_BY_OTHERS: &str = "written_by_others";

/// Code of the gap of a replay that could not rename a file as its origin did.
pub const RENAMED_BETWEEN_MOUNTS: &str = "renamed_between_mounts";

/// Code of the gap of a run of which only the beginning is on record.
pub const CUT_SHORT: &str = "cut_short";

/// Code of the gap of a run of which only the files before and after were compared.
const READS_NOT_SEEN: &str = "reads_not_seen";

/// Computes the level of a run; verdicts on other runs are left out.
pub fn evidence_level(
    detail: &RunDetail,
    has_manifest: bool,
    gaps: &[Gap],
    verdicts: &[ReplayVerdict],
) -> Evidence {
    let own: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.origin == detail.run.id)
        .collect();
    let identical: Vec<_> = own.iter().filter(|verdict| verdict.is_identical).collect();
    let hosts: BTreeSet<_> = identical.iter().map(|verdict| verdict.host_kind).collect();
    let is_successful = |verdict: &ReplayVerdict| {
        verdict.is_identical
            || verdict.is_within_tolerance
            || verdict.level >= Some(ReplayLevel::R3)
    };
    let near = own.iter().filter(|verdict| is_successful(verdict)).count();
    let level = match (has_manifest, near) {
        (false, _) => EvidenceLevel::Logged,
        (true, 0) => EvidenceLevel::Captured,
        (true, _) => EvidenceLevel::Reproducible,
    };
    Evidence {
        level,
        missing_for_next: missing_for_next(level, detail, gaps, own.len()),
        replays: own.len(),
        identical_replays: identical.len(),
        identical_hosts: hosts.len(),
        successful_replays: near,
    }
}

fn missing_for_next(
    level: EvidenceLevel,
    detail: &RunDetail,
    gaps: &[Gap],
    replays: usize,
) -> Vec<String> {
    match level {
        EvidenceLevel::Logged if detail.run.status.is_terminal() => vec![
            "the run was logged, not captured: code, data and environment are not known".to_owned(),
        ],
        EvidenceLevel::Logged => vec!["the run has not ended".to_owned()],
        EvidenceLevel::Captured => {
            let replay = match replays {
                0 => "it was not replayed yet".to_owned(),
                1 => "the one replay was neither identical nor within tolerance".to_owned(),
                count => format!("none of {count} replays was identical or within tolerance"),
            };
            let gaps = gaps
                .iter()
                .filter(|gap| !is_limit_of_method(gap))
                .map(|gap| format!("the record has a gap: {}", gap.message));
            std::iter::once(replay).chain(gaps).collect()
        }
        EvidenceLevel::Reproducible => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use entities::{ObjectId, RunStatus};

    fn verdict(host: &[u8], is_identical: bool, is_within_tolerance: bool) -> ReplayVerdict {
        let detail = samples::run().detail;
        ReplayVerdict {
            origin: detail.run.id.clone(),
            replay: detail.run.id,
            level: None,
            is_identical,
            is_within_tolerance,
            host_kind: ObjectId::of(host),
            comparison: ObjectId::of(b""),
        }
    }

    #[test]
    fn a_level_needs_its_evidence_and_those_before() {
        let detail = samples::run().detail;
        let level = |has_manifest, verdicts: &[ReplayVerdict]| {
            evidence_level(&detail, has_manifest, &[], verdicts).level
        };
        assert_eq!(level(false, &[]), EvidenceLevel::Logged);
        assert_eq!(
            level(false, &[verdict(b"a", true, true)]),
            EvidenceLevel::Logged
        );
        assert_eq!(level(true, &[]), EvidenceLevel::Captured);
        assert_eq!(
            level(true, &[verdict(b"a", false, false)]),
            EvidenceLevel::Captured
        );
        assert_eq!(
            level(true, &[verdict(b"a", false, true)]),
            EvidenceLevel::Reproducible
        );
        assert_eq!(
            level(
                true,
                &[verdict(b"a", false, false), verdict(b"a", true, true)]
            ),
            EvidenceLevel::Reproducible
        );
        for (reached, expected) in [
            (ReplayLevel::R2, EvidenceLevel::Captured),
            (ReplayLevel::R3, EvidenceLevel::Reproducible),
        ] {
            let verdict = ReplayVerdict {
                level: Some(reached),
                ..verdict(b"a", false, false)
            };
            assert_eq!(level(true, &[verdict]), expected, "{reached:?}");
        }
        let mut other = verdict(b"a", true, true);
        other.origin = "fedcba9876544210a123456789abcdef".parse().unwrap();
        assert_eq!(
            level(true, &[other]),
            EvidenceLevel::Captured,
            "a verdict on another run proves nothing"
        );
    }

    #[test]
    fn identical_replays_are_counted_by_kind_of_machine() {
        let verdicts = [
            verdict(b"a", true, true),
            verdict(b"a", true, true),
            verdict(b"b", true, true),
            verdict(b"c", false, true),
        ];
        let evidence = evidence_level(&samples::run().detail, true, &[], &verdicts);
        assert_eq!(
            (
                evidence.replays,
                evidence.identical_replays,
                evidence.identical_hosts,
                evidence.successful_replays
            ),
            (4, 3, 2, 4)
        );
        assert!(evidence.missing_for_next.is_empty());
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut detail = samples::run().detail;
        let gap = Gap {
            code: "io_uring".to_owned(),
            message: "io_uring was used".to_owned(),
        };
        let limit = Gap {
            code: "entry_only".to_owned(),
            message: "calls were seen as they began".to_owned(),
        };
        let evidence = evidence_level(&detail, true, &[gap, limit], &[]);
        assert_eq!(
            evidence.missing_for_next,
            [
                "it was not replayed yet",
                "the record has a gap: io_uring was used"
            ]
        );
        let evidence = evidence_level(&detail, true, &[], &[verdict(b"a", false, false)]);
        assert_eq!(
            evidence.missing_for_next,
            ["the one replay was neither identical nor within tolerance"]
        );
        detail.run.status = RunStatus::Running;
        assert_eq!(
            evidence_level(&detail, false, &[], &[]).missing_for_next,
            ["the run has not ended"]
        );
    }

    #[test]
    fn what_every_run_of_a_method_lacks_is_not_missing_from_one_run() {
        let gap = |code: &str| Gap {
            code: code.to_owned(),
            message: code.to_owned(),
        };
        let gaps = [gap("entry_only"), gap("output_cut")];
        let detail = samples::run().detail;
        let missing = missing_for_next(EvidenceLevel::Captured, &detail, &gaps, 0);
        assert_eq!(
            missing,
            [
                "it was not replayed yet",
                "the record has a gap: output_cut"
            ]
        );
    }
}
