//! What is answered otherwise than by MLflow, and why. Each must differ.

/// Where ours is another answer, and why. Each is checked to differ, so that this list stays true.
pub(crate) const DIFFERENT: &[Difference] = &[
    ("dup exp", Kind::Message, "it holds no SQL"),
    (
        "create same name as deleted",
        Kind::Message,
        "it holds no SQL, and says what to do",
    ),
    (
        "create run",
        Kind::Body,
        "the user is told by the field too, not by the tag alone",
    ),
    (
        "get run",
        Kind::Body,
        "the user is told by the field too, not by the tag alone",
    ),
    ("unknown field", Kind::Body, "the id that is free"),
    (
        "search exp no max_results",
        Kind::Message,
        "one form for every limit",
    ),
    (
        "search exp max 60000",
        Kind::Message,
        "one form for every limit",
    ),
    (
        "get-history page 0",
        Kind::Message,
        "one form for every limit",
    ),
    (
        "search bad filter",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search bad entity",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search OR",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search bad order",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search bad token",
        Kind::Message,
        "tokens have another form",
    ),
    (
        "update run bad status",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "rename deleted",
        Kind::Status,
        "a 500 would be sent again for minutes",
    ),
    (
        "batch >1MB",
        Kind::Status,
        "a value beyond a mebibyte is refused, not cut at 8000 characters",
    ),
    ("rm create", Kind::Body, "the time"),
    (
        "presigned upload url",
        Kind::Message,
        "it says where to send them instead",
    ),
    (
        "presigned download url",
        Kind::Message,
        "it says where to read them instead",
    ),
    (
        "server-info",
        Kind::Body,
        "no gateway, no presigned uploads",
    ),
];

/// Likewise of traces.
pub(crate) const DIFFERENT_TRACES: &[Difference] = &[
    (
        "start bare",
        Kind::Status,
        "the experiment is told, which is enough",
    ),
    (
        "get without spans",
        Kind::Status,
        "a part was asked for, and there is one: 500 would be sent again for minutes",
    ),
    (
        "batch without spans",
        Kind::Status,
        "what is not whole is left out, as where spans are on their way",
    ),
    (
        "artifact",
        Kind::Body,
        "JSON inside of a text is written with spaces",
    ),
    ("set tag none", Kind::Status, "it is not there; and no SQL"),
    (
        "get assessment no trace",
        Kind::Message,
        "one form for every trace that is not there",
    ),
    (
        "link no run",
        Kind::Status,
        "what is not there cannot be linked",
    ),
    ("search page", Kind::Body, "tokens have another form"),
    ("search zero", Kind::Message, "one form for every limit"),
    ("search too many", Kind::Message, "one form for every limit"),
    (
        "search bad token",
        Kind::Message,
        "tokens have another form",
    ),
    ("search prompt = 'p'", Kind::Message, WHERE_AND_WHAT),
    ("search prompt != 'p/3'", Kind::Message, WHERE_AND_WHAT),
    (
        "search span.type IN ('AGENT', 'CHAIN')",
        Kind::Body,
        "types that other conventions tell are found too",
    ),
    (
        "search text LIKE '%answer%'",
        Kind::Status,
        "`text` needs no `trace.` before it",
    ),
    (
        "search feedback.quality = 4.5",
        Kind::Status,
        "a number needs no quotes",
    ),
    (
        "search feedback.quality > '4'",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    (
        "search status = 'OK' OR status = 'ERROR'",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    ("search nothing = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search metrics.a > 1", Kind::Message, WHERE_AND_WHAT),
    ("search timestamp = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search status > 'OK'", Kind::Message, WHERE_AND_WHAT),
    ("search span.nothing = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search span.content = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search tags.team IN ('red')", Kind::Message, WHERE_AND_WHAT),
    ("search status = OK", Kind::Message, WHERE_AND_WHAT),
    ("order nothing", Kind::Message, WHERE_AND_WHAT),
    ("order span.name", Kind::Message, WHERE_AND_WHAT),
    (
        "order timestamp, timestamp DESC",
        Kind::Status,
        "the second says nothing more, which is no fault of the server's",
    ),
    (
        "order metadata.`mlflow.trace.tokenUsage`",
        Kind::Status,
        "it is a text like the others",
    ),
    (
        "start no id",
        Kind::Status,
        "a trace without an id could not be found again",
    ),
    (
        "start bad state",
        Kind::Status,
        "an unknown state is refused, not ignored",
    ),
    (
        "start bad time",
        Kind::Status,
        "a time that is none is refused, not taken for 1970",
    ),
    (
        "assess bad source",
        Kind::Status,
        "an unknown source is refused, not ignored",
    ),
    (
        "update rationale",
        Kind::Body,
        "the reason for an expectation is kept too",
    ),
];

/// Likewise of webhooks.
pub(crate) const DIFFERENT_WEBHOOKS: &[Difference] = &[
    (
        "budget",
        Kind::Status,
        "there is no gateway whose budget could be exceeded",
    ),
    (
        "event twice",
        Kind::Status,
        "what is named twice is told once; and no SQL",
    ),
    ("event of texts", Kind::Status, NO_FAULT),
    ("event lower case", Kind::Status, NO_FAULT),
    ("event without action", Kind::Status, NO_FAULT),
    ("event without entity", Kind::Status, NO_FAULT),
    ("event empty", Kind::Status, NO_FAULT),
    ("event unknown entity", Kind::Status, NO_FAULT),
    ("event unknown action", Kind::Status, NO_FAULT),
    ("test unknown event", Kind::Status, NO_FAULT),
    ("test event no object", Kind::Status, NO_FAULT),
    ("test empty event", Kind::Status, NO_FAULT),
    ("name kelvin", Kind::Status, "it looks like a K and is none"),
    (
        "url multicast",
        Kind::Status,
        "a group of hosts is no receiver",
    ),
    (
        "url v6 multicast",
        Kind::Status,
        "a group of hosts is no receiver",
    ),
    (
        "url protocols anycast",
        Kind::Status,
        "it is for protocols, not for receivers",
    ),
    (
        "url v6 mapped",
        Kind::Message,
        "the address is written as RFC 5952 says",
    ),
    ("url unknown host", Kind::Message, "the system's words"),
    (
        "url user",
        Kind::Status,
        "a password would be shown to everybody",
    ),
    ("url port", Kind::Status, "it could never be told"),
    ("url port word", Kind::Status, "it could never be told"),
    (
        "url long",
        Kind::Status,
        "MLflow's schema has room for 500 characters",
    ),
    ("url space inside", Kind::Status, "blanks must be encoded"),
    (
        "url new line",
        Kind::Status,
        "control characters must be encoded",
    ),
    (
        "description long",
        Kind::Status,
        "MLflow's schema has room for 1000 characters",
    ),
    ("secret number", Kind::Message, "a secret is not repeated"),
    (
        "status unknown",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "status lower case",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "status empty",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "update bad status",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "list two",
        Kind::Body,
        "tokens have another form, and fewer were made",
    ),
    ("list zero", Kind::Body, "fewer were made"),
    ("list bad token", Kind::Message, "tokens have another form"),
];

pub(crate) const NO_FAULT: &str =
    "a mistake of the client's is no fault of the server's: 500 would be sent again for minutes";

pub(crate) const WHERE_AND_WHAT: &str = "it says where, and what to write instead";

/// In what an answer differs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// In the words alone: status and code are the same.
    Message,
    /// In what is told: the status is the same.
    Body,
    Status,
}

/// What later pairs are filled with: the name in braces, the pair whose answer tells it, and where.
pub(crate) type Note = (&'static str, &'static str, &'static str);

pub(crate) type Difference = (&'static str, Kind, &'static str);

/// Likewise of evaluation datasets and scorers.
pub(crate) const DIFFERENT_DATASETS: &[Difference] = &[
    ("create bad tags", Kind::Status, OBJECT),
    ("create list tags", Kind::Status, OBJECT),
    ("tags bad", Kind::Status, OBJECT),
    ("tags list", Kind::Status, OBJECT),
    (
        "get slash",
        Kind::Body,
        "an id stands in one component, and is decoded then",
    ),
    ("tags none", Kind::Message, NO_DATASET),
    ("add none", Kind::Message, NO_DATASET),
    ("remove none", Kind::Message, NO_DATASET),
    ("records outputs", Kind::Body, TOKENS),
    ("records outputs null", Kind::Body, TOKENS),
    ("records page", Kind::Body, TOKENS),
    ("search page", Kind::Body, TOKENS),
    ("search bad token", Kind::Message, TOKENS),
    ("records bad token", Kind::Status, NO_FAULT),
    ("records negative", Kind::Status, NO_FAULT),
    ("records text limit", Kind::Status, NO_FAULT),
    ("merge not json", Kind::Status, NO_FAULT),
    ("merge not list", Kind::Status, NO_FAULT),
    ("merge null", Kind::Status, NO_FAULT),
    ("merge list of numbers", Kind::Status, NO_FAULT),
    ("merge list inputs", Kind::Status, NO_FAULT),
    ("merge null inputs", Kind::Status, NO_FAULT),
    ("merge text inputs", Kind::Status, NO_FAULT),
    ("merge text expectations", Kind::Status, NO_FAULT),
    ("merge text tags", Kind::Status, NO_FAULT),
    ("merge text source", Kind::Status, NO_FAULT),
    ("merge odd source", Kind::Status, NO_FAULT),
    ("merge no source type", Kind::Status, NO_FAULT),
    (
        "merge none",
        Kind::Status,
        "what is not there is told as such; and no SQL",
    ),
    (
        "delete numbers",
        Kind::Status,
        "a value of another type is refused whatever the field",
    ),
    (
        "add no such",
        Kind::Message,
        "one form for every experiment that is not there",
    ),
    ("add bad", Kind::Status, NO_EXPERIMENT_ID),
    ("search bad experiment", Kind::Status, NO_EXPERIMENT_ID),
    ("create bad experiment", Kind::Status, NO_EXPERIMENT_ID),
    (
        "create no such experiment",
        Kind::Status,
        "a dataset cannot belong to what is not there",
    ),
    (
        "search tags.`team` = 'green'",
        Kind::Body,
        "a key in quotes is that key",
    ),
    (
        "search tags.\"team\" = 'green'",
        Kind::Body,
        "a key in quotes is that key",
    ),
    (
        "search name > 'a'",
        Kind::Status,
        "texts have no size, as in all other searches",
    ),
    (
        "search created_time > 1.5",
        Kind::Status,
        "a time may have a fraction",
    ),
    (
        "search name NOT IN ('qa')",
        Kind::Status,
        "every text may be compared with a list",
    ),
    (
        "search order tags.team",
        Kind::Status,
        "an order may name a tag, as in all other searches",
    ),
    (
        "search order created_by",
        Kind::Status,
        "an order may name every attribute",
    ),
    (
        "search name = 'qa' OR name = 'other'",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    ("search created_time = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search nothing = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search metrics.a > 1", Kind::Message, WHERE_AND_WHAT),
    ("search name = qa", Kind::Message, WHERE_AND_WHAT),
    (
        "search tags.team IN ('blue')",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    (
        "search name = 'x'; DROP TABLE evaluation_datasets; --'",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    ("search digest = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search order digest", Kind::Message, WHERE_AND_WHAT),
    ("search order name sideways", Kind::Message, WHERE_AND_WHAT),
    ("search zero", Kind::Message, "one form for every limit"),
    ("search negative", Kind::Message, "one form for every limit"),
    ("search too many", Kind::Message, "one form for every limit"),
    ("register list", Kind::Status, NO_FAULT),
    ("register number", Kind::Status, NO_FAULT),
    ("online word", Kind::Status, NO_FAULT),
    ("online list rate", Kind::Status, NO_FAULT),
    (
        "register code",
        Kind::Message,
        "there is no setting that would allow it",
    ),
    (
        "register code inside",
        Kind::Message,
        "there is no setting that would allow it",
    ),
    (
        "register api base",
        Kind::Message,
        "there is no gateway to configure",
    ),
    (
        "register kwargs pairs",
        Kind::Message,
        "there is no gateway to configure",
    ),
    ("online bad filter", Kind::Message, WHERE_AND_WHAT),
    (
        "register after",
        Kind::Body,
        "the number of a deleted version is not given again",
    ),
];

pub(crate) const OBJECT: &str =
    "tags that are no object are refused, which is no fault of the server's";

pub(crate) const NO_DATASET: &str = "one form for every dataset that is not there";

pub(crate) const TOKENS: &str = "tokens have another form";

pub(crate) const NO_EXPERIMENT_ID: &str =
    "what can be no id is told as such, as in all other calls";

/// Likewise about users, roles and rights.
pub(crate) const DIFFERENT_ACCESS: &[Difference] = &[
    (
        "nobody server info",
        Kind::Body,
        "no presigned URLs are made here",
    ),
    ("nobody artifact", Kind::Body, "one media type for all"),
    ("nobody otlp", Kind::Body, "one media type for all"),
    ("create again", Kind::Message, "it holds no SQL"),
    (
        "read by name none",
        Kind::Message,
        "as MLflow says it without users",
    ),
    ("log no run", Kind::Message, "the name that clients use"),
    ("put by bob", Kind::Body, "one media type for all"),
    ("put by ann", Kind::Body, "as MLflow 3.14 answered"),
    ("denied file", Kind::Body, "one media type for all"),
    (
        "denied encoded",
        Kind::Status,
        "a path is decoded once, and then names nothing that is denied",
    ),
    ("create role again", Kind::Message, "it holds no SQL"),
    ("add permission again", Kind::Message, "it holds no SQL"),
    (
        "unknown by ann",
        Kind::Status,
        "what is no call is told to be none, as without users",
    ),
    (
        "list roles by ann",
        Kind::Body,
        "who does not manage roles is shown their own, not what everybody may do",
    ),
    (
        "list roles by member",
        Kind::Body,
        "who does not manage roles is shown their own, not what everybody may do",
    ),
    (
        "get role by ann",
        Kind::Status,
        "who does not manage roles is shown their own, not what everybody may do",
    ),
    (
        "create role other workspace",
        Kind::Status,
        "a role elsewhere would have no effect",
    ),
];

/// Likewise of figures over traces.
pub(crate) const DIFFERENT_FIGURES: &[Difference] = &[
    ("filter no quotes", Kind::Message, "it says where"),
    ("filter number", Kind::Message, "it says where"),
    ("filter other comparison", Kind::Message, "it says where"),
    ("filter like", Kind::Message, "it says where"),
    ("filter and", Kind::Message, "it says where"),
    ("filter empty", Kind::Message, "it says where"),
    ("filter no key", Kind::Message, "it says where"),
    ("filter superfluous key", Kind::Message, "it says where"),
    ("filter unknown view", Kind::Message, "it says where"),
    ("filter unknown entity", Kind::Message, "it says where"),
    (
        "filter unknown entity of spans",
        Kind::Message,
        "it says where",
    ),
    ("filter bare", Kind::Message, "it says where"),
    ("filter garbage", Kind::Message, "it says where"),
    ("filter open quote", Kind::Message, "it says where"),
    (
        "negative interval",
        Kind::Status,
        "time does not run backward",
    ),
    (
        "negative limit",
        Kind::Status,
        "it is a mistake, which MLflow answers on one of its databases with 500",
    ),
    (
        "no aggregations",
        Kind::Body,
        "the parameter that lacks is named",
    ),
    (
        "percentile above",
        Kind::Status,
        "a mistake of the client's is no fault of the server",
    ),
    (
        "percentile below",
        Kind::Status,
        "a mistake of the client's is no fault of the server",
    ),
    (
        "unknown aggregation",
        Kind::Body,
        "an unknown word is refused, not ignored",
    ),
    (
        "unknown view",
        Kind::Status,
        "an unknown word is refused, not ignored",
    ),
    (
        "bare percentile",
        Kind::Status,
        "a mistake of the client's is no fault of the server",
    ),
    (
        "percentile of average",
        Kind::Status,
        "a mistake of the client's is no fault of the server",
    ),
    (
        "no type",
        Kind::Body,
        "what is missing is named, not taken for something else",
    ),
];

/// Likewise of issues and label schemas.
pub(crate) const DIFFERENT_ISSUES: &[Difference] = &[
    (
        "create bad status",
        Kind::Status,
        "a mistake of the client's is no fault of the server",
    ),
    (
        "create empty status",
        Kind::Status,
        "a mistake of the client's is no fault of the server",
    ),
    (
        "create bad severity",
        Kind::Status,
        "a mistake of the client's is no fault of the server",
    ),
    (
        "create bad causes",
        Kind::Status,
        "a value of another type is refused, not passed over",
    ),
    (
        "create bad cause",
        Kind::Status,
        "a value of another type is refused, not passed over",
    ),
    (
        "create no run",
        Kind::Status,
        "it holds no SQL, and says what is missing",
    ),
    ("update without id", Kind::Status, "the path says which"),
    (
        "update bad status",
        Kind::Status,
        "a mistake of the client's is no fault of the server",
    ),
    (
        "search like",
        Kind::Status,
        "texts are compared as everywhere",
    ),
    (
        "search severity",
        Kind::Status,
        "how bad an issue is can be searched by",
    ),
    (
        "search garbage",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search or",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    ("search page", Kind::Body, "the token"),
    ("search one", Kind::Body, "the token"),
    ("search zero", Kind::Message, "one form for every limit"),
    ("search negative", Kind::Message, "one form for every limit"),
    ("search large", Kind::Message, "one form for every limit"),
    (
        "search bad token",
        Kind::Message,
        "a token is told by its search",
    ),
    ("schema bad type", Kind::Message, "one form for every word"),
    (
        "schema unspecified type",
        Kind::Message,
        "one form for every word",
    ),
    (
        "schema two inputs",
        Kind::Status,
        "what is said twice is not taken for one of both",
    ),
    ("schema nan bound", Kind::Status, "no number is at most NaN"),
    (
        "schema by name feedback",
        Kind::Status,
        "the default question is always there",
    ),
    (
        "schemas",
        Kind::Body,
        "the default question is as old as the experiment",
    ),
    (
        "schemas again",
        Kind::Body,
        "the default question is as old as the experiment",
    ),
    (
        "schemas page",
        Kind::Body,
        "the default question is as old as the experiment",
    ),
    (
        "schemas bad token",
        Kind::Message,
        "one form for every token",
    ),
];
