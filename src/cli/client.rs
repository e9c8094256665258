//! The node's HTTP API as commands use it.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::Args;
use serde::{Deserialize, de::DeserializeOwned};
use ureq::http::Uri;

use super::{
    exit::{BAD_DATA, Failure, INTERNAL, LATER, NOT_REACHABLE, REFUSED},
    texts::{self, Language, fill, t},
};

/// The variable that holds the token of operators' actions.
pub const OPERATOR_TOKEN_VARIABLE: &str = "CASEGATE_OPERATOR_TOKEN";

/// How long a call may take, beside what it is asked to wait.
const CALL_WITHIN: Duration = Duration::from_secs(60);
/// How long a node may take to write what it was sent to its disk.
const STORED_WITHIN: Duration = Duration::from_secs(600);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Largest answer, in bytes: a batch of the largest request that can be configured, in base64 and with room to spare.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Largest token file, in bytes.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;
/// Longest part of an answer that an error repeats, in characters.
const TOLD_CHARS_MAX: usize = 200;

/// Which node to ask, and as whom.
#[derive(Clone, Debug, Args)]
pub struct ApiOptions {
    /// The node's API
    #[arg(
        long,
        global = true,
        env = "CASEGATE_API",
        value_name = "URL",
        default_value = "http://127.0.0.1:8440"
    )]
    pub api: ApiUrl,
    /// A file with the token to show. Without it: CASEGATE_OPERATOR_TOKEN; for operators' actions else operator.token in the
    /// node's data folder
    #[arg(
        long,
        global = true,
        env = "CASEGATE_TOKEN_FILE",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub token_file: Option<PathBuf>,
}

/// Where an API is: `http://host:port`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl {
    text: String,
    loopback: bool,
}

impl FromStr for ApiUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || t().api_wrong.to_owned();
        let text = text.trim_end_matches('/');
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty());
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
        match host {
            Some(host) if plain && uri.query().is_none() => Ok(Self {
                text: text.to_owned(),
                loopback: host == "localhost"
                    || host
                        .trim_matches(['[', ']'])
                        .parse()
                        .is_ok_and(|ip: IpAddr| ip.is_loopback()),
            }),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A call that was not answered as it was meant to be.
#[derive(Clone, Debug)]
pub enum CallError {
    /// No answer came; nobody knows whether the node did what it was asked.
    NotReachable(Failure),
    /// The node says no.
    Refused(Box<Refused>),
    /// What answers is no API of a node.
    Strange(Failure),
}

/// What the node said instead of an answer: its problem document (RFC 9457), as far as it had one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    detail: String,
    attribute: Option<String>,
    bound: Option<String>,
    limit: Option<u64>,
    /// The message of a batch, from 0.
    pub index: Option<usize>,
    /// When to try again, in seconds.
    #[serde(skip)]
    retry_after_s: Option<u64>,
    #[serde(skip)]
    api: String,
}

impl Refused {
    /// Whether the problem is of this type.
    pub fn is(&self, slug: &str) -> bool {
        self.kind.strip_prefix(crate::api::TYPE_PREFIX) == Some(slug)
    }

    /// The problem's title in the language of this process, as far as its type is known; else as the node has it.
    fn title(&self) -> &str {
        let slug = self.kind.strip_prefix(crate::api::TYPE_PREFIX);
        let known = slug.and_then(texts::faults::problem);
        known.unwrap_or(&self.title)
    }

    /// The exit code for a status.
    fn code(&self) -> u8 {
        match self.status {
            401 | 403 => REFUSED,
            408 | 425 | 429 | 503 | 507 => LATER,
            502 | 504 => NOT_REACHABLE,
            400..=499 => BAD_DATA,
            _ => INTERNAL,
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let colon = t().colon;
        let mut text = format!("{}{colon}{}{colon}", refused.api, refused.title());
        // From here on it is as the node has it.
        if let Some(attribute) = &refused.attribute {
            text += &format!("{attribute}: ");
        }
        text += &refused.detail;
        if let (Some(bound), Some(limit)) = (&refused.bound, refused.limit) {
            text += &fill(t().bound, &[bound, &limit]);
        }
        if let Some(seconds) = refused.retry_after_s {
            text += &fill(t().again_in, &[&seconds]);
        }
        Failure::new(refused.code(), text)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotReachable(failure) | CallError::Strange(failure) => failure,
            CallError::Refused(refused) => (*refused).into(),
        }
    }
}

/// Asks one node.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    api: ApiUrl,
    token: Option<Token>,
    language: Language,
}

/// What a request bears to be let in. Never shown.
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Client {
    /// A client that shows the token that `options` or [`OPERATOR_TOKEN_VARIABLE`] name, or none.
    ///
    /// # Errors
    /// The file with the token cannot be read.
    pub fn new(options: &ApiOptions) -> Result<Self, Failure> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // The node is on this machine; a proxy for the web knows nothing of it.
            .proxy(None)
            .user_agent(concat!("casegate/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_WITHIN));
        let given = match &options.token_file {
            Some(path) => Some(read_token(path)?),
            None => std::env::var(OPERATOR_TOKEN_VARIABLE).ok(),
        };
        let token = given
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty());
        Ok(Self {
            agent: config.build().into(),
            api: options.api.clone(),
            token: token.map(Token),
            language: Language::English,
        })
    }

    /// Asks the node to tell in this language what it tells in words; in English otherwise, whatever the process speaks.
    #[must_use]
    pub(super) fn speaking(self, language: Language) -> Self {
        Self { language, ..self }
    }

    /// Where the node is.
    pub fn api(&self) -> &ApiUrl {
        &self.api
    }

    /// Calls bear the operators' token from now on: the one that was given, else that of the node's data folder, which the node
    /// names.
    ///
    /// # Errors
    /// There is none that can be read.
    pub fn as_operator(&mut self) -> Result<(), Failure> {
        if self.token.is_some() {
            return Ok(());
        }
        let advice = fill(t().token_advice, &[&OPERATOR_TOKEN_VARIABLE]);
        if !self.api.loopback {
            let text = fill(t().token_elsewhere, &[&self.api, &advice]);
            return Err(Failure::new(REFUSED, text));
        }
        #[derive(Deserialize)]
        struct Status {
            #[serde(default)]
            data_dir: String,
        }
        let Status { data_dir } = self.read("/v1/status")?;
        if data_dir.is_empty() {
            let text = fill(t().token_untold, &[&self.api, &advice]);
            return Err(Failure::new(REFUSED, text));
        }
        let path = Path::new(&data_dir).join(crate::api::OPERATOR_TOKEN_FILE);
        let text = read_token(&path)
            .map_err(|failure| failure.within("", &fill(t().token_or, &[&advice])))?;
        self.token = Some(Token(text.trim().to_owned()));
        Ok(())
    }

    /// The answer to a GET, as text.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn get(&self, path: &str) -> Result<String, CallError> {
        self.get_after(path, Duration::ZERO)
    }

    /// The answer to a GET that the node may keep open for `wait`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn get_after(&self, path: &str, wait: Duration) -> Result<String, CallError> {
        let mut request = self.agent.get(format!("{}{path}", self.api));
        if let Some(Token(token)) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if self.language.is_chinese() {
            request = request.header("accept-language", self.language.tag());
        }
        let request = request
            .config()
            .timeout_global(Some(CALL_WITHIN + wait))
            .build();
        self.answer(request.call())
    }

    /// The answer to a GET, read.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let text = self.get(path)?;
        self.parse(&text)
    }

    /// The answer to a POST, as text.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl AsRef<[u8]>,
    ) -> Result<String, CallError> {
        let mut request = self.agent.post(format!("{}{path}", self.api));
        if let Some(Token(token)) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request
            .content_type(content_type)
            .config()
            .timeout_global(Some(CALL_WITHIN))
            .build();
        self.answer(request.send(body.as_ref()))
    }

    /// The answer to a PUT of `size` bytes, as text. It takes as long as it takes, as long as it moves.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn put(
        &self,
        path: &str,
        mut body: &mut dyn io::Read,
        size: u64,
    ) -> Result<String, CallError> {
        let mut request = self.agent.put(format!("{}{path}", self.api));
        if let Some(Token(token)) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request
            .content_type("application/octet-stream")
            .header("content-length", size)
            .config()
            .timeout_per_write(Some(CALL_WITHIN))
            .timeout_recv_response(Some(STORED_WITHIN))
            .build();
        self.answer(request.send(ureq::SendBody::from_reader(&mut body)))
    }

    /// What the node sends of `path` from byte `from` on: where that begins (where it was asked for, or at 0), how long the whole is
    /// when the node says so, and the bytes.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn stream(
        &self,
        path: &str,
        from: u64,
    ) -> Result<(u64, Option<u64>, impl io::Read), CallError> {
        let mut request = self.agent.get(format!("{}{path}", self.api));
        if let Some(Token(token)) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        let request = request
            .config()
            .timeout_recv_response(Some(CALL_WITHIN))
            .timeout_per_read(Some(CALL_WITHIN))
            .build();
        let answer = request.call().map_err(|error| self.not_reachable(&error))?;
        let length = answer.headers().get("content-length");
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let begins = match answer.status().as_u16() {
            200 => Some(0),
            206 => Some(from),
            _ => None,
        };
        match begins {
            Some(begins) => {
                let total = length.and_then(|length| length.checked_add(begins));
                Ok((begins, total, answer.into_body().into_reader()))
            }
            None => Err(match self.answer(Ok(answer)) {
                Err(error) => error,
                // A success that is neither is none of this API's.
                Ok(text) => CallError::Strange(Failure::new(INTERNAL, text)),
            }),
        }
    }

    /// What the node sends in answer to a POST of JSON: what it says of it in the head `name`, how long it is when the node says so, and the
    /// bytes.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn save(
        &self,
        path: &str,
        body: &[u8],
        name: &str,
    ) -> Result<(String, Option<u64>, impl io::Read), CallError> {
        let mut request = self.agent.post(format!("{}{path}", self.api));
        if let Some(Token(token)) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request
            .content_type("application/json")
            .config()
            .timeout_recv_response(Some(STORED_WITHIN))
            .timeout_per_read(Some(CALL_WITHIN))
            .build();
        let answer = request
            .send(body)
            .map_err(|error| self.not_reachable(&error))?;
        if !answer.status().is_success() {
            return Err(match self.answer(Ok(answer)) {
                Err(error) => error,
                Ok(text) => CallError::Strange(Failure::new(INTERNAL, text)),
            });
        }
        let head = |name| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let told = head(name).unwrap_or_default();
        let length = head("content-length").and_then(|length| length.parse().ok());
        Ok((told, length, answer.into_body().into_reader()))
    }

    /// Reads an answer of this API.
    ///
    /// # Errors
    /// It is not what the API answers.
    pub fn parse<T: DeserializeOwned>(&self, text: &str) -> Result<T, CallError> {
        serde_json::from_str(text).map_err(|error| {
            let text = fill(t().answer_strange, &[&self.api, &error]);
            CallError::Strange(Failure::new(INTERNAL, text))
        })
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, CallError> {
        let mut answer = answer.map_err(|error| self.not_reachable(&error))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| self.not_reachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(text);
        }
        let mut refused: Refused = serde_json::from_str(&text).unwrap_or_default();
        if refused.title.is_empty() {
            refused = Refused {
                title: fill(t().answered, &[&status]),
                detail: text.chars().take(TOLD_CHARS_MAX).collect(),
                ..Refused::default()
            };
        }
        let retry_after = answer.headers().get("retry-after");
        Err(CallError::Refused(Box::new(Refused {
            status: status.as_u16(),
            retry_after_s: retry_after.and_then(|value| value.to_str().ok()?.parse().ok()),
            api: self.api.to_string(),
            ..refused
        })))
    }

    fn not_reachable(&self, error: &ureq::Error) -> CallError {
        let api = &self.api;
        match error {
            ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed => CallError::NotReachable(Failure::new(
                NOT_REACHABLE,
                fill(t().not_reachable, &[api, error]),
            )),
            error => CallError::Strange(Failure::new(
                INTERNAL,
                fill(t().answer_unread, &[api, error]),
            )),
        }
    }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    use io::Read as _;
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| {
            let text = fill(t().token_unread, &[&path.display(), &error]);
            Failure::new(REFUSED, text)
        })?;
    Ok(text)
}

/// A text as a segment of a path or a value in a query: everything but letters, digits and `-._~` is written as `%XX`.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_is_a_plain_http_origin() {
        for good in [
            "http://127.0.0.1:8440",
            "http://localhost:8440/",
            "http://[::1]:8440",
        ] {
            let api: ApiUrl = good.parse().expect(good);
            assert!(api.loopback && !api.to_string().ends_with('/'), "{good}");
        }
        let elsewhere: ApiUrl = "http://gateway.example:8440".parse().expect("an origin");
        assert!(!elsewhere.loopback);
        for bad in [
            "",
            "127.0.0.1:8440",
            "https://127.0.0.1:8440",
            "http://",
            "http://127.0.0.1:8440/v1",
            "http://127.0.0.1:8440/?x",
        ] {
            assert!(bad.parse::<ApiUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_status_has_the_exit_code_that_is_documented() {
        for (status, code) in [
            (400, 65),
            (401, 77),
            (403, 77),
            (404, 65),
            (405, 65),
            (408, 75),
            (409, 65),
            (413, 65),
            (415, 65),
            (422, 65),
            (429, 75),
            (500, 70),
            (503, 75),
            (507, 75),
        ] {
            let refused = Refused {
                status,
                ..Refused::default()
            };
            assert_eq!(refused.code(), code, "{status}");
        }
    }

    #[test]
    fn a_case_of_any_text_is_one_segment_of_a_path() {
        assert_eq!(escaped("2026/7 号?"), "2026%2F7%20%E5%8F%B7%3F");
    }
}
