//! What is found in events that were analysed before: it is told as if it had been known then.

use super::finding::{self, Finding};
use super::{News, place, tell};
use crate::app::Ctx;
use anyhow::Result;
use hinomi_model::{Detection, IncidentId, IndicatorId};
use hinomi_store::Tx;

/// Puts what is known around detections of real events to them.
///
/// # Errors
/// When the lake cannot be read.
pub(crate) async fn prepare(ctx: &Ctx, detections: Vec<Detection>) -> Result<Vec<Later>> {
    let mut later = Vec::new();
    for detection in detections {
        let lineage = match finding::subject(&detection.event) {
            Some(key) => finding::lineage(ctx, key).await?,
            None => Vec::new(),
        };
        later.push(Later(Finding {
            detection,
            lineage,
            status_reason: None,
            opened: Vec::new(),
            demo: None,
            dedupe: None,
            test: false,
        }));
    }
    Ok(later)
}

/// A detection with what is known around it.
pub(crate) struct Later(Finding);

/// Makes the alerts of such detections; returns which indicator led to which incident. The caller holds
/// the desk's turn and sends the news after the commit.
///
/// # Errors
/// When the store fails.
pub(crate) async fn tell_later(
    ctx: &Ctx,
    tx: &mut Tx,
    later: &[Later],
    news: &mut News,
) -> Result<Vec<(IndicatorId, IncidentId)>> {
    let now = ctx.now();
    let mut told = Vec::new();
    for Later(finding) in later {
        let copies = place::copies_of(tx, finding, &[]).await?;
        for placed in place::place(ctx, tx, finding, &copies, now).await? {
            told.extend(finding.indicator().zip(placed.incident.as_ref().map(|incident| incident.id)));
            tell(ctx, tx, placed, now, news).await?;
        }
    }
    Ok(told)
}
