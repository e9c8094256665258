//! The control stream: messages in order, each with its length before it.
//!
//! The length is a bincode varint (see `codec`): one byte up to 250; 251 and two bytes, or 252 and four bytes, little-endian. A
//! message without bytes says nothing: it is sent to be acknowledged, see [`super::pulse`].

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{sync::mpsc, time::Duration};

use super::{
    CloseCode, Ended, Event,
    flaw::{Flaw, planted},
    gate::Gate,
    profile::CONTROL_BYTES_MAX,
    receive::lost,
    room::Class,
    send::CONTROL_PRIORITY,
    session::Live,
};
use crate::codec;

/// Most bytes taken from quinn at once.
const READ_BYTES: usize = 16 * 1024;
/// How long the peer may take to close the session once it has ended the control stream.
const CLOSE_FOLLOWS_WITHIN: Duration = Duration::from_secs(10);

/// Writes messages until there are no more, then waits until the peer's transport has them all.
pub(super) async fn write(
    live: &Live,
    gate: &Gate,
    stream: &mut quinn::SendStream,
    mut messages: mpsc::Receiver<Box<Bytes>>,
) -> Result<(), Ended> {
    let stopped = || {
        Ended::here(
            CloseCode::ControlBroken,
            "the peer stopped the control stream",
        )
    };
    let mut waiting = Vec::new();
    while messages.recv_many(&mut waiting, 16).await > 0 {
        let mut out = Vec::new();
        for message in waiting.drain(..) {
            codec::encode_into(&(message.len() as u32), &mut out);
            out.extend_from_slice(&message);
        }
        live.pulse.asks(&live.connection);
        gate.write(stream, Class::Express, CONTROL_PRIORITY, out.into())
            .await
            .map_err(|error| match error {
                quinn::WriteError::ConnectionLost(error) => error.into(),
                _ => stopped(),
            })?;
    }
    let _ = stream.finish();
    match stream.stopped().await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(stopped()),
        Err(quinn::StoppedError::ConnectionLost(error)) => Err(error.into()),
        Err(quinn::StoppedError::ZeroRttRejected) => Err(stopped()),
    }
}

/// Hands over messages as they come, until the session ends.
pub(super) async fn read(stream: &mut quinn::RecvStream, events: &mpsc::Sender<Event>) -> Ended {
    let mut buffer = BytesMut::new();
    loop {
        loop {
            match next_message(&mut buffer) {
                Ok(Some(message)) if message.is_empty() => {}
                Ok(Some(message)) if planted(Flaw::ControlLost) && message.len() % 4 == 0 => {}
                Ok(Some(message)) => {
                    if events.send(Event::Control(message)).await.is_err() {
                        return super::session::owner_gone();
                    }
                }
                Ok(None) => break,
                Err(ended) => return ended,
            }
        }
        match stream.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => buffer.extend_from_slice(&chunk.bytes),
            Ok(None) => {
                // The peer flushes its control messages this way before it closes the session.
                tokio::time::sleep(CLOSE_FOLLOWS_WITHIN).await;
                return Ended::here(CloseCode::ControlBroken, "the control stream ended");
            }
            Err(error) => return lost(error, CloseCode::ControlBroken, "the control stream"),
        }
    }
}

/// Takes one whole message off the front of `buffer`.
fn next_message(buffer: &mut BytesMut) -> Result<Option<Bytes>, Ended> {
    let (prefix, length) = match buffer.as_ref() {
        [] | [251] | [251, _] | [252] | [252, _] | [252, _, _] | [252, _, _, _] => return Ok(None),
        [251, a, b, ..] => (3, usize::from(u16::from_le_bytes([*a, *b]))),
        [252, a, b, c, d, ..] => (5, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        [253..=255, ..] => {
            let words = "a control message does not start with a length";
            return Err(Ended::here(CloseCode::ControlBroken, words));
        }
        [short, ..] => (1, usize::from(*short)),
    };
    if length > CONTROL_BYTES_MAX {
        let words = format!("a control message of {length} bytes; at most {CONTROL_BYTES_MAX}");
        return Err(Ended::here(CloseCode::ControlTooLarge, words));
    }
    if buffer.len() - prefix < length {
        return Ok(None);
    }
    buffer.advance(prefix);
    Ok(Some(buffer.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut out = codec::encode(&(message.len() as u32));
        out.extend_from_slice(message);
        out
    }

    #[test]
    fn messages_of_every_length_are_whole_however_they_are_cut() {
        let messages: Vec<Vec<u8>> = [0, 1, 250, 251, 252, 253, 300, 65_535, 65_536, 70_000]
            .iter()
            .map(|length| vec![7; *length])
            .collect();
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| framed(message))
            .collect();
        for step in [1, 2, 3, 1_000, stream.len()] {
            let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
            for piece in stream.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some(message) = next_message(&mut buffer).expect("well formed") {
                    read.push(message.to_vec());
                }
            }
            assert_eq!(read, messages, "cut every {step} bytes");
        }
    }

    #[test]
    fn a_hostile_length_is_refused_before_the_message_comes() {
        let mut buffer = BytesMut::from(&codec::encode(&(CONTROL_BYTES_MAX as u32 + 1))[..]);
        let refused = next_message(&mut buffer).expect_err("too long");
        assert_eq!(refused.name(), "control-too-large");
        let mut buffer = BytesMut::from(&[253, 0, 0][..]);
        let refused = next_message(&mut buffer).expect_err("not a u32");
        assert_eq!(refused.name(), "control-broken");
    }
}
