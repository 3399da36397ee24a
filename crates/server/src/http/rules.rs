//! Detection rules: list, write, decide what comes of them.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Created, IfMatch, Json, Path, Query, Versioned, length, limit, words};
use crate::auth::Caller;
use crate::rules::{self, OWN_MAX, RuleSet, YAML_BYTES_MAX};
use axum::extract::State;
use hinomi_api::{CorrelationStatus, List, NewRule, RuleQuery, UpdateRule};
use hinomi_model::{ManagedRule, RuleEntry, RuleState};
use hinomi_store::StoreError;
use serde_json::json;

/// Most tags of a rule.
const TAGS_MAX: usize = 20;

/// `GET /rules`
pub async fn list(State(http): State<Http>, Query(query): Query<RuleQuery>) -> Answer<Json<List<ManagedRule>>> {
    let states: Vec<RuleState> = words("state", query.state.as_deref())?;
    let text = query.text.unwrap_or_default().to_lowercase();
    let wanted = |rule: &ManagedRule| {
        let texts = [&rule.title.en, &rule.title.ja, &rule.id, &rule.author];
        (states.is_empty() || states.contains(&rule.state))
            && query.ships.is_none_or(|ships| ships == rule.ships)
            && (text.is_empty() || texts.iter().any(|one| one.to_lowercase().contains(&text)))
    };
    let mut items: Vec<ManagedRule> = all(&http).await?.into_iter().filter(wanted).collect();
    let total = items.len() as i64;
    if let Some(after) = query.cursor {
        items.retain(|rule| rule.id > after);
    }
    let most = limit(query.limit) as usize;
    let more = items.len() > most;
    items.truncate(most);
    let next = items.last().filter(|_| more).map(|rule| rule.id.clone());
    Ok(Json(List { items, next, total }))
}

/// `GET /rules/{id}`
pub async fn get(State(http): State<Http>, Path(id): Path<String>) -> Answer<Versioned<ManagedRule>> {
    let rule = one(&http, &id).await?;
    Ok(Versioned(rule.version, rule))
}

/// `GET /rules/{id}/versions`
pub async fn versions(State(http): State<Http>, Path(id): Path<String>) -> Answer<Json<List<RuleEntry>>> {
    let versions = http.ctx.store.rule_versions(&id).await?;
    if versions.is_empty() {
        one(&http, &id).await?;
    }
    Ok(Json(List::whole(versions)))
}

/// `GET /rules/correlations`
pub async fn correlations(State(http): State<Http>) -> Answer<Json<List<CorrelationStatus>>> {
    let status = |of: hinomi_detect::CorrelationDrops| CorrelationStatus {
        rule_id: of.rule_id,
        bytes: of.bytes as u64,
        late: of.dropped.late,
        ungrouped: of.dropped.ungrouped,
        valueless: of.dropped.valueless,
        crowded: of.dropped.crowded,
        memory: of.dropped.memory,
    };
    Ok(Json(List::whole(crate::analyst::correlation_drops(&http.ctx).into_iter().map(status).collect())))
}

/// `POST /rules`
pub async fn create(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<NewRule>,
) -> Answer<Created<ManagedRule>> {
    let id = rules::id_in(&body.yaml).ok_or_else(|| {
        Fail::field(
            "yaml",
            "the first rule needs an id of 1 to 64 letters, digits, hyphens, dots and underscores",
            "最初のルールに、英数字・ハイフン・ドット・下線からなる 1〜64 文字の id が必要です",
        )
    })?;
    caller.note(&id, json!({ "state": body.state, "device_tags": body.device_tags }));
    let entry = RuleEntry {
        id: id.clone(),
        yaml: Some(body.yaml),
        state: body.state,
        device_tags: tags(body.device_tags)?,
        changed_by: caller.name(),
        changed_at: http.ctx.now(),
        version: 0,
    };
    if http.ctx.store.rule_entry(&id).await?.is_some() {
        return Err(Fail::conflict("duplicate", "a rule with this id exists", "同じ id のルールがあります"));
    }
    check(&http, &entry).await?;
    decide(&http, &entry, 0, false).await?;
    Ok(Created(one(&http, &id).await?))
}

/// `PATCH /rules/{id}`
pub async fn update(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<String>,
    version: IfMatch,
    Json(body): Json<UpdateRule>,
) -> Answer<Versioned<ManagedRule>> {
    let before = one(&http, &id).await?;
    version.check(before.version, &before)?;
    caller.note(
        &id,
        json!({
            "before": { "state": before.state, "device_tags": before.device_tags, "version": before.version },
            "state": body.state, "device_tags": body.device_tags, "text": body.yaml.is_some(), "restore": body.restore,
        }),
    );
    let known = http.ctx.store.rule_entry(&id).await?.map(|row| row.entry);
    let mut entry = match body.restore {
        None => known.clone().unwrap_or_else(|| RuleEntry {
            id: id.clone(),
            yaml: None,
            state: RuleState::Live,
            device_tags: Vec::new(),
            changed_by: String::new(),
            changed_at: http.ctx.now(),
            version: 0,
        }),
        Some(wanted) => {
            let versions = http.ctx.store.rule_versions(&id).await?;
            let found = versions.into_iter().find(|entry| entry.version == wanted);
            found.ok_or_else(|| Fail::field("restore", "there is no such version", "そのバージョンはありません"))?
        }
    };
    if let Some(yaml) = body.yaml {
        if before.ships || rules::id_in(&yaml).as_ref() != Some(&id) {
            let (en, ja) = if before.ships {
                ("the text of a rule that ships cannot be changed", "付属のルールの本文は変更できません")
            } else {
                ("the id of a rule cannot change", "ルールの id は変更できません")
            };
            return Err(Fail::field("yaml", en, ja));
        }
        entry.yaml = Some(yaml);
    }
    entry.state = body.state.unwrap_or(entry.state);
    if let Some(wanted) = body.device_tags {
        entry.device_tags = tags(wanted)?;
    }
    (entry.changed_by, entry.changed_at) = (caller.name(), http.ctx.now());
    let same = known.as_ref().is_some_and(|known| known.yaml == entry.yaml && known.state == entry.state);
    if known.as_ref().is_none_or(|known| known.yaml != entry.yaml || known.state == RuleState::Off) {
        check(&http, &entry).await?;
    }
    decide(&http, &entry, known.map_or(0, |known| known.version), same).await?;
    let rule = one(&http, &id).await?;
    Ok(Versioned(rule.version, rule))
}

/// `DELETE /rules/{id}`
pub async fn remove(State(http): State<Http>, caller: Caller, Path(id): Path<String>) -> Answer<Json<ManagedRule>> {
    let rule = one(&http, &id).await?;
    caller.note(&id, json!({ "title": rule.title.en, "state": rule.state, "version": rule.version }));
    http.ctx.store.delete_rule_entry(&id).await?;
    reload(&http).await?;
    Ok(Json(rule))
}

async fn all(http: &Http) -> Answer<Vec<ManagedRule>> {
    let rows = http.ctx.store.rule_entries().await?;
    Ok(http.ctx.rule_set().list(rows))
}

async fn one(http: &Http, id: &str) -> Answer<ManagedRule> {
    all(http).await?.into_iter().find(|rule| rule.id == id).ok_or_else(Fail::not_found)
}

fn tags(mut tags: Vec<String>) -> Answer<Vec<String>> {
    if tags.len() > TAGS_MAX {
        return Err(Fail::field("device_tags", "at most 20 tags", "タグは 20 個までです"));
    }
    for tag in &mut tags {
        *tag = tag.trim().to_owned();
        length("device_tags", tag, 1, 64)?;
    }
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// Refuses a text that cannot be loaded beside the rules in force.
async fn check(http: &Http, entry: &RuleEntry) -> Answer<()> {
    let Some(yaml) = &entry.yaml else { return Ok(()) };
    if yaml.len() > YAML_BYTES_MAX {
        return Err(Fail::field("yaml", "at most 256 KiB", "256 KiB までです"));
    }
    let entries = rules::entries(&http.ctx.store).await.map_err(|error| Fail::internal(format!("{error:#}")))?;
    let mut entries: Vec<RuleEntry> = entries.into_iter().filter(|known| known.id != entry.id).collect();
    if entries.iter().filter(|known| known.yaml.is_some()).count() >= OWN_MAX {
        return Err(Fail::conflict("too_many", "there are too many rules", "ルールが多すぎます"));
    }
    // one that is off is looked at too
    entries.push(RuleEntry { state: RuleState::Draft, ..entry.clone() });
    let set = tokio::task::spawn_blocking(move || RuleSet::compile(entries)).await.map_err(Fail::internal)?;
    match set.problem(&entry.id) {
        Some(problem) => Err(Fail::field("yaml", problem, problem)),
        None => Ok(()),
    }
}

async fn decide(http: &Http, entry: &RuleEntry, expected: i64, counts_on: bool) -> Answer<()> {
    match http.ctx.store.put_rule_entry(entry, expected, counts_on).await {
        Ok(_) => reload(http).await,
        Err(StoreError::Conflict { .. }) => Err(Fail::version_conflict(one(http, &entry.id).await?)),
        Err(error) => Err(error.into()),
    }
}

async fn reload(http: &Http) -> Answer<()> {
    rules::load(&http.ctx).await.map_err(|error| Fail::internal(format!("{error:#}")))?;
    rules::publish(&http.ctx).await;
    Ok(())
}
