//! A new generation beside the old one, which it replaces in one step.
//!
//! Fresh segments are written as `.fresh`; the marker file makes them valid. After a crash
//! [`finish`] either completes the exchange (marker there) or drops the fresh segments.

use super::{Segment, SpoolError, create_segment_as, encode, io_error, list, open_active};
use crate::files;
use hinomi_model::Event;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

const MARKER: &str = "renewed";

pub(super) struct Renewal {
    dir: PathBuf,
    generation: u64,
    segment_bytes: u64,
    segments: VecDeque<Segment>,
    file: File,
}

impl Renewal {
    pub(super) fn begin(dir: &Path, generation: u64, segment_bytes: u64) -> Result<Renewal, SpoolError> {
        let first = create_segment_as(dir, generation, 1, "fresh")?;
        let file = open_active(&first)?;
        Ok(Renewal { dir: dir.to_owned(), generation, segment_bytes, segments: VecDeque::from([first]), file })
    }

    pub(super) fn add(&mut self, events: &mut [Event]) -> Result<(), SpoolError> {
        if events.is_empty() {
            return Ok(());
        }
        let active = self.segments.back_mut().expect("never empty");
        if active.len >= self.segment_bytes {
            self.file.sync_all().map_err(io_error("write spool segment", &active.path))?;
            let next = create_segment_as(&self.dir, self.generation, active.last + 1, "fresh")?;
            self.file = open_active(&next)?;
            self.segments.push_back(next);
        }
        let active = self.segments.back_mut().expect("never empty");
        let mut next_id = active.last + 1;
        let mut out = Vec::new();
        encode(events, &mut next_id, &mut out)?;
        self.file.write_all(&out).map_err(io_error("write spool segment", &active.path))?;
        active.len += out.len() as u64;
        active.last = next_id - 1;
        Ok(())
    }

    /// Replaces the old generation.
    pub(super) fn commit(mut self) -> Result<VecDeque<Segment>, SpoolError> {
        self.file.sync_all().map_err(io_error("write spool segment", &self.dir))?;
        let marker = self.dir.join(MARKER);
        files::write_private(&marker, b"").map_err(io_error("write renewal marker", &marker))?;
        finish(&self.dir)?;
        for segment in &mut self.segments {
            segment.path.set_extension("spool");
        }
        Ok(self.segments)
    }
}

/// Completes or drops a renewal.
pub(super) fn finish(dir: &Path) -> Result<(), SpoolError> {
    let marker = dir.join(MARKER);
    let fresh = list(dir, "fresh")?;
    if !marker.exists() {
        for path in fresh {
            fs::remove_file(&path).map_err(io_error("delete spool segment", &path))?;
        }
        return Ok(());
    }
    // segments already renamed by a renewal that was cut short have a generation among the fresh
    // ones, or there are no fresh ones left at all
    let generations: Vec<String> = fresh.iter().filter_map(|path| generation_of(path)).collect();
    if !generations.is_empty() {
        for path in list(dir, "spool")? {
            if generation_of(&path).is_none_or(|generation| !generations.contains(&generation)) {
                fs::remove_file(&path).map_err(io_error("delete spool segment", &path))?;
            }
        }
    }
    for path in fresh {
        fs::rename(&path, path.with_extension("spool")).map_err(io_error("rename spool segment", &path))?;
    }
    files::sync_parent(&marker).map_err(io_error("sync spool folder", dir))?;
    files::remove(&marker).map_err(io_error("delete renewal marker", &marker))
}

fn generation_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.split('-').next()?.to_owned())
}
