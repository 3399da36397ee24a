//! Who got a journalled mail.

use crate::config::JournalConfig;
use hinomi_mail::filters::Field;

/// Most recipients taken from headers.
const HEADER_RECIPIENTS_MAX: usize = 1_000;

/// Returns the recipients of a journalled mail, lower case, and whether the mail server itself named
/// them (then Bcc recipients are among them).
///
/// - `user=example.jp@JOURNAL-DOMAIN` names `user@example.jp`: what `recipient_bcc_maps` writes.
/// - Any other address outside the journal domain is a recipient as it stands.
/// - Only the journal's own address (`always_bcc`): the headers of delivery (`X-Original-To`,
///   `Delivered-To`, `Received: … for <…>`), else `To` and `Cc`.
pub(super) fn recipients(
    config: &JournalConfig,
    envelope: &[String],
    fields: &[Field],
    header_recipients: &[String],
) -> (Vec<String>, bool) {
    let named = tidy(envelope.iter().filter_map(|address| named_by(config, address)));
    if !named.is_empty() {
        return (named, true);
    }
    let of_delivery = fields.iter().filter_map(|field| match field.name.as_str() {
        "x-original-to" | "delivered-to" => Some(field.value.trim_matches(['<', '>', ' ']).to_owned()),
        "received" => received_for(&field.value),
        _ => None,
    });
    let of_delivery = tidy(of_delivery.filter(|address| domain(address) != config.domain));
    if !of_delivery.is_empty() {
        return (of_delivery, false);
    }
    let to = header_recipients.iter().filter(|address| domain(address) != config.domain).cloned();
    (tidy(to.take(HEADER_RECIPIENTS_MAX)), false)
}

fn named_by(config: &JournalConfig, address: &str) -> Option<String> {
    if domain(address) != config.domain {
        return Some(address.to_owned());
    }
    let (local, _) = address.rsplit_once('@')?;
    let (user, host) = local.rsplit_once('=')?;
    Some(format!("{user}@{host}"))
}

fn domain(address: &str) -> String {
    address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase()).unwrap_or_default()
}

/// The address of `… for <address>;` in a `Received` line.
fn received_for(value: &str) -> Option<String> {
    let at = value.to_ascii_lowercase().find(" for <")?;
    value.get(at + 6..)?.split('>').next().map(str::to_owned)
}

fn tidy(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let fits = |address: &String| address.contains('@') && address.len() <= 320;
    let mut addresses: Vec<String> = addresses.map(|one| one.trim().to_lowercase()).filter(fits).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_mail::filters::fields;

    #[test]
    fn recipients_come_from_the_mail_server_first() {
        let config = JournalConfig::default();
        let of = |envelope: &[&str], headers: &str| {
            let envelope: Vec<String> = envelope.iter().map(|one| (*one).to_owned()).collect();
            recipients(&config, &envelope, &fields(headers.as_bytes()), &["to@example.jp".to_owned()])
        };
        let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let bcc = of(&["Aki+x=Example.jp@journal.invalid", "b=c=d.jp@journal.invalid"], "");
        assert_eq!(bcc, (texts(&["aki+x@example.jp", "b=c@d.jp"]), true));
        assert_eq!(of(&["x@y.jp"], ""), (texts(&["x@y.jp"]), true));
        let received = "Received: from a by mx.example.jp (Postfix) with ESMTP id 1\r\n for <hana@example.jp>; now\r\n";
        assert_eq!(of(&["journal@journal.invalid"], received), (texts(&["hana@example.jp"]), false));
        let original = "X-Original-To: <one@example.jp>\r\nDelivered-To: journal@journal.invalid\r\n";
        assert_eq!(of(&["journal@journal.invalid"], original), (texts(&["one@example.jp"]), false));
        assert_eq!(of(&["journal@journal.invalid"], ""), (texts(&["to@example.jp"]), false));
    }
}
