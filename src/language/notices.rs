//! What a node says of itself, to whoever looks at it: over its API, on its console, and in its log.

use super::{Both, Language, Words, texts};
use crate::model::Lane;

texts! {
    /// The texts of one language.
    pub(crate) struct Notices with words: Words;

    everything: "everything", "全部";
    comma: ", ", "、";

    // What an operator should look at.
    ready: "ready", "就绪";
    storage_failed: "the storage failed: {}", "存储故障：{}";
    drained: "the node is drained: nothing is queued and no submissions are taken; stop it, or end that with `casegate resume`", "节点已排空：队列中没有报文，也不受理新报文；可以停止节点，或用 casegate resume 恢复受理";
    draining: "the node is drained: no submissions are taken, and {} messages are still queued", "节点正在排空：不受理新报文，队列中还有 {} 条";
    paused: "what is for {0} is paused by an operator: {1}; `casegate resume {0}` lets it go", "发往 {0} 的报文已由操作员暂停：{1}；用 casegate resume {0} 恢复发送";
    disk_full: "the disk is full: only urgent messages are taken; free some room", "磁盘已满：只受理急件；请清理磁盘";
    quarantined: "{} damaged stretches of the journal were set aside; see the data folder's quarantine", "日志有 {} 处损坏，已隔离；见数据目录中的 quarantine";
    messages_lost: "{} messages were lost with damaged records of the journal, unless a neighbour still has them; the status names them under \"damage\"", "日志损坏，丢失 {} 条报文（邻居节点尚存者除外）；名单见节点状态的 \"damage\"";
    attachments_damaged: "{} attachments of messages that were accepted here are damaged; bring them again: the status names them under \"damage\"", "本节点已受理报文的 {} 个附件已损坏，请重新上传；名单见节点状态的 \"damage\"";
    express_only: "only flash and urgent messages go over the link {}: {}", "链路 {} 只走特急、加急报文：{}";
    audit_damaged: "the audit log is not as this node left it: {}; keep a copy and look into it", "审计日志与本节点写下的不一致：{}；请留存副本并调查";
    index_failed: "the index does not follow: {}; messages pass as ever, search and history wait for it", "索引已停止更新：{}；报文收发不受影响，查询与历史暂不可用";
    index_incomplete: "the index may lack some history; answers to a search say what under \"incomplete\"", "索引可能缺少部分历史记录；查询结果的 \"incomplete\" 说明缺少什么";
    tls_expires: "the TLS certificate expires at {}; renew it with `casegate pki issue`, then reload", "TLS 证书将于 {} 到期；请用 casegate pki issue 换发，然后重新加载配置";
    signing_expires: "the signing certificate expires at {}; renew it with `casegate pki issue`, then reload", "签名证书将于 {} 到期；请用 casegate pki issue 换发，然后重新加载配置";

    // Links.
    budget_spent: "its budget for today is spent", "今日流量已用完";
    outside_hours: "it is outside its hours", "不在使用时段";
    no_session_yet: "no session yet", "尚未建立会话";

    // Files in folders.
    folder_unusable: "{} cannot be used: {}; give it to the node's user", "{} 无法使用：{}；请改为节点用户所有";
    folder_unwatched: "a folder is not watched any more", "有文件夹已不再监视";
    folder_full: "{} is full; look into what could not be sent and remove it", "{} 已满；请查看未能发送的文件并移走";
    file_waits: "{}: {} waits: {}", "{}：{} 等待发送：{}";
    out_full: "{} has {} messages, as many as out-messages lets lie there; take some away", "{} 中有 {} 条报文，已达 out-messages 的上限；请取走一些";
    out_unusable: "{} cannot be written to: {}; give it to the node's user, or make room on its disk", "{} 无法写入：{}；请改为节点用户所有，或在其磁盘上腾出空间";
    inbox_silent: "the inbox hands out nothing: {}", "收件箱未交出报文：{}";
    message_unwritten: "{} cannot be written: {}", "报文 {} 无法写入：{}";
    message_not_acked: "{} was written and not acked: {}", "报文 {} 已写入，但未能确认：{}";

    // Posts to an application, and traces to a collector.
    unreachable: "it cannot be reached: {}", "无法连接：{}";
    late: "no answer within {} s", "{} 秒内没有应答";
    answered: "it answered {}", "应答为 {}";
    answered_for_good: "it answered {}, which will not pass by itself", "应答为 {}，不会自行好转";
    taken: "taken", "已接收";
    taken_not_noted: "taken, but the node could not note that: {}", "已接收，但节点未能记下：{}";
    message_damaged: "the message is damaged; see the log", "报文已损坏，详见运行日志";
    posts_not_taken: "{} does not take messages: {}; they wait in the inbox", "{} 不接收报文：{}；报文在收件箱中等待";
    post_not_taken: "{} has not taken a message: {}; it waits and is posted again, and later ones of its case after it", "{} 未接收一条报文：{}；将等待并重新推送，同案后续报文在其后";
    several_not_taken: "{0} has not taken {2} messages, lately: {1}; they wait and are posted again, and later ones of their cases after them", "{0} 未接收 {2} 条报文，最近一次：{1}；将等待并重新推送，同案后续报文在其后";
    traces_not_taken: "{} does not take traces: {}; up to {} spans wait for it and further ones are dropped; messages go on", "{} 不接收追踪数据：{}；最多保留 {} 个 span 等待，其余丢弃；报文收发不受影响";
}

impl Notices {
    /// Lanes that are stopped.
    pub(crate) fn lanes(&self, lanes: &[Lane]) -> String {
        if lanes.len() == Lane::ALL.len() {
            return self.everything.to_owned();
        }
        let names: Vec<_> = lanes.iter().map(|lane| self.words.lane(*lane)).collect();
        names.join(self.comma)
    }
}

/// What `text` makes of each language's notices.
pub(crate) fn noticed<T: Into<String>>(text: impl Fn(&'static Notices) -> T) -> Both {
    Both::new(|language: Language| text(Notices::of(language)))
}
