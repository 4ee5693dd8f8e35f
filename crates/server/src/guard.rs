//! What stands before every handler and behind every answer.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::{App, RequestId};
use crate::error::{HiddenFault, answer_error};
use crate::hosts::is_cross_origin;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whom a foreign name may ask nothing but this: load balancers ask by address.
const OPEN_PATHS: [&str; 2] = ["/health", "/version"];

/// Refuses what comes by a foreign name, from a foreign page or without the run's token; names the request; hides the
/// cause of a fault of the server.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId::draw(app.random.as_ref());
    let mut response = if let Some(refusal) = refuse(&app, &request) {
        refusal
    } else {
        request.extensions_mut().insert(id.clone());
        next.run(request).await
    };
    if let Some(fault) = response.extensions_mut().remove::<HiddenFault>() {
        response = answer_fault(&fault, &id);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let same_origin = HeaderValue::from_static("SAMEORIGIN");
    headers.insert(header::X_FRAME_OPTIONS, same_origin);
    response
}

fn refuse(app: &App, request: &Request) -> Option<Response> {
    let is_open = OPEN_PATHS.contains(&request.uri().path());
    if !is_open && !app.hosts.allow(request.headers(), request.uri()) {
        let said = "Invalid Host header - possible DNS rebinding attack detected";
        return Some((StatusCode::FORBIDDEN, said).into_response());
    }
    let is_reading = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if !is_reading && is_cross_origin(request.headers()) {
        let said = "Cross-origin request blocked";
        return Some((StatusCode::FORBIDDEN, said).into_response());
    }
    let is_known = app.access.authenticate(request.headers());
    is_known
        .err()
        .map(axum::response::IntoResponse::into_response)
}

fn answer_fault(fault: &HiddenFault, id: &RequestId) -> Response {
    let HiddenFault { told, code } = fault;
    tracing::error!(request = %id.0, error = %told, "a request failed");
    let said = format!(
        "The server failed; its log tells why under request {}.",
        id.0
    );
    answer_error(*code, &said)
}
