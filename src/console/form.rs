//! What a form or an address line says.

use axum::body::Bytes;

/// Fields of one form, at most.
const FIELDS_MAX: usize = 4096;

/// The fields, as they were sent. A name may come several times.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn read(body: &Bytes) -> Self {
        Self::parse(body)
    }

    pub(super) fn of_query(query: Option<&str>) -> Self {
        Self::parse(query.unwrap_or_default().as_bytes())
    }

    fn parse(bytes: &[u8]) -> Self {
        let fields = form_urlencoded::parse(bytes).take(FIELDS_MAX);
        let owned = fields.map(|(name, value)| (name.into_owned(), value.into_owned()));
        Self(owned.collect())
    }

    /// The field's text without the white space around it; empty when there is no such field.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The field's text as it is.
    pub(super) fn raw(&self, name: &str) -> &str {
        let mut fields = self.0.iter();
        let field = fields.find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value)
    }

    /// The field's text, unless it is empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Every field of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.0.iter().filter(move |(field, _)| field == name);
        fields.map(|(_, value)| value.as_str())
    }
}

/// A path of the console with parameters; those that are empty are left out.
pub(super) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// An address that a form asks to go back to, if it is one of the console.
pub(super) fn back(text: &str) -> &str {
    let is_ours = text.starts_with("/console/")
        && text.len() <= 2048
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_ours { text } else { "/console/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_sent() {
        let form = Form::read(&Bytes::from_static(b"id=a&id=b&q=+%E6%A1%88+&empty="));
        assert_eq!(form.all("id").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((form.text("q"), form.raw("q")), ("案", " 案 "));
        assert_eq!((form.given("empty"), form.text("none")), (None, ""));
    }

    #[test]
    fn an_address_is_written_so_that_it_reads_back() {
        let made = address(
            "/console/case",
            &[("name", "浚烟立〔2026〕12号&a=b"), ("x", "")],
        );
        let (_, query) = made.split_once('?').expect("a query");
        let form = Form::of_query(Some(query));
        assert_eq!(form.text("name"), "浚烟立〔2026〕12号&a=b");
        assert_eq!(address("/console/", &[("x", "")]), "/console/");
    }

    #[test]
    fn one_goes_back_to_the_console_and_nowhere_else() {
        for ours in ["/console/", "/console/queue?state=held"] {
            assert_eq!(back(ours), ours);
        }
        for foreign in [
            "",
            "//evil.example",
            "http://evil.example/console/",
            "/v1/status",
            "/console/\\evil",
            "/console/\r\nset-cookie: a=b",
        ] {
            assert_eq!(back(foreign), "/console/");
        }
    }
}
