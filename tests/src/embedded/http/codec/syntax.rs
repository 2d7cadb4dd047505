//! Which bytes HTTP allows where.

use crate::message::Fields;

/// A name of a field, or a method.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// A control byte that no field may have.
pub(super) const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Whether Envoy takes this for a host with an optional port.
pub(super) fn is_authority(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@[]%".contains(byte))
}

/// Whether Envoy forwards this `referer`: an absolute URI, or a relative one without a colon before
/// its first slash.
pub(super) fn is_referer(text: &[u8]) -> bool {
    let is_char = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/?".contains(byte);
    let authority = text.windows(3).position(|window| window == b"://").and_then(|colon| {
        let (scheme, rest) = text.split_at(colon);
        let is_scheme = !scheme.is_empty() && scheme.iter().all(u8::is_ascii_alphabetic);
        rest.get(3..).filter(|_| is_scheme)
    });
    if authority.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_alphanumeric)) {
        return text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    }
    let first = text.split(|byte| *byte == b'/').next().unwrap_or_default();
    text.iter().all(is_char) && !first.contains(&b':')
}

/// Whether a `content-length` is a number.
pub(super) fn is_length(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(text).is_ok_and(|text| text.parse::<u64>().is_ok())
}

/// The elements of a list.
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Takes the blanks from both ends.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// The fields of a head as Envoy's parser of HTTP/1 finds them, or why it finds none.
///
/// A line that begins with a blank continues the one before it. The bytes of line ends are taken
/// out.
pub(super) fn parse(block: &[u8]) -> Result<Fields, &'static str> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        match lines.last_mut() {
            Some(last) if line.first().is_some_and(|byte| *byte == b' ' || *byte == b'\t') => last.extend(line),
            _ => lines.push(line.to_vec()),
        }
    }
    lines.iter().map(|line| field(line)).collect()
}

fn field(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    if line.iter().any(|byte| is_control(*byte) && *byte != b'\r' && *byte != b'\n') {
        return Err("http1.invalid_characters");
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or("http1.codec_error")?;
    let (name, value) = line.split_at(colon);
    if !is_token(name) {
        return Err("http1.codec_error");
    }
    let value: Vec<u8> = value.iter().skip(1).filter(|byte| **byte != b'\r' && **byte != b'\n').copied().collect();
    Ok((name.to_ascii_lowercase(), trim(&value).to_vec()))
}

/// Fields as lines.
pub(super) fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [name, &b": "[..], value, b"\r\n"].concat()).collect()
}
