//! Components of a message, and the signature base.

use super::MessageError;
use super::structured::{Bare, Item, Member, Parameters, dictionary, write_parameters};
use crate::request::{Query, path, percent_encode};
use base64ct::{Base64, Encoding};

/// A part of a message that a signature covers: a header, or a derived component such as `@path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    name: String,
    parameters: Parameters,
}

/// The names of derived components.
const DERIVED: [&str; 9] = [
    "@method",
    "@target-uri",
    "@authority",
    "@scheme",
    "@request-target",
    "@path",
    "@query",
    "@query-param",
    "@status",
];

impl Component {
    /// Parses a component: `date`, `@path`, `@query-param;name="Pet"`, `x-a;key="b"`, `date;bs`,
    /// `@method;req`. The name of a header is lower-case.
    ///
    /// # Errors
    /// Fails if the component is unknown, or has a parameter that is not implemented.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        // Parsed as an item of a dictionary.
        let field = format!("a=\"{name}\"{}{parameters}", if parameters.is_empty() { "" } else { ";" });
        match dictionary(field.as_bytes()).as_deref() {
            Some([(_, Member::Item(item))]) => Self::of(item),
            _ => Err(MessageError::Component),
        }
    }

    pub(super) fn of(item: &Item) -> Result<Self, MessageError> {
        let Bare::Text(name) = &item.value else { return Err(MessageError::Component) };
        let is_field = !name.is_empty()
            && !name.contains(|c: char| c.is_ascii_uppercase() || c.is_whitespace() || "@:\"\\".contains(c));
        let is_derived = DERIVED.contains(&name.as_str());
        let is_known = |(parameter, value): &(String, Bare)| match (parameter.as_str(), value) {
            ("req", Bare::Boolean(true)) => name != "@status",
            ("name", Bare::Text(_)) => name == "@query-param",
            ("key", Bare::Text(_)) | ("bs", Bare::Boolean(true)) => is_field,
            _ => false,
        };
        let component = Self { name: name.clone(), parameters: item.parameters.clone() };
        let is_complete = name != "@query-param" || component.text("name").is_some();
        let is_single = !(component.has("bs") && component.has("key"));
        let is_fine = (is_field || is_derived) && item.parameters.iter().all(is_known) && is_complete && is_single;
        is_fine.then_some(component).ok_or(MessageError::Component)
    }

    fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|(name, _)| name == parameter)
    }

    fn text(&self, parameter: &str) -> Option<&str> {
        self.parameters.iter().find_map(|(name, value)| match value {
            Bare::Text(value) if name == parameter => Some(value.as_str()),
            _ => None,
        })
    }

    /// Whether two components are the same, whatever the order of their parameters.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.parameters.len() == other.parameters.len()
            && self.parameters.iter().all(|parameter| other.parameters.contains(parameter))
    }

    pub(super) fn to_item(&self) -> Item {
        Item { value: Bare::Text(self.name.clone()), parameters: self.parameters.clone() }
    }
}

/// A request or a response, for signatures.
///
/// Headers are pairs of a name and a value, as `pairs()` of the SDK's handles returns them. Names
/// may have any case.
#[derive(Debug)]
pub struct Message<'a, N, V> {
    start: Start<'a>,
    headers: &'a [(N, V)],
    request: Option<&'a Message<'a, N, V>>,
}

impl<N, V> Clone for Message<'_, N, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N, V> Copy for Message<'_, N, V> {}

#[derive(Clone, Copy, Debug)]
enum Start<'a> {
    Request { method: &'a [u8], scheme: &'a [u8], authority: &'a [u8], target: &'a [u8] },
    Response { status: u16 },
}

impl<'a, N: AsRef<[u8]>, V: AsRef<[u8]>> Message<'a, N, V> {
    /// Describes a request by `:method`, `:scheme`, `:authority`, `:path`, and its headers.
    pub fn request(
        method: &'a (impl AsRef<[u8]> + ?Sized),
        scheme: &'a (impl AsRef<[u8]> + ?Sized),
        authority: &'a (impl AsRef<[u8]> + ?Sized),
        target: &'a (impl AsRef<[u8]> + ?Sized),
        headers: &'a [(N, V)],
    ) -> Self {
        let start = Start::Request {
            method: method.as_ref(),
            scheme: scheme.as_ref(),
            authority: authority.as_ref(),
            target: target.as_ref(),
        };
        Self { start, headers, request: None }
    }

    /// Describes a response by its status and headers.
    pub const fn response(status: u16, headers: &'a [(N, V)]) -> Self {
        Self { start: Start::Response { status }, headers, request: None }
    }

    /// Adds the request of this response, for components with the parameter `req`.
    #[must_use]
    pub const fn to(mut self, request: &'a Self) -> Self {
        self.request = Some(request);
        self
    }

    /// Appends the value of a component.
    fn write(&self, component: &Component, base: &mut Vec<u8>) -> Result<(), MessageError> {
        if component.has("req") {
            let request = self.request.ok_or(MessageError::MissingComponent)?;
            let inner = component.parameters.iter().filter(|(name, _)| name != "req").cloned().collect();
            return request.write(&Component { name: component.name.clone(), parameters: inner }, base);
        }
        let (method, scheme, authority, target) = match (&self.start, component.name.as_str()) {
            (_, name) if !name.starts_with('@') => return self.write_field(component, base),
            (Start::Response { status }, "@status") => {
                base.extend_from_slice(status.to_string().as_bytes());
                return Ok(());
            }
            (Start::Request { method, scheme, authority, target }, _) => (*method, *scheme, *authority, *target),
            (Start::Response { .. }, _) => return Err(MessageError::MissingComponent),
        };
        let authority = || {
            let authority = authority.to_ascii_lowercase();
            let port = if scheme.eq_ignore_ascii_case(b"https") { &b":443"[..] } else { b":80" };
            authority.strip_suffix(port).unwrap_or(&authority).to_vec()
        };
        match component.name.as_str() {
            "@method" => base.extend_from_slice(method),
            "@scheme" => base.extend(scheme.to_ascii_lowercase()),
            "@authority" => base.extend(authority()),
            "@request-target" => base.extend_from_slice(target),
            "@target-uri" => {
                base.extend(scheme.to_ascii_lowercase());
                base.extend_from_slice(b"://");
                base.extend(authority());
                base.extend_from_slice(target);
            }
            "@path" => match path(target) {
                b"" => base.push(b'/'),
                path => base.extend_from_slice(path),
            },
            "@query" => {
                base.push(b'?');
                base.extend_from_slice(Query::of(target).as_bytes().unwrap_or_default());
            }
            "@query-param" => base.extend(query_parameter(target, component.text("name").unwrap_or_default())?.bytes()),
            _ => return Err(MessageError::MissingComponent),
        }
        Ok(())
    }

    fn write_field(&self, component: &Component, base: &mut Vec<u8>) -> Result<(), MessageError> {
        let values: Vec<&[u8]> = self
            .headers
            .iter()
            .filter(|(name, _)| name.as_ref().eq_ignore_ascii_case(component.name.as_bytes()))
            .map(|(_, value)| value.as_ref().trim_ascii())
            .collect();
        if values.is_empty() {
            // `host` is in `:authority`.
            return Err(MessageError::MissingComponent);
        }
        if component.has("bs") {
            let values: Vec<String> =
                values.iter().map(|value| format!(":{}:", Base64::encode_string(value))).collect();
            base.extend_from_slice(values.join(", ").as_bytes());
            return Ok(());
        }
        let joined = values.join(&b", "[..]);
        match component.text("key") {
            None => base.extend_from_slice(&joined),
            Some(key) => {
                let members = dictionary(&joined).ok_or(MessageError::MissingComponent)?;
                let member = members.iter().find(|(name, _)| name == key).ok_or(MessageError::MissingComponent)?;
                base.extend_from_slice(member.1.to_text().as_bytes());
            }
        }
        Ok(())
    }
}

/// Returns the value of a query parameter, encoded again. `name` is encoded.
fn query_parameter(target: &[u8], name: &str) -> Result<String, MessageError> {
    let query = Query::of(target);
    // The encoding of forms differs from that of URIs in two characters.
    let encode = |text: &[u8]| percent_encode(text).replace('~', "%7E").replace("%2A", "*");
    let mut values = query.pairs().filter(|(found, _)| encode(found) == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(encode(&value)),
        (None, _) => Err(MessageError::MissingComponent),
        // A signature does not say which of several it covers.
        (Some(_), Some(_)) => Err(MessageError::Component),
    }
}

/// Returns the signature base, and the inner list with its parameters.
pub(super) fn signature_base<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    message: &Message<'_, N, V>,
    components: &[Component],
    parameters: &Parameters,
) -> Result<(Vec<u8>, String), MessageError> {
    let mut base = Vec::new();
    for (index, component) in components.iter().enumerate() {
        if components.iter().take(index).any(|earlier| earlier.is(component)) {
            return Err(MessageError::Component);
        }
        let mut identifier = String::new();
        component.to_item().write(&mut identifier);
        base.extend_from_slice(identifier.as_bytes());
        base.extend_from_slice(b": ");
        let start = base.len();
        message.write(component, &mut base)?;
        // A line feed in a value could imitate another component.
        if base.get(start..).is_some_and(|value| value.iter().any(|byte| matches!(byte, b'\n' | b'\r'))) {
            return Err(MessageError::Component);
        }
        base.push(b'\n');
    }
    let mut input = Member::List(components.iter().map(Component::to_item).collect(), Parameters::new()).to_text();
    write_parameters(parameters, &mut input);
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(input.as_bytes());
    Ok((base, input))
}
