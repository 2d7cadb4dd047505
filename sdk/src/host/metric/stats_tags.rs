//! How Envoy extracts a metric's labels from its name.

use crate::host::metric::escape::escape;
use core::fmt;

/// One entry of `stats_config.stats_tags` in Envoy's bootstrap: a label, and where it is in the
/// names of a metric.
///
/// Printed, it is YAML for that list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsTag {
    /// The label.
    pub tag_name: String,
    /// Matches the full names of the metric. Its first group is what Envoy takes out of the name,
    /// the second one, inside, the label's value.
    pub regex: String,
}

impl fmt::Display for StatsTag {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- tag_name: {}", quote(&self.tag_name))?;
        writeln!(f, "  regex: {}", quote(&self.regex))
    }
}

/// A YAML scalar that stands for exactly this text.
#[inline]
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the entries for Envoy's bootstrap that extract the labels of a
/// [`CounterVec`](super::CounterVec), [`GaugeVec`](super::GaugeVec) or
/// [`HistogramVec`](super::HistogramVec) from its name.
///
/// Without these tags, the labels are part of the name. Envoy reads the bootstrap when it starts.
/// Values keep their escapes (`a%2Eb`).
///
/// ```
/// use proxy_filter::metric::stats_tags;
///
/// let tags = stats_tags("responses", &["method", "status"]);
/// let yaml: String = tags.iter().map(ToString::to_string).collect();
/// assert_eq!(
///     yaml,
///     r"- tag_name: 'method'
///   regex: '^wasmcustom\.responses(\.method\.([^.]+))\.status\.[^.]+$'
/// - tag_name: 'status'
///   regex: '^wasmcustom\.responses\.method\.[^.]+(\.status\.([^.]+))$'
/// "
/// );
/// ```
///
/// The list belongs to `stats_config: { stats_tags: [ … ] }`.
///
/// Source: Envoy 1.40, `envoy.config.metrics.v3.TagSpecifier`.
#[inline]
pub fn stats_tags(name: &str, labels: &[&str]) -> Vec<StatsTag> {
    let part = |label: &str| literal(&String::from_utf8_lossy(&escape(label.as_bytes())));
    let tag = |index: usize, wanted: &&str| {
        let parts = labels.iter().enumerate().map(|(position, label)| match part(label) {
            label if position == index => format!(r"(\.{label}\.([^.]+))"),
            label => format!(r"\.{label}\.[^.]+"),
        });
        let regex = format!(r"^wasmcustom\.{}{}$", literal(name), parts.collect::<String>());
        StatsTag { tag_name: (*wanted).to_owned(), regex }
    };
    labels.iter().enumerate().map(|(index, label)| tag(index, label)).collect()
}

/// A regular expression that matches exactly this text.
#[inline]
fn literal(text: &str) -> String {
    let mut regex = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_punctuation() && !"_-/%".contains(character) {
            regex.push('\\');
        }
        regex.push(character);
    }
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_literally_and_quoted_for_yaml() {
        let tags = stats_tags("a.b+c'", &["l.1"]);
        assert_eq!(
            tags.first().map(ToString::to_string).unwrap_or_default(),
            "- tag_name: 'l.1'\n  regex: '^wasmcustom\\.a\\.b\\+c\\''(\\.l%2E1\\.([^.]+))$'\n"
        );
        assert_eq!(stats_tags("a", &[]), []);
    }
}
