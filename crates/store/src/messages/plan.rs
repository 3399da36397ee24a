//! From a filter to SQL: every condition is a set of terms; the rarest drives, the others are
//! looked up by primary key for each of its messages. Work is bounded: candidates are taken newest
//! first in steps, and a request ends after so many, wherever it is.

use super::terms::{self, COUNTED, term};
use super::{number_at, number_of_hour};
use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Cells, Sql};
use hinomi_model::{
    DeliveryAction, DeliveryLocation, MailCondition, MailDirection, MailField, MailFilter, MailSource, MessageCopy,
    MessageId, ThreatType, Verdict,
};
use std::str::FromStr;

/// Most conditions of a filter.
const CONDITIONS_MAX: usize = 30;
/// Most values of a condition.
const VALUES_MAX: usize = 50;
/// Longest value, bytes.
const VALUE_BYTES_MAX: usize = 8_192;
/// Words of a text condition.
const WORDS_MAX: usize = 20;
/// Postings counted of a term to learn how rare it is.
const RARITY_MAX: i64 = 20_000;

/// A condition on what messages have.
#[derive(Debug, Clone)]
struct Clause {
    terms: Vec<i64>,
    negate: bool,
    counted: bool,
}

/// A condition on the columns of one copy.
#[derive(Debug, Clone)]
struct CopyCheck {
    field: MailField,
    values: Vec<String>,
    negate: bool,
}

/// A filter, ready to be run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Numbers from here …
    pub lo: i64,
    /// … to before here.
    pub hi: i64,
    clauses: Vec<Clause>,
    copies: Vec<CopyCheck>,
    numbers: Vec<(&'static str, &'static str, i64)>,
    only: Option<Vec<i64>>,
}

/// Where candidates come from.
#[derive(Debug, Clone)]
pub(super) enum Driver {
    /// Postings of these terms; their number, when it is not more than asked.
    Terms(Vec<i64>, Option<i64>),
    /// These messages.
    Only(Vec<i64>),
    /// All messages of the time.
    Time,
    /// Nothing matches.
    Nothing,
}

fn invalid(reason: impl Into<String>) -> StoreError {
    StoreError::Invalid { what: "mail filter", reason: reason.into() }
}

impl Plan {
    /// Reads a filter.
    pub async fn of(db: &mut Db<'_>, filter: &MailFilter) -> Result<Plan> {
        if filter.conditions.len() > CONDITIONS_MAX {
            return Err(invalid(format!("more than {CONDITIONS_MAX} conditions")));
        }
        let mut plan = Plan {
            lo: filter.from.map_or(0, number_at),
            hi: filter.to.map_or(i64::MAX, number_at),
            clauses: Vec::new(),
            copies: Vec::new(),
            numbers: Vec::new(),
            only: None,
        };
        for condition in &filter.conditions {
            plan.add(db, condition).await?;
        }
        Ok(plan)
    }

    /// One condition on copies alone is what the postings say; several must hold for the same copy.
    fn looks_at_copies(&self) -> bool {
        self.copies.len() > 1 || self.copies.iter().any(|check| check.negate)
    }

    async fn add(&mut self, db: &mut Db<'_>, condition: &MailCondition) -> Result<()> {
        let MailCondition { field, values, negate } = condition;
        let long = values.iter().any(|value| value.len() > VALUE_BYTES_MAX);
        if values.is_empty() || values.len() > VALUES_MAX || long {
            return Err(invalid(format!("{} needs 1 to {VALUES_MAX} values of at most 8 KiB", field.name())));
        }
        if let Some((column, operator)) = number_column(*field) {
            let value = values[0].parse().map_err(|_| invalid(format!("{} is not a number", field.name())))?;
            if *negate || values.len() > 1 {
                return Err(invalid(format!("{} takes one number", field.name())));
            }
            self.numbers.push((column, operator, value));
            return Ok(());
        }
        match field {
            MailField::Message => return self.add_messages(db, values, *negate).await,
            MailField::Text => {
                let words: Vec<String> = values.iter().flat_map(|value| terms::words(value)).take(WORDS_MAX).collect();
                if words.is_empty() {
                    // nothing but signs: nobody has that
                    self.only = Some(Vec::new());
                }
                self.clauses.extend(words.iter().map(|word| Clause {
                    terms: vec![term(field.name(), word)],
                    negate: *negate,
                    counted: false,
                }));
                return Ok(());
            }
            _ => {}
        }
        let values = values.iter().map(|value| normal(*field, value)).collect::<Result<Vec<_>>>()?;
        if is_of_copy(*field) {
            self.copies.push(CopyCheck { field: *field, values: values.clone(), negate: *negate });
            if *negate {
                return Ok(());
            }
        }
        let terms = values.iter().map(|value| term(field.name(), value)).collect();
        self.clauses.push(Clause { terms, negate: *negate, counted: COUNTED.contains(field) });
        Ok(())
    }

    async fn add_messages(&mut self, db: &mut Db<'_>, ids: &[String], negate: bool) -> Result<()> {
        if negate {
            return Err(invalid("message cannot be negated"));
        }
        let ids = ids.iter().map(|id| id.parse::<MessageId>().map(|id| id.to_string()));
        let ids = ids.collect::<std::result::Result<Vec<_>, _>>().map_err(|_| invalid("message is not an id"))?;
        let mut sql = Sql::new("SELECT n FROM mail_messages WHERE message_id IN ");
        sql.args(ids);
        let found = sql.rows(db).await?.iter().map(|row| row.int("n")).collect::<Result<Vec<_>>>()?;
        let both = |known: Vec<i64>| known.into_iter().filter(|n| found.contains(n)).collect();
        self.only = Some(self.only.take().map_or(found.clone(), both));
        Ok(())
    }

    /// The one term whose hourly counts are the answer, when the filter asks for nothing else.
    pub fn counted_alone(&self) -> Option<i64> {
        if self.looks_at_copies() || !self.numbers.is_empty() || self.only.is_some() {
            return None;
        }
        match self.clauses.as_slice() {
            [] => Some(terms::every_message()),
            [Clause { terms, negate: false, counted: true }] if terms.len() == 1 => terms.first().copied(),
            _ => None,
        }
    }

    /// Adds a condition on one more term.
    pub fn and_term(&self, term: i64) -> Plan {
        let mut plan = self.clone();
        plan.clauses.push(Clause { terms: vec![term], negate: false, counted: true });
        plan
    }

    /// True when a copy of a matching message is itself one that matches.
    pub fn takes(&self, filter: &MailFilter, copy: &MessageCopy) -> bool {
        filter.conditions.iter().filter(|one| is_of_copy(one.field)).all(|one| {
            let values: Vec<String> = one.values.iter().filter_map(|value| normal(one.field, value).ok()).collect();
            let own = match one.field {
                MailField::Recipient => copy.recipient.clone(),
                MailField::RecipientDomain => terms::domain_of(&copy.recipient).to_owned(),
                MailField::DeliveryAction => copy.delivery_action.word(),
                MailField::OriginalLocation => copy.delivery_location.word(),
                MailField::Location => copy.latest_location.word(),
                _ => copy.moved_by.clone().unwrap_or_else(|| "none".to_owned()),
            };
            values.contains(&own) != one.negate
        })
    }

    /// Finds the rarest condition.
    pub async fn driver(&self, db: &mut Db<'_>) -> Result<Driver> {
        if let Some(only) = &self.only {
            let inside = |n: &i64| (self.lo..self.hi).contains(n);
            return Ok(Driver::Only(only.iter().copied().filter(inside).collect()));
        }
        let mut best = Driver::Time;
        let mut best_count = i64::MAX;
        for clause in self.clauses.iter().filter(|clause| !clause.negate) {
            let mut count = 0;
            for term in &clause.terms {
                count += self.postings(db, *term).await?;
            }
            if count == 0 {
                return Ok(Driver::Nothing);
            }
            if count < best_count {
                best_count = count;
                best = Driver::Terms(clause.terms.clone(), (count <= RARITY_MAX).then_some(count));
            }
        }
        Ok(best)
    }

    /// Postings of a term in the time, counted up to one more than [`RARITY_MAX`].
    async fn postings(&self, db: &mut Db<'_>, term: i64) -> Result<i64> {
        let mut sql = Sql::new("SELECT count(*) AS postings FROM (SELECT n FROM mail_terms WHERE term = ");
        sql.arg(term).push(" AND n >= ").arg(self.lo).push(" AND n < ").arg(self.hi);
        sql.push(" LIMIT ").arg(RARITY_MAX + 1).push(") some_of_them");
        sql.row(db).await?.map_or(Ok(0), |row| row.int("postings"))
    }

    /// Returns the number below which `step` more candidates would lie; `None` when there are fewer.
    pub async fn low(&self, db: &mut Db<'_>, driver: &Driver, hi: i64, step: i64) -> Result<Option<i64>> {
        let mut low: Option<i64> = None;
        match driver {
            Driver::Only(_) | Driver::Nothing => {}
            Driver::Time => {
                let mut sql = Sql::new("SELECT n FROM mail_messages WHERE n >= ");
                sql.arg(self.lo).push(" AND n < ").arg(hi).push(" ORDER BY n DESC LIMIT 1 OFFSET ").arg(step - 1);
                low = sql.row(db).await?.map(|row| row.int("n")).transpose()?;
            }
            Driver::Terms(terms, _) => {
                let each = (step / terms.len() as i64).max(1);
                for term in terms {
                    let mut sql = Sql::new("SELECT n FROM mail_terms WHERE term = ");
                    sql.arg(*term).push(" AND n >= ").arg(self.lo).push(" AND n < ").arg(hi);
                    sql.push(" ORDER BY n DESC LIMIT 1 OFFSET ").arg(each - 1);
                    if let Some(row) = sql.row(db).await? {
                        low = low.max(Some(row.int("n")?));
                    }
                }
            }
        }
        Ok(low)
    }

    /// Appends `FROM … WHERE …` for the matches among the driver's candidates from `lo` to before
    /// `hi`; the message's number is `d.n`, possibly several times.
    pub fn push_matches(&self, sql: &mut Sql, driver: &Driver, lo: i64, hi: i64) {
        let mut driving: &[i64] = &[];
        match driver {
            Driver::Terms(terms, _) => {
                driving = terms;
                sql.push(" FROM mail_terms d WHERE d.term IN ").args(terms.iter().copied()).push(" AND ");
            }
            Driver::Only(only) => {
                sql.push(" FROM mail_messages d WHERE d.n IN ");
                if only.is_empty() {
                    sql.push("(-1)")
                } else {
                    sql.args(only.iter().copied())
                };
                sql.push(" AND ");
            }
            Driver::Time => drop(sql.push(" FROM mail_messages d WHERE ")),
            Driver::Nothing => drop(sql.push(" FROM mail_messages d WHERE 1 = 0 AND ")),
        }
        sql.push("d.n >= ").arg(lo).push(" AND d.n < ").arg(hi);
        // OFFSET keeps PostgreSQL from turning the look-ups into a join over whole posting lists
        for clause in self.clauses.iter().filter(|clause| clause.negate || clause.terms != driving) {
            sql.push(if clause.negate { " AND NOT EXISTS " } else { " AND EXISTS " });
            sql.push("(SELECT 1 FROM mail_terms t WHERE t.term IN ").args(clause.terms.iter().copied());
            sql.push(" AND t.n = d.n LIMIT 1 OFFSET 0)");
        }
        for (column, operator, value) in &self.numbers {
            sql.push(" AND EXISTS (SELECT 1 FROM mail_messages m WHERE m.n = d.n AND m.").push(column);
            sql.push(operator).arg(*value).push(" LIMIT 1 OFFSET 0)");
        }
        if self.looks_at_copies() {
            sql.push(" AND EXISTS (SELECT 1 FROM mail_copies k WHERE k.n = d.n");
            self.push_copy_checks(sql);
            sql.push(" LIMIT 1 OFFSET 0)");
        }
    }

    /// Appends the conditions on a copy `k`.
    pub fn push_copy_checks(&self, sql: &mut Sql) {
        for check in &self.copies {
            let column = match check.field {
                MailField::DeliveryAction => "k.delivery_action",
                MailField::OriginalLocation => "k.delivery_location",
                MailField::Location => "k.latest_location",
                MailField::MovedBy => "coalesce(k.moved_by, 'none')",
                _ => "k.recipient",
            };
            sql.push(if check.negate { " AND NOT (" } else { " AND (" });
            for (at, value) in check.values.iter().enumerate() {
                sql.push(if at == 0 { "" } else { " OR " }).push(column);
                if check.field == MailField::RecipientDomain {
                    let escaped = value.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                    sql.push(" LIKE ").arg(format!("%@{escaped}")).push(" ESCAPE '\\'");
                } else {
                    sql.push(" = ").arg(value);
                }
            }
            sql.push(")");
        }
    }

    /// The whole hours inside the time, and the rest before and after: `(first, end)` in hours.
    pub fn whole_hours(&self) -> (i64, i64) {
        let first = super::hour_of(self.lo) + i64::from(number_of_hour(super::hour_of(self.lo)) < self.lo);
        (first, super::hour_of(self.hi))
    }
}

fn number_column(field: MailField) -> Option<(&'static str, &'static str)> {
    Some(match field {
        MailField::SizeMin => ("size", " >= "),
        MailField::SizeMax => ("size", " <= "),
        MailField::AttachmentsMin => ("files", " >= "),
        MailField::AttachmentsMax => ("files", " <= "),
        MailField::UrlsMin => ("urls", " >= "),
        MailField::UrlsMax => ("urls", " <= "),
        MailField::RecipientsMin => ("copies", " >= "),
        MailField::RecipientsMax => ("copies", " <= "),
        _ => return None,
    })
}

/// True for what may differ between the recipients of a message.
fn is_of_copy(field: MailField) -> bool {
    matches!(
        field,
        MailField::Recipient
            | MailField::RecipientDomain
            | MailField::DeliveryAction
            | MailField::OriginalLocation
            | MailField::Location
            | MailField::MovedBy
    )
}

/// The value as it stands in the postings.
fn normal(field: MailField, value: &str) -> Result<String> {
    fn checked<T: FromStr>(field: MailField, value: &str) -> Result<String> {
        value.parse::<T>().map_err(|_| invalid(format!("{}: not one of its words: {value:?}", field.name())))?;
        Ok(value.to_owned())
    }
    let value = value.trim();
    match field {
        MailField::Direction => checked::<MailDirection>(field, value),
        MailField::Source => checked::<MailSource>(field, value),
        MailField::DeliveryAction => checked::<DeliveryAction>(field, value),
        MailField::OriginalLocation | MailField::Location => checked::<DeliveryLocation>(field, value),
        MailField::Verdict => checked::<Verdict>(field, value),
        MailField::Threat => checked::<ThreatType>(field, value),
        MailField::Bulk => checked::<bool>(field, value),
        MailField::Subject => Ok(terms::subject_key(value)),
        MailField::SenderName | MailField::AttachmentName | MailField::Engine => Ok(terms::folded(value)),
        MailField::EngineVerdict => match value.rsplit_once(':') {
            Some((engine, verdict)) => Ok(format!("{}:{verdict}", terms::folded(engine))),
            None => Err(invalid("engine_verdict: write name:verdict")),
        },
        MailField::InternetMessageId => Ok(value.trim_matches(['<', '>']).to_owned()),
        MailField::UrlPath => Ok(terms::path_of(value)),
        MailField::Url | MailField::Finding => Ok(value.to_owned()),
        MailField::AttachmentExtension => Ok(value.trim_start_matches('.').to_lowercase()),
        _ => Ok(value.to_lowercase()),
    }
}
