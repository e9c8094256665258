//! How somebody wants to see the console: language and theme, in cookies.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};

use super::{form, texts::Language};

/// The cookies.
pub(super) const LANGUAGE_COOKIE: &str = "casegate_language";
pub(super) const THEME_COOKIE: &str = "casegate_theme";
/// How long a choice is kept, seconds: a year.
const KEPT_S: u32 = 365 * 24 * 3600;

/// The themes: the browser's own choice, or one of two.
pub(super) const THEMES: [&str; 3] = ["auto", "light", "dark"];

/// `GET /console/prefer?language=&theme=&back=`: keeps the choice and goes back.
pub(super) async fn prefer(uri: Uri) -> Response {
    let asked = form::Form::of_query(uri.query());
    let mut headers = HeaderMap::new();
    let language = Language::named(asked.text("language")).map(Language::code);
    let theme = THEMES
        .into_iter()
        .find(|theme| *theme == asked.text("theme"));
    for (cookie, choice) in [(LANGUAGE_COOKIE, language), (THEME_COOKIE, theme)] {
        let kept = choice.map(|choice| {
            format!("{cookie}={choice}; Path=/console; Max-Age={KEPT_S}; SameSite=Strict; HttpOnly")
        });
        if let Some(Ok(kept)) = kept.map(HeaderValue::try_from) {
            headers.append(header::SET_COOKIE, kept);
        }
    }
    if let Ok(back) = HeaderValue::try_from(form::back(asked.text("back"))) {
        headers.insert(header::LOCATION, back);
    }
    (StatusCode::SEE_OTHER, headers).into_response()
}
