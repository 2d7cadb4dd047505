//! The names that Kubernetes and registries accept.

/// Whether a text is made of letters, digits and these characters, and begins and ends with a
/// letter or digit.
fn is_made_of(text: &str, letters: fn(char) -> bool, between: &[char]) -> bool {
    let inner = |character| letters(character) || character.is_ascii_digit() || between.contains(&character);
    let outer = |character: char| letters(character) || character.is_ascii_digit();
    text.chars().all(inner) && text.starts_with(outer) && text.ends_with(outer)
}

const fn is_letter(character: char) -> bool {
    character.is_ascii_alphabetic()
}

const fn is_lower(character: char) -> bool {
    character.is_ascii_lowercase()
}

/// Makes the name of a resource out of a plugin's name.
///
/// # Errors
/// Fails if nothing is left of the name, or if it is too long.
pub(super) fn resource(name: &str) -> Result<String, String> {
    let mapped: String = name
        .to_lowercase()
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
        .collect();
    let resource = mapped.trim_matches('-');
    match resource.len() {
        1..=253 => Ok(resource.to_owned()),
        0 => Err(format!("Kubernetes accepts no character of the name `{name}`: choose another one with --name")),
        length => Err(format!("the name has {length} characters, and Kubernetes accepts 253: see --name")),
    }
}

/// Checks the name of a namespace.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let is_valid = text.len() <= 63 && is_made_of(text, is_lower, &['-']);
    let expected = "a namespace has at most 63 lower-case letters, digits and `-`, as in my-shop";
    is_valid.then(|| text.to_owned()).ok_or_else(|| expected.to_owned())
}

/// Checks the name of a resource in a reference to it.
pub(super) fn reference(text: &str) -> Result<String, String> {
    let is_valid = text.len() <= 253 && text.split('.').all(|label| is_made_of(label, is_lower, &['-']));
    let expected = "the name of a resource has at most 253 lower-case letters, digits, `-` and `.`";
    is_valid.then(|| text.to_owned()).ok_or_else(|| expected.to_owned())
}

/// Checks the reference of an image: `HOST[:PORT]/PATH[:TAG][@DIGEST]`.
pub(super) fn image(text: &str) -> Result<String, String> {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let (path, tag) = tag_of(name);
    let (host, path) = path.split_once('/').map_or((None, path), |(host, path)| (Some(host), path));
    let (host, port) = host.map_or((None, None), |host| {
        host.split_once(':').map_or((Some(host), None), |(host, port)| (Some(host), Some(port)))
    });
    let is_hex = |text: &str| text.len() == 64 && text.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f'));
    let is_tag = |tag: &str| {
        let all = tag.chars().all(|character| character.is_ascii_alphanumeric() || "_.-".contains(character));
        all && (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-'])
    };
    let is_valid = host.is_none_or(|host| is_made_of(host, is_letter, &['-', '.']))
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && path.split('/').all(|part| is_made_of(part, is_lower, &['-', '.', '_']))
        && tag.is_none_or(is_tag)
        && digest.is_none_or(|digest| digest.strip_prefix("sha256:").is_some_and(is_hex));
    if is_valid {
        return Ok(text.to_owned());
    }
    Err("an image is written HOST/PATH:TAG without a scheme, and its path in lower case, as in ghcr.io/me/guard:1.0"
        .to_owned())
}

/// The name of an image and its tag.
pub(super) fn tag_of(reference: &str) -> (&str, Option<&str>) {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}
