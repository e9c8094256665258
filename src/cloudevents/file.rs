//! Files in events, by convention: what a file's name and content say of data, and the names of attached files.

use data_encoding::BASE64;
use serde_json::value::RawValue;

use super::is_json;

/// The extension attribute with the names of attached files, in the order of `attachments` and parted by one blank; blanks, `%` and
/// controls in a name are written as `%XX`, and a file without a name is `%`.
pub const FILE_NAMES: &str = "attachmentnames";

/// Longest name that becomes part of a file's name, in bytes.
const PLAIN_BYTES_MAX: usize = 150;

/// Extensions and what they tell of a file's content; the first of a type is the one to write.
const MEDIA_TYPES: [(&str, &str); 15] = [
    ("json", "application/json"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("xml", "application/xml"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ofd", "application/ofd"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
];

/// A file's content as the data of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileData {
    /// What it is, for `datacontenttype`.
    pub media_type: Option<String>,
    /// `"data":...` or `"data_base64":"..."`, a member of the event's JSON; none when there is no data.
    pub member: Option<String>,
}

impl FileData {
    /// Data that was read from a file of this name, if it has one. `given` is what somebody says that it is.
    ///
    /// # Errors
    /// It is called JSON, and is none.
    pub fn new(
        name: Option<&str>,
        given: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<Self, serde_json::Error> {
        if bytes.is_empty() {
            return Ok(Self {
                media_type: given.map(str::to_owned),
                member: None,
            });
        }
        let by_name = name
            .and_then(|name| name.rsplit_once('.'))
            .and_then(|(_, extension)| {
                let extension = extension.to_ascii_lowercase();
                let mut all = MEDIA_TYPES.iter();
                all.find_map(|(of, media_type)| (*of == extension).then_some(*media_type))
            });
        let media_type = given.or(by_name);
        let text = String::from_utf8(bytes);
        if media_type.is_none_or(is_json)
            && let Ok(text) = &text
        {
            match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => {
                    return Ok(Self {
                        media_type: Some(media_type.unwrap_or("application/json").into()),
                        member: Some(format!("\"data\":{value}")),
                    });
                }
                Err(error) if media_type.is_some() => return Err(error),
                Err(_) => {}
            }
        }
        match text {
            Ok(text) if media_type.is_none_or(|media_type| media_type.starts_with("text/")) => {
                Ok(Self {
                    media_type: Some(media_type.unwrap_or("text/plain").into()),
                    member: Some(format!("\"data\":{}", serde_json::Value::String(text))),
                })
            }
            text => {
                let bytes = text.map_or_else(|error| error.into_bytes(), String::into_bytes);
                Ok(Self {
                    media_type: Some(media_type.unwrap_or("application/octet-stream").into()),
                    member: Some(format!("\"data_base64\":\"{}\"", BASE64.encode(&bytes))),
                })
            }
        }
    }
}

/// The extension for a file with data of this media type that is no JSON.
pub fn extension(media_type: Option<&str>) -> &'static str {
    let essence = media_type.and_then(|given| given.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    let mut all = MEDIA_TYPES.iter().filter(|(of, _)| *of != "json");
    let known = all.find_map(|(of, media_type)| (*media_type == essence).then_some(*of));
    known.unwrap_or(match essence.starts_with("text/") {
        true => "txt",
        false => "bin",
    })
}

/// Names of files as [`FILE_NAMES`] has them.
pub fn write_names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(written).collect();
    names.join(" ")
}

fn written(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter == '%' || letter.is_whitespace() || letter.is_control() {
            for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(letter);
        }
    }
    match out.is_empty() {
        true => "%".to_owned(),
        false => out,
    }
}

/// The names that [`FILE_NAMES`] has; none for a file without one.
pub fn read_names(text: &str) -> impl Iterator<Item = Option<String>> {
    text.split(' ').filter(|word| !word.is_empty()).map(read)
}

fn read(word: &str) -> Option<String> {
    if word == "%" {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let hex = (*byte == b'%').then(|| after.split_at_checked(2)).flatten();
        match hex.and_then(|(hex, after)| {
            let byte = u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?;
            Some((byte, after))
        }) {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => bytes.push(*byte),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A name as the end of a file's name: letters, digits and a few signs of it, never a path, never hidden, never long.
pub fn plain_name(name: Option<&str>) -> String {
    let mut plain = String::new();
    for letter in name.unwrap_or_default().chars() {
        let harmless = letter.is_alphanumeric() || "._-+()[]（）【】《》〔〕、，".contains(letter);
        let letter = if harmless { letter } else { '_' };
        if plain.len() + letter.len_utf8() > PLAIN_BYTES_MAX {
            break;
        }
        plain.push(letter);
    }
    match plain.trim_matches(['.', '_']) {
        "" => "bin".to_owned(),
        plain => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(file: &str, given: Option<&str>, bytes: &[u8]) -> (Option<String>, Option<String>) {
        let data = FileData::new(Some(file), given, bytes.to_vec()).expect("data");
        (data.media_type, data.member)
    }

    #[test]
    fn data_goes_as_what_its_name_or_its_content_shows() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            data("a.json", None, b" {\"n\": 1.50}\n"),
            (some("application/json"), some("\"data\":{\"n\": 1.50}"))
        );
        assert_eq!(
            data("a", None, b"[1]"),
            (some("application/json"), some("\"data\":[1]"))
        );
        assert_eq!(
            data("a", None, "烟草\n".as_bytes()),
            (some("text/plain"), some("\"data\":\"烟草\\n\""))
        );
        assert_eq!(
            data("a.pdf", None, b"{}"),
            (some("application/pdf"), some("\"data_base64\":\"e30=\""))
        );
        assert_eq!(
            data("a", None, b"\xff"),
            (
                some("application/octet-stream"),
                some("\"data_base64\":\"/w==\"")
            )
        );
        assert_eq!(
            data("a.json", Some("text/plain"), b"{"),
            (some("text/plain"), some("\"data\":\"{\""))
        );
        assert_eq!(data("a.json", None, b""), (None, None));
        assert!(FileData::new(Some("a.json"), None, b"{".to_vec()).is_err());
        assert_eq!(extension(Some("Application/PDF; a=b")), "pdf");
        assert_eq!(extension(Some("application/json")), "bin");
        assert_eq!((extension(Some("text/x")), extension(None)), ("txt", "bin"));
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        let names = ["scan 1.pdf", "100%.txt", "", "案卷\u{7f}.zip", "a%20b"];
        let text = write_names(names);
        assert_eq!(text, "scan%201.pdf 100%25.txt % 案卷%7F.zip a%2520b");
        for (read, name) in read_names(&text).zip(names) {
            assert_eq!(read.as_deref(), Some(name).filter(|name| !name.is_empty()));
        }
        // Another application may have written it.
        assert_eq!(read_names("%zz").next(), Some(Some("%zz".to_owned())));
        assert_eq!(read_names("").next(), None);
    }

    #[test]
    fn nothing_that_a_sender_wrote_steers_a_path() {
        for (name, expected) in [
            ("scan 1.pdf", "scan_1.pdf"),
            ("../../etc/passwd", "etc_passwd"),
            ("..", "bin"),
            (".bashrc", "bashrc"),
            ("a\u{202e}fdp.exe", "a_fdp.exe"),
            ("移送（一）.pdf", "移送（一）.pdf"),
            ("a\0b\n", "a_b"),
        ] {
            assert_eq!(plain_name(Some(name)), expected, "{name:?}");
        }
        assert_eq!(plain_name(None), "bin");
        assert_eq!(plain_name(Some(&"案".repeat(200))).len(), 150);
    }
}
