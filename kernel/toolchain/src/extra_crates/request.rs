use std::path::Path;

use toml::{Table, Value};

use super::prelude_crates::version_in_prelude;

/// One crate that a notebook adds: an entry of `[dependencies]` in a Cargo manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct CrateRequest {
    name: String,
    /// The value of the entry, with absolute paths.
    detail: Table,
}

/// Why a `:dep` line is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrateRequestError {
    /// The line is neither a crate name nor an entry of a manifest.
    #[error(
        "failed to parse `:dep {line}` ({reason}); write `:dep NAME`, `:dep NAME@1.2`, \
         `:dep NAME = \"1.2\"` or `:dep NAME = {{ version = \"1.2\", features = [\"...\"] }}`"
    )]
    Syntax {
        /// The text after `:dep`.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The prelude has the crate, but another version or source than the line asks for.
    #[error(
        "`{name}` {version} is part of the prelude, and a second copy would have different types of \
         the same names. Remove the line to use the prelude's, or add the other version under \
         another name: `:dep other_{name} = {{ package = \"{name}\", ... }}`"
    )]
    InPrelude {
        /// The crate's name.
        name: String,
        /// The version in the prelude.
        version: String,
    },
}

impl CrateRequest {
    /// Parses the text after `:dep`. Relative paths start at `folder`.
    ///
    /// # Errors
    /// When the text is malformed, or asks for another copy of a crate in the prelude.
    pub fn parse(line: &str, folder: &Path) -> Result<Self, CrateRequestError> {
        let (name, mut detail) = parse_line(line).map_err(|reason| CrateRequestError::Syntax {
            line: line.to_owned(),
            reason,
        })?;
        let is_other_source = ["path", "git", "registry", "package"]
            .iter()
            .any(|key| detail.contains_key(*key));
        if let Some(version) = version_in_prelude(&name)
            && (is_other_source || !version_fits(detail.get("version"), version))
        {
            let version = version.to_owned();
            return Err(CrateRequestError::InPrelude { name, version });
        }
        if let Some(Value::String(path)) = detail.get_mut("path") {
            let absolute = std::path::absolute(folder.join(path.as_str()));
            *path = absolute
                .unwrap_or_else(|_| folder.join(path.as_str()))
                .display()
                .to_string();
        }
        Ok(Self { name, detail })
    }

    /// The name by which cells use the crate, as it was written, possibly with hyphens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of the manifest's entry.
    pub(super) fn detail(&self) -> &Table {
        &self.detail
    }

    /// Whether the crate is in a local folder, where its source may change between builds.
    pub(super) fn is_local(&self) -> bool {
        self.detail.contains_key("path")
    }
}

fn parse_line(line: &str) -> Result<(String, Table), String> {
    let line = line.trim();
    if !line.contains('=') || is_shorthand(line) {
        let (name, version) = line.split_once('@').unwrap_or((line, "*"));
        return Ok((checked_name(name)?, with_version(version.trim())));
    }
    let mut table: Table = line
        .parse()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let mut keys = std::mem::take(&mut table).into_iter();
    let (Some((name, value)), None) = (keys.next(), keys.next()) else {
        return Err("expected exactly one crate".to_owned());
    };
    let detail = match value {
        Value::String(version) => with_version(&version),
        Value::Table(detail) => detail,
        _ => return Err("expected a version or a table after `=`".to_owned()),
    };
    Ok((checked_name(&name)?, detail))
}

/// Whether the line has the form `name@version`. The version may contain an equals sign: `name@=1.2`.
fn is_shorthand(line: &str) -> bool {
    let at = line.find('@');
    at.is_some_and(|at| line.find(['=', '"', '{']).is_none_or(|other| at < other))
}

fn with_version(version: &str) -> Table {
    Table::from_iter([("version".to_owned(), Value::String(version.to_owned()))])
}

fn checked_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|part| part.is_ascii_alphanumeric() || part == '_' || part == '-');
    if !is_name {
        return Err(format!("`{name}` is not a crate name"));
    }
    Ok(name.to_owned())
}

fn version_fits(wanted: Option<&Value>, version: &str) -> bool {
    let Some(wanted) = wanted.and_then(Value::as_str) else {
        return true;
    };
    let wanted = semver::VersionReq::parse(wanted);
    let version = semver::Version::parse(version);
    matches!((wanted, version), (Ok(wanted), Ok(version)) if wanted.matches(&version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extra_crates::prelude_crates::PRELUDE_CRATES;

    fn detail(line: &str) -> String {
        let request = CrateRequest::parse(line, Path::new("/notebooks")).unwrap();
        format!("{} {}", request.name(), request.detail())
            .trim_end()
            .replace('\n', ", ")
    }

    #[test]
    fn a_line_is_an_entry_of_a_manifest_or_a_short_form_of_one() {
        assert_eq!(detail("itoa"), "itoa version = \"*\"");
        assert_eq!(detail("itoa@1.0"), "itoa version = \"1.0\"");
        assert_eq!(detail("itoa@=1.0.2"), "itoa version = \"=1.0.2\"");
        assert_eq!(detail("itoa = \"1\""), "itoa version = \"1\"");
        assert_eq!(
            detail("rand-like = { version = \"0.9\", features = [\"std\"] }"),
            "rand-like features = [\"std\"], version = \"0.9\""
        );
        assert_eq!(
            detail("mine = { path = \"../mine\" }"),
            "mine path = \"/notebooks/../mine\""
        );
    }

    #[test]
    fn the_error_for_a_malformed_line_shows_the_accepted_forms() {
        for line in [
            "",
            "itoa =",
            "a = 1",
            "two words",
            "../x",
            "a = \"1\"\nb = \"1\"",
        ] {
            let error = CrateRequest::parse(line, Path::new("/")).unwrap_err();
            assert!(
                error.to_string().contains(":dep NAME@1.2"),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn a_crate_of_the_prelude_is_accepted_only_in_the_version_of_the_prelude() {
        for name in PRELUDE_CRATES {
            let version = version_in_prelude(name).unwrap();
            CrateRequest::parse(name, Path::new("/")).unwrap();
            CrateRequest::parse(&format!("{name}@{version}"), Path::new("/")).unwrap();
            let error = CrateRequest::parse(&format!("{name} = \"=0.0.1\""), Path::new("/"));
            assert!(error.unwrap_err().to_string().contains(version), "{name}");
        }
    }
}
