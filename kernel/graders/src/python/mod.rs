//! Python's meaning of text operations, where Rust's own differs.
//!
//! The reference graders are Python programs; a verdict is theirs only if `\w`, `\s`, `strip`,
//! `re.IGNORECASE` and `json.loads` mean the same here.
//!
//! | module | Python |
//! |---|---|
//! | [`characters`] | `str.isspace`, `\w`, `str.isupper`, `str.strip`, `str.split` |
//! | [`pattern`] | `re.search` and `re.findall` with a pattern from the data, `re.IGNORECASE` |
//! | [`json`] | whether `json.loads` accepts a text |

pub mod characters;
pub mod json;
pub mod pattern;
