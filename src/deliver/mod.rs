//! Received messages are posted to an application of this machine, which need not pull the inbox.
//!
//! A message is leased from the inbox like any reader leases it, posted as a structured CloudEvent with a signature (`secret`), and acked once the
//! application has answered 2xx. So it comes at least once: again, under the same `webhook-id`, when the answer or the ack was
//! lost. The inbox hands out one message of a case at a time, so that a case comes in order, however many are on their way.
//!
//! What is not taken stays in the inbox. When it is tried again, and when everything waits because the application is away, is
//! decided in `patience`, which knows no network; `call` is one attempt.

mod call;
mod patience;
mod secret;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

pub use self::secret::{Secret, SecretError};
use self::{
    call::{Answer, Caller},
    patience::Patience,
};
use crate::{
    api::{Gateway, Handed, InboxAsk},
    cloudevents,
    config::Deliver,
    language::{Both, Notices, fill},
    model::MessageId,
    observe::{LocalMetrics, Metrics, Trouble},
};

/// How long the inbox is waited on at a time.
const PULL_WAIT: Duration = Duration::from_secs(30);
/// Bodies that are leased at once, bytes; a message is posted whatever its size.
const BODIES_BYTES_MAX: u64 = 32 << 20;
/// How long a node that gives nothing is left alone.
const NODE_PAUSE: Duration = Duration::from_secs(1);

/// What it is done with.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Where to, and how patiently.
    pub settings: Deliver,
    /// What calls are signed with.
    pub secret: Secret,
    /// Where it is told what goes wrong.
    pub trouble: Arc<Trouble>,
}

/// The file of the secret that a node makes, in its data folder.
pub const SECRET_FILE: &str = "deliver.secret";

/// Reads the secret, or makes the node's own.
///
/// # Errors
/// It cannot be read or made, or is none.
pub fn secret(settings: &Deliver, data_dir: &std::path::Path) -> Result<Secret, SecretError> {
    match &settings.secret_file {
        Some(path) => Secret::read(path),
        None => Secret::read_or_create(&PathBuf::from(data_dir).join(SECRET_FILE)),
    }
}

/// Posts what comes until it is to leave. Calls under way are dropped then: their messages come again.
pub async fn run<G: Gateway>(
    gateway: Arc<G>,
    terms: Terms,
    metrics: Arc<Metrics>,
    mut left: watch::Receiver<bool>,
) {
    let mut posting = Posting {
        caller: Arc::new(Caller::new(&terms.settings, terms.secret.clone())),
        patience: Patience::new(Duration::from_secs(terms.settings.retry_max_s.into())),
        calls: JoinSet::new(),
        gateway,
        terms,
    };
    tokio::select! {
        () = posting.keep_on(metrics.local()) => {}
        // The sender is gone only when the node is.
        _ = left.wait_for(|left| *left) => {}
    }
    posting.terms.trouble.tell(None);
}

struct Posting<G> {
    gateway: Arc<G>,
    terms: Terms,
    caller: Arc<Caller>,
    patience: Patience,
    calls: JoinSet<Done>,
}

/// A call that has ended.
struct Done {
    message: MessageId,
    began: Instant,
    answer: Answer,
}

impl<G: Gateway> Posting<G> {
    async fn keep_on(&mut self, metrics: &LocalMetrics) {
        loop {
            self.let_go_of_due().await;
            let now = Instant::now();
            let free = self.terms.settings.in_flight as usize;
            let free = free.saturating_sub(self.calls.len());
            let ask = self.patience.may_take(now, free, self.calls.len());
            let next = self.patience.next_change(now);
            tokio::select! {
                Some(done) = self.calls.join_next(), if !self.calls.is_empty() => match done {
                    Ok(done) => self.judge(done, metrics),
                    Err(error) => tracing::error!(%error, "a part of the delivery broke down"),
                },
                handed = pull(&self.gateway, ask), if ask > 0 => self.begin(handed),
                () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            }
        }
    }

    /// Gives back leases of messages whose turn has come, so that they are handed over anew.
    async fn let_go_of_due(&mut self) {
        let due = self.patience.take_due(Instant::now());
        if !due.is_empty()
            && let Err(error) = self.gateway.inbox_release(due).await
        {
            // Their leases end by themselves.
            tracing::debug!(%error, "leases are not given back");
        }
    }

    /// Posts what was leased, but for what waits for its time: of that only the lease is noted.
    fn begin(&mut self, handed: Vec<Handed>) {
        let now = Instant::now();
        let lease = Duration::from_secs(self.gateway.intake().limits.inbox_lease_s.into());
        for handed in handed {
            let message = handed.header.message_id();
            if !self.patience.is_due(&message, now) {
                self.patience.leased_until(&message, now + lease);
                continue;
            }
            let (gateway, caller) = (self.gateway.clone(), self.caller.clone());
            self.calls.spawn(async move {
                let answer = post(&*gateway, &caller, message, &handed).await;
                Done {
                    message,
                    began: now,
                    answer,
                }
            });
            self.patience.begun(&message, now + lease);
        }
    }

    fn judge(&mut self, done: Done, metrics: &LocalMetrics) {
        let Done {
            message,
            began,
            answer,
        } = done;
        let now = Instant::now();
        match &answer {
            Answer::Taken => {
                metrics.deliver_taken.inc();
                self.patience.taken(&message);
            }
            failed => {
                metrics.deliver_failed.inc();
                self.patience.failed(message, began, now, failed);
                let url = &self.terms.settings.url;
                tracing::info!(%message, %url, why = %failed.told(), "the application did not take a message");
            }
        }
        let waiting = self.patience.waiting();
        metrics
            .deliver_waiting
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let url = &self.terms.settings.url;
        let trouble = self.patience.trouble().map(|(why, waiting)| {
            Both::new(|language| {
                let (n, why) = (Notices::of(language), why.of(language));
                match waiting {
                    0 => fill(n.posts_not_taken, &[url, &why]),
                    1 => fill(n.post_not_taken, &[url, &why]),
                    waiting => fill(n.several_not_taken, &[url, &why, &waiting]),
                }
            })
        });
        self.terms.trouble.tell(trouble);
    }
}

/// Leases messages; none when the node gives none, after a pause.
async fn pull<G: Gateway>(gateway: &Arc<G>, max: usize) -> Vec<Handed> {
    let ask = InboxAsk {
        max: u32::try_from(max).unwrap_or(u32::MAX),
        bytes_max: BODIES_BYTES_MAX,
        wait: PULL_WAIT,
    };
    match gateway.inbox(ask).await {
        Ok(handed) => handed,
        Err(error) => {
            tracing::debug!(%error, "the inbox hands out nothing");
            sleep(NODE_PAUSE).await;
            Vec::new()
        }
    }
}

/// One attempt; acks what was taken.
async fn post<G: Gateway>(
    gateway: &G,
    caller: &Caller,
    message: MessageId,
    handed: &Handed,
) -> Answer {
    let mut event = Vec::new();
    let Handed {
        header,
        body,
        received,
    } = handed;
    if let Err(error) = cloudevents::write_event(header, body, *received, &mut event) {
        // The node checks what it receives, so this is damage that no checksum saw.
        tracing::error!(%message, %error, "a message in the inbox makes no event");
        return Answer::NoEvent;
    }
    match caller.post(message, Bytes::from(event)).await {
        Answer::Taken => match gateway.inbox_ack(vec![message]).await {
            Ok(_) => Answer::Taken,
            Err(error) => Answer::NotAcked(error.to_string()),
        },
        answer => answer,
    }
}
