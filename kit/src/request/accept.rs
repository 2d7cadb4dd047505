//! Content negotiation: `accept` and `accept-encoding`.

use super::media_type::MediaType;
use super::token::{is_token, split_unquoted, trim, unquote, weight};

/// Returns the index of the offer that the client prefers. Returns `None` if the client accepts
/// none: reply with 406, or ignore the header.
///
/// The weight of an offer is that of the most specific range that matches it. Among equal weights
/// the first offer is chosen. A missing or empty header accepts everything. Malformed ranges and
/// weights are ignored.
///
/// ```
/// use proxy_filter_kit::request::negotiate_media_type;
///
/// let offers = ["application/json", "text/html"];
/// assert_eq!(negotiate_media_type(b"text/*, application/json;q=0.5", &offers), Some(1));
/// assert_eq!(negotiate_media_type(b"*/*", &offers), Some(0));
/// assert_eq!(negotiate_media_type(b"image/png", &offers), None);
/// ```
///
/// Source: RFC 9110, section 12.5.1.
pub fn negotiate_media_type(accept: &[u8], offers: &[&str]) -> Option<usize> {
    best(offers, |offer| media_weight(accept, offer))
}

/// Returns the index of the content coding that the client prefers. Returns `None` if the client
/// accepts none of them: send the body without a coding.
///
/// ```
/// use proxy_filter_kit::request::negotiate_encoding;
///
/// assert_eq!(negotiate_encoding(b"gzip;q=0.8, br", &["gzip", "br"]), Some(1));
/// assert_eq!(negotiate_encoding(b"", &["gzip"]), None);
/// ```
///
/// Source: RFC 9110, section 12.5.3.
pub fn negotiate_encoding(accept_encoding: &[u8], offers: &[&str]) -> Option<usize> {
    best(offers, |offer| encoding_weight(accept_encoding, offer))
}

/// Whether a content coding is accepted. `identity` is accepted unless the header excludes it.
///
/// Source: RFC 9110, section 12.5.3.
pub fn accepts_encoding(accept_encoding: &[u8], coding: &str) -> bool {
    encoding_weight(accept_encoding, coding) > 0
}

fn best(offers: &[&str], weight: impl Fn(&str) -> u16) -> Option<usize> {
    let weighed = offers.iter().enumerate().map(|(index, offer)| (weight(offer), index));
    // The first one of equal weights.
    weighed
        .filter(|(weight, _)| *weight > 0)
        .max_by_key(|(weight, index)| (*weight, usize::MAX - index))
        .map(|(_, i)| i)
}

/// Iterates over the elements of a list, each with its weight and the parameters before it.
fn elements(header: &[u8]) -> impl Iterator<Item = (&[u8], u16)> {
    split_unquoted(header, b',').map(trim).filter(|element| !element.is_empty()).filter_map(|element| {
        let q = split_unquoted(element, b';').skip(1).map(trim).find_map(|parameter| match parameter {
            [b'q' | b'Q', b'=', value @ ..] => Some(weight(value)),
            _ => None,
        });
        Some((element, q.unwrap_or(Some(1000))?))
    })
}

fn media_weight(accept: &[u8], offer: &str) -> u16 {
    if trim(accept).is_empty() {
        return 1000;
    }
    let Some(offer) = MediaType::parse(offer.as_bytes()) else { return 0 };
    let matches = elements(accept).filter_map(|(range, weight)| Some((specificity(range, &offer)?, weight)));
    // The largest weight of equally specific ranges.
    matches.max().map_or(0, |(_, weight)| weight)
}

/// Returns how specifically a range describes an offer; `None` if it does not match.
fn specificity(range: &[u8], offer: &MediaType<'_>) -> Option<usize> {
    let range_type = MediaType::parse(range)?;
    let same = |one: &[u8], other: &[u8]| one.eq_ignore_ascii_case(other);
    let specificity = match (range_type.kind(), range_type.subtype()) {
        (b"*", b"*") => 0,
        (kind, b"*") if same(kind, offer.kind()) => 1,
        (kind, subtype) if same(kind, offer.kind()) && same(subtype, offer.subtype()) => 2,
        _ => return None,
    };
    let mut parameters = 0;
    for parameter in split_unquoted(range, b';').skip(1).map(trim) {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next()?, parts.next().and_then(unquote));
        if same(name, b"q") {
            break;
        }
        if let Some(value) = value.filter(|_| is_token(name)) {
            let offered = offer.parameter(core::str::from_utf8(name).ok()?)?;
            same(&offered, &value).then_some(())?;
            parameters += 1;
        }
    }
    Some(specificity + parameters)
}

fn encoding_weight(header: &[u8], coding: &str) -> u16 {
    let name =
        |element: &[u8]| trim(element.split(|byte| *byte == b';').next().unwrap_or_default()).to_ascii_lowercase();
    let find = |wanted: &[u8]| elements(header).find(|(element, _)| name(element) == wanted).map(|(_, weight)| weight);
    let mut wanted = coding.to_ascii_lowercase().into_bytes();
    if wanted == b"x-gzip" {
        wanted = b"gzip".to_vec();
    }
    let old = (wanted == b"gzip").then(|| find(b"x-gzip")).flatten();
    // `identity` is accepted unless it is excluded.
    let missing = u16::from(wanted == b"identity");
    find(&wanted).or(old).or_else(|| find(b"*")).unwrap_or(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_gives_the_weight() {
        // RFC 9110, section 12.5.1
        let accept =
            b"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5";
        for (offer, expected) in [
            ("text/plain;format=flowed", 1000),
            ("text/plain", 700),
            ("text/html", 300),
            ("image/jpeg", 500),
            ("text/plain;format=fixed", 400),
            ("text/html;level=3", 300),
        ] {
            assert_eq!(media_weight(accept, offer), expected, "{offer}");
        }
    }

    #[test]
    fn offers_are_chosen_by_weight_and_then_by_their_order() {
        for (accept, expected) in [
            ("", Some(0)),
            (" ", Some(0)),
            ("b/b, a/a", Some(0)),
            ("a/a;q=0.999, b/b", Some(1)),
            ("a/a;q=0, */*;q=0.1", Some(1)),
            ("a/a;q=2, b/b;q=0.1", Some(1)),
            ("a/a;q=0.1234", None),
            ("A/A ; Q=1.000", Some(0)),
            ("x/y", None),
            ("nonsense, b/b", Some(1)),
            ("a/a;x=\",b/b\", b/b;q=0.2", Some(1)),
            (",,b/*,", Some(1)),
        ] {
            assert_eq!(negotiate_media_type(accept.as_bytes(), &["a/a", "b/b"]), expected, "{accept}");
        }
    }

    #[test]
    fn encodings_are_chosen_as_rfc_9110_says() {
        for (header, expected) in [
            ("compress, gzip", Some(0)),
            ("*", Some(0)),
            ("gzip;q=0.5, br;q=1.0", Some(1)),
            ("*;q=0.5, br;q=0", Some(0)),
            ("X-GZIP", Some(0)),
            ("gzip;q=0", None),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(negotiate_encoding(header.as_bytes(), &["gzip", "br"]), expected, "{header}");
        }
        assert!(accepts_encoding(b"", "identity"));
        assert!(accepts_encoding(b"gzip", "identity"));
        assert!(!accepts_encoding(b"identity;q=0", "identity"));
        assert!(!accepts_encoding(b"*;q=0", "identity"));
    }
}
