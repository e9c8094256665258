//! The node as the API, the command line and tests use it.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use tokio::sync::{oneshot, watch};

use super::{
    backup,
    command::Command,
    outgoing,
    shared::{Shared, Unavailable},
    status::Status,
    workers::{Urgency, WorkerFailed},
};
use crate::{
    api::{Actor, Cause, Handed, InboxAsk, Refusal, Settled},
    cloudevents,
    delivery::{self, Answer, Input, Submission, Ticket},
    model::{Location, MessageId},
    observe::{AuditAsk, AuditError, AuditPage, Entry},
    parcel::{Header, Parcel},
};

/// A running node, for those who want something of it. Cheap to clone; it does not keep the node alive.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) started: crate::model::Millis,
}

impl NodeHandle {
    /// What the node is up to.
    pub fn status_now(&self) -> Status {
        self.shared.status.now()
    }

    /// For those who wait until that changes.
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    pub(super) async fn submit(
        &self,
        messages: Vec<cloudevents::Submission>,
    ) -> Result<(), Refusal> {
        self.ready()?;
        self.takes_submissions()?;
        let live = self.shared.live();
        let signer = live.identity.signer();
        let messages = messages.into_iter().map(|message| {
            let cloudevents::Submission {
                mut header,
                body,
                content,
            } = message;
            // The identity may have been renewed since the request was read.
            header.signer = signer.certificate();
            let parcel = signer.seal(&header, &body);
            Submission {
                parcel,
                header,
                content,
            }
        });
        let messages = messages.collect();
        match self
            .ask(|ticket| Input::Submit { ticket, messages })
            .await?
        {
            Answer::Accepted(_) => Ok(()),
            Answer::NotAccepted { index, why } => Err(Refusal::not_accepted(index, &why)),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn inbox(&self, ask: InboxAsk) -> Result<Vec<Handed>, Refusal> {
        self.ready()?;
        let ticket = self.shared.new_ticket();
        let wait = u64::try_from(ask.wait.as_millis()).unwrap_or(u64::MAX);
        let until = self.shared.clock.mono().saturating_add(wait);
        let mut leases = Leases {
            shared: &self.shared,
            ticket: Some(ticket),
        };
        let input = Input::Inbox {
            ticket,
            max: ask.max,
            until,
        };
        let handed = match self.shared.ask(ticket, input).await.map_err(refusal)? {
            Answer::Inbox(handed) => handed,
            other => return Err(unexpected(&other)),
        };
        if handed.is_empty() {
            leases.ticket = None;
            return Ok(Vec::new());
        }
        let (taken, beyond) = within(handed, ask.bytes_max);
        if !beyond.is_empty() {
            self.shared
                .command(Command::Tell(Input::InboxRelease {
                    ticket: self.shared.new_ticket(),
                    messages: beyond,
                }))
                .await
                .map_err(refusal)?;
        }
        let read = self.read_all(taken).await?;
        leases.ticket = None;
        Ok(read)
    }

    /// Reads what was handed over. A parcel that cannot be read ends, and others go on; one that cannot be read just now stays leased
    /// until the lease ends.
    async fn read_all(&self, handed: Vec<delivery::Handed>) -> Result<Vec<Handed>, Refusal> {
        let reader = self.shared.reader().map_err(refusal)?;
        let read = self.shared.workers.run(Urgency::Express, move || {
            let mut read = Vec::with_capacity(handed.len());
            let mut unreadable = Vec::new();
            for handed in handed {
                let parcel = outgoing::read(&reader, handed.at).map(|parcel| {
                    let parcel = parcel?;
                    let header = parcel.header().map_err(|error| error.to_string())?;
                    Ok::<_, String>((header, parcel.body()))
                });
                match parcel {
                    Ok(Ok((header, body))) => read.push(Handed {
                        header,
                        body,
                        received: handed.received,
                    }),
                    Ok(Err(error)) => {
                        tracing::error!(message = %handed.message, error, "a message in the inbox cannot be read");
                        unreadable.push(handed.at);
                    }
                    Err(error) => {
                        tracing::error!(message = %handed.message, %error, "a message in the inbox cannot be read now; it is handed over again later");
                    }
                }
            }
            (read, unreadable)
        });
        let (read, unreadable) = read.await.map_err(broken)?;
        for at in unreadable {
            let lease = None;
            let tell = Command::Tell(Input::Unreadable { at, lease });
            self.shared.command(tell).await.map_err(refusal)?;
        }
        Ok(read)
    }

    pub(super) async fn settle(
        &self,
        input: impl FnOnce(Ticket) -> Input,
    ) -> Result<Settled, Refusal> {
        self.ready()?;
        match self.ask(input).await? {
            Answer::Acked { acked, unknown } => Ok(Settled {
                known: acked,
                unknown,
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// What a message says, for an operator.
    pub(super) async fn body(
        &self,
        actor: &Actor,
        message: MessageId,
    ) -> Result<Option<Handed>, Refusal> {
        self.ready()?;
        let found = self.look(move |machine| machine.find(&message)).await?;
        let Some(found) = found else { return Ok(None) };
        self.audit(actor, "read-body", message.to_string(), String::new())
            .await?;
        let reader = self.shared.reader().map_err(refusal)?;
        let read = self.shared.workers.run(Urgency::Express, move || {
            // What has left since is not here, and damage is for whoever needs the parcel to tell.
            let parcel = Parcel::read(reader.read(found.location).ok()?).ok()?;
            let header = parcel.header().ok()?;
            (header.message_id() == message).then(|| Handed {
                body: parcel.body(),
                header,
                received: found.received,
            })
        });
        read.await.map_err(broken)
    }

    /// Takes a backup; gives the folder that it is in.
    pub(super) async fn take_backup(&self, actor: &Actor) -> Result<PathBuf, Refusal> {
        self.ready()?;
        self.audit(actor, "backup", String::new(), String::new())
            .await?;
        let failed = |error: io::Error| {
            let detail =
                format!("the backup cannot be made: {error}; look at the data folder's disk");
            Refusal::new(Cause::StorageFailed, detail)
        };
        let (reply, taken) = oneshot::channel();
        self.shared
            .command(Command::Backup(reply))
            .await
            .map_err(refusal)?;
        match taken.await {
            Ok(taken) => taken.map_err(failed)?,
            Err(_) => {
                let detail = "another backup was asked for meanwhile, or the node stops";
                return Err(Refusal::new(Cause::Busy, detail));
            }
        }
        let data_dir = self.shared.live().settings.data_dir.clone();
        let rest = move || backup::take_rest(&data_dir);
        let rest = self.shared.workers.run(Urgency::Bulk, rest).await;
        rest.map_err(broken)?.map_err(failed)
    }

    pub(super) async fn search_audit(&self, ask: AuditAsk) -> Result<AuditPage, Refusal> {
        let audit = self.shared.audit.clone();
        let search = move || audit.search(&ask);
        let found = self.shared.workers.run(Urgency::Express, search).await;
        found.map_err(broken)?.map_err(not_audited)
    }

    pub(super) async fn export_audit(&self, actor: &Actor) -> Result<(File, u64), Refusal> {
        self.audit(actor, "export-audit", String::new(), String::new())
            .await?;
        let (audit, at) = (self.shared.audit.clone(), self.shared.clock.wall());
        let export = move || audit.export(at);
        let exported = self.shared.workers.run(Urgency::Express, export).await;
        exported.map_err(broken)?.map_err(not_audited)
    }

    /// What is not on record is not done.
    pub(super) async fn audit(
        &self,
        actor: &Actor,
        action: &'static str,
        subject: String,
        reason: String,
    ) -> Result<(), Refusal> {
        let audit = self.shared.audit.clone();
        let at = self.shared.clock.wall();
        let actor = actor.name.clone();
        let recorded = self.shared.workers.run(Urgency::Express, move || {
            let entry = Entry {
                actor: &actor,
                action,
                subject: &subject,
                reason: &reason,
            };
            tracing::info!(%actor, subject, action, "an operator acts");
            audit.record(at, entry)
        });
        recorded.await.map_err(broken)?.map_err(not_audited)
    }

    pub(super) fn ready(&self) -> Result<(), Refusal> {
        match self.shared.status.now() {
            Status::Ready => Ok(()),
            status => Err(refusal(Unavailable(status))),
        }
    }

    /// Reads one parcel's header, and tells the parcel's size in bytes; nothing when it is not there any more.
    pub(super) async fn headers(
        &self,
        places: Vec<Location>,
    ) -> Result<Vec<Option<(Header, u64)>>, Refusal> {
        let reader = self.shared.reader().map_err(refusal)?;
        let read = self.shared.workers.run(Urgency::Express, move || {
            let read = places.into_iter().map(|at| {
                let parcel = Parcel::read(reader.read(at).ok()?).ok()?;
                Some((parcel.header().ok()?, parcel.bytes().len() as u64))
            });
            read.collect()
        });
        read.await.map_err(broken)
    }

    pub(super) async fn ask(&self, input: impl FnOnce(Ticket) -> Input) -> Result<Answer, Refusal> {
        let ticket = self.shared.new_ticket();
        let answer = self.shared.ask(ticket, input(ticket)).await;
        answer.map_err(refusal)
    }
}

/// Leases that go back unless the call comes to its end.
struct Leases<'a> {
    shared: &'a Arc<Shared>,
    ticket: Option<Ticket>,
}

impl Drop for Leases<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let forget = Command::Tell(Input::Forget { ticket });
        let Err(tokio::sync::mpsc::error::TrySendError::Full(forget)) =
            self.shared.commands.try_send(forget)
        else {
            return;
        };
        // A call may be dropped where nothing can wait; otherwise the leases end by themselves.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let shared = self.shared.clone();
            runtime.spawn(async move {
                // A node that is gone has no leases.
                let _ = shared.command(forget).await;
            });
        }
    }
}

/// As many as fit in `bytes_max`, the first in any case, and the names of the others. Sizes are those of the records, a little more
/// than the bodies.
fn within(
    mut handed: Vec<delivery::Handed>,
    bytes_max: u64,
) -> (Vec<delivery::Handed>, Vec<MessageId>) {
    let mut bytes = 0u64;
    let mut fit = 0;
    for message in &handed {
        if fit > 0 && bytes >= bytes_max {
            break;
        }
        bytes = bytes.saturating_add(message.at.len.into());
        fit += 1;
    }
    let beyond = handed.split_off(fit);
    (handed, beyond.into_iter().map(|h| h.message).collect())
}

/// What the API tells when the node gives no answer.
pub(super) fn refusal(Unavailable(status): Unavailable) -> Refusal {
    let cause = match &status {
        Status::Starting => Cause::Recovering,
        Status::Ready | Status::Stopping => Cause::Stopping,
        Status::StorageFailed(_) => Cause::StorageFailed,
    };
    Refusal::new(cause, status.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_audited(error: AuditError) -> Refusal {
    Refusal::new(Cause::StorageFailed, error.to_string())
}

pub(super) fn broken(error: WorkerFailed) -> Refusal {
    Refusal::new(Cause::Internal, error.to_string())
}

pub(super) fn unexpected(answer: &Answer) -> Refusal {
    tracing::error!(?answer, "the machine gave an answer to another question");
    Refusal::new(
        Cause::Internal,
        "the node gave an answer to another question",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_message_is_handed_out_whatever_its_size() {
        let handed = |sizes: &[u32]| {
            let one = |(n, len): (usize, &u32)| delivery::Handed {
                message: MessageId([n as u8; 16]),
                at: Location {
                    segment: 1,
                    offset: 0,
                    len: *len,
                },
                received: 0,
            };
            sizes.iter().enumerate().map(one).collect::<Vec<_>>()
        };
        let fit = |sizes: &[u32], bytes_max| {
            let (taken, beyond) = within(handed(sizes), bytes_max);
            assert_eq!(taken.len() + beyond.len(), sizes.len());
            taken.len()
        };
        assert_eq!(fit(&[1000, 1], 10), 1);
        assert_eq!(fit(&[4, 4, 4, 4], 10), 3);
        assert_eq!(fit(&[4, 4], u64::MAX), 2);
        assert_eq!(fit(&[], 10), 0);
    }
}
