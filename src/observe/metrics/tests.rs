//! What the metrics say, and that each is there.

use super::*;

fn unit(name: &str) -> UnitId {
    name.parse().expect("a unit")
}

fn busy() -> Metrics {
    let metrics = Metrics::new(2);
    metrics.accepted(Lane::Urgent);
    metrics.received(Lane::Normal);
    metrics.delivered(Lane::Normal);
    metrics.expired(Lane::Bulk);
    metrics.dropped(Lane::Bulk);
    metrics.refused(Reason::UnknownUnit);
    let neighbour = metrics.neighbour(&unit("hebi.police"));
    neighbour.set_queue(Lane::Bulk, 7, 7000);
    neighbour.set_oldest_age(Duration::from_millis(90_700));
    neighbour.set_expiring(2);
    neighbour.session_up();
    let link = metrics.link("3g");
    link.wire(1200, 80);
    link.batch_sent(4096);
    link.batch_received(100);
    link.ack_sent();
    link.ack_received();
    metrics.journal_synced(u64::MAX, Duration::from_millis(2));
    metrics.set_journal_size(1 << 24, 3);
    metrics.journal_checkpoint();
    metrics.journal_quarantined();
    metrics.set_storage(true, false);
    metrics.set_certificates(1_772_000_000_999, 1_773_000_000_000);
    metrics.set_inbox(5, 500, Duration::from_secs(60));
    metrics.api_request("/v1/messages", 202, Duration::from_millis(3));
    metrics
}

#[test]
fn what_was_counted_is_shown_under_its_name() {
    let text = busy().render();
    for line in [
        "casegate_messages_accepted_total{lane=\"urgent\"} 1",
        "casegate_messages_refused_total{reason=\"unknown-unit\"} 1",
        "casegate_queue_messages{neighbour=\"hebi.police\",lane=\"bulk\"} 7",
        "casegate_queue_bytes{neighbour=\"hebi.police\",lane=\"bulk\"} 7000",
        "casegate_queue_oldest_age_seconds{neighbour=\"hebi.police\"} 90",
        "casegate_queue_expiring_messages{neighbour=\"hebi.police\"} 2",
        "casegate_inbox_oldest_age_seconds 60",
        "casegate_sessions{neighbour=\"hebi.police\"} 1",
        "casegate_wire_sent_bytes_total{link=\"3g\"} 1200",
        "casegate_payload_sent_bytes_total{link=\"3g\"} 4096",
        "casegate_journal_synced_lsn 9223372036854775807",
        "casegate_journal_bytes 16777216",
        "casegate_journal_sync_seconds_bucket{le=\"0.0025\"} 1",
        "casegate_journal_checkpoints_total 1",
        "casegate_disk_full 1",
        "casegate_storage_failed 0",
        "casegate_certificate_expiry_timestamp_seconds{certificate=\"tls\"} 1772000000",
        "casegate_certificate_expiry_timestamp_seconds{certificate=\"signing\"} 1773000000",
        "casegate_inbox_messages 5",
        "casegate_api_requests_total{route=\"/v1/messages\",status=\"202\"} 1",
        concat!(
            "casegate_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    for line in [
        "# HELP casegate_wire_sent_bytes_total UDP payload sent over a link.",
        "# TYPE casegate_wire_sent_bytes_total counter",
        "# TYPE casegate_build_info gauge",
        "# TYPE casegate_journal_sync_seconds histogram",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    let open_metrics = ["# UNIT", "# EOF", " info"];
    assert!(!open_metrics.iter().any(|words| text.contains(words)));
}

#[test]
fn every_name_follows_the_conventions() {
    let text = busy().render();
    let mut metrics = 0;
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let mut words = line.split(' ').skip(2);
        let (name, kind) = (words.next().expect("a name"), words.next().expect("a type"));
        assert!(name.starts_with("casegate_"), "{name}");
        if kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
        let mut samples = text.lines().filter(|line| line.starts_with(name));
        assert!(samples.next().is_some(), "{name} has no sample of its name");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        metrics += 1;
    }
    assert_eq!(metrics, 53, "every metric is shown once it was used");
}

#[test]
fn the_shipped_alerts_and_dashboard_ask_for_metrics_that_exist() {
    let metrics = busy();
    let figures = LinkFigures {
        budget_bytes: Some(1 << 20),
        today_bytes: Some(1 << 10),
        ..LinkFigures::default()
    };
    metrics.set_links([("3g", figures)]);
    let text = metrics.render();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let known: Vec<_> = types.filter_map(|line| line.split(' ').next()).collect();
    for shipped in [
        include_str!("../../../docs/monitoring/alerts.yml"),
        include_str!("../../../docs/monitoring/grafana-dashboard.json"),
    ] {
        let mut asked = 0;
        for (at, _) in shipped.match_indices("casegate_") {
            let name = &shipped[at..];
            let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let name = &name[..end.unwrap_or(name.len())];
            let of_histogram = ["_bucket", "_sum", "_count"];
            let base = of_histogram.iter().find_map(|end| name.strip_suffix(end));
            assert!(known.contains(&base.unwrap_or(name)), "{name}");
            asked += 1;
        }
        assert!(asked > 8, "{asked} metrics are asked for");
    }
}

#[test]
fn neighbours_and_links_beyond_the_bound_share_one_name() {
    let metrics = busy();
    for n in 0..50 {
        let neighbour = metrics.neighbour(&unit(&format!("hebi.{n}")));
        neighbour.session_up();
        neighbour.set_queue(Lane::Normal, 1, 1);
        metrics.link(&format!("link-{n}")).ack_sent();
    }
    let text = metrics.render();
    let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("casegate_sessions{"), 3, "{text}");
    assert!(text.contains("casegate_sessions{neighbour=\"_other\"} 49"));
    assert_eq!(count("casegate_acks_sent_total{"), Metrics::LINKS_MAX + 1);
}

#[test]
fn a_forgotten_neighbour_is_shown_no_more_and_makes_room() {
    let metrics = busy();
    metrics.neighbour(&unit("hebi.court")).session_up();
    metrics.forget_neighbour(&unit("hebi.court"));
    metrics.neighbour(&unit("hebi.tax")).session_up();
    let text = metrics.render();
    assert!(!text.contains("hebi.court"), "{text}");
    assert!(text.contains("casegate_sessions{neighbour=\"hebi.tax\"} 1"));
}
