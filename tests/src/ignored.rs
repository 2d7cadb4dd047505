//! Values that must differ between two hosts, hidden by their name.

/// Hides the values of these names in a line. A name is followed by `:` or `=`, as in a field, a
/// query or a member of a JSON object, and its case does not matter.
pub(crate) fn hide(line: &str, names: &[String]) -> String {
    names.iter().fold(line.to_owned(), |line, name| hide_one(&line, name))
}

fn hide_one(line: &str, name: &str) -> String {
    let (mut shown, mut rest) = (String::new(), line);
    let mut is_first = true;
    while let Some((before, value)) = find(rest, name) {
        shown.push_str(before);
        shown.push('…');
        // The value of a field is all that follows its name.
        let is_field = is_first && before.len() == name.len() + 2 && before.ends_with(": ");
        rest = if is_field { "" } else { value.get(length(value)..).unwrap_or_default() };
        is_first = false;
    }
    shown + rest
}

/// The text up to the first value of this name, and what follows.
fn find<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    // The ASCII case is changed, so places stay the same.
    let (low, name) = (text.to_ascii_lowercase(), name.to_ascii_lowercase());
    low.match_indices(&name).find_map(|(start, _)| {
        let (before, after) = (text.get(..start)?, text.get(start + name.len()..)?);
        let value = after.trim_start_matches(['\\', '"', '\'']).trim_start_matches(' ');
        let value = value.strip_prefix([':', '='])?.trim_start_matches(' ');
        (!before.ends_with(of_name)).then(|| text.split_at(text.len() - value.len()))
    })
}

/// The length of a value: up to the closing quotation mark, or the next separator.
fn length(value: &str) -> usize {
    let quote = ["\\\"", "\"", "'"].into_iter().find(|quote| value.starts_with(quote));
    match quote {
        Some(quote) => {
            let inside = value.get(quote.len()..).unwrap_or_default();
            inside.find(quote).map_or(value.len(), |end| end + 2 * quote.len())
        }
        None => value.find([',', ';', '&', '}', ']', ' ', '|']).unwrap_or(value.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_and_nothing_else() {
        let names = ["x-date".to_owned(), "exp".to_owned()];
        for (line, expected) in [
            ("x-date: Mon, 1 Jan 2024 00:00:00 GMT", "x-date: …"),
            ("X-Date: 5", "X-Date: …"),
            ("an-x-date: 5", "an-x-date: 5"),
            ("x-dates: 5", "x-dates: 5"),
            (":path: /a?exp=12&b=3&exp=4", ":path: /a?exp=…&b=3&exp=…"),
            (r#"body of 9 bytes: {\"exp\":12,\"a\":1}"#, r#"body of 9 bytes: {\"exp\":…,\"a\":1}"#),
            (r#"body of 9 bytes: {\"exp\": \"a, b\", \"a\": 1}"#, r#"body of 9 bytes: {\"exp\": …, \"a\": 1}"#),
            ("   log info: drew exp=7; x-date=8", "   log info: drew exp=…; x-date=…"),
            ("expired: 7", "expired: 7"),
        ] {
            assert_eq!(hide(line, &names), expected);
        }
    }
}
