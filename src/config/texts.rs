//! What is said of a configuration, in each language. `{}` is where something is put in.

use toml::de::DeValue;

use crate::language::{Both, texts};

texts! {
    /// The texts of one language.
    pub(super) struct Texts;

    // Between a problem and its fix, and in lists.
    then: "; ", "；";
    comma: ", ", "、";
    or: " or ", " 或 ";

    // What a value is.
    a_text: "text", "文本";
    a_number: "a number", "数字";
    a_fraction: "a number with a fraction", "带小数的数字";
    a_boolean: "true or false", "true 或 false";
    a_date: "a date", "日期";
    a_list: "a list", "列表";
    a_section: "a section", "配置节";

    // Values of a wrong sort.
    is: "is {}", "是{}";
    is_no_section: "is {}, not a section", "是{}，不是配置节";
    is_no_text: "is {}, not text", "是{}，不是文本";
    is_no_list: "is {}, not a list", "是{}，不是列表";
    only_one: "there can be only one", "只能有一个";
    write_one_header: "write [{}] instead of [[{}]]", "请写 [{}]，不要写 [[{}]]";
    write_header: "write [{}] on a line of its own and its keys below", "请让 [{}] 独占一行，其下写各项";
    write_list_header: "write [[{}]] on a line of its own and its keys below", "请让 [[{}]] 独占一行，其下写各项";
    write_this_quoted: "write it in quotes: \"{}\"", "请加引号：\"{}\"";
    write_quotes: "write text in quotes", "文本请加引号";
    write_boolean: "write true or false, without quotes", "请写 true 或 false，不加引号";
    write_number: "write a whole number from {} to {}", "请写 {} 到 {} 之间的整数";
    out_of_range: "{} is out of range", "{} 超出范围";
    no_line: "{} is too long or not a plain line", "{} 过长，或不是单行文本";
    write_line: "write at most {} bytes without control characters", "请写不超过 {} 字节的文本，不含控制字符";
    no_choice: "{} is not a choice", "{} 不是可选值";
    write_one_of: "write one of {}", "请写其中之一：{}";
    no_path: "{} is not a path", "{} 不是路径";
    write_path: "write the path of a file or folder", "请写文件或文件夹的路径";
    list_empty: "the list is empty", "列表为空";

    // What to write.
    write: "write {}", "请写 {}";
    write_quoted: "write \"{}\"", "请写 \"{}\"";
    write_key: "write {} = {}", "请写 {} = {}";
    write_at_most: "write at most {}", "最多写 {} 个";
    did_you_mean: "did you mean \"{}\"?", "是否应为 \"{}\"？";

    // Keys and entries.
    missing: "is missing", "缺少此项";
    no_such_key: "no such key", "没有此项";
    write_at_top: "write it at the top of the file, before the first [section]", "请写在文件开头，第一个 [节] 之前";
    write_under: "write it under {}", "请写在 {} 之下";
    write_known: "remove it, or write one of {}", "请删除，或改为其中之一：{}";
    more_errors: "there are more errors", "还有更多错误";
    mend_these: "mend these and check again", "请先改正以上错误，再检查一次";
    listed_already: "{} is listed already, on line {}", "{} 已在第 {} 行列出";
    keep_one_entry: "keep one of the two entries", "两处请只留一处";
    entries: "there are {} entries", "共有 {} 项";
    remove_or_rename: "write another name, or remove the entry", "请换一个名称，或删除该项";

    // Names and patterns.
    no_unit: "{} is not a unit's name", "{} 不是单位名";
    no_kind: "{} is not a kind", "{} 不是类型";
    no_pattern: "{} is not a pattern", "{} 不是通配";
    write_unit: "write segments of a-z, 0-9 and inner \"-\", joined by dots, such as \"hebi.xunxian.tobacco\"", "各段请用 a-z、0-9 和段内的 \"-\"，段间用点，如 \"hebi.xunxian.tobacco\"";
    write_kind: "write segments of a-z, 0-9 and inner \"-\", joined by dots, such as \"case.transfer\"", "各段请用 a-z、0-9 和段内的 \"-\"，段间用点，如 \"case.transfer\"";
    write_unit_pattern: "write a unit's name, or one with * for a segment or ** for any number, such as \"hebi.**\"", "请写单位名或通配，* 为一段，** 为任意段，如 \"hebi.**\"";
    write_kind_pattern: "write a kind, or one with * for a segment or ** for any number, such as \"case.*\"", "请写类型或通配，* 为一段，** 为任意段，如 \"case.*\"";

    // Addresses.
    no_port: "{} has no port", "{} 缺少端口";
    no_good_port: "{} has no port from 1 to 65535", "{} 的端口不在 1 到 65535 之间";
    is_url: "{} is a URL, not an address", "{} 是 URL，不是地址";
    no_address: "{} is not an address", "{} 不是地址";
    no_brackets: "{} has an IPv6 address without brackets", "{} 中的 IPv6 地址缺少方括号";
    no_host: "{} names no host", "{} 没有指明主机";
    no_good_host: "{} has no host that can be dialled", "{} 中没有可以连接的主机";
    write_address: "write host:port, such as \"10.1.0.1:4433\" or \"hub.example.org:4433\"", "请写 主机:端口，如 \"10.1.0.1:4433\" 或 \"hub.example.org:4433\"";
    write_hub_address: "write the address that the hub is reached at", "请写能够连到枢纽的地址";
    no_socket: "{} is not an IP address and a port", "{} 不是 IP 地址加端口";
    no_ip: "{} is not an IP address", "{} 不是 IP 地址";
    write_without_port: "write \"{}\", without a port", "请写 \"{}\"，不带端口";
    write_local_ip: "write an address of this machine, such as \"192.0.2.7\", or set interface", "请写本机的地址，如 \"192.0.2.7\"，或设置 interface";
    not_same_sort: "\"{}\" and the link's address are not both IPv4 or both IPv6", "\"{}\" 与链路的地址应同为 IPv4 或同为 IPv6";
    write_same_sort: "write a local address of the same sort", "请写同一种的本机地址";

    // URLs of this machine.
    no_url: "{} is not a URL", "{} 不是 URL";
    write_url: "write one such as \"{}\"", "请写成 \"{}\" 这样";
    no_https: "https is not spoken to {}", "与{}之间不使用 https";
    no_scheme: "{} is not spoken", "不支持 {}";
    write_http: "write an http URL of this machine; {}", "请写本机的 http URL；{}";
    not_here: "{} is not this machine, and http hides nothing", "{} 不是本机，而 http 不加密";
    write_loopback: "write a loopback address; {}", "请写环回地址；{}";
    password_in_url: "a name and password in the URL are not sent", "URL 中的用户名和口令不会发送";
    remove_password: "remove them; {}", "请删除；{}";
    application: "the local application", "本地应用";
    application_elsewhere: "where the application runs elsewhere, let it pull /v1/inbox, or put a proxy with TLS here", "应用在其他机器上时，请让它拉取 /v1/inbox，或在本机设置 TLS 代理";
    application_signed: "calls are signed with the secret", "调用以密钥签名";
    collector: "the collector", "采集器";
    collector_elsewhere: "where the collector runs elsewhere, run one here that passes on to it over TLS", "采集器在其他机器上时，请在本机运行一个，由它经 TLS 转发";
    collector_open: "a collector of this machine needs none", "本机的采集器不需要";

    // The node itself.
    own_unit: "\"{}\" is this node's own unit", "\"{}\" 是本节点的单位";
    talks_to_nobody: "neither [listen] nor [upstream] is there, so the node would talk to nobody", "[listen] 和 [upstream] 都没有，节点将不与任何节点通信";
    write_listen_or_upstream: "write [upstream] to dial a hub, [listen] to be one, or both", "连接枢纽请写 [upstream]，作为枢纽请写 [listen]，也可都写";
    write_identity: "write [identity] and, below it, dir = {}", "请写 [identity]，其下写 dir = {}";

    // `[api]`.
    not_loopback: "\"{}\" is not a loopback address, and this door has no TLS", "\"{}\" 不是环回地址，而此入口没有 TLS";
    write_loopback_or_tls: "write \"127.0.0.1:{}\"; [api.tls] opens another door, to the network", "请写 \"127.0.0.1:{}\"；向网络开放请用 [api.tls]";
    certificates_unused: "certificates are shown to [api.tls] only, and there is none", "客户端证书只用于 [api.tls]，而没有该节";
    write_tls: "write [api.tls], or remove the entries", "请写 [api.tls]，或删除这些项";
    names_too_many: "{} names are too many", "名称有 {} 个，过多";
    no_host_name: "{} is not a host name", "{} 不是主机名";
    write_host_names: "write names without a port, such as {}; addresses need no entry", "请写不带端口的名称，如 {}；地址不必列出";
    name_taken: "{} means something else in the audit log", "{} 在审计日志中另有含义";
    write_person: "write a person's name, such as \"li.wei\"", "请写人名，如 \"li.wei\"";
    tokens_too_many: "{} tokens are too many", "令牌有 {} 个，过多";
    certificates_too_many: "{} certificates are too many", "证书有 {} 个，过多";
    no_fingerprint: "{} is not a SHA-256 fingerprint", "{} 不是 SHA-256 指纹";
    write_fingerprint: "write what `openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE` prints after the \"=\"", "请写 openssl x509 -noout -fingerprint -sha256 -in 证书文件 的输出中 \"=\" 之后的部分";
    same_certificate: "{} shows the same certificate", "{} 使用同一证书";
    own_certificates: "give everybody a certificate of their own", "请为每人各配一张证书";

    // Units, kinds and the policy.
    units_too_many: "{} units are more than limits.units = {}", "单位有 {} 个，多于 limits.units = {}";
    write_more_units: "write a greater limits.units", "请增大 limits.units";
    remove_own_unit: "remove the entry; a node knows itself", "请删除该项；节点知道自己";
    units_unused: "only a hub is told of units, and this node has no [listen]", "只有枢纽需要单位列表，而本节点没有 [listen]";
    write_listen: "remove the entries, or write [listen]", "请删除这些项，或写 [listen]";
    own_kind: "\"{}\" is the gateway's own kind", "\"{}\" 是网关自用的类型";
    nothing_allowed: "nothing is allowed, so nothing but receipts passes", "没有任何策略规则，除回执外一律不放行";
    write_allow: "write [[policy.allow]] with from, to and kinds", "请写 [[policy.allow]] 及其 from、to、kinds";
    receipts_pass: "receipts pass without a rule", "回执无需规则即可通过";
    remove_quoted: "remove \"{}\"", "请删除 \"{}\"";
    matches_no_kind: "\"{}\" matches no kind that this node knows", "\"{}\" 与本节点已知的类型都不匹配";
    add_kind: "if it is right and applications here submit it, add it as a [[kind]]", "如果无误且由本节点的应用提交，请添加为 [[kind]]";

    // Links.
    write_hub: "write the unit of the hub that it dials", "请写要连接的枢纽的单位";
    links_too_many: "there are {} links", "链路有 {} 条";
    no_link: "there is no link to the hub", "没有到枢纽的链路";
    write_link: "write [[upstream.link]] with name, kind and address", "请写 [[upstream.link]] 及其 name、kind、address";
    link_name_twice: "\"{}\" is the name of another link, on line {}", "\"{}\" 是第 {} 行另一条链路的名称";
    write_other_link_name: "write another name; every link needs its own", "请换一个名称；各链路的名称不能相同";
    no_link_name: "{} is not a link's name", "{} 不是链路名";
    write_link_name: "write at most {} of a-z, 0-9 and inner \"-\", such as \"exclusive\"", "请用 a-z、0-9 和中间的 \"-\"，最多 {} 个，如 \"exclusive\"";
    interface_and_bind: "interface and bind are both set", "interface 和 bind 不能同时设置";
    keep_interface: "keep interface where the link has one of its own, else bind", "链路有专用网卡时请保留 interface，否则保留 bind";
    no_interface: "{} is not a network interface's name", "{} 不是网卡名";
    write_bind: "write bind = \"{}\" instead", "请改写为 bind = \"{}\"";
    write_interface: "write a name that `ip link` shows, such as \"wwan0\"", "请写 ip link 列出的名称，如 \"wwan0\"";
    times_wrong: "there are {} times of the day", "时段有 {} 个";
    write_times: "write 1 to {}, such as {}, or remove the key", "请写 1 到 {} 个，如 {}，或删除此项";
    no_time: "{} is not a time of the day", "{} 不是时段";
    write_time: "write \"HH:MM-HH:MM\", such as \"08:00-18:00\"; one over midnight is \"22:00-06:00\"", "请写 \"HH:MM-HH:MM\"，如 \"08:00-18:00\"；跨零点写 \"22:00-06:00\"";

    // Bounds that contradict each other.
    message_over_request: "a message of message-kib = {} does not fit into a request of request-kib = {}", "message-kib = {} 的报文放不进 request-kib = {} 的请求";
    message_over_segment: "a message of message-kib = {} does not fit into a segment of segment-mib = {}", "message-kib = {} 的报文放不进 segment-mib = {} 的日志段";
    journal_too_small: "a journal of journal-mib = {} has no room for four segments of segment-mib = {}", "journal-mib = {} 的日志放不下四个 segment-mib = {} 的日志段";
    attachment_over_all: "an attachment of attachment-mib = {} does not fit into attachments-mib = {}", "attachment-mib = {} 的附件放不进 attachments-mib = {}";
    unit_over_connections: "one unit may have connections-per-unit = {} of connections = {}", "单个单位可有 connections-per-unit = {} 个连接，多于 connections = {}";
    write_or_more: "write {} = {} or more", "请写 {} = {} 或更大";
    write_or_more_or_smaller: "write {} = {} or more, or a smaller {}", "请写 {} = {} 或更大，或减小 {}";
    journal_fills_first: "the journal ({} MiB) fills up before outbox and inbox ({} MiB) do", "日志（{} MiB）会先于发件箱和收件箱（{} MiB）写满";

    // `[spool]`, `[deliver]` and `[traces]`.
    folders_too_many: "{} folders are too many", "文件夹有 {} 个，过多";
    spool_does_nothing: "neither in nor out is there, so nothing would be done", "in 和 out 都没有，此节不起作用";
    write_spool: "write in = \"/var/spool/casegate/in\" to send what is dropped there, out for what comes, or both", "发送放入的文件请写 in = \"/var/spool/casegate/in\"，接收请写 out，也可都写";
    no_spool_in: "there is no spool.in that the folder would be in", "没有该文件夹所属的 spool.in";
    write_spool_in: "write in = \"/var/spool/casegate/in\" under [spool], or remove the folder", "请在 [spool] 下写 in = \"/var/spool/casegate/in\"，或删除该文件夹";
    spool_nested: "one of in and out lies in the other", "in 和 out 一个在另一个之内";
    write_spool_apart: "write two folders beside each other", "请写两个互不包含的文件夹";
    no_folder_name: "{} cannot be the name of such a folder", "{} 不能作为这种文件夹的名称";
    write_folder_name: "write one that does not begin with a dot, has no slash and is neither \"sent\" nor \"failed\"", "名称不能以点开头，不能含斜杠，也不能是 \"sent\" 或 \"failed\"";
    kind_not_sent: "\"{}\" is not a kind that can be sent here", "\"{}\" 不是本节点可以发送的类型";
    write_sent_kind: "write one that is, or add it as [[kind]]", "请写可以发送的类型，或将其添加为 [[kind]]";
    call_outlasts: "a call of {} s outlasts the lease of its message, limits.inbox-lease-s = {}", "调用时限 {} 秒超过报文的租期 limits.inbox-lease-s = {}";
    write_timeout: "write a smaller timeout-s, or a greater inbox-lease-s", "请减小 timeout-s，或增大 inbox-lease-s";
    no_share: "is not a share", "不是比例";
    write_share: "write a number above 0 and up to 1, such as 0.1 for every tenth message", "请写大于 0 且不超过 1 的数，如 0.1 表示每十条报文取一条";

    // The file, and what is not TOML.
    unreadable: "cannot be read: {}", "无法读取：{}";
    name_readable: "give the path of a configuration file that this user may read", "请指定当前用户可读的配置文件";
    too_large: "is larger than {} bytes", "超过 {} 字节";
    name_smaller: "give a smaller file", "请指定较小的文件";
    no_utf8: "is not UTF-8", "不是 UTF-8 编码";
    save_utf8: "save the file as UTF-8", "请把文件存为 UTF-8 编码";
    unit_is_own: "is the node's own unit already", "已是本节点的单位";
    write_listen_unit: "write [[listen.unit]] for a unit that a hub knows", "枢纽所知的单位请写 [[listen.unit]]";
    section_twice: "the section is there twice", "配置节重复";
    join_sections: "put all its keys under one {}", "请把各项都写在同一个 {} 之下";
    no_header: "this is not a section's header: {}", "不是正确的节标题：{}";
    key_twice: "is there twice", "重复";
    keep_one: "keep one of them", "请只留一个";
    no_syntax: "this cannot be read: {}", "无法解析：{}";
    write_key_value: "write key = value, and \"#\" before a comment", "请写 项 = 值，注释前加 \"#\"";
    write_value: "write a value after \"{} =\"", "请在 \"{} =\" 之后写值";
    write_text_quoted: "write text in quotes: {} = {}", "文本请加引号：{} = {}";
    write_any_value: "write text in \"quotes\", numbers and true or false without, lists as [\"a\", \"b\"]", "文本加 \"引号\"，数字和 true、false 不加，列表写成 [\"a\", \"b\"]";

    // Files that are named.
    not_there: "{} is not there", "{} 不存在";
    no_folder: "{} is not a folder", "{} 不是文件夹";
    others_read: "others may read {}", "他人可读 {}";
    make_private: "chmod 600 {}", "请执行 chmod 600 {}";
    write_data_dir: "write the path of a folder; it is made when there is none", "请写文件夹的路径；不存在时会自动创建";
    lacks_files: "{} has no {}", "{} 中缺少 {}";
    make_identity: "make them with `casegate pki issue --unit {} --out {}`", "请用 casegate pki issue --unit {} --out {} 生成";
    make_token: "make the file with a long random token in it, readable by this user only", "请建立该文件，写入足够长的随机令牌，仅限当前用户可读";
    put_key: "put the key of api.tls.certificate there, in PEM, readable by this user only", "请放入 api.tls.certificate 的密钥（PEM），仅限当前用户可读";
    put_certificate: "put the certificate there, in PEM, and below it those that lead to its CA", "请放入证书（PEM），其后依次为直至其 CA 的证书";
    trained_on_unit: "{} was trained on messages of {}", "{} 由 {} 的报文训练";
    trained_on_several: "{} was trained on messages of several units", "{} 由多个单位的报文训练";
    train_own: "train it with --unit {}: neighbours can read pieces of what it was trained on", "请用 --unit {} 重新训练：邻居节点能读到训练所用报文的片段";
    make_dictionary: "make it with `casegate dict train FOLDER --unit {} --out {}`, or remove the key", "请用 casegate dict train 文件夹 --unit {} --out {} 生成，或删除此项";
    bad_dictionary: "{}: {}", "{}：{}";
    remake_dictionary: "make one with `casegate dict train`, or remove the key", "请用 casegate dict train 生成，或删除此项";
    made_at_start: "it is made when the node starts, for the node's user alone; make it yourself where others are to use it", "节点启动时会创建，仅限节点的用户使用；若需他人使用，请自行创建";
    write_folder: "write the path of a folder", "请写文件夹的路径";
    unwritable: "{} cannot be written to by this user", "当前用户无法写入 {}";
    give_to_user: "give it to the node's user: chown casegate {}; under systemd add ReadWritePaths={}", "请改为节点用户所有：chown casegate {}；使用 systemd 时加上 ReadWritePaths={}";
    open_to_all: "{} can be written to by everybody on this machine", "本机任何人都能写入 {}";
    close_to_all: "chmod o-rwx {}: whoever writes there sends in this unit's name", "请执行 chmod o-rwx {}：写入者即以本单位名义发送";
    both_take: "{} and {} both take from the inbox, and each message goes to one of them", "{} 和 {} 都从收件箱取报文，每条报文只会给其中一方";
    keep_one_taker: "remove spool.out or [deliver]", "请删除 spool.out 或 [deliver]";
    make_secret: "make the file with \"whsec_\" and 24 to 64 random bytes in base64, or remove the key: the node makes one of its own", "请建立该文件，内容为 \"whsec_\" 加 24 到 64 个随机字节的 base64；或删除此项，由节点自行生成";
}

/// A text of the table that takes nothing.
pub(super) type Pick = fn(&'static Texts) -> &'static str;

/// What `text` makes of each language's texts.
pub(super) fn told<T: Into<String>>(text: impl Fn(&'static Texts) -> T) -> Both {
    Both::new(|language| text(Texts::of(language)))
}

impl Texts {
    /// What a value is.
    pub(super) fn described(&self, value: &DeValue<'_>) -> &'static str {
        match value {
            DeValue::String(_) => self.a_text,
            DeValue::Integer(_) => self.a_number,
            DeValue::Float(_) => self.a_fraction,
            DeValue::Boolean(_) => self.a_boolean,
            DeValue::Datetime(_) => self.a_date,
            DeValue::Array(_) => self.a_list,
            DeValue::Table(_) => self.a_section,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::assert_translated;

    #[test]
    fn every_text_takes_the_same_values_in_each_language() {
        // Nothing but values.
        assert_translated(Texts::ALL, &["bad_dictionary"]);
    }
}
