//! CloudEvents 1.0 on the way in and on the way out: structured JSON, JSON batches and the HTTP binary mode, to and from a
//! parcel's header and body. Knows no HTTP framework, no clock and no file.
//!
//! On the way in, [`Intake`] turns bytes into [`Submission`]s or says with an [`EventError`] what is wrong and where. On the way
//! out, [`write_event`] gives back every attribute and the data exactly as they were submitted, and adds `receivedtime`,
//! `signedby` and `messageid`. [`check`] asks of a header that came from elsewhere whether it can be handed out at all.
//!
//! What an attribute becomes:
//!
//! | attribute | in the header |
//! | --- | --- |
//! | `id`, `type`, `caseid`, `to`, `attachments` | their fields; the text is made again from them, so it has one spelling only |
//! | `source` | `sender`; it must be `/unit/<this node's unit>` |
//! | `priority`, `expires` | `lane` and `expires`; the text itself is kept as an attribute when it was given |
//! | `data`, `data_base64` | the body, as JSON text or as bytes |
//! | everything else | `attributes`, in the order given |
//!
//! References: CloudEvents 1.0.2, JSON Event Format 1.0.2 and HTTP Protocol Binding 1.0.2.

mod attribute;
mod error;
mod file;
mod handout;
mod intake;
mod json;
mod mode;
#[cfg(test)]
mod round_trip;

pub use attribute::{EXTENSION_BYTES_MAX, EXTENSIONS_MAX, ID_BYTES_MAX};
pub use error::{EventError, Problem};
pub use file::{FILE_NAMES, FileData, extension, plain_name, read_names, write_names};
pub use handout::{check, to_event, write_event};
pub use intake::{Intake, Submission};
pub use json::NESTING_MAX;
pub use mode::{Mode, is_json};
