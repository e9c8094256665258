//! How metrics are registered, and the text in which Prometheus reads them.

use prometheus_client::{
    encoding::text,
    registry::{Metric, Registry, Unit},
};

/// A registry that hands back what it registered.
#[derive(Debug)]
pub(super) struct Register(pub(super) Registry);

impl Register {
    pub(super) fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    pub(super) fn add_in<M: Metric + Clone + Default>(
        &mut self,
        unit: Unit,
        name: &str,
        help: &str,
    ) -> M {
        self.add_with(unit, name, help, M::default())
    }

    pub(super) fn add_with<M: Metric + Clone>(
        &mut self,
        unit: Unit,
        name: &str,
        help: &str,
        metric: M,
    ) -> M {
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }
}

/// Everything registered, in Prometheus' text format, version 0.0.4.
pub(super) fn render(registry: &Registry) -> String {
    let mut open_metrics = String::new();
    // Writing into a `String` does not fail, and no value here is one that cannot be written.
    let written = text::encode_registry(&mut open_metrics, registry);
    debug_assert!(written.is_ok(), "every value can be written");
    prometheus_text(&open_metrics)
}

/// Text format 0.0.4 from OpenMetrics, for what this room registers: in 0.0.4 a metric is called as its samples are, `_total` and
/// `_info` included, an info is a gauge, and there are no units and no end mark.
fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), Some(words)) => help = Some(words),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                if let Some(help) = help.take() {
                    text += &format!("# HELP {name}{suffix} {help}\n");
                }
                text += &format!("# TYPE {name}{suffix} {kind}\n");
            }
            (Some("#"), Some("UNIT"), ..) => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}
