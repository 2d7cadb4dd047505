//! What an operator sees of a module's metrics.

use crate::backend::{Backend, Settings};
use crate::envoy::Envoy;
use crate::guest::build_guest;
use crate::message::{Reply, Request};
use proxy_filter::metric::{StatsTag, stats_tags};
use std::path::Path;
use std::sync::Arc;

/// Prometheus' lines about the metrics that the guest creates for a request of `/labels`.
fn prometheus(tags: Vec<StatsTag>) -> String {
    let module =
        build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("shared_state")).unwrap();
    let mut envoy = Envoy::new(&module).unwrap();
    let stats_tags = tags.into_iter().map(|tag| (tag.tag_name, tag.regex)).collect();
    envoy.start(&Settings { stats_tags, ..Settings::default() }).unwrap();
    let request = Request::new("GET", "/labels", "example.com");
    let record = envoy.exchange(&request, &(Arc::new(|_: &_| Reply::new(200)) as _));
    assert_eq!(record.response.unwrap().status(), 200);
    let text = envoy.running.as_ref().unwrap().process.admin().prometheus("^wasmcustom").unwrap();
    envoy.stop();
    text
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn prometheus_separates_the_labels_from_the_name() {
    let text = prometheus([stats_tags("responses", &["method", "status"]), stats_tags("open", &["side"])].concat());
    for line in [
        r#"responses{method="GET",status="200"} 2"#,
        r#"responses{method="a%2Eb",status="%"} 1"#,
        r#"responses{method="other",status="other"} 3"#,
        r#"open{side="request"} 3"#,
        r#"open{side="response"} 7"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn two_metrics_may_have_labels_of_one_name() {
    let tags = [stats_tags("open", &["side"]), stats_tags("body_bytes", &["side"])].concat();
    let text = prometheus(tags);
    assert!(text.contains(r#"open{side="request"} 3"#), "{text}");
    assert!(text.contains(r#"body_bytes_count{side="request"}"#), "{text}");
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn without_tags_the_labels_stay_in_the_name() {
    let text = prometheus(Vec::new());
    assert!(text.contains("responses_method_GET_status_200{} 2"), "{text}");
}
