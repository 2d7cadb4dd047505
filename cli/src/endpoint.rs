//! Where a service is: the URL of an upstream or of a cluster.

use std::fmt;
use std::str::FromStr;

/// A server that is named by a URL without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// HTTP/2 without a negotiation, which gRPC needs.
    pub(crate) http2: bool,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (tls, http2) = match scheme {
            "http" => (false, false),
            "https" => (true, false),
            "http2" | "grpc" => (false, true),
            "https2" | "grpcs" => (true, true),
            _ => return Err(format!("`{scheme}` is not http, https, http2, https2, grpc or grpcs")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(format!("`{text}` has more than a host and a port: write for example http://127.0.0.1:8000"));
        }
        let default = if tls { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) => {
                (host, port.parse().map_err(|_| format!("`{port}` is not a port"))?)
            }
            _ => (authority, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(format!("`{text}` has no host"));
        }
        Ok(Self { host: host.to_owned(), port, tls, http2 })
    }
}

impl Endpoint {
    /// The value of an `authority` or `host` field.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.tls, self.http2) {
            (false, false) => "http",
            (true, false) => "https",
            (false, true) => "http2",
            (true, true) => "https2",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// A cluster: the name that the module calls, and its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
}

impl FromStr for Cluster {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) =
            text.split_once('=').ok_or("a cluster is written NAME=URL, as in authz=http://127.0.0.1:9000")?;
        Ok(Self { name: name.to_owned(), endpoint: url.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Cluster, Endpoint};

    #[test]
    fn urls_of_servers_are_read_and_written() {
        for (text, written) in [
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://localhost", "http://localhost:80"),
            ("https://example.com/", "https://example.com:443"),
            ("grpc://[::1]:50051", "http2://[::1]:50051"),
            ("https2://[::1]", "https2://[::1]:443"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), written);
        }
        for text in ["ftp://a", "http://", "http://a:b", "http://a/b", "http://user@a", "http://:80"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cluster_has_a_name_and_a_url() {
        let cluster: Cluster = "authz=http2://127.0.0.1:9000".parse().unwrap();
        assert_eq!((cluster.name.as_str(), cluster.endpoint.http2), ("authz", true));
        assert!("authz".parse::<Cluster>().is_err());
    }
}
