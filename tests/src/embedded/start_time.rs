//! The command operator `START_TIME` of access logs.

use std::time::{Duration, SystemTime};

/// The form of a time without a format.
const DEFAULT: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";
/// The months as `httpdate` names them.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// What a format may contain.
const KNOWN: &str = "%Y, %y, %m, %d, %e, %b, %a, %H, %M, %S, %T, %F, %R, %Z, %z, %s, %f, %1f to %9f and %%";

/// Formats a time since 1970 in UTC. An error says which part of the format is not known.
pub(super) fn format(format: &str, time: Duration) -> Result<String, String> {
    // Such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + time);
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default().to_owned();
    let month = MONTHS.iter().position(|name| *name == part(8..11)).unwrap_or_default() + 1;
    let nanoseconds = format!("{:09}", time.subsec_nanos());
    let mut text = String::new();
    let mut letters = if format.is_empty() { DEFAULT } else { format }.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let letter = letters.next().unwrap_or_default();
        let part = match letter {
            'Y' => part(12..16),
            'y' => part(14..16),
            'm' => format!("{month:02}"),
            'd' => part(5..7),
            'e' => part(5..7).replacen('0', " ", usize::from(date.get(5..6) == Some("0"))),
            'b' => part(8..11),
            'a' => part(0..3),
            'H' => part(17..19),
            'M' => part(20..22),
            'S' => part(23..25),
            'T' => part(17..25),
            'R' => part(17..22),
            'F' => format!("{}-{month:02}-{}", part(12..16), part(5..7)),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            's' => time.as_secs().to_string(),
            'f' => nanoseconds.clone(),
            '1'..='9' if letters.as_str().starts_with('f') => {
                letters.next();
                let digits = letter.to_digit(10).unwrap_or_default() as usize;
                nanoseconds.get(..digits).unwrap_or_default().to_owned()
            }
            '%' => "%".to_owned(),
            other => return Err(format!("the embedded host does not format `%{other}` of a time, only {KNOWN}")),
        };
        text.push_str(&part);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_formatted_in_utc() {
        let time = Duration::new(1_750_000_000, 12_345_678);
        for (form, text) in [
            ("", "2025-06-15T15:06:40.012Z"),
            ("%Y/%m/%dT%H:%M:%S%z %s", "2025/06/15T15:06:40+0000 1750000000"),
            ("%a %e %b %y %T %R %F %Z", "Sun 15 Jun 25 15:06:40 15:06 2025-06-15 UTC"),
            ("%f %1f %6f %9f 100%%", "012345678 0 012345 012345678 100%"),
        ] {
            assert_eq!(format(form, time).as_deref(), Ok(text), "{form}");
        }
        assert_eq!(format("%e %d", Duration::ZERO).as_deref(), Ok(" 1 01"));
    }

    #[test]
    fn an_unknown_part_of_a_format_is_refused() {
        for form in ["%Q", "%", "%3", "%0f"] {
            assert!(format(form, Duration::ZERO).is_err(), "{form}");
        }
    }
}
