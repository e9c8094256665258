//! The texts of the helps: in English as the commands have them, and in Chinese. Of what follows the options each line is one text, but
//! for the examples, which stay as they are.

/// English and Chinese. Tests see to it that none is missing, and none is left over.
pub(super) const HELPS: &[(&str, &str)] = &[
    // The program.
    (
        "A secure message gateway for constrained links",
        "面向窄带、不稳定链路的安全报文网关",
    ),
    ("Examples:", "示例："),
    ("Example:", "示例："),
    (
        "Exit codes: 0 done, 2 usage, 65 bad data (HTTP 400, 404, 409, 413, 422), 69 node not reachable, 70 internal, 73 cannot create, \
         75 try again later (429, 503, 507), 77 refused (401, 403), 78 bad configuration.",
        "退出码：0 完成，2 用法错误，65 数据有误（HTTP 400、404、409、413、422），69 无法连接节点，70 内部错误，73 无法创建，\
         75 请稍后再试（429、503、507），77 被拒绝（401、403），78 配置有误。",
    ),
    ("Print help", "显示帮助"),
    ("Print help (see more with '--help')", "显示帮助"),
    ("Print version", "显示版本"),
    (
        "Print this message or the help of the given subcommand(s)",
        "显示本帮助或某个命令的帮助",
    ),
    // What many commands have.
    ("The node's API", "节点 API 的地址"),
    (
        "A file with the token to show. Without it: CASEGATE_OPERATOR_TOKEN; for operators' actions else operator.token in the node's \
         data folder",
        "存放令牌的文件；不指定则用环境变量 CASEGATE_OPERATOR_TOKEN，操作员操作再取节点数据目录中的 operator.token",
    ),
    ("Print JSON, one object a line", "输出 JSON，每行一个对象"),
    ("Print one JSON object", "输出一个 JSON 对象"),
    (
        "Print one JSON object and nothing else on standard output",
        "标准输出只输出一个 JSON 对象",
    ),
    (
        "Print what the node answers as JSON",
        "以 JSON 输出节点的应答",
    ),
    ("Why, for the audit log", "原因，记入审计日志"),
    // run and check.
    ("Run a node until SIGTERM", "运行节点，直到收到 SIGTERM"),
    ("The configuration file", "配置文件"),
    (
        "Tell every mistake of a configuration file at once",
        "一次列出配置文件中的全部错误",
    ),
    ("One JSON object a finding", "每个问题输出一个 JSON 对象"),
    (
        "It ends with 78 when something is wrong; warnings alone, such as an identity that is not there yet, are no fault.",
        "有错误时退出码为 78；只有警告（如身份文件尚未就位）不算错误。",
    ),
    // demo and lab.
    (
        "Watch a hub and two units exchange messages over an emulated link",
        "演示一个枢纽和两个单位经模拟链路收发报文",
    ),
    (
        "Watch a hub and two units exchange messages over an emulated link. Everything happens on this machine, in a folder that is \
         removed at the end. The exit code is 0 only when every message arrived once, unchanged and in the order of its case, and the \
         scan that is attached to the last one as it was.",
        "演示一个枢纽和两个单位经模拟链路收发报文。全部在本机进行，所用文件夹结束时删除。只有每条报文都恰好送达一次、内容不变、\
         同案有序，且最后一条所附的扫描件完好，退出码才为 0。",
    ),
    (
        "The link between each unit and the hub",
        "各单位与枢纽之间的链路",
    ),
    (
        "How many (message, receiver) pairs to send",
        "发送多少份，一条报文发给一个单位计一份",
    ),
    (
        "The folder for keys, configurations and data; it must be empty or missing. Default: a new one for temporary files",
        "存放密钥、配置和数据的文件夹，须为空或不存在；默认为新建的临时文件夹",
    ),
    (
        "Leave the folder, with configurations that `casegate run` takes",
        "保留文件夹，其中的配置可供 casegate run 使用",
    ),
    (
        "The municipal exclusive channel: 10 Mbit/s, 10 ms",
        "市级专线：10 Mbit/s，10 ms",
    ),
    (
        "A modem with good reception: 1 Mbit/s up, 3 down, 50 ms, 0.5 % loss",
        "信号好的 3G：上行 1、下行 3 Mbit/s，50 ms，丢包 0.5 %",
    ),
    (
        "A modem with poor reception: 256 kbit/s up, 512 down, 150 ms, 40 ms of jitter, 3 % loss in bursts",
        "信号差的 3G：上行 256、下行 512 kbit/s，150 ms，抖动 40 ms，成串丢包 3 %",
    ),
    (
        "3g-good that is cut for five seconds in the middle",
        "3g-good，中途断开 5 秒",
    ),
    ("A local network", "局域网"),
    (
        "Try how casegate would do over a link: a preset, numbers of your own, or a recorded trace",
        "试验某条链路上的收发效果：预设、自定参数或录制的链路",
    ),
    (
        "Try how casegate would do over a link that is planned or was recorded. An edge and a hub run on this machine, in a folder that \
         is removed at the end, and exchange real-looking case messages over the emulated link, in real time. Numbers take the place of \
         the preset's. The exit code is 0 only when every message arrived once, unchanged and in the order of its case.",
        "试验在规划中的或录制的链路上的收发效果。在本机运行一个边缘和一个枢纽，所用文件夹结束时删除；两者经模拟链路实时收发仿真的\
         案件报文。给出的参数取代预设值。只有每条报文都恰好送达一次、内容不变、同案有序，退出码才为 0。",
    ),
    ("How many messages to send", "发送多少条报文"),
    (
        "Who sends them: up is the edge, down is the hub",
        "由谁发送：up 为边缘，down 为枢纽",
    ),
    ("The edge", "边缘"),
    ("The hub", "枢纽"),
    ("Both by turns", "两者轮流"),
    (
        "Messages a second; without it all of them wait when the link comes up",
        "每秒提交多少条；不指定则链路接通时全部已在排队",
    ),
    (
        "Decides which packets are lost and how much each is delayed: the same seed, the same luck",
        "随机种子，决定哪些包丢失、各延迟多少；种子相同则结果相同",
    ),
    ("The preset to begin with", "作为基础的预设"),
    (
        "How the nodes treat the link; default: as the preset's. Traces: 3g",
        "节点把该链路当作哪一类；默认与预设相同，录制的链路为 3g",
    ),
    (
        "A recording of the way up: a line for each moment, in milliseconds, at which a packet of 1,504 bytes could leave (mahimahi)",
        "上行方向的录制：每行一个时刻（毫秒），此时可发出一个 1504 字节的包（mahimahi 格式）",
    ),
    ("A recording of the way down", "下行方向的录制"),
    (
        "Rate from the edge to the hub, kbit/s",
        "边缘到枢纽的速率，kbit/s",
    ),
    (
        "Rate from the hub to the edge, kbit/s",
        "枢纽到边缘的速率，kbit/s",
    ),
    ("Delay of each way, milliseconds", "单向时延，毫秒"),
    (
        "The delay varies by up to so much either way, milliseconds",
        "时延上下浮动的幅度，毫秒",
    ),
    (
        "Packets that are lost, percent of each way",
        "丢包，每个方向的百分比",
    ),
    (
        "Losses come in bursts of so many packets on average",
        "丢包成串发生，平均每串多少个包",
    ),
    (
        "What can wait at the sending end of each way, KiB; what finds it full is lost",
        "每个方向发送端可排队的量，KiB；排满即丢",
    ),
    (
        "When the link is out, seconds after the start: 10-25, or several: 10-25,60-90",
        "链路何时中断，从开始起的秒数：10-25，可写多段：10-25,60-90",
    ),
    (
        "The outages come again with this period, seconds",
        "中断按此周期重复，秒",
    ),
    ("10 Mbit/s, 10 ms", "上下行 10 Mbit/s，10 ms"),
    (
        "1 Mbit/s up, 3 down, 50 ms, 0.5 % loss",
        "上行 1、下行 3 Mbit/s，50 ms，丢包 0.5 %",
    ),
    (
        "256 kbit/s up, 512 down, 150 ms, 40 ms of jitter, 3 % loss in bursts",
        "上行 256、下行 512 kbit/s，150 ms，抖动 40 ms，成串丢包 3 %",
    ),
    (
        "3g-good that is out from 10 s to 25 s and then every 45 s",
        "3g-good，第 10 至 25 秒中断，此后每 45 秒一次",
    ),
    // pki.
    (
        "Make a CA, and issue or request certificates",
        "建立 CA，签发或申请证书",
    ),
    (
        "Examples, the first and the last at the CA, the other one at the unit:",
        "示例（首尾两条在 CA 处执行，中间一条在单位执行）：",
    ),
    (
        "Make a certificate authority; one that exists is never overwritten",
        "建立证书颁发机构（CA）；已有的不会覆盖",
    ),
    (
        "The CA's folder, created as needed: ca.pem, ca.key and a record of what is issued",
        "CA 的文件夹，没有则创建：ca.pem、ca.key 和签发记录",
    ),
    ("The CA's name in its certificate", "CA 证书中的名称"),
    (
        "Issue a unit's TLS and signing certificates",
        "签发单位的 TLS 证书和签名证书",
    ),
    (
        "Issue a unit's TLS and signing certificates. With --csr the keys stay where `casegate pki request` made them. Without it the keys \
         are made here too, which is for labs.",
        "签发单位的 TLS 证书和签名证书。用 --csr 时，密钥留在执行 casegate pki request 的地方；不用则密钥也在此处生成，仅供试验。",
    ),
    ("The CA's folder", "CA 的文件夹"),
    (
        "The unit's name, such as hebi.xunxian.tobacco",
        "单位名，如 hebi.xunxian.tobacco",
    ),
    (
        "The folder for ca.pem, tls.pem, signing.pem (and the keys), created as needed; files there are replaced",
        "存放 ca.pem、tls.pem、signing.pem（及密钥）的文件夹，没有则创建，已有的文件会替换",
    ),
    (
        "A DNS name or IP address for the TLS certificate; only other tools look at it",
        "TLS 证书中的域名或 IP 地址；只有其他工具会看",
    ),
    (
        "The request.csr that `casegate pki request` made at the unit",
        "单位用 casegate pki request 生成的 request.csr",
    ),
    ("How long the certificates are valid", "证书有效期，天"),
    (
        "Make a unit's keys and the request for its certificates, where they are used",
        "在使用地生成单位的密钥和证书请求",
    ),
    (
        "The folder for tls.key, signing.key and request.csr, created as needed; a key there is never overwritten",
        "存放 tls.key、signing.key 和 request.csr 的文件夹，没有则创建；已有的密钥不会覆盖",
    ),
    // send.
    ("Send a message, or many", "发送一条或多条报文"),
    (
        "The messageid is printed; `casegate queue show MESSAGEID` tells what became of it. Sending the same --id (or the same file of \
         events) again is safe: what was accepted before is not sent twice.",
        "输出报文标识，用 casegate queue show MESSAGEID 可查其去向。同一个 --id（或同一个事件文件）可以放心重发：已受理的不会重复发送。",
    ),
    (
        "The receivers: units or patterns, such as hebi.police or hebi.*.tobacco",
        "接收单位：单位或通配，如 hebi.police、hebi.*.tobacco",
    ),
    (
        "What sort of message it is, such as case.transfer",
        "报文类型，如 case.transfer",
    ),
    (
        "The case that it belongs to; messages of one case stay in order",
        "所属案件；同案报文保持顺序",
    ),
    (
        "flash, urgent, normal or bulk [default: the kind's]",
        "急缓：flash（特急）、urgent（加急）、normal（普通）或 bulk（批量）；默认按类型",
    ),
    (
        "When it expires: a time of RFC 3339, or a span from now such as 7d [default: the kind's]",
        "到期：RFC 3339 时间，或从现在起的时长，如 7d；默认按类型",
    ),
    ("Its title", "标题"),
    (
        "Its id, unique among this unit's messages [default: a random one]",
        "应用标识，在本单位的报文中唯一；默认随机生成",
    ),
    (
        "The id of the message that it answers",
        "所答复报文的应用标识",
    ),
    (
        "Another CloudEvents attribute; may be given several times",
        "其他 CloudEvents 属性，可重复",
    ),
    (
        "The data's media type [default: what the file's name or its content shows]",
        "数据的媒体类型；默认由文件名或内容判断",
    ),
    (
        "A file to attach, of any size; may be given several times",
        "附件，大小不限，可重复",
    ),
    (
        "Send a file of CloudEvents instead, one JSON object a line (- is standard input)",
        "改为发送 CloudEvents 文件，每行一个 JSON 对象（- 为标准输入）",
    ),
    (
        "Wait until every receiver's part is so far",
        "等到各接收单位都达到此状态",
    ),
    ("This node has it on stable storage", "本节点已落盘"),
    ("The next node has it on stable storage", "下一节点已落盘"),
    ("It is in the receiver's inbox", "已进入对方收件箱"),
    ("How long to wait at most", "最多等待多久"),
    (
        "Print what the node answers as JSON, one object a message",
        "以 JSON 输出节点的应答，每条报文一个对象",
    ),
    (
        "The data; - is standard input, and so is nothing unless files are attached",
        "数据；- 为标准输入，没有附件时不写也是标准输入",
    ),
    // receive.
    ("Take messages out of the inbox", "从收件箱取走报文"),
    (
        "Take messages out of the inbox. A message is acked, and so not handed out again, once it is printed or, with --save, on stable \
         storage with its attachments; what is not acked comes again.",
        "从收件箱取走报文。报文输出之后，或用 --save 连同附件落盘之后即予确认，不再交付；未确认的会再次交付。",
    ),
    (
        "--save DIR makes DIR and writes MESSAGEID.json, the whole CloudEvent as it came. Data that is not JSON is also written by itself, \
         to MESSAGEID.txt, .pdf, .bin or what its media type says, before that file is there. Attachments are fetched, compared with \
         their digests and written before it too, to MESSAGEID.1.NAME and so on.",
        "--save DIR 创建 DIR 并写入 MESSAGEID.json，即原样的 CloudEvent。非 JSON 的数据另存为 MESSAGEID.txt、.pdf、.bin 等（由媒体类型决定），\
         附件取回并核对摘要后存为 MESSAGEID.1.NAME 等；两者都先于该文件写好。",
    ),
    (
        "Take so many messages at most [default: all that are there]",
        "最多取多少条；默认取完现有的",
    ),
    (
        "Wait so long for the first one; --follow waits on",
        "等待第一条的时间；--follow 则一直等待",
    ),
    ("Go on until Ctrl-C", "持续收取，直到 Ctrl-C"),
    (
        "Write each message to a file of its own in this folder",
        "每条报文在该文件夹中存为一个文件",
    ),
    (
        "Print one JSON object a line: the CloudEvent, or with --save where it is",
        "每行输出一个 JSON 对象：CloudEvent，或用 --save 时的存放位置",
    ),
    // queue.
    (
        "See and change what waits for neighbours",
        "查看和处置发往邻居节点的排队报文",
    ),
    (
        "hold, release, retry, reprioritise, expire and drop are operators' actions and need the operators' token: that of --token-file or \
         CASEGATE_OPERATOR_TOKEN, else that of operator.token in the node's data folder, which its owner may read. All are audited.",
        "hold、release、retry、reprioritise、expire、drop 是操作员操作，须有操作员令牌：由 --token-file 或 CASEGATE_OPERATOR_TOKEN 给出，\
         否则取节点数据目录中的 operator.token（其所有者可读）。各项操作均记入审计日志。",
    ),
    (
        "List what waits, the oldest first",
        "列出排队的报文，最早的在前",
    ),
    ("At most so many entries", "最多多少条"),
    ("Go on where a page ended", "从上一页结束处继续"),
    ("Everything, page by page", "逐页列出全部"),
    (
        "Print a table for a spreadsheet (RFC 4180)",
        "输出电子表格可用的 CSV（RFC 4180）",
    ),
    (
        "Tell everything that is known of a message",
        "显示一条报文的全部已知情况",
    ),
    ("Its messageid", "报文标识"),
    (
        "Keep messages, and later ones of their cases, from being sent",
        "暂缓发送报文及同案的后续报文",
    ),
    ("Undo a hold", "恢复暂缓的报文"),
    (
        "Send messages as soon as a session is there",
        "重试：一有会话即发送",
    ),
    ("Move messages to another lane", "调整报文的急缓"),
    (
        "flash, urgent, normal or bulk",
        "flash（特急）、urgent（加急）、normal（普通）或 bulk（批量）",
    ),
    (
        "End messages; their senders are told why",
        "删除报文，并告知发送单位原因",
    ),
    (
        "Why, in words for the sender and the audit log",
        "原因，告知发送单位并记入审计日志",
    ),
    (
        "End messages as if their time were over; their senders are told why",
        "将报文作过期处理，并告知发送单位原因",
    ),
    (
        "Write what waits for a neighbour to a file that is imported there, for the day when the link is a stick; without --out, print \
         everything that waits as JSON lines, each entry with all that is known of its message",
        "把发往邻居节点的排队报文导出到文件，用移动介质带去导入；不用 --out 则以 JSON 逐行输出全部排队报文及其已知情况",
    ),
    (
        "The file to make, and PATH.2 and so on when one does not take it all; needs an administrator's token",
        "要创建的文件，容不下时再写 PATH.2 等；须有管理员令牌",
    ),
    (
        "With --out: only these messages",
        "与 --out 同用：只导出这些报文",
    ),
    ("Their messageids", "报文标识"),
    (
        "All that wait and fit --state, --neighbour, --lane, --kind, --case and --older-than",
        "符合 --state、--neighbour、--lane、--kind、--case、--older-than 的全部排队报文",
    ),
    (
        "Only what is queued, held or sending",
        "只看该状态的：排队、暂缓或发送中",
    ),
    ("Only what waits for this neighbour", "只看发往该邻居节点的"),
    (
        "Only what waits in this lane: flash, urgent, normal or bulk",
        "只看该急缓等级的：flash、urgent、normal 或 bulk",
    ),
    (
        "Only kinds that this matches, such as case.*",
        "只看符合的类型，如 case.*",
    ),
    ("Only this case", "只看该案件的"),
    (
        "Only what came here at least so long ago: 90s, 30m, 12h, 7d",
        "只看至少这么久之前到达的：90s、30m、12h、7d",
    ),
    // import.
    (
        "Take the messages of a file that a neighbour has exported",
        "导入邻居节点导出的报文文件",
    ),
    (
        "The file is for this node and of a neighbour, or it is refused as a whole. Each message in it is judged as if it had come over a \
         link; what has come before is not taken twice, so a file may be imported again when it is not known whether it was. Needs an \
         operator's token.",
        "文件须由邻居节点导出且发往本节点，否则整体拒收。其中每条报文按经链路收到的同样校验；此前已收到的不会重复，不确定是否导入过时\
         可再次导入。须有操作员令牌。",
    ),
    ("Print the node's answer as JSON", "以 JSON 输出节点的应答"),
    ("The file", "要导入的文件"),
    // pause, resume, drain.
    (
        "Stop what goes to a neighbour, or one lane of it, until it is resumed",
        "暂停发往邻居节点的报文或其中一个急缓等级，直到恢复",
    ),
    (
        "Nothing is lost: messages wait, keep their order and go on expiring. A restart of the node changes nothing. An operator's action, \
         and audited.",
        "报文不会丢失：继续排队，顺序不变，照常到期；节点重启后仍为暂停。属操作员操作，记入审计日志。",
    ),
    (
        "The neighbour: the hub, or at a hub a unit",
        "邻居节点：枢纽；在枢纽上则为单位",
    ),
    (
        "Let what was paused for a neighbour go on; without a neighbour, end a drain",
        "恢复发往邻居节点的报文；不写邻居节点则结束排空",
    ),
    (
        "The neighbour; none: the node takes submissions again",
        "邻居节点；不写则节点恢复受理报文",
    ),
    (
        "Only this lane: flash, urgent, normal or bulk",
        "只限该急缓等级：flash、urgent、normal 或 bulk",
    ),
    (
        "Take no new submissions and go on sending, before maintenance",
        "停机维护前排空：不再受理报文，继续发送已有的",
    ),
    (
        "Applications get 503 and are told to come back. `casegate resume`, or a restart, ends it. An administrator's action, and audited. \
         With --wait it ends with 75 when something is still queued by then.",
        "应用提交会得到 503，并被告知稍后再试。casegate resume 或重启结束排空。属管理员操作，记入审计日志。用 --wait 时，到时仍有排队报文\
         则退出码为 75。",
    ),
    (
        "Wait until nothing is queued, at most so long: 90s, 30m, 2h",
        "等到队列清空，最多这么久：90s、30m、2h",
    ),
    // audit.
    (
        "See what operators did, and check that the record of it is whole",
        "查看操作记录，并校验记录是否完整",
    ),
    (
        "show and export ask a node and need an operator's token. verify needs the file only: it names the first line that was changed, \
         removed, moved or cut off, and ends with 65. Keep the digest that it prints in another place: with --last it finds later that \
         the end was cut off, whoever did it.",
        "show 和 export 查询节点，须有操作员令牌。verify 只需文件：指出第一处被改动、删除、移动或截去的行，退出码为 65。请把它输出的摘要\
         另存他处：以后用 --last 可查出末尾是否被截去，无论何人所为。",
    ),
    ("List entries, the newest first", "列出记录，最新的在前"),
    (
        "Only entries of this time (RFC 3339, or a date) or later",
        "只看此时间（RFC 3339 或日期）及以后的",
    ),
    ("Only what this one did", "只看此人的操作"),
    (
        "Only this action: hold, drop, read-body, refused-call, reload, ...",
        "只看此项操作：hold、drop、read-body、refused-call、reload 等",
    ),
    (
        "Check a log or an export of one, without a node",
        "校验审计日志或其导出文件，不需要节点",
    ),
    (
        "The file: audit.log of a data folder, or what export has written",
        "文件：数据目录中的 audit.log，或 export 写出的文件",
    ),
    (
        "The certificates of the CA that the signer's must be of: ca.pem of an identity",
        "签名证书须由其签发的 CA：身份文件夹中的 ca.pem",
    ),
    (
        "The digest that an earlier check printed as last: that line must still be there",
        "以前校验时输出的末行摘要：该行必须仍在",
    ),
    (
        "Save the whole log, signed up to its end",
        "导出整个日志，签名至末尾",
    ),
    (
        "The file to make; it must not be there",
        "要创建的文件，须尚不存在",
    ),
    // track, status, top.
    (
        "Follow one case: every message of it that this node knows",
        "跟踪案件：列出本节点已知的该案全部报文",
    ),
    (
        "Print what the node answers as one JSON object",
        "以一个 JSON 对象输出节点的应答",
    ),
    (
        "The case, as --case and caseid have it",
        "案号，与 --case、caseid 的写法一致",
    ),
    (
        "Show a node in numbers, its links and the units that it knows",
        "显示节点概况、链路和已知单位",
    ),
    (
        "`casegate top` shows the same as it changes.",
        "casegate top 实时显示同样的内容。",
    ),
    (
        "Print one JSON object: that of /v1/status, with `links` and `neighbours`, the lists of /v1/links and /v1/units",
        "输出一个 JSON 对象：/v1/status 的内容，加上 links 和 neighbours，即 /v1/links 和 /v1/units 的列表",
    ),
    (
        "Watch a node's links, queues and attachments on a terminal",
        "在终端上实时查看节点的链路、队列和附件",
    ),
    (
        "Watch a node on a terminal, once a second: what somebody should look at; its links with state, round trip, loss, rate and budget; \
         what waits for each neighbour by lane, how old it is and when it will be gone; attachments on their way. Narrow terminals show \
         fewer columns.",
        "在终端上查看节点，每秒刷新：需要处理的事项；各链路的状态、往返时延、丢包、速率和今日流量；各邻居节点按急缓的排队报文、最久等待和\
         预计清空时间；传输中的附件。终端较窄时少显示几列。",
    ),
    (
        "Keys: q leaves, Tab goes to the next pane, arrows or j and k scroll it, p pauses, ? explains.",
        "按键：q 退出，Tab 换栏，方向键或 j、k 滚动，p 暂停，? 帮助。",
    ),
    (
        "`casegate status` prints the same once, for scripts with --json.",
        "casegate status 输出一次同样的内容，供脚本使用时加 --json。",
    ),
    // dict.
    (
        "Dictionaries: train one on a unit's own messages, and look at one",
        "压缩字典：用单位自己的报文训练，查看字典",
    ),
    (
        "Train a dictionary on a unit's own messages",
        "用单位自己的报文训练字典",
    ),
    (
        "Every tenth message is kept back, and what the dictionary saves is measured on those. At least 500 others are needed. Name the file \
         in the node's configuration, [compression] dictionary = FILE, and send it a SIGHUP: its neighbours are given the dictionary once, \
         behind every message. They can read pieces of the messages that it was trained on.",
        "每十条报文留出一条，用来测量字典的节省效果；此外至少需要 500 条。在节点配置中写明文件（[compression] dictionary = FILE）并发送 SIGHUP：\
         字典排在所有报文之后，向各邻居节点传送一次。邻居节点能读到训练所用报文的片段。",
    ),
    (
        "Files of CloudEvents as applications submit them (.jsonl: one a line, .json: one), or folders of them",
        "应用提交的 CloudEvents 文件（.jsonl 每行一个，.json 一个），或其文件夹",
    ),
    (
        "Where the dictionary is written; a file that is there is replaced",
        "字典写到何处；已有的文件会替换",
    ),
    (
        "The unit whose messages are taken; others are left out",
        "只取该单位的报文",
    ),
    ("The most that it may take", "字典大小的上限，KiB"),
    (
        "Show what a dictionary is, or which ones the node's links use",
        "查看字典，或节点各链路所用的字典",
    ),
    (
        "The file that `casegate dict train` wrote; without it the node is asked what it compresses its own messages against",
        "casegate dict train 写出的文件；不写则查询节点压缩自己的报文所用的字典",
    ),
    // backup and restore.
    (
        "Copy the data of a running node, as it is at one moment, to a folder",
        "把运行中节点某一时刻的数据复制到文件夹",
    ),
    (
        "The node goes on meanwhile. Run it on the node's own machine, as the node's user or as root; it is an operator's action and needs \
         the operators' token, and it is audited. Keys and configuration are not in it: keep copies of those apart. `casegate restore DIR \
         --check` says whether a backup is whole.",
        "备份期间节点照常运行。请在节点本机以节点的用户或 root 执行；属操作员操作，须有操作员令牌，记入审计日志。备份不含密钥和配置，请另行\
         保存。casegate restore DIR --check 可检查备份是否完整。",
    ),
    (
        "The folder to make; it must not be there",
        "要创建的文件夹，须尚不存在",
    ),
    ("Print what was copied as JSON", "以 JSON 输出复制的内容"),
    (
        "Make a data folder of a backup, or check one",
        "用备份恢复数据目录，或检查备份",
    ),
    (
        "The node that starts on a restored folder numbers everything afresh. What its neighbours had from it and gave to it since the backup \
         comes back by itself; nothing is lost and nothing comes twice. Give the folder to the node's user before you start it.",
        "节点以恢复的目录启动后，一切重新编号。备份之后与邻居节点往来的报文会自行补回，不丢失也不重复。启动前请把目录的所有者改为节点的用户。",
    ),
    ("The backup", "备份"),
    (
        "Only compare every file with its digest, and read the journal as a node would",
        "只核对每个文件的摘要，并像节点一样读取日志",
    ),
    (
        "The data folder to make; it must not be there, or be empty",
        "要创建的数据目录，须不存在或为空",
    ),
    ("Print what is in it as JSON", "以 JSON 输出其内容"),
    // completions.
    (
        "Print the completions for a shell",
        "输出某个 shell 的补全脚本",
    ),
    ("Which shell", "哪个 shell"),
];
