//! `[indicators]`

pub use super::feeds::config::FeedConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// `[indicators]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndicatorsConfig {
    /// Days of events and mail a new indicator is compared with, at most 365; 0 = none.
    pub look_back_days: i64,
    /// Feeds that are fetched on a schedule.
    pub feeds: Vec<FeedConfig>,
}

impl Default for IndicatorsConfig {
    fn default() -> Self {
        IndicatorsConfig { look_back_days: 30, feeds: Vec::new() }
    }
}

/// Most feeds.
const FEEDS_MAX: usize = 100;

impl IndicatorsConfig {
    /// Makes relative files relative to a folder.
    pub(crate) fn rebase(&mut self, base: &Path) {
        self.feeds.iter_mut().for_each(|feed| feed.rebase(base));
    }

    /// Checks every range; the key and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if !(0..=super::look::DAYS_MAX).contains(&self.look_back_days) {
            return Err(("indicators.look_back_days", format!("{} is not in 0..365", self.look_back_days)));
        }
        if self.feeds.len() > FEEDS_MAX {
            return Err(("indicators.feeds", format!("more than {FEEDS_MAX}")));
        }
        let mut names = BTreeSet::new();
        for feed in &self.feeds {
            feed.check()?;
            if let Some(reason) = super::guard::scope(&feed.scope) {
                return Err(("indicators.feeds.scope", format!("{}: {}", feed.name, reason.en)));
            }
            if !names.insert(feed.name.as_str()) {
                return Err(("indicators.feeds.name", format!("{:?} is there twice", feed.name)));
            }
        }
        Ok(())
    }
}
