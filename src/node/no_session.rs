//! Why there is no session over a link, in both languages: the room `link` says it in English. What the system, TLS, QUIC and the peer say
//! stays as it is.

use crate::{
    language::{Both, Language},
    link::{DialError, Ended},
};

/// No session was set up.
pub(super) fn not_dialled(error: &DialError) -> Both {
    Both::new(|language| match language {
        Language::English => error.to_string(),
        Language::Chinese => match error {
            DialError::Resolve { address, source } => format!("无法解析 {address:?}：{source}"),
            DialError::NoAddress(address) => format!("{address:?} 没有链路所用地址族的地址"),
            DialError::Socket(error) => format!("链路上无法建立套接字：{error}"),
            DialError::Connect(address, error) => format!("无法连接 {address}：{error}"),
            DialError::Timeout(address) => format!("{address} 未及时应答"),
            DialError::Ended(address, why) => {
                format!("与 {address} 没有建立会话：{}", ended(why).of(language))
            }
        },
    })
}

/// A session has ended.
pub(super) fn ended(ended: &Ended) -> Both {
    Both::new(|language| match language {
        Language::English => ended.to_string(),
        Language::Chinese => match ended {
            Ended::Here { code, reason } => format!("本端关闭：{code}：{reason}"),
            Ended::Peer { code, reason } => format!("对端关闭：{code}：{reason}"),
            Ended::Idle => "会话空闲期限内未收到对端的任何数据".to_owned(),
            Ended::Restarted => "对端已重新启动，不再认得此会话".to_owned(),
            Ended::Tls(why) => format!("TLS：{why}"),
            Ended::Refused => "对端不再接受新连接，或即将停止".to_owned(),
            Ended::Transport(why) => format!("QUIC：{why}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_session_is_told_in_each_language() {
        let hub = ([10, 1, 0, 1], 4433).into();
        let told = not_dialled(&DialError::Ended(hub, Ended::Refused));
        assert_eq!(
            told.of(Language::English),
            "no session with 10.1.0.1:4433: the peer has no room for another connection, or is about to stop"
        );
        assert_eq!(
            told.of(Language::Chinese),
            "与 10.1.0.1:4433 没有建立会话：对端不再接受新连接，或即将停止"
        );
    }
}
