//! Comparing one value: every way without regard to case.

use hinomi_model::TuningOperator;
use std::net::IpAddr;

/// Longest value that is looked at, characters; command lines may be longer.
const LOOKED_AT_MAX: usize = 8_192;

/// One comparison, prepared.
#[derive(Debug)]
pub(super) enum Like {
    Equals(String),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Wildcard(Vec<char>),
    Network(IpAddr, u8),
}

impl Like {
    /// Prepares a comparison; none when the value does not fit the operator.
    pub fn new(operator: TuningOperator, value: &str) -> Option<Like> {
        let text = fold(value);
        if text.is_empty() {
            return None;
        }
        Some(match operator {
            TuningOperator::Equals => Like::Equals(text),
            TuningOperator::Contains => Like::Contains(text),
            TuningOperator::StartsWith => Like::StartsWith(text),
            TuningOperator::EndsWith => Like::EndsWith(text),
            TuningOperator::Wildcard => {
                let literal = text.chars().any(|c| !matches!(c, '*' | '?') && !c.is_whitespace());
                Like::Wildcard(literal.then(|| text.chars().collect())?)
            }
            TuningOperator::Cidr => {
                let (address, length) = network(&text)?;
                Like::Network(address, length)
            }
        })
    }

    /// True when a value, [folded](fold), is like this.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Like::Equals(text) => value == text,
            Like::Contains(text) => value.contains(text.as_str()),
            Like::StartsWith(text) => value.starts_with(text.as_str()),
            Like::EndsWith(text) => value.ends_with(text.as_str()),
            Like::Wildcard(pattern) => wildcard(pattern, value),
            Like::Network(network, length) => within(value, *network, *length),
        }
    }
}

/// Returns a text without case, letter by letter: what a letter becomes does not depend on those beside it.
pub(super) fn fold(text: &str) -> String {
    text.trim().chars().flat_map(char::to_lowercase).collect()
}

/// Reads `address/length`, or an address alone.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address.parse::<IpAddr>().ok()?, Some(length.parse::<u8>().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(most);
    (length <= most).then_some((address, length))
}

fn within(value: &str, network: IpAddr, length: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    };
    let Ok(address) = value.parse::<IpAddr>() else { return false };
    let ((address, four), (network, wanted_four)) = (bits(address.to_canonical()), bits(network));
    // a shift by the whole width is none
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    four == wanted_four && (address ^ network) & mask == 0
}

/// Matches the whole value; goes back to the last star only, so the time is at most their product.
fn wildcard(pattern: &[char], value: &str) -> bool {
    let value: Vec<char> = value.chars().take(LOOKED_AT_MAX + 1).collect();
    if value.len() > LOOKED_AT_MAX {
        return false;
    }
    let (mut at, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < value.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, at));
                p += 1;
            }
            Some(c) if *c == '?' || *c == value[at] => {
                p += 1;
                at += 1;
            }
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                (p, at) = (star + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
