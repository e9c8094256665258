//! People, doors, traces, folders and posts.

use super::*;

#[test]
fn people_have_names_roles_and_tokens_of_their_own() {
    let with = |tokens: &str| {
        SMALL.replace(
            "[identity]",
            &format!("[api]\nshow-bodies = true\n{tokens}\n[identity]"),
        )
    };
    let settings = good(&with(
        "[[api.token]]\nname = '李伟'\nrole = 'viewer'\nfile = 'li.token'",
    ));
    assert!(settings.api.show_bodies);
    let [token] = settings.api.tokens.as_slice() else {
        panic!("one: {:?}", settings.api.tokens)
    };
    assert_eq!((token.name.as_str(), token.role), ("李伟", Role::Viewer));
    assert_eq!(token.file, PathBuf::from("conf/li.token"));

    let wrong = errors(&with(
        "[[api.token]]\nname = 'operator'\nrole = 'root'\nfile = 'a'\n\
         [[api.token]]\nname = 'li'\nrole = 'operator'\nfile = 'a'\n\
         [[api.token]]\nname = 'li'\nrole = 'operator'",
    ));
    for part in [
        "api.token[0].name: \"operator\" means something else in the audit log",
        "api.token[0].role: \"root\" is not a choice; write one of \"viewer\", \"operator\", \"administrator\"",
        "api.token[2].file: is missing",
        "api.token[2].name: \"li\" is listed already",
    ] {
        assert!(
            wrong.iter().any(|line| line.contains(part)),
            "{part}: {wrong:#?}"
        );
    }
}

#[test]
fn the_door_to_the_network_and_whose_certificates_it_knows_are_what_the_file_says() {
    let with = |more: &str| SMALL.replace("[identity]", &format!("{more}\n[identity]"));
    let [door, held] = [
        "[api.tls]\nlisten = '10.1.0.8:8441'\ncertificate = 'api.pem'\nkey = 'api.key'\nhosts = ['gateway.hebi.example']\n",
        "[[api.certificate]]\nname = 'li.wei'\nrole = 'operator'\nsha256 = '",
    ];
    let sum = Sha256::of(b"a certificate");
    let settings = good(&with(&format!("{door}{held}{sum}'")));
    let tls = settings.api.tls.expect("a door");
    assert_eq!(tls.listen, ([10, 1, 0, 8], 8441).into());
    assert_eq!(tls.certificate, PathBuf::from("conf/api.pem"));
    assert_eq!(tls.hosts, ["gateway.hebi.example"]);
    let [li] = settings.api.certificates.as_slice() else {
        panic!("one: {:?}", settings.api.certificates)
    };
    assert_eq!(
        (li.name.as_str(), li.role, li.sha256),
        ("li.wei", Role::Operator, sum)
    );
    assert_eq!(good(SMALL).api.tls, None);

    let wrong = errors(&with(&format!(
        "[[api.token]]\nname = 'wang'\nrole = 'viewer'\nfile = 'a'\n\
         [api.tls]\nhosts = ['10.1.0.8', 'a.example:8441']\n\
         {held}abc'\n{held}{sum}'\n\
         [[api.certificate]]\nname = 'wang'\nrole = 'viewer'\nsha256 = '{sum}'",
    )));
    for part in [
        "api.tls.listen: is missing; write listen = \"0.0.0.0:8441\"",
        "api.tls.certificate: is missing",
        "api.tls.key: is missing",
        "api.tls.hosts[0]: \"10.1.0.8\" is not a host name",
        "api.tls.hosts[1]: \"a.example:8441\" is not a host name",
        "api.certificate[0].sha256: \"abc\" is not a SHA-256 fingerprint",
        "api.certificate[1].name: \"li.wei\" is listed already",
        "api.certificate[2].name: \"wang\" is listed already",
    ] {
        assert!(
            wrong.iter().any(|line| line.contains(part)),
            "{part}: {wrong:#?}"
        );
    }
}

#[test]
fn traces_go_to_a_collector_of_this_machine_or_are_told_why_not() {
    let with = |more: &str| SMALL.replace("[identity]", &format!("{more}\n[identity]"));
    assert_eq!(good(SMALL).traces, None);
    for text in [EDGE, HUB] {
        let traces = good(&with_every_setting(text)).traces.expect("traces");
        assert_eq!(traces.url, "http://127.0.0.1:4318/v1/traces");
        assert_eq!(traces.share, Share::ALL);
    }
    let url = "[traces]\nurl = 'http://[::1]:4318/v1/traces'";
    for (share, numbers) in [
        ("0.25", Share::OF / 4),
        ("1", Share::OF),
        ("5e-1", Share::OF / 2),
    ] {
        let traces = good(&with(&format!("{url}\nshare = {share}"))).traces;
        assert_eq!(traces.expect("traces").share.numbers(), numbers);
    }
    for (more, expected) in [
        ("[traces]\nshare = 0.5", "traces.url: is missing"),
        (
            "[traces]\nurl = 'https://127.0.0.1:4318/v1/traces'",
            "traces.url: https is not spoken to the collector; write an http URL of this machine; where the collector runs elsewhere",
        ),
        (
            "[traces]\nurl = 'http://10.1.0.1:4318/v1/traces'",
            "traces.url: \"10.1.0.1\" is not this machine",
        ),
        (
            "[traces]\nurl = 'http://a:b@localhost/'",
            "traces.url: a name and password in the URL are not sent",
        ),
    ] {
        let told = error(&with(more));
        assert!(told.contains(expected), "{more}: {told}");
    }
    for share in ["0", "-0.5", "1.5", "nan", "'all'", "2"] {
        let told = error(&with(&format!("{url}\nshare = {share}")));
        let expected = "traces.share: is not a share; write a number above 0 and up to 1";
        assert!(told.contains(expected), "{share}: {told}");
    }
}

#[test]
fn folders_and_posts_are_what_the_file_says() {
    let with = |more: &str| SMALL.replace("[identity]", &format!("{more}\n[identity]"));
    let settings = good(&with(
        "[spool]\nin = 'in'\nopen-to-group = true\n[[spool.folder]]\nname = 'to-police'\nto = ['hebi.police']\n\
         kind = 'case.material'\nas = 'data'\n[deliver]\nurl = 'http://[::1]:9000/case'\nretry-max-s = 60",
    ));
    let spool = settings.spool.expect("folders");
    assert_eq!(spool.incoming, Some(PathBuf::from("conf/in")));
    assert_eq!((spool.out, spool.keep_days), (None, Spool::KEEP_DAYS));
    assert!(spool.open_to_group && spool.folders[0].is_data);
    let deliver = settings.deliver.expect("posts");
    assert_eq!(deliver.url.path(), "/case");
    assert_eq!((deliver.timeout_s, deliver.retry_max_s), (30, 60));
    assert_eq!((good(SMALL).spool, good(SMALL).deliver), (None, None));
    let all = good(&with_every_setting(EDGE));
    let spool = all.spool.expect("folders");
    let numbers = (spool.keep_days, spool.out_messages, spool.open_to_group);
    assert_eq!(numbers, (Spool::KEEP_DAYS, Spool::OUT_MESSAGES, false));
    let deliver = all.deliver.expect("posts");
    assert_eq!(
        (deliver.timeout_s, deliver.in_flight, deliver.retry_max_s),
        (Deliver::TIMEOUT_S, Deliver::IN_FLIGHT, Deliver::RETRY_MAX_S)
    );

    for (more, expected) in [
        (
            "[spool]\nkeep-days = 3",
            "spool.in: neither in nor out is there",
        ),
        (
            "[spool]\nin = 'a'\nout = 'a/b'",
            "spool.out: one of in and out lies in the other",
        ),
        (
            "[spool]\nin = 'a'\n[[spool.folder]]\nname = 'sent'\nto = ['b']\nkind = 'notice'",
            "spool.folder[0].name: \"sent\" cannot be the name of such a folder",
        ),
        (
            "[spool]\nin = 'a'\n[[spool.folder]]\nname = 'x'\nto = ['b']\nkind = 'no.such'",
            "spool.folder[0].kind: \"no.such\" is not a kind that can be sent here",
        ),
        (
            "[spool]\nout = 'a'\n[[spool.folder]]\nname = 'x'\nto = ['b']\nkind = 'notice'",
            "spool.folder: there is no spool.in",
        ),
        ("[deliver]\nin-flight = 2", "deliver.url: is missing"),
        (
            "[deliver]\nurl = '127.0.0.1:9000'",
            "deliver.url: \"127.0.0.1:9000\" is not a URL",
        ),
        (
            "[deliver]\nurl = 'https://127.0.0.1/'",
            "deliver.url: https is not spoken",
        ),
        (
            "[deliver]\nurl = 'http://10.1.0.1/'",
            "deliver.url: \"10.1.0.1\" is not this machine",
        ),
        (
            "[deliver]\nurl = 'http://localhost/'\ntimeout-s = 60",
            "deliver.timeout-s: a call of 60 s outlasts the lease",
        ),
    ] {
        let told = error(&with(more));
        assert!(told.contains(expected), "{more}: {told}");
    }
}
