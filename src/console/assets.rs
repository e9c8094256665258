//! What pages are made of, besides themselves: in the program, named by their digest, so that a browser may keep them for good.

use std::sync::OnceLock;

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// Digits of the digest in a name.
const DIGEST_DIGITS: usize = 12;

/// One file.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it is served.
    pub(super) path: String,
    kind: &'static str,
    text: &'static str,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) style: Asset,
    pub(super) script: Asset,
    pub(super) icon: Asset,
    pub(super) htmx: Asset,
    pub(super) chart: Asset,
    pub(super) chart_style: Asset,
}

/// The assets, as pages name them.
pub(super) fn all() -> &'static Assets {
    static ALL: OnceLock<Assets> = OnceLock::new();
    ALL.get_or_init(|| Assets {
        style: Asset::new("console", "css", include_str!("assets/console.css")),
        script: Asset::new("console", "js", include_str!("assets/console.js")),
        icon: Asset::new("icon", "svg", include_str!("assets/icon.svg")),
        htmx: Asset::new("htmx", "js", include_str!("assets/vendor/htmx.min.js")),
        chart: Asset::new(
            "uplot",
            "js",
            include_str!("assets/vendor/uPlot.iife.min.js"),
        ),
        chart_style: Asset::new("uplot", "css", include_str!("assets/vendor/uPlot.min.css")),
    })
}

impl Asset {
    fn new(name: &str, suffix: &'static str, text: &'static str) -> Self {
        let digest = blake3::hash(text.as_bytes()).to_hex();
        let digest = digest.get(..DIGEST_DIGITS).unwrap_or_default();
        Self {
            path: format!("/console/assets/{name}-{digest}.{suffix}"),
            kind: match suffix {
                "css" => "text/css; charset=utf-8",
                "svg" => "image/svg+xml",
                _ => "text/javascript; charset=utf-8",
            },
            text,
        }
    }
}

impl Assets {
    fn find(&self, name: &str) -> Option<&Asset> {
        let Self {
            style,
            script,
            icon,
            htmx,
            chart,
            chart_style,
        } = self;
        let mut all = [style, script, icon, htmx, chart, chart_style].into_iter();
        all.find(|asset| asset.path.strip_prefix("/console/assets/") == Some(name))
    }
}

/// `GET /console/assets/{name}`. Nobody is asked who they are: the program is no secret.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = all().find(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = HeaderValue::try_from(format!("\"{name}\""));
    let mut told = HeaderMap::new();
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    told.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    if let Ok(tag) = tag {
        if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
            return (StatusCode::NOT_MODIFIED, told).into_response();
        }
        told.insert(header::ETAG, tag);
    }
    (told, asset.text).into_response()
}
