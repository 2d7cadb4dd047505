//! Creates signatures.

use super::base::{Component, Message, signature_base};
use super::structured::{Bare, Parameters};
use super::{MessageError, SigningKey};
use base64ct::{Base64, Encoding};
use core::time::Duration;

/// The headers of a signature. If the message has them already, append a comma and these values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed {
    /// The value of `signature-input`.
    pub input: String,
    /// The value of `signature`.
    pub signature: String,
}

/// Signs messages with one key.
#[derive(Clone, Debug)]
pub struct Signer {
    key: SigningKey,
    key_id: String,
    components: Vec<Component>,
    label: String,
    lifetime: Option<Duration>,
    tag: Option<String>,
}

impl Signer {
    /// Creates a signer. `key_id` tells the verifier which key to use.
    pub fn new(key: SigningKey, key_id: impl Into<String>, components: impl IntoIterator<Item = Component>) -> Self {
        Self {
            key,
            key_id: key_id.into(),
            components: components.into_iter().collect(),
            label: "sig1".to_owned(),
            lifetime: None,
            tag: None,
        }
    }

    /// Sets the label, which is unique among the signatures of a message: lower-case letters,
    /// digits, `-`, `_`, `.` and `*`. Defaults to `sig1`.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets the time after which a signature expires.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets the tag, which names the application.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Signs a message, at a time since 1970. A nonce lets the verifier refuse a repeated message.
    ///
    /// # Errors
    /// Fails if the message does not have a component, or if a text has a character that is not
    /// printable ASCII.
    pub fn sign<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        message: &Message<'_, N, V>,
        nonce: Option<&str>,
        now: Duration,
    ) -> Result<Signed, MessageError> {
        let time =
            |time: Duration| i64::try_from(time.as_secs()).map(Bare::Integer).map_err(|_| MessageError::Malformed);
        let mut parameters: Parameters = vec![("created".to_owned(), time(now)?)];
        if let Some(lifetime) = self.lifetime {
            parameters.push(("expires".to_owned(), time(now.saturating_add(lifetime))?));
        }
        let texts = [("keyid", Some(self.key_id.as_str())), ("nonce", nonce), ("tag", self.tag.as_deref())];
        for (name, value) in texts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            if !value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
                return Err(MessageError::Malformed);
            }
            parameters.push((name.to_owned(), Bare::Text(value.to_owned())));
        }
        let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
        let starts = self.label.starts_with(|first: char| first.is_ascii_lowercase() || first == '*');
        if !starts || !self.label.bytes().all(is_label) {
            return Err(MessageError::Malformed);
        }
        let (base, input) = signature_base(message, &self.components, &parameters)?;
        let signature = Base64::encode_string(&self.key.sign(&base));
        Ok(Signed { input: format!("{}={input}", self.label), signature: format!("{}=:{signature}:", self.label) })
    }
}
