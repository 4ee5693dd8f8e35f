//! The page on which those who manage users make one, and what its form is sent to.
//!
//! The page holds no script, and nothing of a request stands in it but as a text. The form brings a token that was made
//! for who asked for the page: a page of somebody else can make a browser send a form, with what its user signs on by, but
//! cannot read the token.

use access::{FormTokenError, NewUser, Password};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use store::KnownUser;

use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::Signed;
use crate::wire::read_body;

/// Where the form is sent to, below what stands before every path.
pub(super) const FORM: &str = "/api/2.0/mlflow/users/create-ui";

const FORM_MEDIA: &str = "application/x-www-form-urlencoded";

/// Headers in which a token may come in place of a field, as Flask-WTF has it.
const TOKEN_HEADERS: [&str; 2] = ["x-csrftoken", "x-csrf-token"];

const STYLE: &str = "
  body { font: 14px/1.5 sans-serif; }
  main { background: #F5F5F5; border: 1px solid #CCCCCC; border-radius: 4px; padding: 20px; max-width: 400px; margin: 0 auto; }
  input { width: 100%; padding: 10px; margin-bottom: 10px; box-sizing: border-box; border: 1px solid #CCCCCC; border-radius: 4px; }
  input[type=submit] { background: #2272B4; color: #FFFFFF; border: none; font-weight: bold; cursor: pointer; }
";

/// A page for people, which the document of the API does not tell of.
type Shown = Result<Response, RequestError>;

/// The page with the form.
pub(super) async fn page(State(app): State<App>, Extension(signed): Extension<Signed>) -> Shown {
    let token = app.accounts()?.draw_form_token(&signed.user.name);
    let (action, token) = (escaped(&format!("{}{FORM}", app.prefix)), escaped(&token));
    let form = format!(
        r#"<form action="{action}" method="post">
<input type="hidden" name="csrf_token" value="{token}">
<label for="username">Username:</label>
<input type="text" id="username" name="username" minlength="4" autocomplete="off">
<label for="password">Password:</label>
<input type="password" id="password" name="password" minlength="12" autocomplete="new-password">
<input type="submit" value="Sign up">
</form>"#
    );
    Ok(html(&app, StatusCode::OK, &form))
}

/// Makes the user that the form names.
pub(super) async fn create(
    State(app): State<App>,
    Extension(signed): Extension<Signed>,
    By(caller): By,
    request: Request,
) -> Shown {
    let headers = request.headers().clone();
    let body = read_body(request.into_body()).await?;
    let is_form = is_form(&headers);
    let fields = if is_form {
        fields_of(&body)
    } else {
        Fields::default()
    };
    let accounts = app.accounts()?;
    let token = fields.token.or_else(|| token_in(&headers));
    if let Err(error) = accounts.check_form_token(&signed.user.name, token.as_deref()) {
        return Ok(refuse_token(&app, error));
    }
    if !is_form {
        return Ok((
            StatusCode::BAD_REQUEST,
            format!("Invalid content type. Must be {FORM_MEDIA}"),
        )
            .into_response());
    }
    let name = fields.name.unwrap_or_default();
    let password = fields.password.unwrap_or_default();
    if name.is_empty() || password.is_empty() {
        return Err(RequestError::EmptyUser);
    }
    if accounts
        .list_users()
        .await?
        .iter()
        .any(|known: &KnownUser| known.name == name)
    {
        let said = format!("Username has already been taken: {name}");
        return Ok(message(&app, StatusCode::OK, &said, "/signup"));
    }
    let new = NewUser {
        name,
        password: Password::new(password),
        is_admin: false,
    };
    let made = accounts.create_user(&caller, new).await?;
    let said = format!("Successfully signed up user: {}", made.name);
    Ok(message(&app, StatusCode::OK, &said, "/"))
}

/// A page that says one thing, with a way on. MLflow says it in a window of a script.
fn message(app: &App, status: StatusCode, said: &str, onward: &str) -> Response {
    let onward = escaped(&format!("{}{onward}", app.prefix));
    let body = format!(
        r#"<p role="status">{}</p>
<p><a href="{onward}">Go on</a></p>"#,
        escaped(said)
    );
    html(app, status, &body)
}

fn html(app: &App, status: StatusCode, body: &str) -> Response {
    let mut nonce = [0; 16];
    app.random.fill(&mut nonce);
    let nonce = hex::encode(nonce);
    let page = format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sign up</title>
<style nonce="{nonce}">{STYLE}</style>
<main>
{body}
</main>
</html>
"#
    );
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = (status, page).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // Without one, browsers say of a form that it comes from nowhere.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::try_from(policy).expect("hex digits and the rest are ASCII");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// As Flask-WTF says it.
fn refuse_token(app: &App, error: FormTokenError) -> Response {
    let said = match error {
        FormTokenError::Missing => "The CSRF token is missing.",
        FormTokenError::Expired => "The CSRF token has expired.",
        FormTokenError::Wrong => "The CSRF token is invalid.",
    };
    let body = format!("<h1>Bad Request</h1>\n<p>{said}</p>");
    html(app, StatusCode::BAD_REQUEST, &body)
}

/// Whether a request brings a form, as MLflow looks at it: without parameters of the media type.
fn is_form(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE);
    media.is_some_and(|media| media.as_bytes() == FORM_MEDIA.as_bytes())
}

fn token_in(headers: &HeaderMap) -> Option<String> {
    let found = TOKEN_HEADERS.iter().find_map(|name| headers.get(*name))?;
    found.to_str().ok().map(str::to_owned)
}

/// What a form brings; the first of each name counts.
#[derive(Default)]
struct Fields {
    token: Option<String>,
    name: Option<String>,
    password: Option<String>,
}

fn fields_of(body: &[u8]) -> Fields {
    let mut fields = Fields::default();
    for pair in body.split(|byte| *byte == b'&') {
        let place = pair.iter().position(|byte| *byte == b'=');
        let (key, value) = place.map_or((pair, &pair[pair.len()..]), |place| {
            (&pair[..place], &pair[place + 1..])
        });
        let field = match decoded(key).as_str() {
            "csrf_token" => &mut fields.token,
            "username" => &mut fields.name,
            "password" => &mut fields.password,
            _ => continue,
        };
        field.get_or_insert_with(|| decoded(value));
    }
    fields
}

/// *Source*: the WHATWG's URL standard, section 5.1: plus signs are spaces, what is no UTF-8 becomes U+FFFD.
fn decoded(bytes: &[u8]) -> String {
    let spaced: Vec<u8> = bytes
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_encoding::percent_decode(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

/// A text as it may stand in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let fields =
            fields_of(b"x=1&username=a+b%2B%C3%A4&password=p%26%3D&&username=other&csrf_token=t&=");
        assert_eq!(fields.name.as_deref(), Some("a b+ä"));
        assert_eq!(fields.password.as_deref(), Some("p&="));
        assert_eq!(fields.token.as_deref(), Some("t"));
        let fields = fields_of(b"user%6Eame=%ff%&password");
        assert_eq!(fields.name.as_deref(), Some("\u{FFFD}%"));
        assert_eq!(fields.password.as_deref(), Some(""));
        assert!(fields.token.is_none());
    }

    #[test]
    fn no_text_leaves_its_place_in_a_page() {
        let text = "<a href='x'>\"&amp;";
        assert_eq!(escaped(text), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;amp;");
    }
}
