//! The decision with which release the public API is compared.

/// The command that compares two versions of a public API.
const INSTALL: &str = "cargo install --locked cargo-semver-checks";

/// How a release compares its public API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// With the release of this tag.
    With(String),
    /// Not at all, for a reason that the log must show.
    Skipped(String),
}

/// Decides with which of the tags of git the API of `version` is compared: with that of the last
/// release before it.
///
/// # Errors
/// There is an earlier release, `cargo-semver-checks` is not installed, and the comparison must not
/// be skipped.
pub(crate) fn comparison(tags: &str, version: &str, is_installed: bool, may_skip: bool) -> Result<Comparison, String> {
    // A pre-release is compared as the release that it precedes.
    let this = version.split(['-', '+']).next().and_then(number);
    let this = this.ok_or_else(|| format!("the version `{version}` is not of the form 1.2.3"))?;
    let releases = tags.lines().filter_map(|tag| Some((number(tag.trim().strip_prefix('v')?)?, tag.trim())));
    let Some((_, tag)) = releases.filter(|(number, _)| *number < this).max() else {
        return Ok(Comparison::Skipped(format!(
            "NO RELEASE YET before {version}: nothing to compare the public API with. Tags of releases have the form \
             v1.2.3; in a clone without tags, run `git fetch --tags`."
        )));
    };
    if is_installed {
        return Ok(Comparison::With(tag.to_owned()));
    }
    let why = format!("the public API is not compared with {tag}, because cargo-semver-checks is not installed");
    if may_skip {
        return Ok(Comparison::Skipped(format!("NOT CHECKED: {why}. Install it with `{INSTALL}`.")));
    }
    Err(format!("{why}: install it with `{INSTALL}`, or skip the comparison with --maybe-unchecked"))
}

/// The numbers of a version. `None` for a pre-release and for other text.
fn number(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let number = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{Comparison, comparison};

    fn with(tag: &str) -> Comparison {
        Comparison::With(tag.into())
    }

    #[test]
    fn the_last_release_before_the_version_is_the_baseline() {
        let tags = "v0.2.0\nv0.10.0\nv0.9.3\nv1.0.0-rc.1\nnightly\nv2\n";
        assert_eq!(comparison(tags, "1.0.0", true, false).unwrap(), with("v0.10.0"));
        assert_eq!(comparison(tags, "0.10.0", true, false).unwrap(), with("v0.9.3"), "not with itself");
        assert_eq!(comparison(tags, "0.9.4", true, false).unwrap(), with("v0.9.3"), "a fix of an older release");
    }

    #[test]
    fn without_an_earlier_release_there_is_no_comparison() {
        for (tags, version) in
            [("", "0.1.0"), ("v0.1.0\n", "0.1.0"), ("v0.1.0-rc.1\nother\n", "0.1.0"), ("v0.2.0", "0.1.0")]
        {
            for is_installed in [true, false] {
                let Ok(Comparison::Skipped(why)) = comparison(tags, version, is_installed, false) else {
                    panic!("{tags}")
                };
                assert!(why.starts_with("NO RELEASE YET before 0.1.0"), "{why}");
            }
        }
    }

    #[test]
    fn a_missing_tool_fails_unless_the_comparison_may_be_skipped() {
        let refused = comparison("v0.1.0", "0.2.0", false, false).unwrap_err();
        assert!(
            refused.contains("v0.1.0") && refused.contains("cargo install --locked cargo-semver-checks"),
            "{refused}"
        );
        let Ok(Comparison::Skipped(why)) = comparison("v0.1.0", "0.2.0", false, true) else { panic!() };
        assert!(why.starts_with("NOT CHECKED"), "{why}");
        assert_eq!(
            comparison("v0.1.0", "0.2.0", true, true).unwrap(),
            with("v0.1.0"),
            "the option skips only a missing tool"
        );
    }

    #[test]
    fn a_pre_release_is_compared_with_the_release_before_it() {
        assert_eq!(comparison("v0.1.0\nv0.2.0-rc.1", "0.2.0-rc.2", true, false).unwrap(), with("v0.1.0"));
        assert!(comparison("", "next", true, true).is_err(), "not a version");
    }
}
