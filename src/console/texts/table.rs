//! Every text of the console, in each language. A text that lacks a translation does not compile. `{}` is where something is put in.

use crate::language::{Words, texts};

texts! {
    /// The texts of one language.
    pub(in crate::console) struct Texts with words: Words;

    // Around every page.
    skip: "Skip to content", "跳到正文";
    navigation: "Pages", "页面导航";
    language: "Language", "语言";
    theme: "Colours", "配色";
    theme_auto: "As the system", "跟随系统";
    theme_light: "Light", "浅色";
    theme_dark: "Dark", "深色";
    sign_in: "Sign in", "登录";
    sign_out: "Sign out", "退出";
    not_ready: "takes no messages", "暂不受理报文";
    times_in: "Times in", "时间为";
    live_on: "Live", "实时";
    live_stale: "Connecting…", "正在连接…";
    live_off: "Every 10 s", "每 10 秒刷新";
    overview: "Overview", "总览";
    messages: "Messages", "报文";
    queue: "Queue", "队列";
    case_page: "Case", "案件流转";
    units: "Units", "单位";
    compose: "Compose", "发送报文";
    audit: "Audit log", "审计日志";

    // Words that many pages use.
    neighbour: "Neighbour", "邻居节点";
    link: "Link", "链路";
    state_word: "State", "状态";
    since: "For", "已持续";
    total: "Total", "合计";
    size: "Size", "大小";
    oldest: "Oldest", "最久等待";
    way: "Way", "方向";
    way_in: "in", "接收";
    way_out: "out", "发送";
    progress: "Progress", "进度";
    rate: "Rate", "速率";
    left: "Left", "剩余";
    digest: "Digest", "摘要";
    time: "Time", "时间";
    from: "From", "发送单位";
    to: "To", "接收单位";
    kind_word: "Kind", "类型";
    case_word: "Case", "案号";
    title_text: "Title", "标题";
    lane_word: "Priority", "急缓";
    accepted: "Accepted", "受理时间";
    expires: "Expires", "到期";
    reason: "Reason", "原因";
    receiver: "Receiver", "接收单位";
    signed_by: "Signed by", "签名单位";
    outcome: "Outcome", "结果";
    messageid: "Message ID", "报文标识";
    event_id: "Event ID", "应用标识";
    any: "Any", "不限";
    search: "Search", "查询";
    filter: "Filter", "筛选";
    clear: "Clear", "清空";
    show: "Show", "查看";
    cancel: "Cancel", "取消";
    remove: "Remove", "移除";
    pages: "Pages of results", "翻页";
    newest: "Newest", "最新";
    older: "Older", "更早";
    later: "Later", "更晚";
    first_page: "First page", "首页";
    next_page: "Next page", "下一页";
    more_there: "{} more", "还有 {} 项";
    connected: "connected", "已连接";
    not_connected: "not connected", "未连接";
    never_seen: "not seen yet", "尚未连接过";
    span_s: "{} s", "{} 秒";
    span_min: "{} min", "{} 分";
    span_h: "{} h", "{} 小时";
    span_d: "{} d", "{} 天";
    expires_in: "in {}", "还有 {}";
    expires_past: "past", "已过期";

    // Roles.
    role_viewer: "viewer", "查看员";
    role_operator: "operator", "操作员";
    role_administrator: "administrator", "管理员";

    // The overview.
    about_node: "casegate {}, up for {}", "casegate {}，已运行 {}";
    warnings: "What needs attention", "需要处理";
    warnings_none: "Nothing needs attention", "一切正常";
    paused_now: "What is for {} is paused by an operator", "发往 {} 的报文已由操作员暂停";
    paused_lanes_now: "What is for {} is paused by an operator: {}", "发往 {} 的报文已由操作员暂停：{}";
    and_between: ", ", "、";
    warn_link_down: "The link {} to {} has been down for {}", "到 {1} 的链路 {0} 已中断 {2}";
    warn_waits: "{} messages wait for {}, which is not connected; the oldest for {}", "{1} 未连接，有 {0} 条报文在等待，最久的已等 {2}";
    warn_nearly_full: "{}: {} % used", "{}：已用 {} %";
    figures: "In numbers", "概况";
    figure_queued: "Queued", "排队报文";
    figure_inbox: "Inbox", "收件箱";
    figure_awaiting: "Awaiting receipts", "等待回执";
    figure_awaiting_note: "own messages", "本单位发出";
    figure_units: "Units connected", "已连接单位";
    figure_sessions: "{} sessions", "{} 个会话";
    figure_upstream: "Upstream", "上级枢纽";
    links: "Links", "链路";
    links_none: "No link is configured, and no unit has dialled in.", "没有配置链路，也没有单位接入。";
    rtt: "Round trip", "往返时延";
    loss: "Loss", "丢包";
    up: "up", "上行";
    down: "down", "下行";
    up_now: "Up now", "上行";
    down_now: "Down now", "下行";
    capacity: "Can carry", "可用速率";
    in_flight: "In flight", "在途";
    ratio: "Wire/payload", "线上/载荷";
    budget: "Budget today", "今日流量";
    budget_none: "no limit", "不限";
    throughput: "Throughput", "吞吐量";
    depth: "Queue depth", "队列深度";
    chart_span: "Time shown", "时间范围";
    hour: "1 h", "1 小时";
    day: "24 h", "24 小时";
    month: "30 d", "30 天";
    look: "Look", "查看";
    maintenance: "Maintenance", "停机维护";
    drain: "Drain", "排空";
    drain_end: "Take messages again", "恢复受理";
    drain_why: "A node that is drained sends what it has and takes nothing new, so that it can be stopped with an empty queue.", "排空后节点只发送已有报文，不再受理新报文，待队列清空即可停机。";
    drain_now: "The node is drained: it sends what it has and takes nothing new.", "节点正在排空：继续发送已有报文，不受理新报文。";
    ask_drain: "Drain the node?", "排空节点？";
    ask_drain_why: "Applications that submit are told to come back later. What is queued goes on, and what neighbours send is taken.", "应用提交报文会被告知稍后再试；队列中的报文继续发送，邻居节点发来的报文照常接收。";
    ask_end_drain: "Take messages again?", "恢复受理报文？";
    ask_end_drain_why: "Applications may submit again at once.", "应用可立即重新提交报文。";
    drain_begun: "The node is drained from now on", "节点开始排空";
    drain_ended: "The node takes messages again", "节点已恢复受理报文";
    bounds: "Storage and bounds", "存储与上限";
    bound_journal: "Journal", "日志";
    bound_attachments: "Attachments", "附件";
    bound_inbox: "Inbox", "收件箱";
    queues: "Queues by neighbour", "各邻居节点的队列";
    queues_none: "Nothing waits.", "没有排队的报文。";
    queue_stands: "no link", "无链路";
    cannot_go: "Cannot go yet", "暂不能发";
    empty_in: "Empty in", "预计清空";
    transfers: "Attachments on their way", "传输中的附件";
    transfers_none: "No attachment is on its way.", "没有正在传输的附件。";
    link_exclusive: "exclusive", "专线";
    link_3g: "3G", "3G";
    link_lan: "LAN", "局域网";

    // Messages.
    sort_oldest: "Oldest first", "按时间由早到晚";
    sort_newest: "Newest first", "按时间由晚到早";
    export: "Export CSV", "导出 CSV";
    export_wrong: "A field of the search cannot be used", "查询条件有误，无法导出";
    since_when: "Accepted since", "受理不早于";
    nothing_found: "No message that is known here fits.", "没有符合条件的报文。";
    nothing_yet: "None among the messages looked at so far; go on to older ones.", "已查看的报文中没有符合的，可继续查看更早的。";
    incomplete: "The index may lack some history:", "索引可能缺少部分历史记录：";
    field_id_wrong: "is not a message ID: 26 letters and digits", "不是报文标识（26 位字母和数字）";
    field_pattern_wrong: "write a name or a pattern: hebi.police, hebi.**, case.*", "请写名称或通配，如 hebi.police、hebi.**、case.*";
    field_time_wrong: "write a day or a time", "请填写日期或时间";
    field_too_long: "is too long", "内容过长";
    field_json_wrong: "is not JSON", "不是合法的 JSON";
    field_wrong: "cannot be sent like this", "不能这样发送";

    // One message.
    message_unknown: "No such message is known here", "本节点没有这条报文";
    facts: "Message", "报文";
    receivers: "Receivers", "接收单位";
    receivers_none: "None is known yet.", "尚无接收单位的状态。";
    attachments: "Attachments", "附件";
    attachments_none: "None that is known here.", "没有附件，或报文本身已不在本节点。";
    attachment_unnamed: "(no name)", "（未命名）";
    attachment_not_here: "not here whole", "尚未收全";
    timeline: "Timeline", "流转时间线";
    steps_left_out: "{} attempts are not shown.", "另有 {} 次发送尝试未列出。";
    receipts: "Receipts", "回执";
    receipts_none: "None has come yet.", "尚未收到回执。";
    step_from: "from {}", "来自 {}";
    step_to: "to {}", "去往 {}";
    step_link: "over {}", "经 {}";
    step_receiver: "for {}", "接收单位 {}";
    step_issuer: "signed by {}", "由 {} 签名";

    body: "What it says", "报文内容";
    body_show: "Show what it says", "查看内容";
    body_gone: "What it says is not here any more", "报文内容已不在本节点";
    body_back: "To the message", "返回报文";
    body_none: "It says nothing: it has no data.", "报文没有内容。";
    body_audited: "Every look is in the audit log.", "每次查看均记入审计日志。";
    body_not_shown: "Operators of this node do not read what messages say (show-bodies).", "本节点未开放操作员查看报文内容（show-bodies）。";

    // Actions.
    actions: "Actions", "操作";
    actions_none: "It does not wait here, so there is nothing to do about it.", "报文不在本节点排队，无可执行的操作。";
    actions_sign_in: "To act on messages, sign in as an operator.", "执行操作须以操作员身份登录。";
    act_hold: "Hold", "暂缓";
    act_release: "Release", "恢复";
    act_retry: "Retry", "重试";
    act_reprioritise: "Change priority", "调整急缓";
    act_expire: "Expire", "作过期处理";
    act_drop: "Drop", "删除";
    ask_hold: "Hold?", "暂缓发送？";
    ask_hold_why: "It stays here until it is released, and so do later messages of its case.", "报文留在本节点直到恢复；同案的后续报文也一并等待。";
    ask_release: "Release?", "恢复发送？";
    ask_release_why: "It goes on as soon as a link is there.", "一有链路即继续发送。";
    ask_retry: "Send again now?", "立即重试？";
    ask_retry_why: "It is sent as soon as a session is there. The receiver takes it only once.", "一有会话即发送；接收方不会重复收到。";
    ask_reprioritise: "Change the priority?", "调整急缓？";
    ask_reprioritise_why: "Earlier messages of its case go with it.", "同案较早的报文随之提前。";
    ask_expire: "End it as if its time were over?", "作过期处理？";
    ask_expire_why: "It ends here and is not delivered. Its sender gets a signed receipt that says expired, with your reason.", "报文按过期终结，不再送达；发送单位会收到注明“已过期”和原因的签名回执。";
    ask_drop: "Drop for good?", "永久删除？";
    ask_drop_why: "It ends here and is not delivered. Its sender gets a signed receipt with your reason.", "报文就此终结，不再送达；发送单位会收到写明原因的签名回执。";
    act_none_chosen: "Choose at least one message", "请至少选择一条报文";
    act_no_lane: "Choose a priority", "请选择急缓";
    act_no_reason: "Say why: the sender is told", "请填写原因，发送单位会看到";
    act_unknown: "There is no such action", "没有这个操作";
    act_refused: "{}: {}", "{}：{}";
    act_more_refused: "and {} more", "另有 {} 条";
    act_more_fit: "There are more that fit: do it once more", "符合条件的报文尚未处理完，请再操作一次";
    done_hold: "Held: {}", "已暂缓 {} 条";
    done_release: "Released: {}", "已恢复 {} 条";
    done_retry: "To be sent again: {}", "将重试 {} 条";
    done_reprioritise: "Priority changed: {}", "已调整急缓 {} 条";
    done_expire: "Expired: {}", "已置为过期 {} 条";
    done_drop: "Dropped: {}. It ends once the neighbour has confirmed that it does not have it.", "已删除 {} 条；邻居节点确认未收到后即告终结。";

    // The queue.
    queue_in_all: "{} in all", "共 {} 条";
    queue_none: "Nothing waits that fits.", "没有符合条件的排队报文。";
    select: "Select", "选择";
    select_all: "Select all on this page", "全选本页";
    chosen: "{} selected", "已选 {} 条";
    select_every: "All that fit, on every page", "全部符合条件的报文（不限本页）";
    chosen_every: "All that fit are selected", "已选全部符合条件的报文";
    waits: "Age", "已等待";

    sending_to: "What goes to", "发往";
    sending_goes: "goes", "发送";
    paused: "paused", "已暂停";
    lanes_all: "All of them", "全部";
    pause: "Pause", "暂停发送";
    resume: "Resume", "恢复发送";
    ask_pause: "Pause what goes to this neighbour?", "暂停发往该邻居节点的报文？";
    ask_pause_why: "Messages stay queued until somebody resumes. What has left is not called back, and acks and receipts still go.", "报文留在队列中，直到有人恢复；已发出的不会收回，确认与回执不受影响。";
    ask_resume: "Let it go on?", "恢复发送？";
    ask_resume_why: "What waits goes as soon as a link is there.", "一有链路即继续发送。";
    pause_none_now: "Nothing for {} is paused any more", "发往 {} 的报文已全部恢复发送";
    reason_missing: "Say why: it goes into the audit log", "请填写原因，以便记入审计日志";

    // Carrying by hand.
    stick: "USB stick", "移动介质";
    stick_why: "A queue is carried to its neighbour as a sealed file, as if it had gone over a link.", "队列以密封文件的形式带给邻居节点，效果与经链路发送相同。";
    export_file: "Export to a file", "导出到文件";
    export_who: "Whoever has the file can read what it says: exporting needs an administrator.", "持有文件者可读取其中的报文，导出须由管理员执行。";
    export_for: "What waits for", "导出发往以下节点的报文";
    export_why: "Attachments are in the file. Only the neighbour can take it in.", "文件包含附件，只有该邻居节点能够导入。";
    export_do: "Export", "导出";
    ask_export: "Export to a file?", "导出到文件？";
    ask_export_why: "What is in the file is held here until the neighbour has confirmed it, or somebody releases it. Keep the file safe: whoever has it can read the messages.", "文件中的报文在本节点暂缓发送，直到邻居节点确认收到，或有人手动恢复。请妥善保管文件：持有者可读取其中的报文。";
    export_waits: "The file is being made…", "正在生成文件…";
    export_no_neighbour: "Choose for whom", "请选择邻居节点";
    export_failed: "Nothing was exported: {}", "未导出：{}";
    export_done: "Exported: {} messages and {} attachments for {}. They are held until it has confirmed them.", "已导出发往 {2} 的报文 {0} 条、附件 {1} 个；在对方确认之前暂缓发送。";
    export_left_out: "Left out: {}; they are on their way, or their attachments are not here", "未导出 {} 条：正在发送，或附件不在本节点";
    export_more: "There is more than one file takes: export again", "超出单个文件的容量，请再次导出";
    import_file: "Import a file", "导入文件";
    import_choose: "The file of the neighbour", "邻居节点导出的文件";
    import_why: "Its seal, its signatures and the policy are checked as ever. A file that was imported before does no harm.", "密封、签名与策略照常校验；重复导入同一文件无妨。";
    import_do: "Import", "导入";
    import_taking: "The node takes it in…", "节点正在导入…";
    import_failed: "was not imported", "导入失败";
    import_done: "From {}: {} messages taken, {} had come before, {} attachments", "来自 {}：导入报文 {} 条，此前已收到 {} 条，附件 {} 个";
    import_full: "For {} messages there is no room now: make some, and import the file again", "有 {} 条报文暂无空间，请清理后再次导入";
    import_refused: "refused", "拒收";

    // A case.
    case_ask: "Enter the case as its messages name it.", "请输入案号，与报文中的写法一致。";
    case_unknown: "No message that is known here names that case.", "本节点没有该案的报文。";
    case_in_short: "{} messages, {} of them open, {} units", "{} 条报文，{} 条未了结，涉及 {} 个单位";
    circulation: "Circulation", "流转过程";

    // Units.
    unit: "Unit", "单位";
    unit_name: "Name or title", "名称或标识";
    unit_blocked: "blocked", "已封禁";
    units_in_all: "{} of {}", "显示 {} / {}";
    units_up: "{} of {} connected", "{} / {} 已连接";
    units_view: "Shown as", "显示方式";
    units_table: "Table", "表格";
    units_map: "Map", "地图";
    units_of_city: "City", "市本级";
    legend: "What the colours mean", "图例";
    units_none: "No unit fits.", "没有符合条件的单位。";
    last_seen: "Last seen", "最近在线";
    mailbox: "Mailbox", "信箱";
    certificate: "Certificate until", "证书有效期至";
    upstream: "upstream", "上级枢纽";
    filter_all: "All", "全部";
    filter_connected: "Connected", "已连接";
    filter_away: "Not connected", "未连接";
    filter_mail: "With mail", "有待投报文";
    filter_blocked: "Blocked", "已封禁";
    test: "Test", "测试";
    test_unit: "Test the way to a unit", "测试到某单位的链路";
    test_send: "Send a test", "发送测试";
    test_why: "A test is a small message of the kind exchange. Its page shows the time of each hop. The unit's application is handed it like any other.", "测试报文是一条很小的“横向交流”报文，其页面显示每一跳的用时；对方应用会像收到普通报文一样收到它。";
    test_subject: "Test of the way", "链路测试";
    test_sent: "The test is on its way; this page follows it.", "测试报文已发出，本页会随之更新。";
    test_not_sent: "The test was not sent: {} {}", "测试报文未发出：{} {}";

    // The audit log.
    audit_why: "What people did here, and what was refused. `casegate audit verify` checks it at any time.", "操作与被拒绝的调用均有记录，可随时用 casegate audit verify 校验。";
    audit_sound: "chain and signatures were sound at the start", "启动时链与签名校验无误";
    audit_broken: "not as this node left it", "与本节点写下的不一致";
    audit_actor: "Who", "操作人";
    audit_action: "What", "操作";
    audit_subject: "To what", "对象";
    audit_since: "Since", "不早于";
    audit_line: "Line", "行号";
    audit_none: "Nothing that fits.", "没有符合条件的记录。";

    // Composing.
    compose_as: "As", "发送单位";
    compose_sent: "Accepted: it is on stable storage and on its way.", "已受理：报文已落盘，正在发送。";
    compose_why: "It is signed as this unit's, and cannot be taken back once it has left.", "报文以本单位名义签名，发出后不能撤回。";
    to_help: "Units or patterns, parted by commas: hebi.police, hebi.**", "单位或通配，用逗号分隔，如 hebi.police、hebi.**";
    as_kind: "As the kind has it", "按类型默认";
    expires_help: "Left empty: as the kind has it", "留空则按类型默认";
    content: "Content", "内容";
    content_form: "Form of the content", "内容格式";
    content_text: "Text", "文本";
    files_help_mib: "Each at most {} MiB. They are brought to this node as soon as they are chosen.", "每个不超过 {} MiB；选中后即上传到本节点。";
    upload_going: "{} of {}", "已传 {}，共 {}";
    upload_failed: "was not taken", "上传失败";
    upload_done: "is here", "已上传";
    upload_waiting: "The connection broke; it goes on when the node answers", "连接中断，恢复后继续上传";
    upload_again: "Try again", "重试";
    send: "Send", "发送";

    // Signing in, and what goes wrong.
    sign_in_to_look: "This node shows itself to those only who sign in.", "本节点须登录后才能查看。";
    sign_in_to_act: "Everybody on this machine may look. To act, sign in with your token.", "本机用户均可查看；执行操作须用令牌登录。";
    certificate_shown: "Your browser shows the certificate of", "浏览器出示的证书属于";
    sign_in_with_certificate: "Sign in with this certificate", "用此证书登录";
    token: "Token", "令牌";
    token_help: "Yours, or that of operator.token in the node's data folder", "您的令牌，或数据目录中 operator.token 的内容";
    token_wrong: "This token is nobody's.", "令牌无效。";
    to_overview: "To the overview", "返回总览";
    wrong_no_page: "There is no such page", "没有这个页面";
    wrong_unread: "The request did not come whole, or is too large", "请求不完整或过大";
    wrong_not_allowed: "Your role does not allow it. Needed:", "您的角色无权执行此操作，需要：";
    wrong_stale_form: "The form is not one of this session. Go back, load the page anew and send it again.", "表单已失效。请返回并刷新页面后重新提交。";

    // Kinds.
    kind_case_transfer: "Case transfer", "案件移送";
    kind_case_receipt: "Transfer receipt", "移送签收";
    kind_case_filing: "Filing decision", "立案决定";
    kind_case_step: "Case step", "办理进展";
    kind_case_material: "Case material", "案件材料";
    kind_case_supervision: "Filing supervision", "立案监督";
    kind_case_judgment: "Judgment", "判决结果";
    kind_penalty_decision: "Penalty decision", "行政处罚决定";
    kind_penalty_approval: "Penalty approval", "行政处罚审批";
    kind_consultation_question: "Consultation", "案件咨询";
    kind_consultation_reply: "Consultation reply", "咨询答复";
    kind_enforcement_info: "Enforcement information", "执法信息";
    kind_notice: "Notice", "通知公告";
    kind_forum_theme: "Forum theme", "论坛主题";
    kind_forum_reply: "Forum reply", "论坛回复";
    kind_directive: "Directive", "工作指示";
    kind_report: "Report", "工作报告";
    kind_exchange: "Exchange", "横向交流";
    kind_supervision_special: "Special campaign supervision", "专项行动监督";
    kind_dutycrime_lead: "Duty-crime lead", "职务犯罪线索";
    kind_discipline_lead: "Discipline lead", "违纪线索";
    kind_warning_deadline: "Deadline warning", "时限预警";
    kind_warning_amount: "Amount warning", "数额预警";
    kind_warning_history: "Prior-record warning", "前科预警";
    kind_statistics_monthly: "Monthly statistics", "统计月报";
    kind_receipt: "Receipt", "回执";

    // The columns of a table for a spreadsheet.
    column_sender_id: "Event ID", "应用标识";
}
