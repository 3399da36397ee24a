//! What connections to servers outside are made with: authorities and secrets in files.

use std::path::Path;

/// Where Debian's package ca-certificates keeps the authorities.
pub(crate) const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A file with an address, a password or a key is not longer, bytes.
const SECRET_BYTES_MAX: usize = 8_192;

/// Reads a secret that stands alone in a file, without the end of its line.
///
/// # Errors
/// When it cannot be read, is empty or too long; the secret itself is not told.
pub(crate) fn secret(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("read {}: {error}", file.display()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.len() > SECRET_BYTES_MAX {
        return Err(format!("{} is empty or longer than {SECRET_BYTES_MAX} bytes", file.display()));
    }
    Ok(text.to_owned())
}
