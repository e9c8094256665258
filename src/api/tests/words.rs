//! What is told in words, and in which language.

use super::*;

async fn told(path: &str, accepted: Option<&str>) -> Answered {
    let world = World::new();
    let headers: Vec<_> = accepted
        .map(|accepted| ("accept-language", accepted))
        .into_iter()
        .collect();
    let answered = world
        .ask(request("GET", path, &headers, Body::empty()))
        .await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.headers["vary"], "accept-language");
    answered
}

#[tokio::test]
async fn a_node_speaks_the_language_that_the_caller_prefers() {
    let english = "the disk is full: only urgent messages are taken; free some room";
    let chinese = "磁盘已满：只受理急件；请清理磁盘";
    for (accepted, text, tag, code) in [
        (None, english, "en", "en"),
        (Some("de"), english, "en", "en"),
        (Some("en, zh;q=0.9"), english, "en", "en"),
        (Some("zh-CN"), chinese, "zh-CN", "zh"),
        (Some("en;q=0.3, zh-CN;q=0.8"), chinese, "zh-CN", "zh"),
    ] {
        let status = told("/v1/status", accepted).await;
        assert_eq!(status.body["warnings"], json!([text]), "{accepted:?}");
        assert_eq!(status.headers["content-language"], tag);
        let links = told("/v1/links", accepted).await;
        assert_eq!(links.body["links"][0]["error"], code, "{accepted:?}");
        assert_eq!(links.headers["content-language"], tag);
        let events = told("/v1/events", accepted).await;
        assert_eq!(events.headers["content-language"], tag);
    }
}

#[test]
fn every_warning_is_the_phrase_that_it_was_and_has_its_chinese() {
    let unit: UnitId = "hebi.b".parse().expect("a unit");
    let paused = |lanes: &[Lane]| Warning::Paused {
        unit: unit.clone(),
        lanes: lanes.to_vec(),
    };
    for (warning, english, chinese) in [
        (
            Warning::Drained { queued: 0 },
            "the node is drained: nothing is queued and no submissions are taken; stop it, or end that with `casegate resume`",
            "节点已排空：队列中没有报文，也不受理新报文；可以停止节点，或用 casegate resume 恢复受理",
        ),
        (
            Warning::Drained { queued: 3 },
            "the node is drained: no submissions are taken, and 3 messages are still queued",
            "节点正在排空：不受理新报文，队列中还有 3 条",
        ),
        (
            paused(&Lane::ALL),
            "what is for hebi.b is paused by an operator: everything; `casegate resume hebi.b` lets it go",
            "发往 hebi.b 的报文已由操作员暂停：全部；用 casegate resume hebi.b 恢复发送",
        ),
        (
            paused(&[Lane::Normal, Lane::Bulk]),
            "what is for hebi.b is paused by an operator: normal, bulk; `casegate resume hebi.b` lets it go",
            "发往 hebi.b 的报文已由操作员暂停：普通、批量；用 casegate resume hebi.b 恢复发送",
        ),
        (
            Warning::Quarantined(2),
            "2 damaged stretches of the journal were set aside; see the data folder's quarantine",
            "日志有 2 处损坏，已隔离；见数据目录中的 quarantine",
        ),
        (
            Warning::MessagesLost(2),
            "2 messages were lost with damaged records of the journal, unless a neighbour still has them; the status names them under \"damage\"",
            "日志损坏，丢失 2 条报文（邻居节点尚存者除外）；名单见节点状态的 \"damage\"",
        ),
        (
            Warning::AttachmentsDamaged(2),
            "2 attachments of messages that were accepted here are damaged; bring them again: the status names them under \"damage\"",
            "本节点已受理报文的 2 个附件已损坏，请重新上传；名单见节点状态的 \"damage\"",
        ),
        (
            Warning::AuditDamaged("line 3 is cut off".into()),
            "the audit log is not as this node left it: line 3 is cut off; keep a copy and look into it",
            "审计日志与本节点写下的不一致：line 3 is cut off；请留存副本并调查",
        ),
        (
            Warning::IndexFailed("no room".into()),
            "the index does not follow: no room; messages pass as ever, search and history wait for it",
            "索引已停止更新：no room；报文收发不受影响，查询与历史暂不可用",
        ),
        (
            Warning::IndexIncomplete,
            "the index may lack some history; answers to a search say what under \"incomplete\"",
            "索引可能缺少部分历史记录；查询结果的 \"incomplete\" 说明缺少什么",
        ),
        (
            Warning::CertificateExpires {
                signs: false,
                at: NOW,
            },
            "the TLS certificate expires at 2026-02-25T06:13:20Z; renew it with `casegate pki issue`, then reload",
            "TLS 证书将于 2026-02-25T06:13:20Z 到期；请用 casegate pki issue 换发，然后重新加载配置",
        ),
        (
            Warning::CertificateExpires {
                signs: true,
                at: NOW,
            },
            "the signing certificate expires at 2026-02-25T06:13:20Z; renew it with `casegate pki issue`, then reload",
            "签名证书将于 2026-02-25T06:13:20Z 到期；请用 casegate pki issue 换发，然后重新加载配置",
        ),
    ] {
        assert_eq!(warning.clone().told(Language::English).text, english);
        let told = warning.clone().told(Language::Chinese);
        assert_eq!((told.warning, told.text.as_str()), (warning, chinese));
    }
    let express = |why| Warning::ExpressOnly {
        link: "3g".into(),
        why,
    };
    assert_eq!(
        express("it is outside its hours")
            .told(Language::English)
            .text,
        "only flash and urgent messages go over the link 3g: it is outside its hours"
    );
    assert_eq!(
        express("不在使用时段").told(Language::Chinese).text,
        "链路 3g 只走特急、加急报文：不在使用时段"
    );
}
