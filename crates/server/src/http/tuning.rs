//! Tuning rules: list, make, try, change; and how the alerts of detection rules were classified.

use super::Http;
use super::alerts::check_owner;
use super::fail::{Answer, Fail};
use super::request::{Created, IfMatch, Json, Path, Query, Versioned, length};
use crate::auth::{Caller, Who};
use crate::tuning::{self, RULES_MAX};
use axum::extract::State;
use hinomi_api::{List, NewTuningRule, TuningPreview, TuningQuery, UpdateTuningRule};
use hinomi_cases::{check_tuning, suggest_tuning};
use hinomi_model::{Alert, AlertId, EntityKind, Evidence, Language, RuleQuality, TuningAction, TuningId, TuningRule};
use serde_json::json;

/// Longest title, characters.
const TITLE_MAX: usize = 200;
/// Longest comment, characters.
const COMMENT_MAX: usize = 2_000;
/// Days a drafted rule stays in force.
const DRAFT_DAYS: i64 = 90;
/// Days over which alerts of detection rules are counted.
const QUALITY_DAYS: i64 = 90;

/// `GET /tuning`
pub async fn list(State(http): State<Http>, Query(query): Query<TuningQuery>) -> Answer<Json<List<TuningRule>>> {
    let now = http.ctx.now();
    let text = query.text.unwrap_or_default().to_lowercase();
    let mut rules = http.ctx.store.tuning_rules().await?;
    rules.retain(|rule| {
        let values = rule.conditions.iter().flat_map(|condition| &condition.values);
        let mut texts = [&rule.title, &rule.comment, &rule.owner].into_iter().chain(values);
        query.in_force.is_none_or(|wanted| wanted == rule.in_force(now))
            && (text.is_empty() || texts.any(|one| one.to_lowercase().contains(&text)))
    });
    rules.reverse();
    Ok(Json(List::whole(rules)))
}

/// `GET /tuning/{id}`
pub async fn get(State(http): State<Http>, Path(id): Path<TuningId>) -> Answer<Versioned<TuningRule>> {
    let rule = http.ctx.store.tuning_rule(id).await?.ok_or_else(Fail::not_found)?;
    Ok(Versioned(rule.version, rule))
}

/// `POST /tuning`
pub async fn create(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<NewTuningRule>,
) -> Answer<Created<TuningRule>> {
    let rule = rule_of(&http, &caller, body).await?;
    caller.note(rule.id, serde_json::to_value(&rule).unwrap_or_default());
    if http.ctx.store.tuning_rules().await?.len() >= RULES_MAX {
        return Err(Fail::conflict("too_many", "there are too many tuning rules", "チューニング ルールが多すぎます"));
    }
    http.ctx.store.add_tuning_rule(&rule).await?;
    reload(&http).await?;
    Ok(Created(rule))
}

/// `POST /tuning/preview`
pub async fn preview(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<NewTuningRule>,
) -> Answer<Json<TuningPreview>> {
    let rule = rule_of(&http, &caller, body).await?;
    Ok(Json(tuning::preview(&http.ctx, rule).await?))
}

/// `PATCH /tuning/{id}`
pub async fn update(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<TuningId>,
    version: IfMatch,
    Json(body): Json<UpdateTuningRule>,
) -> Answer<Versioned<TuningRule>> {
    let before = http.ctx.store.tuning_rule(id).await?.ok_or_else(Fail::not_found)?;
    version.check(before.version, &before)?;
    caller.note(id, json!({ "before": before, "change": body }));
    let rule = TuningRule {
        title: body.title.map_or_else(|| before.title.clone(), |title| title.trim().to_owned()),
        conditions: body.conditions.unwrap_or_else(|| before.conditions.clone()),
        action: body.action.unwrap_or(before.action),
        severity: body.severity.unwrap_or(before.severity),
        enabled: body.enabled.unwrap_or(before.enabled),
        expires_at: body.expires_at.unwrap_or(before.expires_at),
        owner: body.owner.unwrap_or_else(|| before.owner.clone()),
        comment: body.comment.unwrap_or_else(|| before.comment.clone()),
        changed_by: caller.name(),
        changed_at: http.ctx.now(),
        ..before.clone()
    };
    if rule.owner != before.owner {
        check_owner(&http, Some(&Some(rule.owner.clone()))).await.map_err(of_owner)?;
    }
    check(&http, &rule, before.expires_at != rule.expires_at)?;
    let stored = http.ctx.store.update_tuning_rule(&rule, before.version).await;
    let stored = match stored {
        Err(hinomi_store::StoreError::Conflict { .. }) => {
            let current = http.ctx.store.tuning_rule(id).await?.ok_or_else(Fail::not_found)?;
            return Err(Fail::version_conflict(current));
        }
        other => other?,
    };
    reload(&http).await?;
    Ok(Versioned(stored.version, stored))
}

/// `DELETE /tuning/{id}`
pub async fn remove(State(http): State<Http>, caller: Caller, Path(id): Path<TuningId>) -> Answer<Json<TuningRule>> {
    let rule = http.ctx.store.tuning_rule(id).await?.ok_or_else(Fail::not_found)?;
    caller.note(id, serde_json::to_value(&rule).unwrap_or_default());
    http.ctx.store.delete_tuning_rule(id).await?;
    reload(&http).await?;
    Ok(Json(rule))
}

/// `GET /alerts/{id}/tuning`
pub async fn draft(State(http): State<Http>, caller: Caller, Path(id): Path<AlertId>) -> Answer<Json<NewTuningRule>> {
    let alert = http.ctx.store.alert(id).await?.ok_or_else(Fail::not_found)?;
    let language = match &caller.who {
        Who::Person { user, .. } => user.language,
        Who::Token { .. } => Language::En,
    };
    Ok(Json(NewTuningRule {
        title: title(&alert, language),
        conditions: suggest_tuning(&alert),
        action: TuningAction::Hide,
        severity: None,
        enabled: true,
        expires_at: Some(http.ctx.now().plus_seconds(DRAFT_DAYS * 24 * 3600)),
        owner: None,
        comment: String::new(),
    }))
}

/// `GET /rules/quality`
pub async fn quality(State(http): State<Http>) -> Answer<Json<List<RuleQuality>>> {
    let since = http.ctx.now().plus_seconds(-QUALITY_DAYS * 24 * 3600);
    Ok(Json(List::whole(http.ctx.store.rule_quality(since).await?)))
}

/// What a drafted rule is called: the alert and the file it is about.
fn title(alert: &Alert, language: Language) -> String {
    use EntityKind::{Domain, File, Ip, Process, Sender, Url};
    let telling = |piece: &&Evidence| matches!(piece.entity.kind, Process | File | Domain | Url | Ip | Sender);
    let about = alert.evidence.iter().filter(telling).find(|piece| !piece.name.is_empty());
    let text = match about {
        Some(piece) => format!("{}: {}", alert.title.get(language), piece.name),
        None => alert.title.get(language).to_owned(),
    };
    text.chars().take(TITLE_MAX).collect()
}

async fn rule_of(http: &Http, caller: &Caller, body: NewTuningRule) -> Answer<TuningRule> {
    let now = http.ctx.now();
    if body.owner.is_some() {
        check_owner(http, Some(&body.owner)).await.map_err(of_owner)?;
    }
    let rule = TuningRule {
        id: crate::ids::new(),
        title: body.title.trim().to_owned(),
        conditions: body.conditions,
        action: body.action,
        severity: body.severity,
        enabled: body.enabled,
        expires_at: body.expires_at,
        owner: body.owner.unwrap_or_else(|| caller.name()),
        comment: body.comment,
        created_at: now,
        changed_by: caller.name(),
        changed_at: now,
        hits: 0,
        last_hit: None,
        version: 1,
    };
    check(http, &rule, true)?;
    Ok(rule)
}

fn of_owner(fail: Fail) -> Fail {
    Fail { field: fail.field.map(|_| "owner".to_owned()), ..fail }
}

fn check(http: &Http, rule: &TuningRule, new_end: bool) -> Answer<()> {
    length("title", &rule.title, 1, TITLE_MAX)?;
    length("comment", &rule.comment, 0, COMMENT_MAX)?;
    if new_end && rule.expires_at.is_some_and(|end| end <= http.ctx.now()) {
        return Err(Fail::field("expires_at", "that time has passed", "過ぎた日時は指定できません"));
    }
    check_tuning(&rule.conditions, rule.action, rule.severity)
        .map_err(|fault| Fail::field(fault.field, fault.text.en, fault.text.ja))
}

async fn reload(http: &Http) -> Answer<()> {
    tuning::load(&http.ctx).await.map_err(|error| Fail::internal(format!("{error:#}")))
}
