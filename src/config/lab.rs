//! Settings for tests, read from a text as everybody's are.

use std::path::Path;

use super::Settings;

impl Settings {
    /// A node that neither dials nor listens and lets everything through; `more` is what else its file says.
    pub(crate) fn of_test(unit: &str, data: &Path, identity: &Path, more: &str) -> Self {
        let (data, identity) = (data.display(), identity.display());
        let text = format!(
            "unit = '{unit}'\ndata-dir = '{data}'\n[identity]\ndir = '{identity}'\n[api]\nlisten = '127.0.0.1:0'\n\
             [listen]\naddress = '127.0.0.1:0'\n[[policy.allow]]\nfrom = '**'\nto = '**'\nkinds = ['**']\n{more}"
        );
        let read = Self::parse(&text, Path::new("node.toml"));
        let (settings, _) = read.unwrap_or_else(|errors| panic!("{errors:?}"));
        Self {
            listen: None,
            ..settings
        }
    }
}
