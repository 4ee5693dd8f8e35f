//! Label schemas: what people are asked of traces.
//!
//! *Source*: `mlflow/genai/label_schemas/validation.py`.

use entities::{
    Caller, Change, Experiment, ExperimentId, LabelInput, LabelKind, LabelSchema, LabelSchemaId,
    LabelSchemaUpdate, Lifecycle, draw_hex, python,
};
use store::StoreError;

use crate::traces::{Writing, experiment_subject};
use crate::{Traces, TracesError};

/// Characters in the name of a label schema, in its instruction, in a label and in an option.
const LONGEST_NAME: usize = 250;
const LONGEST_INSTRUCTION: usize = 1000;
const LONGEST_LABEL: usize = 64;

/// Options of one question.
const LARGEST_OPTION_COUNT: usize = 10;

/// The question that every experiment has, whatever else is asked; its name is nobody else's.
const DEFAULT_NAME: &str = "Feedback";
const DEFAULT_INSTRUCTION: &str = "Share any feedback on this trace.";

/// A label schema that is to be made.
#[derive(Clone, Debug)]
pub struct NewLabelSchema {
    /// The experiment whose traces it is about.
    pub experiment: ExperimentId,
    /// Its name.
    pub name: String,
    /// What an answer is.
    pub kind: LabelKind,
    /// What else is said to those who answer.
    pub instruction: Option<String>,
    /// Whether they may say why.
    pub has_comment: bool,
    /// What may be answered.
    pub input: LabelInput,
}

/// What is wrong with a label schema.
#[derive(Debug, thiserror::Error)]
pub enum LabelFault {
    /// Nothing is said of what an answer is.
    #[error("Label schema `type` must be one of FEEDBACK or EXPECTATION; got proto enum value 0.")]
    NoKind,
    /// Nothing, or too much, is said of what may be answered.
    #[error(
        "Label schema `input` must have exactly one of `pass_fail`, `categorical`, `numeric`, or `text` set; got {found}."
    )]
    Input {
        /// What was given.
        found: &'static str,
    },
    /// No name.
    #[error("Label schema `name` must be a non-empty string; got ''.")]
    NoName,
    /// A text that is too long.
    #[error("{field} must be at most {limit} characters; got {found}{}", told(.text.as_ref()))]
    TooLong {
        /// Which, in MLflow's words.
        field: &'static str,
        /// How many characters there may be.
        limit: usize,
        /// How many there are.
        found: usize,
        /// The text, where one of several is meant.
        text: Option<String>,
    },
    /// The name of the question that every experiment has.
    #[error(
        "`{name}` is reserved for the experiment's default question and cannot be used for another label schema."
    )]
    Reserved {
        /// The name.
        name: String,
    },
    /// A label that says nothing.
    #[error("`InputPassFail.{field}` must be a non-empty string; got ''.")]
    NoLabel {
        /// Which.
        field: &'static str,
    },
    /// Two labels that say the same.
    #[error(
        "`InputPassFail.positive_label` and `negative_label` must be distinct; got {} for both.",
        python::repr(.label)
    )]
    SameLabels {
        /// What they say.
        label: String,
    },
    /// Nothing to choose from.
    #[error("`InputCategorical.options` must be a non-empty list; got [].")]
    NoOptions,
    /// Too much to choose from.
    #[error(
        "`InputCategorical.options` must have at most {LARGEST_OPTION_COUNT} entries; got {found}."
    )]
    TooManyOptions {
        /// How many there are.
        found: usize,
    },
    /// An option that says nothing.
    #[error("`InputCategorical.options` entries must be non-empty strings; got ''.")]
    EmptyOption,
    /// The same option again.
    #[error("`InputCategorical.options` must be deduplicated; {} appears twice.", python::repr(.option))]
    OptionTwice {
        /// Which.
        option: String,
    },
    /// A bound that is no number.
    #[error("`InputNumeric.{field}` must be a finite number; got {}.", python::float(*.value))]
    NoBound {
        /// Which.
        field: &'static str,
        /// What was given.
        value: f64,
    },
    /// Bounds with nothing between them.
    #[error(
        "`InputNumeric.min_value` must be strictly less than `max_value`; got min={}, max={}.",
        python::float(*.least), python::float(*.largest)
    )]
    Bounds {
        /// The lower one.
        least: f64,
        /// The upper one.
        largest: f64,
    },
    /// A text of no characters.
    #[error("`InputText.max_length` must be at least 1; got {longest}.")]
    NoLength {
        /// What was given.
        longest: i64,
    },
    /// Another kind of answers, which would make those that were given wrong.
    #[error(
        "A label schema's input type cannot be changed after creation (existing: {existing}, got: {given})."
    )]
    OtherInput {
        /// What it is.
        existing: &'static str,
        /// What was given.
        given: &'static str,
    },
    /// One answer instead of several, or the other way round.
    #[error("`InputCategorical.multi_select` cannot be changed after creation.")]
    OtherNumber,
    /// The question that every experiment has.
    #[error("The experiment's default question cannot be {operation}.")]
    Default {
        /// `edited` or `deleted`.
        operation: &'static str,
    },
    /// Too few or too many on a page.
    #[error(
        "max_results must be between 1 and {limit}. See the API docs for more information about request parameters."
    )]
    Page {
        /// How many there may be.
        limit: usize,
    },
}

fn told(text: Option<&String>) -> String {
    text.map_or_else(
        || ".".to_owned(),
        |text| format!(" for {}.", python::repr(text)),
    )
}

/// Reads the id of a label schema as a client gives it. What can be no id names none.
pub fn parse_label_schema_id(text: &str) -> Result<LabelSchemaId, TracesError> {
    text.parse().map_err(|_| TracesError::NoLabelSchema {
        id: text.to_owned(),
    })
}

/// Whether it is the question that every experiment has.
pub fn is_default(schema: &LabelSchema) -> bool {
    schema.id == default_id(&schema.experiment)
}

/// MLflow writes the default question into its database when somebody looks; here it follows from the experiment, so that
/// looking changes nothing. MLflow's other ids are drawn UUIDs of version 4, which have a 4 where this has a 0.
fn default_id(experiment: &ExperimentId) -> LabelSchemaId {
    let id = format!("ls-{:0>32}", experiment.as_str());
    id.parse().expect("digits are an id")
}

/// The experiment that an id is the default question of.
fn experiment_of_default(id: &LabelSchemaId) -> Option<ExperimentId> {
    let digits = id.as_str().strip_prefix("ls-")?;
    let number = digits.trim_start_matches('0');
    let number = if number.is_empty() { "0" } else { number };
    let experiment = number.parse().ok()?;
    (default_id(&experiment) == *id).then_some(experiment)
}

fn default_schema(experiment: &Experiment) -> LabelSchema {
    LabelSchema {
        id: default_id(&experiment.id),
        experiment: experiment.id.clone(),
        name: DEFAULT_NAME.to_owned(),
        kind: LabelKind::Feedback,
        instruction: Some(DEFAULT_INSTRUCTION.to_owned()),
        has_comment: false,
        input: LabelInput::Text { longest: None },
        created_at: experiment.created_at,
        updated_at: experiment.created_at,
    }
}

impl Traces {
    /// Makes a label schema.
    pub async fn create_label_schema(
        &self,
        caller: &Caller,
        new: NewLabelSchema,
    ) -> Result<LabelSchema, TracesError> {
        let NewLabelSchema {
            experiment,
            name,
            kind,
            instruction,
            has_comment,
            input,
        } = new;
        check_name(&name)?;
        check_instruction(instruction.as_deref())?;
        check_input(&input)?;
        self.get_active_experiment(&experiment).await?;
        let now = self.now();
        let id = format!("ls-{}", draw_hex(self.random()));
        let schema = LabelSchema {
            id: parse_label_schema_id(&id)?,
            experiment,
            name,
            kind,
            instruction,
            has_comment,
            input,
            created_at: now,
            updated_at: now,
        };
        let change = Change::LabelSchemaCreated {
            schema: schema.clone(),
        };
        self.write_label_schema(caller, "label_schema.created", &schema, change)
            .await?;
        Ok(schema)
    }

    /// A label schema that must be there.
    pub async fn get_label_schema(&self, id: &LabelSchemaId) -> Result<LabelSchema, TracesError> {
        self.find_label_schema(id)
            .await?
            .ok_or_else(|| TracesError::NoLabelSchema {
                id: id.as_str().to_owned(),
            })
    }

    /// A label schema, if it is there.
    pub async fn find_label_schema(
        &self,
        id: &LabelSchemaId,
    ) -> Result<Option<LabelSchema>, TracesError> {
        if let Some(experiment) = experiment_of_default(id) {
            let found = self.store().find_experiment(&experiment).await?;
            return Ok(found.as_ref().map(default_schema));
        }
        Ok(self.store().find_label_schema(id).await?)
    }

    /// The label schema of that name, which must be there.
    pub async fn get_label_schema_by_name(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<LabelSchema, TracesError> {
        let found = self.get_active_experiment(experiment).await?;
        if name == DEFAULT_NAME {
            return Ok(default_schema(&found));
        }
        let schema = self.store().find_label_schema_by_name(experiment, name);
        schema.await?.ok_or_else(|| TracesError::NoLabelSchemaName {
            experiment: experiment.clone(),
            name: name.to_owned(),
        })
    }

    /// All label schemas of an experiment, the newest first; the default question is the oldest.
    pub async fn list_label_schemas(
        &self,
        experiment: &ExperimentId,
    ) -> Result<Vec<LabelSchema>, TracesError> {
        let found = self.get_active_experiment(experiment).await?;
        let mut schemas = self.store().list_label_schemas(experiment).await?;
        schemas.push(default_schema(&found));
        Ok(schemas)
    }

    /// Changes a label schema.
    pub async fn update_label_schema(
        &self,
        caller: &Caller,
        id: &LabelSchemaId,
        update: LabelSchemaUpdate,
    ) -> Result<LabelSchema, TracesError> {
        let existing = self.get_label_schema(id).await?;
        if is_default(&existing) {
            let operation = "edited";
            return Err(LabelFault::Default { operation }.into());
        }
        if let Some(name) = &update.name {
            check_name(name)?;
        }
        check_instruction(update.instruction.as_deref())?;
        if let Some(input) = &update.input {
            check_input(input)?;
            check_same_input(&existing.input, input)?;
        }
        let change = Change::LabelSchemaUpdated {
            schema: id.clone(),
            update,
            at: self.now(),
        };
        self.write_label_schema(caller, "label_schema.updated", &existing, change)
            .await?;
        self.get_label_schema(id).await
    }

    /// Deletes a label schema; one that is not there is deleted already.
    pub async fn delete_label_schema(
        &self,
        caller: &Caller,
        id: &LabelSchemaId,
    ) -> Result<(), TracesError> {
        let Some(existing) = self.find_label_schema(id).await? else {
            return Ok(());
        };
        if is_default(&existing) {
            let operation = "deleted";
            return Err(LabelFault::Default { operation }.into());
        }
        let change = Change::LabelSchemaDeleted { schema: id.clone() };
        let deleted = self.write_label_schema(caller, "label_schema.deleted", &existing, change);
        match deleted.await {
            // Somebody else was faster.
            Err(TracesError::NoLabelSchema { .. }) => Ok(()),
            other => other,
        }
    }

    async fn write_label_schema(
        &self,
        caller: &Caller,
        kind: &'static str,
        schema: &LabelSchema,
        change: Change,
    ) -> Result<(), TracesError> {
        let writing = Writing {
            caller,
            kind,
            subjects: vec![
                format!("label-schema:{}", schema.id),
                experiment_subject(&schema.experiment),
            ],
        };
        match self.commit(writing, vec![change]).await {
            Err(TracesError::Store(StoreError::NoLabelSchema { id })) => {
                Err(TracesError::NoLabelSchema {
                    id: id.as_str().to_owned(),
                })
            }
            Err(TracesError::Store(StoreError::LabelSchemaNameTaken { experiment, name })) => {
                Err(TracesError::LabelSchemaTaken { experiment, name })
            }
            other => other,
        }
    }

    /// An experiment that must be there and not be deleted; MLflow says the same of both.
    pub(crate) async fn get_active_experiment(
        &self,
        id: &ExperimentId,
    ) -> Result<Experiment, TracesError> {
        let found = self.get_experiment(id).await?;
        match found.lifecycle {
            Lifecycle::Active => Ok(found),
            Lifecycle::Deleted => Err(TracesError::NoExperiment { id: id.clone() }),
        }
    }
}

fn check_name(name: &str) -> Result<(), LabelFault> {
    if name.is_empty() {
        return Err(LabelFault::NoName);
    }
    check_length("Label schema `name`", LONGEST_NAME, name, false)?;
    if name.trim().to_lowercase() == DEFAULT_NAME.to_lowercase() {
        return Err(LabelFault::Reserved {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn check_instruction(instruction: Option<&str>) -> Result<(), LabelFault> {
    let instruction = instruction.unwrap_or_default();
    check_length(
        "Label schema `instruction`",
        LONGEST_INSTRUCTION,
        instruction,
        false,
    )
}

fn check_length(
    field: &'static str,
    limit: usize,
    text: &str,
    tells: bool,
) -> Result<(), LabelFault> {
    let found = text.chars().count();
    if found <= limit {
        return Ok(());
    }
    Err(LabelFault::TooLong {
        field,
        limit,
        found,
        text: tells.then(|| text.to_owned()),
    })
}

fn check_input(input: &LabelInput) -> Result<(), LabelFault> {
    match input {
        LabelInput::PassFail { positive, negative } => check_labels(positive, negative),
        LabelInput::Categorical { options, .. } => check_options(options),
        LabelInput::Numeric { least, largest } => check_bounds(*least, *largest),
        LabelInput::Text { longest } => match longest {
            Some(longest) if *longest < 1 => Err(LabelFault::NoLength { longest: *longest }),
            _ => Ok(()),
        },
    }
}

fn check_labels(positive: &str, negative: &str) -> Result<(), LabelFault> {
    for (name, field, label) in [
        ("positive_label", "`InputPassFail.positive_label`", positive),
        ("negative_label", "`InputPassFail.negative_label`", negative),
    ] {
        if label.is_empty() {
            return Err(LabelFault::NoLabel { field: name });
        }
        check_length(field, LONGEST_LABEL, label, false)?;
    }
    if positive == negative {
        return Err(LabelFault::SameLabels {
            label: positive.to_owned(),
        });
    }
    Ok(())
}

fn check_options(options: &[String]) -> Result<(), LabelFault> {
    if options.is_empty() {
        return Err(LabelFault::NoOptions);
    }
    if options.len() > LARGEST_OPTION_COUNT {
        return Err(LabelFault::TooManyOptions {
            found: options.len(),
        });
    }
    for (place, option) in options.iter().enumerate() {
        if option.is_empty() {
            return Err(LabelFault::EmptyOption);
        }
        check_length(
            "`InputCategorical.options` entries",
            LONGEST_LABEL,
            option,
            true,
        )?;
        if options[..place].contains(option) {
            return Err(LabelFault::OptionTwice {
                option: option.clone(),
            });
        }
    }
    Ok(())
}

fn check_bounds(least: Option<f64>, largest: Option<f64>) -> Result<(), LabelFault> {
    for (field, bound) in [("min_value", least), ("max_value", largest)] {
        if let Some(value) = bound.filter(|bound| !bound.is_finite()) {
            return Err(LabelFault::NoBound { field, value });
        }
    }
    match (least, largest) {
        (Some(least), Some(largest)) if least >= largest => {
            Err(LabelFault::Bounds { least, largest })
        }
        _ => Ok(()),
    }
}

fn check_same_input(existing: &LabelInput, given: &LabelInput) -> Result<(), LabelFault> {
    let (is, becomes) = (input_name(existing), input_name(given));
    if is != becomes {
        return Err(LabelFault::OtherInput {
            existing: is,
            given: becomes,
        });
    }
    match (existing, given) {
        (
            LabelInput::Categorical {
                is_multiple: is, ..
            },
            LabelInput::Categorical {
                is_multiple: becomes,
                ..
            },
        ) if is != becomes => Err(LabelFault::OtherNumber),
        _ => Ok(()),
    }
}

/// MLflow's word.
const fn input_name(input: &LabelInput) -> &'static str {
    match input {
        LabelInput::PassFail { .. } => "InputPassFail",
        LabelInput::Categorical { .. } => "InputCategorical",
        LabelInput::Numeric { .. } => "InputNumeric",
        LabelInput::Text { .. } => "InputText",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_question_has_an_id_of_its_own() {
        for experiment in ["0", "1", "10", "9223372036854775807"] {
            let experiment: ExperimentId = experiment.parse().unwrap();
            let id = default_id(&experiment);
            assert_eq!(id.as_str().len(), 35);
            assert_eq!(experiment_of_default(&id), Some(experiment));
        }
        for other in [
            "ls-0123456789ab4def8123456789abcdef",
            "ls-1",
            "ls-00000000000000000000000000000001x",
            "x",
        ] {
            assert_eq!(
                experiment_of_default(&other.parse().unwrap()),
                None,
                "{other}"
            );
        }
    }
}
