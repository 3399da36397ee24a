//! Conditions: `selection and not 1 of filter_*`.

use crate::error::{Fault, RuleErrorCode as Code};
use crate::expr::Expr;
use crate::selection::ATOMS_MAX;
use crate::yaml::Node;

/// Longest condition, bytes.
const BYTES_MAX: usize = 8 * 1024;
/// Deepest nesting of parentheses and `not`.
const DEPTH_MAX: usize = 64;

/// Reads the condition of a rule: one text, or a list of which one must hold.
pub(crate) fn read(node: &Node, selections: &[(String, Expr)]) -> Result<Expr, Fault> {
    let texts = match node.list() {
        Some([]) => return Err(Fault::new(node.at, Code::Condition, "an empty list of conditions")),
        Some(items) => items,
        None => std::slice::from_ref(node),
    };
    let mut budget = ATOMS_MAX;
    let parts = texts.iter().map(|node| one(node, selections, &mut budget)).collect::<Result<_, _>>()?;
    Ok(Expr::or(parts))
}

fn one(node: &Node, selections: &[(String, Expr)], budget: &mut usize) -> Result<Expr, Fault> {
    let text = node.text().ok_or_else(|| Fault::new(node.at, Code::Condition, "the condition must be a text"))?;
    if text.len() > BYTES_MAX {
        return Err(Fault::new(node.at, Code::Limit, format!("the condition is longer than {BYTES_MAX} bytes")));
    }
    let mut parser = Parser { node, tokens: tokens(node, text)?, at: 0, selections, budget };
    let expr = parser.or(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => {
            let message = format!("unexpected {:?} in the condition", token.text);
            Err(parser.fault(token.offset, message, "join selections with and, or, not"))
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    offset: usize,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

fn tokens<'t>(node: &Node, text: &'t str) -> Result<Vec<Token<'t>>, Fault> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '*' | '-' | '.' | '?');
    while let Some((offset, c)) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        let mut end = offset + c.len_utf8();
        if name(c) {
            while let Some((at, c)) = chars.next_if(|(_, c)| name(*c)) {
                end = at + c.len_utf8();
            }
        } else if !matches!(c, '(' | ')') {
            let fault =
                Fault::new(node.place_in(offset), Code::Condition, format!("unexpected {c:?} in the condition"));
            let hint = if c == '|' { "aggregations behind | are not part of Sigma any more" } else { "" };
            return Err(fault.hint(hint));
        }
        tokens.push(Token { text: &text[offset..end], offset });
    }
    Ok(tokens)
}

struct Parser<'t, 'b> {
    node: &'t Node,
    tokens: Vec<Token<'t>>,
    at: usize,
    selections: &'t [(String, Expr)],
    budget: &'b mut usize,
}

impl<'t> Parser<'t, '_> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(word));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Expr, Fault> {
        let mut parts = vec![self.and(depth)?];
        while self.take("or") {
            parts.push(self.and(depth)?);
        }
        Ok(Expr::or(parts))
    }

    fn and(&mut self, depth: usize) -> Result<Expr, Fault> {
        let mut parts = vec![self.not(depth)?];
        while self.take("and") {
            parts.push(self.not(depth)?);
        }
        Ok(Expr::and(parts))
    }

    fn not(&mut self, depth: usize) -> Result<Expr, Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::new(self.node.at, Code::Limit, format!("a condition nested deeper than {DEPTH_MAX}")));
        }
        if self.take("not") {
            return Ok(self.not(depth + 1)?.not());
        }
        let Some(token) = self.peek() else {
            let end = self.node.text().unwrap_or_default().len();
            return Err(self.fault(end, "the condition ends too early", "a selection is missing here"));
        };
        self.at += 1;
        if token.text == "(" {
            let inner = self.or(depth + 1)?;
            if !self.take(")") {
                return Err(self.fault(token.offset, "this parenthesis is not closed", ""));
            }
            return Ok(inner);
        }
        let number = token.text.len() <= 3 && token.text.bytes().all(|byte| byte.is_ascii_digit());
        let counted = number || ["any", "all"].iter().any(|word| token.is(word));
        if counted && self.take("of") {
            return self.some_of(token);
        }
        self.selection(token)
    }

    /// `1 of them`, `all of filter_*`.
    fn some_of(&mut self, quantity: Token<'t>) -> Result<Expr, Fault> {
        let Some(pattern) = self.peek() else {
            return Err(self.fault(quantity.offset, "\"of\" needs a selection or them", ""));
        };
        self.at += 1;
        let them = pattern.is("them");
        let chosen = self.selections.iter().filter(|(name, _)| match them {
            // names that begin with _ are for the rule's own use
            true => !name.starts_with('_'),
            false => matches(pattern.text, name),
        });
        let chosen: Vec<Expr> = chosen.map(|(_, expr)| expr.clone()).collect();
        if chosen.is_empty() {
            return Err(self.fault(pattern.offset, format!("no selection is named like {:?}", pattern.text), ""));
        }
        chosen.iter().try_for_each(|expr| self.pay(expr, pattern))?;
        if quantity.is("all") {
            return Ok(Expr::and(chosen));
        }
        let count = if quantity.is("any") { 1 } else { quantity.text.parse::<usize>().unwrap_or(1) };
        if count == 0 {
            return Err(self.fault(quantity.offset, "\"0 of\" holds always", "write not 1 of"));
        }
        if count == 1 {
            return Ok(Expr::or(chosen));
        }
        if ways(count, chosen.len()).saturating_mul(count * chosen.iter().map(Expr::size).max().unwrap_or(1))
            > ATOMS_MAX
        {
            let message = format!("{count} of {} selections are too many combinations", chosen.len());
            return Err(Fault::new(self.node.place_in(quantity.offset), Code::Limit, message));
        }
        let chosen = at_least(count, &chosen);
        self.pay(&chosen, quantity)?;
        Ok(chosen)
    }

    fn selection(&mut self, token: Token<'t>) -> Result<Expr, Fault> {
        let Some((_, expr)) = self.selections.iter().find(|(name, _)| name == token.text) else {
            let names: Vec<&str> = self.selections.iter().map(|(name, _)| name.as_str()).take(10).collect();
            let message = format!("no selection is named {:?}", token.text);
            return Err(self.fault(token.offset, message, format!("there are: {}", names.join(", "))));
        };
        self.pay(expr, token)?;
        Ok(expr.clone())
    }

    /// A condition that repeats large selections must not grow without bound.
    fn pay(&mut self, expr: &Expr, token: Token<'t>) -> Result<(), Fault> {
        match self.budget.checked_sub(expr.size()) {
            Some(rest) => *self.budget = rest,
            None => {
                let message = format!("the condition repeats more than {ATOMS_MAX} comparisons");
                return Err(Fault::new(self.node.place_in(token.offset), Code::Limit, message));
            }
        }
        Ok(())
    }

    fn fault(&self, offset: usize, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault::new(self.node.place_in(offset), Code::Condition, message).hint(hint)
    }
}

/// At least `count` of the parts, as and/or. Its size is the caller's to bound.
fn at_least(count: usize, parts: &[Expr]) -> Expr {
    match parts {
        _ if count == 0 => Expr::Const(true),
        _ if count > parts.len() => Expr::Const(false),
        [first, rest @ ..] => {
            let with = Expr::and(vec![first.clone(), at_least(count - 1, rest)]);
            if count > rest.len() { with } else { Expr::or(vec![with, at_least(count, rest)]) }
        }
        [] => Expr::Const(false),
    }
}

/// How many ways there are to choose, at most `usize::MAX`.
fn ways(count: usize, parts: usize) -> usize {
    (0..count).fold(1_usize, |ways, at| ways.saturating_mul(parts.saturating_sub(at)) / (at + 1))
}

/// Compares a name with a pattern of `*`, in linear time per star.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_names() {
        for (pattern, name, expected) in [
            ("sel*", "selection", true),
            ("sel*", "filter", false),
            ("*_img", "a_img", true),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxc", false),
            ("a", "ab", false),
            ("*", "x", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
