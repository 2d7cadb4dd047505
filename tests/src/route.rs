//! Routes of the host's configuration, from requests to clusters.

use crate::fixture::{self, Metadata, MetadataSource};
use crate::string_match::{Regex, StringMatch};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// A route of the host's configuration, for [`Host::route`](crate::Host::route): which requests it
/// matches, and the cluster to which they go.
///
/// It matches each request, and its cluster is `upstream`, unless its methods say otherwise.
///
/// ```
/// use proxy_filter_host::{Host, Reply, Route};
/// let mut host = Host::without_module();
/// host.route(Route::new("beta").prefix("/api/").header("x-version", "2").cluster("beta"));
/// host.route(Route::new("all"));
/// host.upstream(|request| Reply::new(200).body(format!("from {}", request.cluster)));
/// let beta = host.get("/api/users").header("x-version", "2").send();
/// assert_eq!(beta.response().text(), "from beta");
/// assert_eq!(host.get("/api/users").send().response().text(), "from upstream");
/// ```
#[derive(Clone, Debug)]
pub struct Route {
    name: String,
    domain: Option<String>,
    path: PathMatch,
    headers: Vec<FieldMatch>,
    query: Vec<FieldMatch>,
    cluster: String,
    metadata: Metadata,
}

#[derive(Clone, Debug)]
enum PathMatch {
    Prefix(String),
    Exact(String),
    Regex(Regex),
}

/// What a header or a parameter of the query must be.
#[derive(Clone, Debug)]
struct FieldMatch {
    name: String,
    /// What its value must match; `None` for any value.
    value: Option<StringMatch>,
    inverted: bool,
}

impl FieldMatch {
    const fn new(name: String, value: Option<StringMatch>, inverted: bool) -> Self {
        Self { name, value, inverted }
    }

    /// Whether a field with these values is as it must be.
    fn matches(&self, values: &[Vec<u8>]) -> bool {
        match &self.value {
            None => values.is_empty() == self.inverted,
            // What does not exist matches nothing, and not the inverse.
            Some(_) if values.is_empty() => false,
            Some(wanted) => values.iter().any(|value| wanted.matches(value)) != self.inverted,
        }
    }

    /// Envoy's `HeaderMatcher` or `QueryParameterMatcher`.
    #[cfg(feature = "envoy")]
    fn matcher(&self) -> Value {
        let mut matcher = Map::from_iter([("name".to_owned(), Value::from(self.name.as_str()))]);
        match &self.value {
            None => matcher.insert("present_match".to_owned(), true.into()),
            Some(value) => matcher.insert("string_match".to_owned(), value.matcher()),
        };
        if self.inverted {
            matcher.insert("invert_match".to_owned(), true.into());
        }
        matcher.into()
    }
}

impl Route {
    /// A route of this name, which is the attribute `xds.route_name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            domain: None,
            path: PathMatch::Prefix("/".to_owned()),
            headers: Vec::new(),
            query: Vec::new(),
            cluster: fixture::CLUSTER.to_owned(),
            metadata: Metadata::default(),
        }
    }

    /// Matches only requests whose path begins with this text. The query is no part of the path.
    #[must_use]
    pub fn prefix(self, prefix: &str) -> Self {
        Self { path: PathMatch::Prefix(prefix.to_owned()), ..self }
    }

    /// Matches only requests with this path. The query is no part of the path.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        Self { path: PathMatch::Exact(path.to_owned()), ..self }
    }

    /// Matches only requests whose whole path matches a regular expression, as `safe_regex` in
    /// Envoy. The query is no part of the path. For the syntax, see [`StringMatch::regex`].
    ///
    /// ```
    /// use proxy_filter_host::{Host, Route};
    /// let mut host = Host::without_module();
    /// host.route(Route::new("user").regex("/users/[0-9]+(/.*)?"));
    /// assert_eq!(host.get("/users/42/photos?size=1").send().status(), 200);
    /// assert_eq!(host.get("/users/me").send().status(), 404);
    /// assert_eq!(host.get("/v1/users/42").send().status(), 404);
    /// ```
    ///
    /// # Panics
    /// The text is not a regular expression.
    #[must_use]
    pub fn regex(self, regex: &str) -> Self {
        Self { path: PathMatch::Regex(Regex::new(regex)), ..self }
    }

    /// Matches only requests that have this header with this value, in addition to all else: text,
    /// or another [`StringMatch`]. Of a repeated header, one value must match.
    #[must_use]
    pub fn header(self, name: &str, value: impl Into<StringMatch>) -> Self {
        self.with_header(name, Some(value.into()), false)
    }

    /// Matches only requests that have this header, and no value of it that matches, in addition to
    /// all else: `invert_match` in Envoy.
    ///
    /// ```
    /// use proxy_filter_host::{Host, Route, StringMatch};
    /// let mut host = Host::without_module();
    /// host.route(Route::new("people").header_not("user-agent", StringMatch::contains("bot")));
    /// assert_eq!(host.get("/").header("user-agent", "curl/8").send().status(), 200);
    /// assert_eq!(host.get("/").header("user-agent", "a robot").send().status(), 404);
    /// assert_eq!(host.get("/").send().status(), 404);
    /// ```
    #[must_use]
    pub fn header_not(self, name: &str, value: impl Into<StringMatch>) -> Self {
        self.with_header(name, Some(value.into()), true)
    }

    /// Matches only requests that have this header, with any value, in addition to all else.
    #[must_use]
    pub fn has_header(self, name: &str) -> Self {
        self.with_header(name, None, false)
    }

    /// Matches only requests that do not have this header, in addition to all else.
    #[must_use]
    pub fn without_header(self, name: &str) -> Self {
        self.with_header(name, None, true)
    }

    fn with_header(mut self, name: &str, value: Option<StringMatch>, inverted: bool) -> Self {
        self.headers.push(FieldMatch::new(name.to_ascii_lowercase(), value, inverted));
        self
    }

    /// Matches only requests whose query has this parameter with this value, in addition to all
    /// else: text, or another [`StringMatch`]. Only the first parameter of the name counts. Envoy
    /// decodes neither name nor value.
    ///
    /// ```
    /// use proxy_filter_host::{Host, Route};
    /// let mut host = Host::without_module();
    /// host.route(Route::new("beta").query("version", "2"));
    /// assert_eq!(host.get("/?a=b&version=2").send().status(), 200);
    /// assert_eq!(host.get("/?version=1&version=2").send().status(), 404);
    /// ```
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<StringMatch>) -> Self {
        self.query.push(FieldMatch::new(name.to_owned(), Some(value.into()), false));
        self
    }

    /// Matches only requests whose query has this parameter, with or without a value, in addition
    /// to all else.
    #[must_use]
    pub fn has_query(mut self, name: &str) -> Self {
        self.query.push(FieldMatch::new(name.to_owned(), None, false));
        self
    }

    /// Puts the route into a virtual host of its own, for requests with this `:authority`. The
    /// virtual host has the name of the domain, the attribute `xds.virtual_host_name`. Routes of
    /// the same domain share it.
    ///
    /// A request to a domain that has routes is matched by these only, and not by routes without a
    /// domain.
    #[must_use]
    pub fn domain(self, domain: &str) -> Self {
        Self { domain: Some(domain.to_ascii_lowercase()), ..self }
    }

    /// Sends matching requests to this cluster. A cluster needs no other declaration;
    /// [`Received::cluster`](crate::Received::cluster) tells the upstream's response function which
    /// one it is.
    #[must_use]
    pub fn cluster(self, cluster: &str) -> Self {
        Self { cluster: cluster.to_owned(), ..self }
    }

    /// Sets metadata of the route, of its cluster, of the cluster's host or of its virtual host:
    /// JSON, an object of namespaces. It replaces that of
    /// [`Host::metadata`](crate::Host::metadata) for the same source. Of routes that share a
    /// cluster or a virtual host, the first that sets its metadata decides.
    ///
    /// ```
    /// use proxy_filter_host::{MetadataSource, Route};
    /// let limits = r#"{ "com.example.limits": { "requests": 5 } }"#;
    /// let route = Route::new("api").prefix("/api").metadata(MetadataSource::Route, limits);
    /// ```
    ///
    /// # Panics
    /// The text is not a JSON object, or the source is none of these four.
    #[must_use]
    pub fn metadata(mut self, of: MetadataSource, json: impl fmt::Display) -> Self {
        let is_of_route = matches!(
            of,
            MetadataSource::Route
                | MetadataSource::Cluster
                | MetadataSource::UpstreamHost
                | MetadataSource::VirtualHost
        );
        assert!(is_of_route, "the metadata of {of:?} does not depend on the route: use `Host::metadata`");
        self.metadata.set(of, fixture::namespaces(&json));
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn cluster_name(&self) -> &str {
        &self.cluster
    }

    /// The name of its virtual host.
    fn virtual_host(&self) -> &str {
        self.domain.as_deref().unwrap_or(fixture::VIRTUAL_HOST)
    }

    /// Whether it matches a request. `values` returns the values of a header.
    fn matches(&self, path: &[u8], values: impl Fn(&str) -> Vec<Vec<u8>>) -> bool {
        let end = path.iter().position(|byte| *byte == b'#').unwrap_or(path.len());
        let path = path.get(..end).unwrap_or_default();
        let (path, query) = match path.iter().position(|byte| *byte == b'?') {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
            None => (path, &[][..]),
        };
        let matches_path = match &self.path {
            PathMatch::Prefix(prefix) => path.starts_with(prefix.as_bytes()),
            PathMatch::Exact(exact) => path == exact.as_bytes(),
            PathMatch::Regex(regex) => regex.matches(path),
        };
        matches_path
            && self.headers.iter().all(|header| header.matches(&values(&header.name)))
            && self.query.iter().all(|parameter| parameter.matches(&first(query, &parameter.name)))
    }

    /// Envoy's `RouteMatch`.
    #[cfg(feature = "envoy")]
    pub(crate) fn matcher(&self) -> Value {
        let (kind, path) = match &self.path {
            PathMatch::Prefix(prefix) => ("prefix", prefix.as_str().into()),
            PathMatch::Exact(path) => ("path", path.as_str().into()),
            PathMatch::Regex(regex) => ("safe_regex", regex.matcher()),
        };
        let all = |fields: &[FieldMatch]| fields.iter().map(FieldMatch::matcher).collect::<Vec<_>>().into();
        let parts = [(kind, path), ("headers", all(&self.headers)), ("query_parameters", all(&self.query))];
        parts.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
    }
}

/// The value of the first parameter of this name, if there is one.
fn first(query: &[u8], name: &str) -> Vec<Vec<u8>> {
    let mut parameters = query.split(|byte| *byte == b'&').map(|parameter| {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    });
    parameters.find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value.to_vec()).into_iter().collect()
}

/// The routes of the configuration in their order. Without one, each request goes to the upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes(Vec<Arc<Route>>);

/// What the host finds for a request.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// No virtual host has the request's domain.
    Nothing,
    /// The virtual host of this route has no route for it.
    VirtualHost(Arc<Route>),
    /// A route of the test.
    Route(Arc<Route>),
    /// The route that each host has if the test sets none.
    Default,
    /// No route, in a host whose routes a test does not set.
    DefaultVirtualHost,
}

impl Routes {
    pub(crate) fn add(&mut self, route: Route) {
        self.0.push(Arc::new(route));
    }

    /// The route of a request. `values` returns the values of a header.
    pub(crate) fn find(&self, authority: &[u8], path: &[u8], values: impl Fn(&str) -> Vec<Vec<u8>>) -> Found {
        if self.0.is_empty() {
            return Found::Default;
        }
        let is_of = |route: &Route| {
            route.domain.as_ref().is_some_and(|domain| domain.as_bytes().eq_ignore_ascii_case(authority))
        };
        let has_own = self.0.iter().any(|route| is_of(route));
        let mut routes =
            self.0.iter().filter(|route| if has_own { is_of(route) } else { route.domain.is_none() }).peekable();
        let Some(first) = routes.peek().map(|route| Arc::clone(route)) else { return Found::Nothing };
        match routes.find(|route| route.matches(path, &values)) {
            Some(route) => Found::Route(Arc::clone(route)),
            None => Found::VirtualHost(first),
        }
    }

    /// The clusters that routes name besides the upstream's, each once.
    pub(crate) fn clusters(&self) -> Vec<&str> {
        let mut clusters: Vec<&str> = Vec::new();
        for route in &self.0 {
            if route.cluster != fixture::CLUSTER && !clusters.contains(&route.cluster.as_str()) {
                clusters.push(&route.cluster);
            }
        }
        clusters
    }

    /// The virtual hosts: the name and domain of each, with its routes.
    #[cfg(feature = "envoy")]
    pub(crate) fn virtual_hosts(&self) -> Vec<(&str, &str, Vec<&Arc<Route>>)> {
        let mut hosts: Vec<(&str, &str, Vec<&Arc<Route>>)> = Vec::new();
        for route in &self.0 {
            match hosts.iter_mut().find(|(name, ..)| *name == route.virtual_host()) {
                Some((.., routes)) => routes.push(route),
                None => hosts.push((route.virtual_host(), route.domain.as_deref().unwrap_or("*"), vec![route])),
            }
        }
        hosts
    }

    /// The metadata of a route, or of the cluster or virtual host that it shares with others;
    /// otherwise that of the host.
    pub(crate) fn metadata<'a>(
        &'a self,
        route: &'a Route,
        of: MetadataSource,
        host: &'a Metadata,
    ) -> &'a Map<String, Value> {
        let shares = |other: &&Arc<Route>| match of {
            MetadataSource::VirtualHost => other.domain == route.domain,
            MetadataSource::Cluster | MetadataSource::UpstreamHost => other.cluster == route.cluster,
            _ => false,
        };
        let own = std::iter::once(route).filter(|_| of == MetadataSource::Route);
        let all = own.chain(self.0.iter().filter(shares).map(AsRef::as_ref));
        let mut set = all.map(|route| route.metadata.get(of)).filter(|metadata| !metadata.is_empty());
        set.next().unwrap_or_else(|| host.get(of))
    }

    /// The metadata of a cluster, or of its host.
    #[cfg(feature = "envoy")]
    pub(crate) fn metadata_of_cluster<'a>(
        &'a self,
        cluster: &str,
        of: MetadataSource,
        host: &'a Metadata,
    ) -> &'a Map<String, Value> {
        let route = self.0.iter().find(|route| route.cluster == cluster);
        route.map_or_else(|| host.get(of), |route| self.metadata(route, of, host))
    }
}

impl Found {
    /// The name of the virtual host, if there is one.
    pub(crate) fn virtual_host(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Default | Self::DefaultVirtualHost => Some(fixture::VIRTUAL_HOST),
            Self::VirtualHost(route) | Self::Route(route) => Some(route.virtual_host()),
        }
    }

    /// What is found for a request to the same domain that no route matches.
    pub(crate) fn without_route(self) -> Self {
        match self {
            Self::Route(route) => Self::VirtualHost(route),
            Self::Default => Self::DefaultVirtualHost,
            found => found,
        }
    }

    /// Whether there is a route.
    pub(crate) const fn is_route(&self) -> bool {
        matches!(self, Self::Route(_) | Self::Default)
    }

    /// The name of the cluster to which the request goes.
    pub(crate) fn cluster(&self) -> &str {
        match self {
            Self::Route(route) => route.cluster_name(),
            _ => fixture::CLUSTER,
        }
    }

    /// The name of the route.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Route(route) => route.name(),
            _ => fixture::ROUTE,
        }
    }

    /// The metadata of what was found, or of the host.
    pub(crate) fn metadata<'a>(
        &'a self,
        of: MetadataSource,
        routes: &'a Routes,
        host: &'a Metadata,
    ) -> &'a Map<String, Value> {
        match self {
            Self::VirtualHost(route) | Self::Route(route) => routes.metadata(route, of, host),
            Self::Default | Self::DefaultVirtualHost | Self::Nothing => host.get(of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(routes: &[Route], authority: &str, path: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut all = Routes::default();
        for route in routes {
            all.add(route.clone());
        }
        let values = |name: &str| {
            let same = headers.iter().filter(|(found, _)| *found == name);
            same.map(|(_, value)| value.as_bytes().to_vec()).collect()
        };
        let found = all.find(authority.as_bytes(), path.as_bytes(), values);
        found.is_route().then(|| found.name().to_owned())
    }

    #[test]
    fn the_first_route_that_matches_is_used() {
        let routes = [
            Route::new("exact").path("/a"),
            Route::new("both").prefix("/a").header("X-V", "2").has_header("x-w"),
            Route::new("prefix").prefix("/a"),
        ];
        let both = [("x-v", "1"), ("x-w", ""), ("x-v", "2")];
        for (path, headers, expected) in [
            ("/a?b#c", &both[..], Some("exact")),
            ("/a/b", &both, Some("both")),
            ("/a/b", &both[..2], Some("prefix")),
            ("/b/a", &both, None),
            ("/?/a", &[], None),
            ("/#?a=b", &[], None),
        ] {
            assert_eq!(find(&routes, "h", path, headers).as_deref(), expected, "{path} {headers:?}");
        }
    }

    #[test]
    fn a_domain_with_routes_has_no_others() {
        let routes = [Route::new("own").domain("A.example").prefix("/own"), Route::new("rest")];
        for (authority, path, expected) in [
            ("a.EXAMPLE", "/own", Some("own")),
            ("a.example", "/", None),
            ("a.example:80", "/own", Some("rest")),
            ("b", "/", Some("rest")),
        ] {
            assert_eq!(find(&routes, authority, path, &[]).as_deref(), expected, "{authority}{path}");
        }
        assert_eq!(find(&routes[..1], "b", "/own", &[]), None);
        assert_eq!(find(&[], "b", "/", &[]).as_deref(), Some("route"));
    }
}
