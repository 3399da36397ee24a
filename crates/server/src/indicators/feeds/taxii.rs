//! TAXII 2.1 (OASIS, 2021): discovery, API root, collections, objects page by page.

use super::http::{Fetch, Stamp};
use super::{Batch, State};
use crate::indicators::feeds::config::FeedConfig;
use anyhow::{Context, Result, ensure};
use hinomi_detect::indicator_list::Defaults;
use hinomi_model::IndicatorFormat;
use reqwest::Url;
use serde_json::Value;

/// Media type of requests and answers (section 1.6.8.1).
const MEDIA: &str = "application/taxii+json;version=2.1";
/// Collections of one feed.
const COLLECTIONS_MAX: usize = 50;
/// Objects asked for at a time; a server may give fewer.
const PAGE: &str = "1000";
/// Characters of a cursor.
const CURSOR_CHARS_MAX: usize = 2_048;

/// Reads what was added since the last run.
pub(super) async fn read(
    fetch: &mut Fetch,
    feed: &FeedConfig,
    defaults: &Defaults,
    state: &mut State,
    batch: &mut Batch,
) -> Result<()> {
    let root = api_root(fetch).await?;
    for id in collections(fetch, &root, &feed.collections).await? {
        let since = state.added_after.get(&id).cloned();
        let last = objects(fetch, &root, &id, since.as_deref(), defaults, batch).await?;
        if let Some(last) = last {
            state.added_after.insert(id, last);
        }
        if batch.is_full() {
            break;
        }
    }
    Ok(())
}

async fn document(fetch: &mut Fetch, url: Url) -> Result<Value> {
    let answer = fetch.get(url, MEDIA, &Stamp::default()).await?;
    Ok(answer.context("an answer without content")?.body)
}

/// The address of the API root: the configured one, or what its discovery names (section 4.1).
async fn api_root(fetch: &mut Fetch) -> Result<Url> {
    let base = fetch.base();
    let found = document(fetch, base.clone()).await.context("read discovery or API root")?;
    if found.get("versions").is_some() {
        return Ok(base);
    }
    let roots = found.get("api_roots").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let default = found.get("default").and_then(Value::as_str);
    let link = default.or_else(|| roots.into_iter().next()).context("the discovery names no API root")?;
    let mut root = fetch.at(&base, link)?;
    if !root.path().ends_with('/') {
        root.set_path(&format!("{}/", root.path()));
    }
    let found = document(fetch, root.clone()).await.context("read API root")?;
    let versions = found.get("versions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let plain = |text: &str| text.replace(' ', "").to_ascii_lowercase();
    ensure!(versions.into_iter().any(|version| plain(version) == MEDIA), "the API root does not speak TAXII 2.1");
    Ok(root)
}

/// Ids of the collections to read (section 5.1).
async fn collections(fetch: &mut Fetch, root: &Url, wanted: &[String]) -> Result<Vec<String>> {
    let found = document(fetch, fetch.at(root, "collections/")?).await.context("read collections")?;
    let known = found.get("collections").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |one: &Value, name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let readable = known.iter().filter(|one| one.get("can_read").and_then(Value::as_bool) == Some(true));
    let mut ids = Vec::new();
    let names = |one: &Value| ["id", "alias", "title"].map(|name| text(one, name));
    for one in readable.take(COLLECTIONS_MAX) {
        let id = text(one, "id");
        let good = !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if good && (wanted.is_empty() || names(one).iter().any(|name| wanted.contains(name))) {
            ids.push(id);
        }
    }
    let missing = wanted.iter().find(|name| !known.iter().any(|one| names(one).contains(name)));
    if let Some(name) = missing {
        anyhow::bail!("there is no collection {name:?}");
    }
    ensure!(!ids.is_empty(), "no collection can be read");
    Ok(ids)
}

/// Reads the indicators of a collection (section 5.4); returns when the last of them was added.
async fn objects(
    fetch: &mut Fetch,
    root: &Url,
    id: &str,
    since: Option<&str>,
    defaults: &Defaults,
    batch: &mut Batch,
) -> Result<Option<String>> {
    let mut last = since.map(str::to_owned);
    let (mut after, mut next) = (last.clone(), None::<String>);
    loop {
        let mut url = fetch.at(root, &format!("collections/{id}/objects/"))?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("match[type]", "indicator").append_pair("limit", PAGE);
            for (name, value) in [("added_after", &after), ("next", &next)] {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
        }
        let answer = fetch.get(url, MEDIA, &Stamp::default()).await.with_context(|| format!("read collection {id}"))?;
        let answer = answer.context("an answer without content")?;
        let added = answer.headers.get("x-taxii-date-added-last").and_then(|at| at.to_str().ok()).map(str::to_owned);
        let more = answer.body.get("more").and_then(Value::as_bool) == Some(true);
        let cursor = answer.body.get("next").and_then(Value::as_str).map(str::to_owned);
        // an envelope without objects is empty (section 3.7)
        if answer.body.get("objects").is_some() {
            batch.read(answer.body, IndicatorFormat::Stix, defaults).await?;
        }
        let went_on = added.is_some() && added != last;
        last = added.or(last);
        if !more || batch.is_full() {
            batch.more |= more;
            return Ok(last);
        }
        match cursor {
            Some(cursor) => {
                ensure!(cursor.len() <= CURSOR_CHARS_MAX, "the cursor of a page is too long");
                ensure!(next.as_ref() != Some(&cursor), "the server gives the same page again");
                next = Some(cursor);
            }
            // more, but no cursor: what was added after the last (section 3.4.1)
            None => {
                ensure!(went_on, "there is more, but the server does not say where");
                after.clone_from(&last);
                next = None;
            }
        }
    }
}
