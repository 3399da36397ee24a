//! tar archives and gzip streams.

use super::Work;
use super::container::{Container, Losses, entry_name};
use super::reason::{Limit, Reason};

/// Opens a tar archive.
pub(super) fn tar(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().map_err(damaged)?;
    let mut losses = Losses::default();
    for entry in entries {
        if let Err(limit) = losses.see(work) {
            losses.add(limit);
            break;
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                losses.add(damaged(error));
                break;
            }
        };
        let kind = entry.header().entry_type();
        if !(kind.is_file() || kind.is_gnu_sparse() || kind.is_contiguous()) {
            continue;
        }
        let (name, size) = (entry_name(&entry.path_bytes()), entry.size());
        // a sparse entry claims any size: what was packed cannot be more than the archive
        match work.budget.unpack(entry, bytes.len() as u64) {
            Ok(content) => container.inspect(work, &name, &content),
            Err(reason) => {
                container.list(work, &name, size, false);
                let over = matches!(reason, Reason::Limit(Limit::Size | Limit::Time));
                losses.add(reason);
                if over {
                    // the rest of the entry would have to be read to reach the next one
                    break;
                }
            }
        }
    }
    losses.outcome()
}

/// Opens a gzip stream: one file, named in the header or after the archive.
pub(super) fn gzip(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    let decoder = flate2::read::MultiGzDecoder::new(bytes);
    let named = decoder.header().and_then(|header| header.filename()).map(entry_name);
    let content = work.budget.unpack(decoder, bytes.len() as u64)?;
    let own = container.name();
    let name = named.filter(|name| !name.is_empty()).unwrap_or_else(|| match own.to_lowercase().strip_suffix(".tgz") {
        Some(_) => format!("{}.tar", own.get(..own.len() - 4).unwrap_or("content")),
        None => own.strip_suffix(".gz").unwrap_or("content").to_owned(),
    });
    container.inspect(work, &name, &content);
    Ok(())
}

fn damaged(error: std::io::Error) -> Reason {
    Reason::Damaged(error.to_string())
}
