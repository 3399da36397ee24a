//! Reads durable batches in order.

use super::record::{SEGMENT_HEADER_BYTES, SpooledBatch};
use super::{Segment, Spool, SpoolError, io_error};
use std::fs::File;
use std::io::{Seek, SeekFrom};

/// A position in the spool. Blocks on the disk.
pub struct Reader {
    spool: Spool,
    /// Everything up to here has been handed out.
    after: u64,
    open: Option<Open>,
}

struct Open {
    segment_first: u64,
    file: File,
    offset: u64,
}

enum Step {
    Read(SpooledBatch),
    NextSegment,
    End,
}

impl Reader {
    pub(super) fn new(spool: Spool, after: u64) -> Self {
        Reader { spool, after, open: None }
    }

    /// Returns the next durable batch that holds an event after the position, `None` when there is
    /// none yet. A damaged record costs the rest of its segment, which is counted.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn next_batch(&mut self) -> Result<Option<SpooledBatch>, SpoolError> {
        loop {
            match self.step()? {
                Step::Read(batch) if batch.last() > self.after => {
                    self.after = batch.last();
                    return Ok(Some(batch));
                }
                Step::Read(_) => {}
                Step::NextSegment => self.open = None,
                Step::End => return Ok(None),
            }
        }
    }

    fn step(&mut self) -> Result<Step, SpoolError> {
        let Some(segment) = self.segment() else { return Ok(Step::End) };
        let open = match &mut self.open {
            Some(open) if open.segment_first == segment.first => open,
            other => {
                let file = File::open(&segment.path).map_err(io_error("open spool segment", &segment.path))?;
                other.insert(Open { segment_first: segment.first, file, offset: SEGMENT_HEADER_BYTES })
            }
        };
        if open.offset >= segment.len {
            return Ok(if self.after >= segment.last { Step::End } else { self.damage(&segment) });
        }
        let read = open
            .file
            .seek(SeekFrom::Start(open.offset))
            .and_then(|_| SpooledBatch::decode(&mut open.file))
            .map_err(io_error("read spool segment", &segment.path))?;
        match read {
            Some(batch) => {
                open.offset += batch.bytes();
                Ok(Step::Read(batch))
            }
            None => Ok(self.damage(&segment)),
        }
    }

    /// The segment that holds the next event, or the active one.
    fn segment(&self) -> Option<Segment> {
        let index = self.spool.index();
        index.segments.iter().find(|segment| segment.last > self.after).or(index.segments.back()).cloned()
    }

    fn damage(&mut self, segment: &Segment) -> Step {
        let lost = segment.last - self.after.max(segment.first - 1);
        tracing::error!(path = %segment.path.display(), events = lost, "spool segment is damaged");
        self.spool.index().damaged += lost;
        self.after = segment.last;
        Step::NextSegment
    }
}
