//! Verifies signatures.

use super::base::{Component, Message, signature_base};
use super::structured::{Bare, Item, Member, Parameters, dictionary};
use super::{MessageError, VerifyingKey};
use crate::signature::{ClockWindow, SignatureError};
use core::time::Duration;

/// The maximum number of signatures of a message that are verified.
const MAX_TRIED: usize = 4;

/// A verified signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The label.
    pub label: String,
    /// The id of the key.
    pub key_id: Option<String>,
    /// The nonce. Refuse a message whose nonce was used before, if messages must not be repeated.
    pub nonce: Option<String>,
    /// The tag, which names the application.
    pub tag: Option<String>,
    /// The time of the signature, since 1970.
    pub created: Option<Duration>,
    /// The covered components.
    pub components: Vec<Component>,
}

/// The rules for signatures.
#[derive(Clone, Debug)]
pub struct Verifier {
    required: Vec<Component>,
    window: ClockWindow,
    created_is_required: bool,
    label: Option<String>,
    tag: Option<String>,
}

impl Verifier {
    /// Creates a verifier. A signature must cover these components, and may cover others.
    pub fn new(required: impl IntoIterator<Item = Component>) -> Self {
        Self {
            required: required.into_iter().collect(),
            window: ClockWindow::default(),
            created_is_required: true,
            label: None,
            tag: None,
        }
    }

    /// Sets the times at which a signature is accepted.
    #[must_use]
    pub const fn window(mut self, window: ClockWindow) -> Self {
        self.window = window;
        self
    }

    /// Accepts signatures that do not say when they were created.
    #[must_use]
    pub const fn without_time(mut self) -> Self {
        self.created_is_required = false;
        self
    }

    /// Accepts only the signature with this label.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Accepts only signatures with this tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Verifies a message, at a time since 1970. `signature_input` and `signature` are the values
    /// of these headers; join several with a comma. `key` returns the key with an id. Returns the
    /// first of at most four signatures that is accepted.
    ///
    /// # Errors
    /// Fails with the reason of the last signature if none is accepted.
    pub fn verify<'k, N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        message: &Message<'_, N, V>,
        signature_input: &[u8],
        signature: &[u8],
        now: Duration,
        key: impl Fn(Option<&str>) -> Option<&'k VerifyingKey>,
    ) -> Result<Verified, MessageError> {
        let inputs = dictionary(signature_input).ok_or(MessageError::Malformed)?;
        let signatures = dictionary(signature).ok_or(MessageError::Malformed)?;
        let mut last = MessageError::Malformed;
        let meant = inputs.iter().filter_map(|(label, member)| match member {
            Member::List(items, parameters) if self.label.as_ref().is_none_or(|meant| meant == label) => {
                let found = self.tag.is_none() || text(parameters, "tag") == self.tag;
                found.then_some((label, items, parameters))
            }
            _ => None,
        });
        for (label, items, parameters) in meant.take(MAX_TRIED) {
            let value = signatures.iter().find_map(|(found, member)| match member {
                Member::Item(Item { value: Bare::Bytes(bytes), .. }) if found == label => Some(bytes),
                _ => None,
            });
            let Some(value) = value else { continue };
            match self.verify_one(message, items, parameters, value, now, &key) {
                Ok(components) => {
                    return Ok(Verified {
                        label: label.clone(),
                        key_id: text(parameters, "keyid"),
                        nonce: text(parameters, "nonce"),
                        tag: text(parameters, "tag"),
                        created: time(parameters, "created")?,
                        components,
                    });
                }
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    fn verify_one<'k, N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        message: &Message<'_, N, V>,
        items: &[Item],
        parameters: &Parameters,
        signature: &[u8],
        now: Duration,
        key: &impl Fn(Option<&str>) -> Option<&'k VerifyingKey>,
    ) -> Result<Vec<Component>, MessageError> {
        let components = items.iter().map(Component::of).collect::<Result<Vec<_>, _>>()?;
        if !self.required.iter().all(|required| components.iter().any(|covered| covered.is(required))) {
            return Err(MessageError::NotCovered);
        }
        match time(parameters, "created")? {
            Some(created) => self.window.check(created, now)?,
            None if self.created_is_required => return Err(MessageError::NotCovered),
            None => {}
        }
        if time(parameters, "expires")?.is_some_and(|expires| now > expires.saturating_add(self.window.skew())) {
            return Err(SignatureError::Expired.into());
        }
        let key = key(text(parameters, "keyid").as_deref()).ok_or(MessageError::Key)?;
        let named = parameters.iter().find(|(name, _)| name == "alg");
        if named.is_some_and(|(_, value)| *value != Bare::Text(key.algorithm().to_owned())) {
            return Err(MessageError::Key);
        }
        let (base, _) = signature_base(message, &components, parameters)?;
        if key.verify(&base, signature) { Ok(components) } else { Err(SignatureError::Wrong.into()) }
    }
}

fn text(parameters: &Parameters, wanted: &str) -> Option<String> {
    parameters.iter().find_map(|(name, value)| match value {
        Bare::Text(value) if name == wanted => Some(value.clone()),
        _ => None,
    })
}

/// Returns a time since 1970.
fn time(parameters: &Parameters, wanted: &str) -> Result<Option<Duration>, MessageError> {
    match parameters.iter().find(|(name, _)| name == wanted) {
        None => Ok(None),
        Some((_, Bare::Integer(seconds))) => u64::try_from(*seconds)
            .map(|seconds| Some(Duration::from_secs(seconds)))
            .map_err(|_| MessageError::Malformed),
        Some(_) => Err(MessageError::Malformed),
    }
}
