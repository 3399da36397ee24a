//! Tables: comma, semicolon or tab, with or without a first row of names; one value a line is a table
//! too. Understands the columns of the reference's CSV of indicators.

use super::{ListError, Reading, Said, time};
use hinomi_model::{IndicatorAction, IndicatorKind, Severity, Text};

/// Columns looked at.
const COLUMNS_MAX: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Kind,
    Value,
    Action,
    Severity,
    Note,
    Expires,
}

/// Names of columns without spaces, `_` and `-`, lower case.
const NAMES: &[(Column, &[&str])] = &[
    (Column::Kind, &["kind", "type", "indicatortype", "種類", "種別"]),
    (Column::Value, &["value", "indicator", "indicatorvalue", "ioc", "値"]),
    (Column::Action, &["action", "effect", "操作", "動作"]),
    (Column::Severity, &["severity", "重大度"]),
    (Column::Note, &["note", "description", "title", "comment", "reason", "理由", "メモ", "説明"]),
    (Column::Expires, &["expires", "expiresat", "expirationtime", "validuntil", "有効期限"]),
];

pub(super) fn read(text: &str, reading: &mut Reading) -> Result<(), ListError> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
    let count = |wanted: u8| first.bytes().filter(|byte| *byte == wanted).count();
    let separator = [b',', b';', b'\t'].into_iter().rev().max_by_key(|byte| count(*byte)).unwrap_or(b',');
    let mut rows = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut columns: Option<Vec<Option<Column>>> = None;
    for row in rows.records() {
        let row = row.map_err(|error| {
            ListError(Text::new(format!("the table cannot be read: {error}"), format!("表を読み取れません: {error}")))
        })?;
        if row.iter().all(str::is_empty) {
            continue;
        }
        let Some(columns) = &columns else {
            let named: Vec<_> = row.iter().take(COLUMNS_MAX).map(column).collect();
            if named.contains(&Some(Column::Value)) {
                columns = Some(named);
                continue;
            }
            // no names: the first cell is the value
            columns = Some(vec![Some(Column::Value)]);
            take(&row, &[Some(Column::Value)], reading)?;
            continue;
        };
        take(&row, columns, reading)?;
    }
    Ok(())
}

fn column(name: &str) -> Option<Column> {
    let plain: String = name.to_lowercase().chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).collect();
    NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(column, _)| *column)
}

fn take(row: &csv::StringRecord, columns: &[Option<Column>], reading: &mut Reading) -> Result<(), ListError> {
    let place = format!("line {}", row.position().map_or(0, csv::Position::line));
    let cell = |wanted: Column| {
        let cells = row.iter().zip(columns).filter(|(cell, column)| **column == Some(wanted) && !cell.is_empty());
        cells.map(|(cell, _)| cell).next()
    };
    let Some(value) = cell(Column::Value) else {
        reading.refuse(&place, "", "there is no value", "値がありません");
        return Ok(());
    };
    let mut said = Said { note: cell(Column::Note).map(str::to_owned), ..Said::default() };
    if let Some(word) = cell(Column::Kind) {
        let Some(kind) = kind(word) else {
            let en = format!("nothing here compares values of the kind {word:?}");
            reading.refuse(&place, value, &en, &format!("種類 {word:?} には対応していません"));
            return Ok(());
        };
        said.kind = Some(kind);
    }
    if let Some(word) = cell(Column::Action) {
        let Some(action) = action(word) else {
            let en = format!("{word:?} is not an action: allow, audit, warn, block or block and remediate");
            reading.refuse(
                &place,
                value,
                &en,
                &format!("{word:?} は操作ではありません (allow、audit、warn、block、blockAndRemediate)"),
            );
            return Ok(());
        };
        said.action = Some(action);
    }
    if let Some(word) = cell(Column::Severity) {
        said.severity = severity(word);
    }
    if let Some(word) = cell(Column::Expires) {
        let Some(at) = time(word) else {
            let en = format!("{word:?} is not a time");
            reading.refuse(&place, value, &en, &format!("{word:?} は日時として読み取れません"));
            return Ok(());
        };
        said.expires_at = Some(at);
    }
    reading.take(&place, value, said)
}

fn plain(word: &str) -> String {
    word.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Words of the reference, of MISP and ours.
fn kind(word: &str) -> Option<IndicatorKind> {
    Some(match plain(word).as_str() {
        "filesha256" | "sha256" => IndicatorKind::FileSha256,
        "filesha1" | "sha1" => IndicatorKind::FileSha1,
        "filemd5" | "md5" => IndicatorKind::FileMd5,
        "ip" | "ipaddress" | "ipdst" | "ipsrc" | "ipv4" | "ipv6" => IndicatorKind::Ip,
        "cidr" | "network" => IndicatorKind::Cidr,
        "domain" | "domainname" | "hostname" | "fqdn" => IndicatorKind::Domain,
        "url" | "uri" => IndicatorKind::Url,
        "senderaddress" | "sender" | "email" | "emailaddress" | "emailsrc" => IndicatorKind::SenderAddress,
        "senderdomain" | "emaildomain" => IndicatorKind::SenderDomain,
        "certificatesha256" | "certificatethumbprint" | "certificate" | "x509fingerprintsha256" => {
            IndicatorKind::CertificateSha256
        }
        "subjectpattern" | "subject" | "emailsubject" | "件名" => IndicatorKind::SubjectPattern,
        _ => return None,
    })
}

fn action(word: &str) -> Option<IndicatorAction> {
    Some(match plain(word).as_str() {
        "allow" | "allowed" => IndicatorAction::Allow,
        "audit" | "alert" | "alertonly" => IndicatorAction::Audit,
        "warn" | "alertandwarn" => IndicatorAction::Warn,
        "block" | "alertandblock" => IndicatorAction::Block,
        "blockandremediate" => IndicatorAction::BlockAndRemediate,
        _ => return None,
    })
}

/// Sigma's and others' critical is high here.
fn severity(word: &str) -> Option<Severity> {
    Some(match plain(word).as_str() {
        "critical" | "high" => Severity::High,
        "medium" => Severity::Medium,
        "low" => Severity::Low,
        "informational" | "info" => Severity::Informational,
        _ => return None,
    })
}
