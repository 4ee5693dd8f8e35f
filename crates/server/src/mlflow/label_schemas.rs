//! Calls about label schemas.

use axum::extract::State;
use entities::{LabelInput, LabelKind, LabelSchema, LabelSchemaUpdate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use traces::{LabelFault, NewLabelSchema, TracesError, is_default};
use tracking::parse_experiment_id;

use crate::app::{App, By};
use crate::error::RequestError;
use crate::wire::{Answer, Double, Int64, Json, LabelKindWord, Query, empty, json, required};

/// Label schemas on a page where the request does not say, and at most.
const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 50_000;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    #[schemars(required)]
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<LabelKindWord>,
    instruction: Option<String>,
    #[serde(alias = "enableComment")]
    enable_comment: Option<bool>,
    input: Option<InputBody>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Update {
    #[serde(alias = "schemaId")]
    #[schemars(required)]
    schema_id: Option<String>,
    name: Option<String>,
    instruction: Option<String>,
    #[serde(alias = "enableComment")]
    enable_comment: Option<bool>,
    input: Option<InputBody>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Delete {
    #[serde(alias = "schemaId")]
    #[schemars(required)]
    schema_id: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
struct InputBody {
    #[serde(alias = "passFail")]
    pass_fail: Option<PassFailBody>,
    categorical: Option<CategoricalBody>,
    numeric: Option<NumericBody>,
    text: Option<TextBody>,
}

#[derive(Deserialize, JsonSchema)]
struct PassFailBody {
    #[serde(alias = "positiveLabel")]
    positive_label: Option<String>,
    #[serde(alias = "negativeLabel")]
    negative_label: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct CategoricalBody {
    options: Option<Vec<String>>,
    #[serde(alias = "multiSelect")]
    multi_select: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
struct NumericBody {
    #[serde(alias = "minValue")]
    min_value: Option<Double>,
    #[serde(alias = "maxValue")]
    max_value: Option<Double>,
}

#[derive(Deserialize, JsonSchema)]
struct TextBody {
    #[serde(alias = "maxLength")]
    max_length: Option<Int64>,
}

impl InputBody {
    fn read(self) -> Result<LabelInput, RequestError> {
        let Self {
            pass_fail,
            categorical,
            numeric,
            text,
        } = self;
        let bound = |bound: Option<Double>| bound.map(|Double(bound)| bound);
        let mut inputs = Vec::new();
        inputs.extend(pass_fail.map(|body| LabelInput::PassFail {
            positive: body.positive_label.unwrap_or_default(),
            negative: body.negative_label.unwrap_or_default(),
        }));
        inputs.extend(categorical.map(|body| LabelInput::Categorical {
            options: body.options.unwrap_or_default(),
            is_multiple: body.multi_select.unwrap_or_default(),
        }));
        inputs.extend(numeric.map(|body| LabelInput::Numeric {
            least: bound(body.min_value),
            largest: bound(body.max_value),
        }));
        inputs.extend(text.map(|body| LabelInput::Text {
            longest: body.max_length.map(|Int64(longest)| longest),
        }));
        let found = match inputs.len() {
            0 => "an empty oneof",
            1 => return Ok(inputs.remove(0)),
            _ => "several",
        };
        Err(fault(LabelFault::Input { found }))
    }
}

fn fault(fault: LabelFault) -> RequestError {
    TracesError::from(fault).into()
}

/// What people are asked of traces, and what they may answer.
#[derive(Serialize, JsonSchema)]
struct LabelSchemaView<'a> {
    schema_id: &'a str,
    experiment_id: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: LabelKindView,
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction: Option<&'a str>,
    enable_comment: bool,
    input: LabelInputView<'a>,
    created_at: i64,
    last_updated_at: i64,
    is_default: bool,
}

/// What an answer is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum LabelKindView {
    Feedback,
    Expectation,
}

/// What may be answered, named as MLflow's wire form has it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LabelInputView<'a> {
    PassFail {
        positive_label: &'a str,
        negative_label: &'a str,
    },
    Categorical {
        options: &'a [String],
        multi_select: bool,
    },
    Numeric {
        #[serde(skip_serializing_if = "Option::is_none")]
        min_value: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_value: Option<f64>,
    },
    Text {
        #[serde(skip_serializing_if = "Option::is_none")]
        max_length: Option<i64>,
    },
}

impl<'a> LabelSchemaView<'a> {
    fn new(schema: &'a LabelSchema) -> Self {
        let LabelSchema {
            id,
            experiment,
            name,
            kind,
            instruction,
            has_comment,
            input,
            created_at,
            updated_at,
        } = schema;
        Self {
            schema_id: id.as_str(),
            experiment_id: experiment.as_str(),
            name,
            kind: match kind {
                LabelKind::Feedback => LabelKindView::Feedback,
                LabelKind::Expectation => LabelKindView::Expectation,
            },
            instruction: instruction.as_deref(),
            enable_comment: *has_comment,
            input: match input {
                LabelInput::PassFail { positive, negative } => LabelInputView::PassFail {
                    positive_label: positive,
                    negative_label: negative,
                },
                LabelInput::Categorical {
                    options,
                    is_multiple,
                } => LabelInputView::Categorical {
                    options,
                    multi_select: *is_multiple,
                },
                LabelInput::Numeric { least, largest } => LabelInputView::Numeric {
                    min_value: *least,
                    max_value: *largest,
                },
                LabelInput::Text { longest } => LabelInputView::Text {
                    max_length: *longest,
                },
            },
            created_at: created_at.as_millis(),
            last_updated_at: updated_at.as_millis(),
            is_default: is_default(schema),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    label_schema: LabelSchemaView<'a>,
}

fn answer(schema: &LabelSchema) -> Answer<Found<'static>> {
    json(&Found {
        label_schema: LabelSchemaView::new(schema),
    })
}

/// `POST label-schemas/create`.
pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Create>,
) -> Answer<Found<'static>> {
    let Create {
        experiment_id,
        name,
        kind,
        instruction,
        enable_comment,
        input,
    } = request;
    let experiment = required("experiment_id", experiment_id)?;
    let name = required("name", name)?;
    let LabelKindWord(kind) = kind.ok_or_else(|| fault(LabelFault::NoKind))?;
    let new = NewLabelSchema {
        experiment: parse_experiment_id(&experiment)?,
        name: app.access.masked_text(name),
        kind,
        instruction: instruction.map(|text| app.access.masked_text(text)),
        has_comment: enable_comment.unwrap_or_default(),
        input: input.unwrap_or_default().read()?,
    };
    let schema = app.traces.create_label_schema(&caller, new).await?;
    app.access.note_label_schema(&schema.id);
    answer(&schema)
}

/// `GET label-schemas/get`.
pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let id = traces::parse_label_schema_id(query.required("schema_id")?)?;
    answer(&app.traces.get_label_schema(&id).await?)
}

/// `GET label-schemas/get-by-name`.
pub(super) async fn find_by_name(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let experiment = parse_experiment_id(query.required("experiment_id")?)?;
    let name = query.required("name")?;
    let finding = app.traces.get_label_schema_by_name(&experiment, name);
    answer(&finding.await?)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    label_schemas: Vec<LabelSchemaView<'a>>,
    next_page_token: String,
}

/// `GET label-schemas/list`.
pub(super) async fn list(State(app): State<App>, query: Query) -> Answer<Items<'static>> {
    let experiment = parse_experiment_id(query.required("experiment_id")?)?;
    let limit = match query.integer("max_results")? {
        None => DEFAULT_PAGE,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=LARGEST_PAGE).contains(limit))
            .ok_or_else(|| {
                fault(LabelFault::Page {
                    limit: LARGEST_PAGE,
                })
            })?,
    };
    let skipped = match query.text("page_token").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| TracesError::InvalidPageToken {
                token: token.to_owned(),
            })?,
    };
    let schemas = app.traces.list_label_schemas(&experiment).await?;
    let rest = schemas.get(skipped..).unwrap_or_default();
    let page = &rest[..limit.min(rest.len())];
    let has_more = page.len() < rest.len();
    json(&Items {
        label_schemas: page.iter().map(LabelSchemaView::new).collect(),
        next_page_token: if has_more {
            (skipped + page.len()).to_string()
        } else {
            String::new()
        },
    })
}

/// `PATCH label-schemas/update`.
pub(super) async fn update(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Update>,
) -> Answer<Found<'static>> {
    let Update {
        schema_id,
        name,
        instruction,
        enable_comment,
        input,
    } = request;
    let id = required("schema_id", schema_id)?;
    let id = app.access.writable_label_schema(&id)?;
    let masked = |text: Option<String>| text.map(|text| app.access.masked_text(text));
    let update = LabelSchemaUpdate {
        name: masked(name),
        instruction: masked(instruction),
        has_comment: enable_comment,
        input: input.map(InputBody::read).transpose()?,
    };
    let updating = app.traces.update_label_schema(&caller, &id, update);
    answer(&updating.await?)
}

/// `DELETE label-schemas/delete`.
pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Delete>,
) -> Answer {
    let id = required("schema_id", request.schema_id)?;
    let id = app.access.writable_label_schema(&id)?;
    app.traces.delete_label_schema(&caller, &id).await?;
    Ok(empty())
}
