//! `reproof explain`

use std::process::ExitCode;

use crate::arguments::ExplainArguments;
use crate::error::CommandError;
use crate::explain;
use crate::output::Output;

pub(crate) fn run(arguments: &ExplainArguments, output: &Output) -> Result<ExitCode, CommandError> {
    let Some(code) = &arguments.code else {
        if output.is_json {
            let codes: Vec<_> = explain::PAGES
                .iter()
                .map(|(code, page)| serde_json::json!({ "code": code, "title": explain::title(page) }))
                .collect();
            output.json(&codes);
        } else {
            for (_, page) in explain::PAGES {
                output.line(explain::title(page));
            }
        }
        return Ok(ExitCode::SUCCESS);
    };
    let page = explain::find(code).ok_or_else(|| {
        CommandError::usage("E0022", format!("no error has the code `{code}`"))
            .hint("`reproof explain` lists the codes")
    })?;
    if output.is_json {
        output.json(&serde_json::json!({ "code": code, "page": page }));
    } else {
        output.line(page.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
