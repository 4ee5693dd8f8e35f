//! What the document of the API says of artifacts.

use super::{delete, download, get_archive, list, parts, upload};
use crate::description::{self, Call, get_call, post, put, text};

/// The proxy.
pub(crate) fn described() -> Vec<Call> {
    let file = "/artifacts/{*path}";
    let archived = [
        text("path"),
        text("run_id"),
        text("run_uuid"),
        text("model_id"),
    ];
    let mut calls = vec![
        get_call("/artifacts", "List files of a folder", list).query([text("path")]),
        get_call("/artifacts/", "List files of a folder", list).query([text("path")]),
        get_call(file, "Get a file", download)
            .header("range", false)
            .noting("`path` may hold slashes."),
        put(file, "Send a file", upload).takes(&["*/*"]),
        description::delete(file, "Delete a file", delete),
        get_call("/artifacts.zip", "Get a folder as an archive", get_archive)
            .query(archived)
            .noting("Of a run, of a logged model, or by a path alone."),
    ];
    calls.extend(parts::described());
    let calls = calls.into_iter();
    calls
        .map(|call| call.below("/api/2.0/mlflow-artifacts").tagged("Artifacts"))
        .collect()
}

/// Those about addresses for files, below `/api/2.0/mlflow`.
pub(crate) fn described_urls() -> Vec<Call> {
    let calls = [
        post(
            "/artifacts/presigned-upload-url",
            "Decline to give an address for a file",
            parts::upload_url,
        ),
        post(
            "/artifacts/presigned-download-url",
            "Decline to give an address for a file",
            parts::download_url,
        ),
    ];
    calls
        .map(|call| call.declined(501).tagged("Artifacts"))
        .into()
}
