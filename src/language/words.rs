//! What console and command line call the same, in each language.

use super::texts;
use crate::model::{Lane, Reason, State};

texts! {
    /// The words of one language.
    pub(crate) struct Words;

    // States.
    state_queued: "queued", "排队";
    state_held: "held", "暂缓";
    state_sending: "sending", "发送中";
    state_relayed: "relayed", "已转发";
    state_delivered: "delivered", "已送达";
    state_read: "read", "已读";
    state_refused: "refused", "拒收";
    state_expired: "expired", "过期";
    state_dropped: "dropped", "已删除";

    // Lanes.
    lane_flash: "flash", "特急";
    lane_urgent: "urgent", "加急";
    lane_normal: "normal", "普通";
    lane_bulk: "bulk", "批量";

    // How a link is relied on.
    link_sound: "sound", "正常";
    link_express: "urgent only", "仅急件";
    link_proving: "proving", "恢复观察";
    link_silent: "silent", "无应答";
    link_opening: "opening", "建立中";
    link_down: "down", "中断";

    // Steps of a timeline.
    step_accepted: "accepted", "受理";
    step_received: "received", "收到";
    step_queued: "queued", "进入队列";
    step_sent: "sent", "发出";
    step_returned: "not acked, will be sent again", "未获应答，将重发";
    step_acked: "on the neighbour's disk", "对方已落盘";
    step_delivered: "in the inbox", "进入收件箱";
    step_handed: "handed to the application", "交给应用";
    step_taken: "taken by the application", "应用已确认";
    step_receipt: "receipt", "回执";
    step_ended: "ended", "终结";
    step_held: "held", "暂缓";
    step_released: "released", "恢复";
    step_reprioritised: "priority changed", "调整急缓";
    step_exported: "exported to a file", "已导出到文件";
    step_parked: "waits for a full mailbox", "对方信箱已满，等待";

    // Why a node does not do something.
    cause_invalid: "a value cannot be used", "有无法使用的值";
    cause_policy: "the policy does not allow it", "策略不允许";
    cause_unknown_message: "it does not wait here any more", "报文已不在队列中";
    cause_id_conflict: "the id was used before, for other content", "该标识已用于其他内容";
    cause_wrong_state: "it is not in a state for this", "当前状态不允许此操作";
    cause_unknown_unit: "no such unit is known", "没有这个单位";
    cause_unknown_attachment: "an attachment is not here", "附件不在本节点";
    cause_expires: "the expiry is past or too far ahead", "到期时间已过或过远";
    cause_busy: "the node has as much to do as it can", "节点繁忙，请稍后再试";
    cause_mailbox_full: "the receiver's mailbox is full", "对方信箱已满";
    cause_bound_reached: "a queue or the storage has reached its bound", "队列或存储已达上限";
    cause_disk_full: "the disk is full", "磁盘已满";
    cause_recovering: "the node is reading its journal", "节点正在恢复日志";
    cause_unknown_neighbour: "there is no such neighbour", "没有这个相邻节点";
    cause_draining: "the node is drained for maintenance and takes no messages; try again later", "节点正在维护排空，暂不受理报文，请稍后再试";
    cause_stopping: "the node is stopping", "节点正在停止";
    cause_storage_failed: "stable storage has failed", "存储故障";
    cause_index: "the index cannot answer now", "索引暂不可用";
    cause_bad_file: "the file is not one that this node takes", "本节点不接收该文件";
    cause_already_imported: "the file has been imported before", "该文件已导入过";
    cause_not_by_hand: "nothing can be carried between the two nodes by hand now", "两节点之间目前不能用文件传递";
    cause_internal: "a part of the node has broken down", "节点内部错误";

    // Reasons in receipts.
    reason_bad_signature: "the signature does not verify", "签名无效";
    reason_untrusted_signer: "the signer is not trusted", "签名证书不受信任";
    reason_foreign_signer: "the signer is not the sender", "签名者不是发送单位";
    reason_expired_signer: "the signer's certificate had expired", "签名证书已过期";
    reason_revoked_signer: "the signer is blocked or revoked", "签名证书已吊销或单位已封禁";
    reason_foreign_sender: "the neighbour may not speak for the sender", "邻居节点无权代发送单位发送";
    reason_malformed: "it cannot be read", "报文格式错误";
    reason_policy: "the policy does not allow it", "策略不允许";
    reason_unknown_unit: "no such unit", "没有该单位";
    reason_id_conflict: "the id was used for other content", "标识已用于其他内容";
    reason_foreign_target: "the sender did not name this receiver", "发送单位未指定该接收单位";
    reason_too_large: "too large", "报文过大";
    reason_expiry: "its time had run out", "已过期";
    reason_operator: "by an operator", "由操作员删除";
    reason_partly: "some units were not reached", "部分单位未送达";
    reason_damaged: "damaged on disk", "磁盘数据损坏";
    reason_attachment_too_large: "an attachment is too large", "附件过大";
}

impl Words {
    /// A state.
    pub(crate) fn state(&self, state: State) -> &'static str {
        match state {
            State::Queued => self.state_queued,
            State::Held => self.state_held,
            State::Sending => self.state_sending,
            State::Relayed => self.state_relayed,
            State::Delivered => self.state_delivered,
            State::Read => self.state_read,
            State::Refused => self.state_refused,
            State::Expired => self.state_expired,
            State::Dropped => self.state_dropped,
        }
    }

    /// A lane.
    pub(crate) fn lane(&self, lane: Lane) -> &'static str {
        match lane {
            Lane::Flash => self.lane_flash,
            Lane::Urgent => self.lane_urgent,
            Lane::Normal => self.lane_normal,
            Lane::Bulk => self.lane_bulk,
        }
    }

    /// How a link is relied on, by its name in the API.
    pub(crate) fn link_state(&self, name: &str) -> Option<&'static str> {
        Some(match name {
            "sound" => self.link_sound,
            "proving" => self.link_proving,
            "silent" => self.link_silent,
            "opening" => self.link_opening,
            "down" => self.link_down,
            _ => return None,
        })
    }

    /// A step of a timeline, by its name in the API.
    pub(crate) fn step(&self, name: &str) -> Option<&'static str> {
        Some(match name {
            "accepted" => self.step_accepted,
            "received" => self.step_received,
            "queued" => self.step_queued,
            "sent" => self.step_sent,
            "returned" => self.step_returned,
            "acked" => self.step_acked,
            "delivered" => self.step_delivered,
            "handed" => self.step_handed,
            "taken" => self.step_taken,
            "held" => self.step_held,
            "released" => self.step_released,
            "reprioritised" => self.step_reprioritised,
            "exported" => self.step_exported,
            "parked" => self.step_parked,
            "receipt" => self.step_receipt,
            "ended" => self.step_ended,
            _ => return None,
        })
    }

    /// Why something ended; nothing when there is nothing to say.
    pub(crate) fn reason(&self, reason: Reason) -> &'static str {
        match reason {
            Reason::None => "",
            Reason::BadSignature => self.reason_bad_signature,
            Reason::UntrustedSigner => self.reason_untrusted_signer,
            Reason::ForeignSigner => self.reason_foreign_signer,
            Reason::ExpiredSigner => self.reason_expired_signer,
            Reason::RevokedSigner => self.reason_revoked_signer,
            Reason::ForeignSender => self.reason_foreign_sender,
            Reason::Malformed => self.reason_malformed,
            Reason::Policy => self.reason_policy,
            Reason::UnknownUnit => self.reason_unknown_unit,
            Reason::IdConflict => self.reason_id_conflict,
            Reason::ForeignTarget => self.reason_foreign_target,
            Reason::TooLarge => self.reason_too_large,
            Reason::Expiry => self.reason_expiry,
            Reason::Operator => self.reason_operator,
            Reason::Partly => self.reason_partly,
            Reason::Damaged => self.reason_damaged,
            Reason::AttachmentTooLarge => self.reason_attachment_too_large,
        }
    }
}
