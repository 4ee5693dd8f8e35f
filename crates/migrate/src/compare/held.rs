//! What MLflow's database holds of things: times to the millisecond, and nothing that was captured.

use entities::{
    Assessment, DatasetRecord, EvaluationDataset, Experiment, LoggedModel, ModelVersion,
    RegisteredModel, Run, ScorerVersion, Timestamp, Trace, Webhook,
};

/// Something of which MLflow's database holds less.
pub(super) trait Held {
    /// Leaves out what it does not hold.
    fn cut(&mut self);
}

impl Held for Timestamp {
    fn cut(&mut self) {
        *self = Self::from_millis(self.as_millis());
    }
}

impl Held for Run {
    fn cut(&mut self) {
        self.started_at.cut();
        if let Some(ended_at) = &mut self.ended_at {
            ended_at.cut();
        }
        // A tag names the parent, whether it is here or not.
        self.parent = None;
        self.replay_of = None;
        self.process = None;
        self.is_interrupted = false;
        self.recipe = None;
        self.record = None;
    }
}

impl Held for Trace {
    fn cut(&mut self) {
        self.requested_at.cut();
    }
}

impl Held for ScorerVersion {
    fn cut(&mut self) {
        self.created_at.cut();
    }
}

macro_rules! held_to_the_millisecond {
    ($($name:ident),*) => {
        $(impl Held for $name {
            fn cut(&mut self) {
                self.created_at.cut();
                self.updated_at.cut();
            }
        })*
    };
}

held_to_the_millisecond!(
    Assessment,
    DatasetRecord,
    EvaluationDataset,
    Experiment,
    LoggedModel,
    ModelVersion,
    RegisteredModel,
    Webhook
);
