//! TLS between the client and the host: what each side shows the other.

use crate::base64;
use std::fmt::Write as _;

/// TLS of the clients' connections, for [`Host::tls`](crate::Host::tls).
///
/// The version is TLS 1.3, and the subject of the host's own certificate is `CN=proxy`. Without a
/// [certificate](Self::certificate) the client shows none.
///
/// ```
/// use proxy_filter_host::{Certificate, Tls};
/// let client = Certificate::new("CN=client,O=Example").uri("spiffe://example.com/client");
/// let tls = Tls::new().server_name("api.example.com").certificate(client);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub(crate) server_name: Option<String>,
    pub(crate) certificate: Option<Certificate>,
}

impl Tls {
    /// TLS without a server name, and without a certificate of the client.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name that the client requests: the server name indication (SNI), and the attribute
    /// `connection.requested_server_name`.
    #[must_use]
    pub fn server_name(self, name: &str) -> Self {
        Self { server_name: Some(name.to_owned()), ..self }
    }

    /// The certificate that the client shows. The host accepts each.
    #[must_use]
    pub fn certificate(self, certificate: Certificate) -> Self {
        Self { certificate: Some(certificate), ..self }
    }
}

/// A certificate of a client, for [`Tls::certificate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    subject: String,
    uris: Vec<String>,
    domains: Vec<String>,
}

/// The kinds of attributes in a subject, with their object identifiers.
const SUBJECT: [(&str, &[u8]); 6] = [
    ("CN", &[0x55, 4, 3]),
    ("C", &[0x55, 4, 6]),
    ("L", &[0x55, 4, 7]),
    ("ST", &[0x55, 4, 8]),
    ("O", &[0x55, 4, 10]),
    ("OU", &[0x55, 4, 11]),
];
/// `ecdsa-with-SHA256`, as a complete `AlgorithmIdentifier`.
const ALGORITHM: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// `subjectAltName`.
const ALTERNATIVE_NAMES: [u8; 5] = [6, 3, 0x55, 0x1d, 0x11];
/// The private key of each certificate, in a form that is read by Envoy. It protects nothing.
#[cfg(feature = "envoy")]
pub(crate) const KEY: &str = include_str!("tls_key.pem");
/// Its public key, as a complete `SubjectPublicKeyInfo`.
const PUBLIC_KEY: [u8; 91] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x62, 0x3d, 0x21, 0xd3, 0x20, 0x51, 0x7c, 0x9b, 0xd8, 0xba, 0x49,
    0x4d, 0x22, 0x5a, 0xe3, 0xde, 0xc9, 0xea, 0xa9, 0x13, 0x1e, 0xeb, 0x03, 0xf3, 0xc4, 0xca, 0x6b, 0x99, 0xad, 0x29,
    0xe7, 0xe0, 0xc5, 0xfd, 0xba, 0x61, 0x7f, 0xa6, 0x90, 0xfb, 0x72, 0x1e, 0xb5, 0xd4, 0xb6, 0xe7, 0xb9, 0xef, 0x7d,
    0xde, 0x21, 0x6d, 0xe7, 0x20, 0xbc, 0x25, 0xad, 0xc1, 0x3e, 0xbc, 0xe0, 0xc3, 0x46, 0x19,
];
/// A signature that Envoy does not check: two numbers of ECDSA, which are 1.
const SIGNATURE: [u8; 8] = [0x30, 6, 2, 1, 1, 2, 1, 1];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

impl Certificate {
    /// A certificate with this subject: `CN=client,O=Example`, for example, as Envoy writes it.
    ///
    /// # Panics
    /// A part is not `NAME=value` with one of the names `CN`, `C`, `L`, `ST`, `O` and `OU`.
    #[must_use]
    pub fn new(subject: &str) -> Self {
        for part in subject.split(',') {
            let is_known =
                part.split_once('=').is_some_and(|(name, _)| SUBJECT.iter().any(|(known, _)| *known == name));
            assert!(is_known, "the part `{part}` of a subject is not `CN=…`, `C=…`, `L=…`, `ST=…`, `O=…` or `OU=…`");
        }
        Self { subject: subject.to_owned(), uris: Vec::new(), domains: Vec::new() }
    }

    /// The certificate of the host itself.
    pub(crate) fn of_host() -> Self {
        Self::new("CN=proxy,O=Example").domain("proxy.example.com")
    }

    /// Adds a URI to the subject alternative names, such as the SPIFFE identity of a workload.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        self.uris.push(uri.to_owned());
        self
    }

    /// Adds a DNS name to the subject alternative names.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        self.domains.push(domain.to_owned());
        self
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn first_uri(&self) -> Option<&str> {
        self.uris.first().map(String::as_str)
    }

    pub(crate) fn first_domain(&self) -> Option<&str> {
        self.domains.first().map(String::as_str)
    }

    /// The bytes of the certificate (X.509, DER). It is valid from 2020 to 2099, and its signature
    /// is none.
    pub(crate) fn der(&self) -> Vec<u8> {
        let subject = self.name();
        let validity = [element(0x17, b"200101000000Z"), element(0x18, b"20991231235959Z")].concat();
        let mut names = Vec::new();
        for domain in &self.domains {
            names.extend(element(0x82, domain.as_bytes()));
        }
        for uri in &self.uris {
            names.extend(element(0x86, uri.as_bytes()));
        }
        let names = element(0x04, &element(SEQUENCE, &names));
        let extension = element(SEQUENCE, &[&ALTERNATIVE_NAMES[..], &names].concat());
        let has_names = !self.domains.is_empty() || !self.uris.is_empty();
        let extensions = if has_names { element(0xa3, &element(SEQUENCE, &extension)) } else { Vec::new() };
        let signed = [
            // Version 3, and the serial number 1.
            &[0xa0, 3, 2, 1, 2, 2, 1, 1][..],
            &ALGORITHM,
            &subject,
            &element(SEQUENCE, &validity),
            &subject,
            &PUBLIC_KEY,
            &extensions,
        ];
        let signature = element(0x03, &[&[0][..], &SIGNATURE].concat());
        element(SEQUENCE, &[&element(SEQUENCE, &signed.concat())[..], &ALGORITHM, &signature].concat())
    }

    /// The subject. Its text begins with the last part.
    fn name(&self) -> Vec<u8> {
        let parts = self.subject.rsplit(',').filter_map(|part| part.split_once('='));
        let parts = parts.flat_map(|(name, value)| {
            let kind = SUBJECT.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, kind)| kind);
            let pair = [element(6, kind), element(0x0c, value.as_bytes())].concat();
            element(SET, &element(SEQUENCE, &pair))
        });
        element(SEQUENCE, &parts.collect::<Vec<u8>>())
    }

    /// The certificate as text that Envoy reads.
    #[cfg_attr(not(feature = "envoy"), allow(dead_code, reason = "only a real Envoy reads certificates"))]
    pub(crate) fn pem(&self) -> String {
        let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
        for line in base64::encode(&self.der()).as_bytes().chunks(64) {
            let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
        }
        text.push_str("-----END CERTIFICATE-----\n");
        text
    }
}

/// An element of DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let start = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let digits = length.get(start..).unwrap_or_default();
    let mut bytes = vec![tag];
    if content.len() >= 0x80 {
        bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
    }
    bytes.extend(digits);
    bytes.extend(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_an_element_has_as_many_bytes_as_it_needs() {
        for (length, head) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (256, &[4, 0x82, 1, 0]),
            (70_000, &[4, 0x83, 1, 0x11, 0x70]),
        ] {
            let bytes = element(4, &vec![7; length]);
            assert!(bytes.starts_with(head) && bytes.len() == head.len() + length, "{length}");
        }
    }

    #[test]
    #[should_panic(expected = "the part `client` of a subject is not `CN=…`")]
    fn a_subject_without_a_name_is_refused() {
        let _ = Certificate::new("client");
    }
}
