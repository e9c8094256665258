//! What others say is wrong, in Chinese: clap, and the rooms below, whose errors are in English. What the system says stays as it is.

use std::{error::Error, io, net::SocketAddr, num::ParseIntError, path::Path};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{language, t};
use crate::{
    config::DictionaryFileError,
    journal::LockError,
    model::{KindError, LaneError, MessageIdError, PatternError, UnitIdError},
    node::StartError,
    observe::AuditError,
    pki::PkiError,
};

/// Why a command line cannot be read, when it is one of the common faults and Chinese is wanted.
pub(in crate::cli) fn usage(error: &clap::Error) -> Option<String> {
    if !language().is_chinese() {
        return None;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join("、")),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg);
    let (told, similar) = match error.kind() {
        ErrorKind::MissingRequiredArgument => (format!("缺少必需的参数 {}", argument?), None),
        ErrorKind::InvalidValue => {
            let (argument, value) = (argument?, text(ContextKind::InvalidValue)?);
            let told = match value.is_empty() {
                true => format!("{argument} 缺少值"),
                false => format!("{argument} 的值“{value}”无效"),
            };
            let possible = text(ContextKind::ValidValue);
            let possible = possible.map_or_else(String::new, |all| format!("（可选 {all}）"));
            (told + &possible, text(ContextKind::SuggestedValue))
        }
        ErrorKind::ValueValidation => {
            let (argument, value) = (argument?, text(ContextKind::InvalidValue)?);
            let why = error.source().map_or_else(String::new, why);
            (format!("{argument} 的值“{value}”无效：{why}"), None)
        }
        ErrorKind::ArgumentConflict => {
            let (argument, prior) = (argument?, text(ContextKind::PriorArg)?);
            let told = match argument == prior {
                true => format!("{argument} 只能写一次"),
                false => format!("{argument} 不能与 {prior} 同时使用"),
            };
            (told, None)
        }
        ErrorKind::InvalidSubcommand => {
            let told = format!("没有 {} 命令", text(ContextKind::InvalidSubcommand)?);
            (told, text(ContextKind::SuggestedSubcommand))
        }
        ErrorKind::UnknownArgument => {
            let told = format!("没有 {} 参数", argument?);
            (told, text(ContextKind::SuggestedArg))
        }
        _ => return None,
    };
    Some(match similar {
        Some(similar) => format!("{told}，相近的有 {similar}"),
        None => told,
    })
}

/// Why a value is none.
fn why(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    if error.is::<PatternError>() {
        "请写单位名或通配：各段用 a-z、0-9 和段内的 - 组成，* 为一段，** 为任意段，段间用点"
            .to_owned()
    } else if error.is::<UnitIdError>() || error.is::<KindError>() {
        "各段用 a-z、0-9 和段内的 - 组成，段间用点".to_owned()
    } else if error.is::<LaneError>() {
        "请写 flash、urgent、normal 或 bulk".to_owned()
    } else if error.is::<MessageIdError>() {
        "报文标识为 26 位小写字母和数字（base32）".to_owned()
    } else if error.is::<ParseIntError>() {
        "不是整数".to_owned()
    } else if let Some((value, range)) = text.split_once(" is not in ") {
        format!("{value} 不在 {range} 之内")
    } else {
        text
    }
}

/// What is wrong with a CA, a request or an identity.
pub(in crate::cli) fn pki(error: &PkiError) -> String {
    if !language().is_chinese() {
        return error.to_string();
    }
    let shown = |path: &Path| path.display().to_string();
    match error {
        PkiError::Exists { path, .. } => format!(
            "{}：已存在，不会覆盖（覆盖后使用中的密钥将丢失）；请另指定文件夹",
            shown(path)
        ),
        PkiError::ForeignFolder { path, found } => format!(
            "{}：是 {found} 的证书；请用 --out 另指定文件夹",
            shown(path)
        ),
        PkiError::Write { path, source } => format!("{}：无法写入：{source}", shown(path)),
        PkiError::NoCa(path) => format!(
            "{0}：没有 CA；请用 casegate pki init --dir {0} 建立",
            shown(path)
        ),
        PkiError::Read { path, source } => format!("{}：无法读取：{source}", shown(path)),
        PkiError::CaCertificate { path, fault } => {
            format!("{}：CA 证书不可用：{fault}", shown(path))
        }
        PkiError::CaKey(path) => format!(
            "{}：不是 ca.pem 中证书的密钥；请从同一份备份恢复两者",
            shown(path)
        ),
        PkiError::CaKeyExposed { path, mode } => format!(
            "{}：他人可读（权限 {mode:04o}）；请执行 chmod 600",
            shown(path)
        ),
        PkiError::CaExpired { dir, at } => format!(
            "{} 中的 CA 已于 {at} 到期；请用 casegate pki init 新建",
            shown(dir)
        ),
        PkiError::Request { path, fault } => {
            format!("{}：证书请求不可用：{fault}", shown(path))
        }
        PkiError::Internal(why) => format!("内部错误：{why}"),
    }
}

/// What is wrong with an audit log.
pub(in crate::cli) fn audit(error: &AuditError) -> String {
    match error {
        AuditError::Io { path, error } if language().is_chinese() => {
            format!("审计日志 {} 不可用：{error}", path.display())
        }
        AuditError::Broken {
            path,
            line,
            problem,
        } if language().is_chinese() => {
            format!("审计日志 {} 第 {line} 行有误：{problem}", path.display())
        }
        error => error.to_string(),
    }
}

/// Why a file is no dictionary.
pub(in crate::cli) fn dictionary(file: &Path, error: &DictionaryFileError) -> String {
    if !language().is_chinese() {
        return error.to_string();
    }
    let problem = match error.is_absent() {
        true => "没有这个文件".to_owned(),
        false => error.problem(language()),
    };
    let file = file.display();
    format!("{file}：{problem}；请用 casegate dict train 生成")
}

/// Why a node cannot start.
pub(in crate::cli) fn start(error: &StartError) -> String {
    match error {
        StartError::Audit(error) => audit(error),
        error if !language().is_chinese() => error.to_string(),
        StartError::Lock(LockError::InUse { path }) => {
            let path = path.display();
            format!("{path}：数据目录正被另一进程使用；请停止该进程，或在 data-dir 中另写目录")
        }
        StartError::Api {
            key,
            address,
            error,
        } => not_listened(key, address, error),
        StartError::Listen { address, error } => not_listened("listen.address", address, error),
        StartError::Attachments { path, error } => format!(
            "{}：无法读取附件：{error}；请检查目录的所有者和磁盘",
            path.display()
        ),
        StartError::Thread(error) => format!("无法创建线程：{error}"),
        error => error.to_string(),
    }
}

fn not_listened(key: &str, address: &SocketAddr, error: &io::Error) -> String {
    format!("{key}：无法监听 {address}：{error}；请停止占用者，或另写地址")
}

/// The title of a problem that the API answers with, by the last part of its type.
pub(in crate::cli) fn problem(slug: &str) -> Option<&'static str> {
    if !language().is_chinese() {
        return None;
    }
    let words = t().words;
    Some(match slug {
        "invalid-request" => words.cause_invalid,
        "policy" => words.cause_policy,
        "id-conflict" => words.cause_id_conflict,
        "wrong-state" => words.cause_wrong_state,
        "unknown-unit" => words.cause_unknown_unit,
        "unknown-attachment" => words.cause_unknown_attachment,
        "unknown-neighbour" => words.cause_unknown_neighbour,
        "expires" => words.cause_expires,
        "busy" => words.cause_busy,
        "mailbox-full" => words.cause_mailbox_full,
        "bound-reached" => words.cause_bound_reached,
        "disk-full" => words.cause_disk_full,
        "recovering" => words.cause_recovering,
        "draining" => words.cause_draining,
        "stopping" => words.cause_stopping,
        "storage-failed" => words.cause_storage_failed,
        "index-unavailable" => words.cause_index,
        "bad-file" => words.cause_bad_file,
        "already-imported" => words.cause_already_imported,
        "not-by-hand" => words.cause_not_by_hand,
        "internal" => words.cause_internal,
        // The API alone says these.
        "unknown-message" => "本节点没有这条报文",
        "unknown-case" => "本节点没有该案的报文",
        "unknown-kind" => "本节点没有这个类型",
        "foreign-source" => "发送单位不是本节点的单位",
        "invalid-json" => "不是 UTF-8 的 JSON",
        "invalid-event" => "事件无法按此发送",
        "nesting" => "数据嵌套过深",
        "too-large" => "内容过大",
        "unauthorized" => "没有有效的令牌",
        "not-operator" => "不是操作员的令牌",
        "role" => "令牌的角色无权执行此操作",
        "bodies-not-shown" => "本节点未开放操作员查看报文内容",
        "not-found" => "没有这个接口",
        "method-not-allowed" => "接口不接受此方法",
        _ => return None,
    })
}
