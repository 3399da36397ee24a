//! The web console's files inside the binary.
//!
//! [`asset`] answers the built console (`console/dist`), or a one-page notice when it was not
//! built. The server decides about headers: names below `assets/` carry a content hash and may be
//! cached for ever; `index.html` contains [`NONCE_PLACEHOLDER`] and must be rendered per request.
//!
//! ```
//! let page = hinomi_console_assets::asset("index.html").expect("always there");
//! assert_eq!(page.content_type, "text/html");
//! ```

use rust_embed::Embed;
use std::borrow::Cow;

/// The files chosen by `build.rs`. The folders are relative because rust-embed compresses only those.
#[derive(Embed)]
#[cfg_attr(console_built, folder = "../../console/dist")]
#[cfg_attr(not(console_built), folder = "notice")]
struct Dist;

/// Stands in `index.html` where the server puts the nonce of its content security policy.
pub const NONCE_PLACEHOLDER: &str = "__CSP_NONCE__";

/// One file of the console.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Content.
    pub bytes: Cow<'static, [u8]>,
    /// Media type by extension, without charset.
    pub content_type: String,
    /// Strong entity tag with its quotes: SHA-256 of the content.
    pub etag: String,
}

/// Returns the file at `path`, relative to the console's root and without a leading slash.
pub fn asset(path: &str) -> Option<Asset> {
    let file = Dist::get(path)?;
    let etag = file.metadata.sha256_hash().iter().fold(String::from("\""), |text, byte| format!("{text}{byte:02x}"));
    Some(Asset { content_type: content_type(path, file.metadata.mimetype()), bytes: file.data, etag: etag + "\"" })
}

/// Returns the names of all files.
pub fn names() -> impl Iterator<Item = Cow<'static, str>> {
    Dist::iter()
}

fn content_type(path: &str, guessed: &str) -> String {
    // browsers run modules only with a JavaScript media type, whatever the guesser's table says
    if path.ends_with(".js") { "text/javascript".to_owned() } else { guessed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_always_there() {
        let index = asset("index.html").expect("index.html");
        assert_eq!(index.content_type, "text/html");
        assert!(!index.bytes.is_empty());
        assert_eq!(index.etag.len(), 66, "{}", index.etag);
        assert!(names().any(|name| name == "index.html"));
    }

    #[test]
    fn paths_do_not_leave_the_folder() {
        for path in ["", "/", "../Cargo.toml", "/etc/passwd", "assets/../../package.json", "nope.js"] {
            assert!(asset(path).is_none(), "{path}");
        }
    }
}
