//! What stands before every handler and behind every answer.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::{App, RequestId};
use crate::error::{HiddenFault, answer_error};
use crate::origins::Origin;

/// Names a request in answers, in the log and in the ledger.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What may be asked by any name: load balancers ask by address.
const OPEN_PATHS: [&str; 2] = ["/health", "/version"];

/// Refuses what comes by a foreign name, from a foreign page or without the run's token; names the request; hides the
/// cause of a fault of the server.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId::draw(app.random.as_ref());
    let origin = Origin::of(request.headers(), &app.origins);
    let mut response = if let Some(answer) = intercept(&app, &request, &origin) {
        answer
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
    origin.mark(headers);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    if let Some(framing) = app.framing.header() {
        headers.insert(header::X_FRAME_OPTIONS, framing);
    }
    response
}

/// The answer to a request that no handler is to see.
fn intercept(app: &App, request: &Request, origin: &Origin) -> Option<Response> {
    let path = request.uri().path();
    let is_open = path
        .strip_prefix(app.prefix.as_str())
        .is_some_and(|path| OPEN_PATHS.contains(&path));
    if !is_open && !app.hosts.allow(request.headers(), request.uri()) {
        let said = "Invalid Host header - possible DNS rebinding attack detected";
        return Some((StatusCode::FORBIDDEN, said).into_response());
    }
    if let Some(answer) = origin.preflight(request.method(), request.headers()) {
        return Some(answer);
    }
    let is_reading = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if !is_reading && *origin == Origin::Foreign {
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
