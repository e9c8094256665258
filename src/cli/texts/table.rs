//! Every text of the commands but their helps, in each language. A text that lacks a translation does not compile. `{}` is where something
//! is put in.

use crate::language::{Words, texts};

texts! {
    /// The texts of one language.
    pub(in crate::cli) struct Texts with words: Words;

    // Between parts of a sentence, and of a list.
    colon: ": ", "：";
    semicolon: "; ", "；";
    comma: ", ", "、";
    and: " and ", "、";
    warning: "warning: ", "警告：";

    // Names of what stands beside them, and heads of columns.
    message: "message", "报文标识";
    id: "id", "应用标识";
    from: "from", "发送单位";
    to: "to", "接收单位";
    kind: "kind", "类型";
    case: "case", "案号";
    title: "title", "标题";
    priority: "priority", "急缓";
    state: "state", "状态";
    accepted: "accepted", "受理时间";
    expires: "expires", "到期";
    size: "size", "大小";
    received: "received", "收到时间";
    signed_by: "signed by", "签名单位";
    data_is: "data is", "数据类型";
    attached: "attached", "附件";
    unit: "unit", "单位";
    version: "version", "版本";
    hub: "hub", "枢纽";
    upstream: "upstream", "上级枢纽";
    started: "started", "启动时间";
    sessions: "sessions", "会话";
    queued: "queued", "排队报文";
    inbox: "inbox", "收件箱";
    awaiting: "awaiting", "等待回执";
    journal: "journal", "日志";
    data_folder: "data", "数据目录";
    warning_name: "warning", "警告";
    file: "file", "文件";
    samples: "samples", "样本";
    trained: "trained", "训练时间";
    dictionary_id: "id", "标识";
    certificate: "with", "签名证书";
    last: "last", "末行摘要";
    head_message: "MESSAGEID", "报文标识";
    head_for: "FOR", "发往";
    head_state: "STATE", "状态";
    head_lane: "LANE", "急缓";
    head_kind: "KIND", "类型";
    head_case: "CASE", "案号";
    head_from: "FROM", "发送单位";
    head_to: "TO", "接收单位";
    head_size: "SIZE", "大小";
    head_accepted: "ACCEPTED", "受理时间";
    head_title: "TITLE", "标题";
    head_unit_title: "TITLE", "名称";
    head_receiver: "RECEIVER", "接收单位";
    head_since: "SINCE", "时间";
    head_why: "WHY", "原因";
    head_time: "TIME", "时间";
    head_step: "STEP", "步骤";
    head_more: "MORE", "详情";
    head_link: "LINK", "链路";
    head_links: "LINKS", "链路";
    head_neighbour: "NEIGHBOUR", "邻居节点";
    head_rtt: "RTT", "往返时延";
    head_loss: "LOSS", "丢包";
    head_capacity: "RATE", "可用速率";
    head_in_flight: "IN FLIGHT", "在途";
    head_flying: "FLYING", "在途";
    head_sent: "SENT", "已发";
    head_received: "RECEIVED", "已收";
    head_sends: "SENDS", "上行";
    head_gets: "GETS", "下行";
    head_ratio: "RATIO", "线上/载荷";
    head_today: "TODAY", "今日流量";
    head_lasts: "FOR", "已持续";
    head_attachment: "ATTACHMENT", "附件";
    head_way: "WAY", "方向";
    head_done: "DONE", "进度";
    head_rate: "RATE", "速率";
    head_left: "LEFT", "剩余";
    head_unit: "UNIT", "单位";
    head_seen: "SEEN", "最近在线";
    head_waiting: "WAITING", "排队";
    head_flash: "FLASH", "特急";
    head_urgent: "URGENT", "加急";
    head_normal: "NORMAL", "普通";
    head_bulk: "BULK", "批量";
    head_oldest: "OLDEST", "最久等待";
    head_empty_in: "EMPTY IN", "预计清空";
    head_actor: "ACTOR", "操作人";
    head_action: "ACTION", "操作";
    head_subject: "SUBJECT", "对象";
    head_reason: "REASON", "原因";
    head_dictionary: "DICTIONARY", "字典";

    // How things are.
    volume: "{} messages, {}", "{} 条，{}";
    of_bound: "{} of {}", "{}，上限 {}";
    of_budget: "{} of {}", "{} / {}";
    files_of_bound: "{} files, {} of {}", "{} 个，{}，上限 {}";
    knows_units: "knows {} units", "已知单位 {} 个";
    awaiting_of: "receipts of {} messages", "报文 {} 条";
    takes: "takes submissions", "受理报文";
    takes_not: "takes no submissions", "暂不受理报文";
    link_urgent_only: "{}, urgent only", "{}，仅急件";
    state_exported: "{}, exported", "{}，已导出";
    state_paused: "{}, paused", "{}，已暂停";
    blocked: "blocked", "已封禁";
    connected: "connected", "已连接";
    away: "away", "未连接";
    paused: "paused", "已暂停";
    no_link: "no link", "无链路";
    waits: "waits", "暂不能发";
    way_in: "in", "接收";
    way_out: "out", "发送";

    // Files, folders and the system.
    output_lost: "standard output: cannot be written: {}; send it where there is room and a reader", "标准输出：无法写入：{}；请检查空间和接收输出的程序";
    unreadable: "{}: cannot be read: {}; name what is there and this user may read", "{}：无法读取：{}；请指定存在且当前用户可读的文件";
    unwritable: "{}: cannot be written: {}", "{}：无法写入：{}";
    unwritable_out: "{}: cannot be written: {}; name another file with --out", "{}：无法写入：{}；请用 --out 另指定文件";
    unwritable_save: "{}: cannot be written: {}; make room, or name another folder with --save", "{}：无法写入：{}；请腾出空间，或用 --save 另指定文件夹";
    folder_unmade: "{}: the folder cannot be made: {}; name another one", "{}：无法创建文件夹：{}；请另指定";
    folder_unmade_save: "{}: the folder cannot be made or read: {}; name another with --save", "{}：无法创建或读取文件夹：{}；请用 --save 另指定";
    folder_there: "{}: it is there already; name another folder", "{}：已存在；请另指定文件夹";
    no_plain_file: "it is no plain file", "不是普通文件";
    became_shorter: "it became shorter while it was read", "读取期间文件变短";
    came_in_part: "it did not come whole", "内容不完整";
    manual_unwritten: "{}: the manual pages cannot be written: {}; name another folder with --out", "{}：无法写入手册页：{}；请用 --out 另指定文件夹";
    no_json: "no JSON can be made: {}", "无法生成 JSON：{}";
    no_random: "the random source failed; give an --id", "随机源故障；请给出 --id";
    no_log: "the log cannot be set up: {}", "无法建立运行日志：{}";
    no_threads: "the threads cannot be set up: {}; look at the system's limits", "无法创建线程：{}；请检查系统限制";
    no_thread: "a thread cannot be started: {}; this is the system's fault, try again", "无法创建线程：{}；这是系统故障，请重试";
    no_signals: "signals cannot be received; this is the system's fault, try again", "无法接收信号；这是系统故障，请重试";
    no_signals_why: "signals cannot be received: {}; this is the system's fault, try again", "无法接收信号：{}；这是系统故障，请重试";
    allocator_kept: "the allocator's settings are left as they are: {}", "内存分配器的设置未变：{}";
    standard_input: "standard input", "标准输入";

    // What is written on the command line.
    span_wrong: "write a time as 30s, 500ms, 2m, 8h or 7d", "时间请写成 30s、500ms、2m、8h 或 7d";
    api_wrong: "write http://HOST:PORT; the API speaks plain HTTP on the node's own machine", "请写成 http://HOST:PORT；API 在节点本机以 HTTP 提供";
    attribute_wrong: "write NAME=VALUE", "请写成 NAME=VALUE";
    attribute_twice: "--attribute {}: the attribute is given twice; leave one out", "--attribute {}：属性重复；请去掉一个";
    expires_far: "--expires {}: lies too far ahead; write at most 90d", "--expires {}：过远；最多写 90d";
    ca_name_wrong: "write 1 to {} printable characters", "请写 1 到 {} 个可显示的字符";
    named_and_filter: "the messages are named already; leave the filter out, or take --all", "已指明报文；请去掉筛选条件，或改用 --all";
    named_but_neighbour: "the messages are named already; leave the filter out, but for --neighbour", "已指明报文；除 --neighbour 外，请去掉筛选条件";
    resume_lane: "--lane: lanes are a neighbour's; name it, as in `casegate resume hebi.hub --lane bulk`", "--lane：急缓等级须指明邻居节点，如 casegate resume hebi.hub --lane bulk";
    no_number: "is not a number", "不是数";
    rate_wrong: "write a number from 0.001 to 10000", "请写 0.001 到 10000 之间的数";
    percent_wrong: "write a percentage from 0 to 90", "请写 0 到 90 之间的百分数";
    burst_wrong: "write a number of packets from 1 to 1000", "请写 1 到 1000 之间的包数";
    seconds_wrong: "write seconds from 0 to 86400", "请写 0 到 86400 之间的秒数";
    window_wrong: "write it as 10-25", "请写成 10-25";
    window_backwards: "ends before it begins", "结束早于开始";
    outage_every: "--outage-every: is shorter than the last outage's end; write a period that takes in all of them", "--outage-every：短于最后一次中断的结束时刻；请写能容纳全部中断的周期";

    usage_see: "{}; see `{} --help`", "{}；参见 {} --help";

    // The node's API.
    not_reachable: "{}: the node is not reachable: {}; start it with `casegate run`, or name another with --api", "{}：无法连接节点：{}；请用 casegate run 启动，或用 --api 指定其他节点";
    answer_unread: "{}: the answer cannot be read: {}; look what listens there, and at --api", "{}：无法读取应答：{}；请检查该端口上的程序和 --api";
    answer_strange: "{}: the answer is not one of casegate's ({}); look what listens there, and at --api", "{}：不是 casegate 的应答（{}）；请检查该端口上的程序和 --api";
    answered: "answered {}", "应答为 {}";
    bound: " (bound {} = {})", "（上限 {} = {}）";
    again_in: "; try again in {} s", "；请 {} 秒后重试";
    token_elsewhere: "{}: an operator's action needs the token, which is not looked for here since the node is elsewhere; {}", "{}：操作员操作须有令牌，节点不在本机，无法自动读取；请{}";
    token_untold: "{}: the node does not tell its data folder, where the operators' token is; {}", "{}：节点未告知数据目录，无法找到操作员令牌；请{}";
    token_advice: "name its file with --token-file, or put it into {}", "用 --token-file 指定令牌文件，或把令牌放入环境变量 {}";
    token_or: "; or {}", "；也可{}";
    token_unread: "{}: the token cannot be read: {}; it is in operator.token in the node's data folder, for its owner", "{}：无法读取令牌：{}；令牌在节点数据目录的 operator.token 中，仅其所有者可读";

    // Sending, and what becomes of it.
    reads_terminal: "the data is read from this terminal; end it with Ctrl-D", "从终端读取数据，按 Ctrl-D 结束";
    data_no_json: "{}: is not JSON: {}; correct it, or name what it is with --content-type", "{}：不是 JSON：{}；请改正，或用 --content-type 指明类型";
    data_too_large: "{}: is larger than {} MiB, which no message may be; send less", "{}：超过 {} MiB，报文不能这样大；请缩减";
    again_with_id: "; send it with --id {} so that it cannot go twice", "；请带 --id {} 重发，以免重复";
    wait_over: "{}: is {} after {} s and goes on; look with `casegate queue show {}`", "{0}：等待 {2} 秒后状态为 {1}，报文继续传送；请用 casegate queue show {0} 查看";
    ended_for: "{}: {} for {}", "{0}：发往 {2}：{1}";
    ended_see: "; see `casegate queue show {}`", "；详见 casegate queue show {}";
    attached_changed: "{}: the node has got other bytes; send it again", "{}：节点收到的内容不一致；请重新发送";
    attachment_broke: "{}: the connection broke: {}", "{}：连接中断：{}";
    attachment_changed: "{}: the node has sent other bytes", "{}：节点发来的内容与摘要不符";
    on_the_way: "on the way", "传输中";
    bar_left: "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left  {msg}", "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} 剩余 {eta}  {msg}";
    events_unread: "{}:{}: cannot be read: {}; write UTF-8, one JSON object a line", "{}:{}：无法读取：{}；请用 UTF-8，每行一个 JSON 对象";
    events_no_object: "{}:{}: is not a JSON object: {}; write one CloudEvent a line", "{}:{}：不是 JSON 对象：{}；请每行写一个 CloudEvent";
    events_accepted: "{} messages accepted", "已受理报文 {} 条";
    events_again: "; {} messages are accepted; send the file again, what is accepted does not go twice", "；已受理报文 {} 条；请重新发送该文件，已受理的不会重复";
    events_there: "{} of {} messages are there", "已到 {} / {} 条";

    // Receiving.
    comes_again: "; nothing of this was acked and it comes again", "；这些报文均未确认，会再次交付";
    data_no_text: "({} bytes that are no text; --save or --json gives them)", "（{} 字节，不是文本；用 --save 或 --json 取得）";

    // The queue.
    done_hold: "hold is done", "已暂缓";
    done_release: "release is done", "已恢复";
    done_retry: "retry is done", "将重试";
    done_reprioritise: "reprioritise is done", "已调整急缓";
    done_expire: "expire is done", "已置为过期";
    done_drop: "drop is done", "已删除";
    done_to: "{} to {} messages", "{} {} 条";
    done_to_some: "{} to {} messages; to {} it cannot be done", "{} {} 条；另有 {} 条无法执行";
    after_messages: "after {} messages: ", "处理 {} 条之后：";
    more_wait: "{} wait in all; go on with --cursor {}, or take --all", "共 {} 条；用 --cursor {} 继续，或用 --all";
    everything_goes: "{}: everything goes", "{}：全部正常发送";
    lanes_paused: "{}: paused: {}", "{}：已暂停：{}";
    node_takes: "the node takes submissions", "节点受理报文";
    drained: "drained: nothing is queued", "已排空：没有排队的报文";
    draining: "draining: {} are still queued", "正在排空：还有排队报文 {}";
    still_queued: "{} are still queued; look at `casegate queue list`", "还有排队报文 {}；请查看 casegate queue list";
    no_circulation: "{}: this node keeps no circulation of cases; ask one that does, or run a newer casegate there", "{}：该节点没有案件流转；请查询其他节点，或升级该节点";
    case_in_short: "case {}: {} messages", "案件 {}：报文 {} 条";
    may_be_missing: "messages may be missing ({}): {}", "可能缺少报文（{}）：{}";

    // A queue that is carried as a file.
    import_unread: "{}: cannot be read: {}; name what `casegate queue export --out` has written", "{}：无法读取：{}；请指定 casegate queue export --out 写出的文件";
    imported: "{} messages of {} are taken; {} had come before, {} are refused", "来自 {1}：导入报文 {0} 条，此前已收到 {2} 条，拒收 {3} 条";
    import_refused: "{}: refused: {}; its sender is told", "{}：拒收：{}；已告知发送单位";
    import_full: "for {} messages there is no room now; make some, and import the file again", "有 {} 条报文暂无空间；请清理后再次导入";
    a_message: "a message", "某报文";
    export_unmade: "{}: cannot be made: {}; name a file that is not there yet", "{}：无法创建：{}；请指定尚不存在的文件";
    export_unwritten: "{}: cannot be written: {}; what it was to have is held: export it again with --state held, or release it", "{}：无法写入：{}；其中的报文已暂缓，请用 --state held 重新导出，或恢复发送";
    exported: "{}: {} messages for {}, {}; they are held here until {} has them or you release them", "{0}：发往 {2} 的报文 {1} 条，{3}；在 {4} 确认收到或手动恢复之前暂缓发送";
    left_out: "{}: left out: {}", "{}：未导出：{}";

    // The audit log.
    audit_advice: "; name audit.log of a data folder, or what `casegate audit export` has written", "；请指定数据目录中的 audit.log，或 casegate audit export 写出的文件";
    audit_unsigned: "{}: nothing of it is signed, so anybody may have written it; start a newer casegate on it once", "{}：没有任何签名，无法确认由谁写下；请用新版 casegate 在其上启动一次";
    audit_whole: "{}: whole, {} entries", "{}：完整，共 {} 条";
    audit_signer: "{}, up to line {}", "{}，签名至第 {} 行";
    audit_certificate: "certificate {}, {}", "{}，{}";
    audit_of_ca: "of the CA", "由该 CA 签发";
    audit_no_ca: "not compared with a CA: --ca does it", "未与 CA 核对，可用 --ca";
    audit_torn: "line {} was cut short by a crash, before it was confirmed to anyone", "第 {} 行因崩溃而残缺，当时尚未向任何人确认";

    // Backups.
    restore_used: "{}: it is there and not empty; nothing is restored over it: move it away or name another folder", "{}：已存在且不为空，不会覆盖；请移走或另指定文件夹";
    backup_told: "{}: {} as of {}: {} files, {}{}", "{}：{} 截至 {} 的数据：文件 {} 个，{}{}";
    backup_holds: "; {} messages of its own have not ended, {} wait in its inbox, {} damaged places", "；本单位未了结的报文 {} 条，收件箱待取 {} 条，损坏 {} 处";
    backup_wrong: "{}: {}; name the folder that `casegate backup` made", "{}：{}；请指定 casegate backup 生成的文件夹";
    backup_no_list: "it is no list of a backup: {}", "不是备份清单：{}";
    backup_version: "it is of version {}, not {}", "版本为 {}，应为 {}";
    backup_outside: "it names {}, outside the backup", "列有备份以外的 {}";
    backup_changed: "{} has changed", "{} 已改变";
    backup_broken: "{}: {} of {} files are not as they were: {}; restore another backup, or the node from its neighbours (docs/OPERATIONS.md)", "{0}：{2} 个文件中有 {1} 个与备份时不一致：{3}；请恢复其他备份，或由邻居节点重建本节点（docs/OPERATIONS.md）";

    // Checking a configuration.
    check_ok: "ok: {}", "无误：{}";
    check_unit: "unit {}", "单位 {}";
    check_hub: "a hub on {} that knows {} units", "枢纽，监听 {}，已知单位 {} 个";
    check_dials: "dials {} over {}", "经 {1} 连接 {0}";
    check_policy: "{} policy rules", "策略规则 {} 条";

    // Certificates.
    ca_made: "made a CA in {}; keep ca.key there and nowhere else", "已在 {} 建立 CA；ca.key 只留在该处";
    keys_made_here: "note: the keys are made here, at the CA, which is for labs; in service run `casegate pki request` at the unit and issue with --csr", "注意：密钥在 CA 处生成，仅供试验；正式使用时，请在单位执行 casegate pki request，再用 --csr 签发";
    issued: "issued to {}: {}", "已签发给 {}：{}";
    requested: "made for {}: {}; take request.csr, and only that, to the CA", "已为 {} 生成：{}；只把 request.csr 交给 CA";

    // Dictionaries.
    several_units: "several units", "多个单位";
    samples_of: "{} messages of {}", "{1} 的报文 {0} 条";
    dictionary_foreign: "{} messages of other units are left out", "已略去其他单位的报文 {} 条";
    dictionary_cut: "there is more than 64 MiB; what comes after it is left out", "超过 64 MiB，其后的已略去";
    dictionary_senders: "{} units sent these messages, and neighbours can read pieces of what a dictionary was trained on: take one unit's with --unit UNIT", "这些报文来自 {} 个单位，而邻居节点能读到训练字典所用报文的片段：请用 --unit UNIT 只取一个单位的";
    dictionary_is: "what was trained is {}", "训练结果有误：{}";
    dictionary_unwritten: "{}: cannot be written: {}; give another --out", "{}：无法写入：{}；请另指定 --out";
    dictionary_of: " of {}", "{} 的";
    dictionary_few: "{} messages{} are too few to learn from; give at least {}, or leave the node with the built-in dictionary", "{1}报文只有 {0} 条，不足以训练；请至少提供 {2} 条，或沿用内置字典";
    dictionary_event: "{}: {}; give CloudEvents as applications submit them", "{}：{}；请提供应用提交的 CloudEvents";
    dictionary_source: "source: is not \"/unit/\" and a unit's name", "source：应为 \"/unit/\" 加单位名";
    dictionary_no_files: "{}: has no .json or .jsonl files; give a folder of CloudEvents", "{}：没有 .json 或 .jsonl 文件；请指定 CloudEvents 的文件夹";
    gain_of: "bytes on the wire for each byte submitted, on {} other messages", "在另外 {} 条报文上，每提交一字节的线上字节数";
    gain_built_in: "built-in", "内置";
    gain_own: "own", "自有";
    gain_saved: "saved", "节省";
    gain_alone: "one at a time", "逐条发送";
    gain_none: "It saves nothing: leave the node with the built-in dictionary.", "没有节省：请沿用内置字典。";

    // The demo and the lab.
    demo_link: "{} ({})", "{}（{}）";
    trial_next: "Next: --link {} for another link, --keep for the configurations and the data, README.md for a hub of your own.", "下一步：用 --link {} 换一种链路，用 --keep 留下配置和数据，按 README.zh-CN.md 搭建自己的枢纽。";
    trial_interrupted: "interrupted before the end", "提前中断";
    trial_folder_used: "--data {}: is not empty, and what a demo leaves is removed; name a folder that is empty or missing", "--data {}：不为空，而演示结束时会清除；请指定空的或不存在的文件夹";
    trial_folder_unmade: "--data {}: cannot be made ({}); name another folder", "--data {}：无法创建（{}）；请另指定文件夹";
    trial_no_folder: "{}: no folder can be made in it ({}); name one with --data", "{}：无法在其中创建文件夹（{}）；请用 --data 指定";
    trial_not_removed: "{}: cannot be removed: {}", "{}：无法删除：{}";
    trial_no_answer: "a gateway does not answer: {}", "网关没有应答：{}";
    trial_certificates: "certificates: a CA, and keys for {} and {}", "证书：建立 CA，为 {}、{} 生成密钥";
    trial_nodes: "nodes: {} and {}, each with a configuration of its own", "节点：{}、{}，各有自己的配置";
    trial_link: "link of each unit: {}", "各单位的链路：{}";
    trial_no_listen: "the hub does not listen", "枢纽没有监听";
    trial_no_link: "no link can be made: {}", "无法建立链路：{}";
    trial_no_session: "no session within {} s: the link is too bad, or something is wrong; run again with CASEGATE_LOG=info to see why", "{} 秒内没有建立会话：链路太差，或出了问题；请设 CASEGATE_LOG=info 再运行，查看原因";
    trial_traffic: "traffic: {} messages, {} to be delivered", "收发：报文 {} 条，应送达 {} 份";
    trial_settling: "settling: receipts on their way back, and whether anything comes twice", "收尾：等待回执返回，看有无重复";
    trial_cut: "outage: the link of each unit is cut for {} s", "中断：各单位的链路断开 {} 秒";
    trial_cut_both: "outage: both links are cut for {} s", "中断：两条链路断开 {} 秒";
    trial_mended: "outage: over", "中断：结束";
    trial_is_cut: "(link cut)", "（链路中断）";
    trial_refused: "{} refuses a message: {}", "{} 拒绝报文：{}";
    trial_refused_scan: "{} refuses an attachment: {}", "{} 拒绝附件：{}";
    trial_nobody: "nobody is there to send a scan to", "没有可接收扫描件的节点";
    trial_scan: "scan: {} bytes, attached to a message", "扫描件：{} 字节，随报文发送";
    trial_scan_lost: "the scan did not come, with {} bytes on the wire", "扫描件未收到，线上已传 {} 字节";
    trial_scan_changed: "the scan is not what was sent", "扫描件与发出的不一致";
    trial_bar: "{elapsed:>4} {wide_bar} {pos}/{len} delivered  {msg}", "{elapsed:>4} {wide_bar} 已送达 {pos}/{len}  {msg}";
    trial_scan_bar: "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left", "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} 剩余 {eta}";
    trial_delivered: "{} of {} delivered", "已送达 {} / {}";
    fault_what: "{} from {} at {}", "{2} 收到 {1} 的报文 {0}";
    fault_unsent: "{}: nobody sent it", "{}：无人发送";
    fault_foreign: "{}: it was not for this receiver", "{}：不是发给它的";
    fault_again: "{}: it came again", "{}：重复收到";
    fault_changed: "{}: its {} is not what was sent", "{}：{} 与发出的不一致";
    fault_order: "{}: a later message of its case came before it", "{}：同案较晚的报文先到";
    fault_missing: "{} from {} to {}: it has not come", "{1} 发给 {2} 的报文 {0}：未收到";
    fault_more: "and {} more", "另有 {} 项";
    report_link: "link", "链路";
    report_sent: "sent", "发出";
    report_delivered: "delivered", "送达";
    report_missing: "missing", "丢失";
    report_duplicated: "duplicated", "重复";
    report_payload: "payload bytes", "载荷字节";
    report_submitted: "{} submitted at the edge, {} at the hub", "边缘提交 {}，枢纽提交 {}";
    report_up: "wire bytes up", "上行线上字节";
    report_down: "wire bytes down", "下行线上字节";
    report_wire: "ratio {}, {} packets, {} of them lost", "线上/载荷 {}，{} 个包，其中丢失 {} 个";
    report_time: "time", "用时";
    report_seconds: "{} s", "{} 秒";
    report_latency: "latency", "时延";
    report_messages: "messages", "报文";
    report_median: "median ms", "中位毫秒";
    report_p99: "p99 ms", "p99 毫秒";
    report_all: "all", "全部";
    report_scan: "scan attached", "扫描件";
    report_scan_sent: "bytes in {} s, {} up, ratio {}{}, digest {}", "字节，用时 {} 秒，上行 {}，线上/载荷 {}{}，摘要{}";
    report_resumed: ", cut in the middle and gone on with", "，中途断开后续传";
    report_anew: ", cut in the middle and begun anew", "，中途断开后重新开始";
    report_equal: "equal", "一致";
    report_unequal: "WRONG", "不一致";
    report_note: "Wire bytes are UDP payload and {} a packet, handshakes, acks and receipts included. Latency is from the call that\nsubmits to the call that receives, at another unit.", "线上字节为 UDP 载荷加每包 {} 字节，含握手、应答和回执。时延从提交报文的调用起，到另一单位接收报文的调用止。";
    report_kept: "kept in {}. Next, each in a terminal of its own:", "保留在 {}。下一步，各在一个终端中运行：";
    report_api: "and then the API of a node, at `listen` under [api] in its file: /v1/status, /v1/links, /metrics", "然后访问节点的 API（地址见其配置 [api] 中的 listen）：/v1/status、/v1/links、/metrics";
    lab_recording: "a recording of {} kbit/s on average", "录制的链路，平均 {} kbit/s";
    lab_unbounded: "no bound of rate", "不限速率";
    lab_loss: "{} % loss", "丢包 {} %";
    lab_bursts: "{} % loss in bursts of {}", "丢包 {} %，每次连续 {} 个";
    lab_way: "{}, {} ms, {} ms of jitter, {}", "{}，时延 {} ms，抖动 {} ms，{}";
    lab_line: "{}; up {}; down {}", "{}；上行：{}；下行：{}";
    lab_out: "; out at {}", "；中断于 {}";
    lab_window: "{}-{} s", "第 {}-{} 秒";
    lab_every: ", every {} s", "，每 {} 秒一次";

    // On a terminal: `casegate top`.
    top_no_terminal: "standard output: is no terminal, or standard input is none; print the node once with `casegate status`", "标准输出或标准输入不是终端；请用 casegate status 输出一次";
    top_undrawn: "the terminal cannot be drawn on: {}; print the node once with `casegate status`", "无法在终端上绘制：{}；请用 casegate status 输出一次";
    top_ended: "casegate top: looks at the node have ended; this is a fault of ours, start it again", "casegate top：对节点的查看已停止；这是程序故障，请重新启动";
    top_hub_under: "hub under {}", "枢纽，上级 {}";
    top_edge_of: "edge of {}", "边缘，枢纽 {}";
    top_hub: "hub", "枢纽";
    top_up: "up {}", "已运行 {}";
    top_volume: "{} {} ({})", "{} {} 条（{}）";
    top_awaiting: "awaiting {}", "等待回执 {}";
    top_units: "units {}/{}", "已连接单位 {}/{}";
    top_journal: "journal {}/{}", "日志 {}/{}";
    top_attached: "attached {}/{}", "附件 {}/{}";
    top_paused: "PAUSED: as it was {} ago; p goes on", "已暂停：{}前的状态；按 p 继续";
    top_gone: "GONE, as it was {} ago, trying on: {}", "节点失联，所示为 {}前的状态，正在重试：{}";
    top_silent: "NO ANSWER for {}: {} is waited for", "已 {}没有应答：正在等待 {}";
    top_warnings: "Warnings", "需要处理";
    top_links: "Links", "链路";
    top_queues: "Queues", "各邻居节点的队列";
    top_attachments: "Attachments under way", "传输中的附件";
    top_place: "{}-{} of {}", "第 {}-{} 行，共 {}";
    top_not_ready: "the node takes no submissions", "节点暂不受理报文";
    top_link: "link {} to {} is {}", "到 {1} 的链路 {0} {2}";
    top_link_for: " for {}", "，已 {}";
    top_the_journal: "the journal", "日志";
    top_the_attachments: "attachments", "附件";
    top_nearly_full: "{}: {} % of the bound is used", "{}：已用上限的 {} %";
    top_away: "{} messages wait for {}, which is away, the oldest for {}", "{1} 未连接，有 {0} 条报文在等待，最久的已等 {2}";
    top_keys: "q leave  Tab next pane  j/k scroll  p pause  ? help", "q 退出  Tab 下一栏  j/k 滚动  p 暂停  ? 帮助";
    top_help: "q, Esc, Ctrl-C     leave\n\
        Tab, Shift-Tab     next pane, pane before: its name begins with >\n\
        up, down, k, j     scroll the pane by a row\n\
        PgUp, PgDn         scroll it by ten rows\n\
        Home, End, g, G    to its first, its last rows\n\
        p                  pause, and go on\n\
        ?                  this help; any key ends it\n\
        \n\
        RATE      what the link carries from here, as estimated\n\
        SENDS     what it has sent lately, headers included; GETS the other way\n\
        FLYING    bytes of messages under way and not acked\n\
        RATIO     bytes sent for each byte of the messages sent\n\
        TODAY     what it has carried since midnight, of its budget\n\
        OLDEST    how long the oldest message has waited here\n\
        EMPTY IN  at the rate of the last ten seconds, or else at what the\n          \
                  links could carry\n\
        \n\
        The same once: casegate status; in a browser: /console/ of the API",
        "q、Esc、Ctrl-C     退出\n\
        Tab、Shift-Tab     下一栏、上一栏：当前栏的名称前有 >\n\
        方向键、k、j       滚动一行\n\
        PgUp、PgDn         滚动十行\n\
        Home、End、g、G    到开头、到末尾\n\
        p                  暂停、继续\n\
        ?                  本帮助；按任意键关闭\n\
        \n\
        可用速率   估计本端经该链路可发送的速率\n\
        上行       近十秒的发送速率，含包头；下行为接收速率\n\
        在途       已发出、尚未应答的报文字节\n\
        线上/载荷  发送字节与报文字节之比\n\
        今日流量   零点以来的流量，及每日上限\n\
        最久等待   最早的报文在本节点已等待的时间\n\
        预计清空   按近十秒的速率，否则按链路可用速率推算\n\
        \n\
        只看一次：casegate status；浏览器：API 的 /console/";
    span_s: "{} s", "{} 秒";
    span_min: "{} min", "{} 分";
    span_min_s: "{} min {} s", "{} 分 {} 秒";
    span_h_min: "{} h {} min", "{} 小时 {} 分";
    span_d_h: "{} d {} h", "{} 天 {} 小时";
}
