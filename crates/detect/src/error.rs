//! What is wrong with a rule, told to its author.

use std::fmt;

/// The kinds of mistakes in rules, stable names for tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleErrorCode {
    /// The text is not YAML, or uses YAML we refuse (aliases, tags, duplicate keys).
    Yaml,
    /// A limit is exceeded: bytes, depth, values, regex size.
    Limit,
    /// A needed key is missing or has the wrong shape.
    Structure,
    /// The kind of document is not part of Sigma 2.
    Unsupported,
    /// No table of ours holds events of this log source.
    Logsource,
    /// A field is not known for this log source.
    Field,
    /// A modifier is not known, or makes no sense where it stands.
    Modifier,
    /// A value does not fit its modifier (regex, network, number).
    Value,
    /// A placeholder has no values.
    Placeholder,
    /// The condition cannot be read or names an unknown selection.
    Condition,
    /// Another rule has the same id.
    DuplicateId,
    /// A correlation or filter cannot be read or names a rule that is not there.
    Correlation,
    /// Our own block `hinomi` is wrong.
    Hinomi,
}

impl RuleErrorCode {
    /// Returns the stable name.
    pub fn name(self) -> &'static str {
        match self {
            RuleErrorCode::Yaml => "yaml",
            RuleErrorCode::Limit => "limit",
            RuleErrorCode::Structure => "structure",
            RuleErrorCode::Unsupported => "unsupported",
            RuleErrorCode::Logsource => "logsource",
            RuleErrorCode::Field => "field",
            RuleErrorCode::Modifier => "modifier",
            RuleErrorCode::Value => "value",
            RuleErrorCode::Placeholder => "placeholder",
            RuleErrorCode::Condition => "condition",
            RuleErrorCode::DuplicateId => "duplicate_id",
            RuleErrorCode::Correlation => "correlation",
            RuleErrorCode::Hinomi => "hinomi",
        }
    }
}

/// Why a rule was refused. One refused rule never stops others.
///
/// `Display` prints the place, the source line with a caret and the hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// Path of the rule as given.
    pub path: String,
    /// Line of the mistake, from 1.
    pub line: usize,
    /// Column of the mistake in characters, from 1: where the caret stands.
    pub column: usize,
    /// Kind of mistake.
    pub code: RuleErrorCode,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// What would help; may be empty.
    pub hint: String,
    /// The source line, cut to a readable length.
    pub source_line: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: [{}] {}", self.path, self.line, self.column, self.code.name(), self.message)?;
        if !self.source_line.is_empty() {
            let gutter = self.line.to_string();
            let before: String = self
                .source_line
                .chars()
                .take(self.column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            writeln!(f, "{gutter} | {}", self.source_line)?;
            writeln!(f, "{} | {before}^", " ".repeat(gutter.len()))?;
        }
        if !self.hint.is_empty() {
            writeln!(f, "hint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// A mistake at a place, before the path and the source line are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub line: usize,
    pub column: usize,
    pub code: RuleErrorCode,
    pub message: String,
    pub hint: String,
}

impl Fault {
    pub fn new(at: (usize, usize), code: RuleErrorCode, message: impl Into<String>) -> Self {
        Fault { line: at.0, column: at.1, code, message: message.into(), hint: String::new() }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub fn of(self, path: &str, source: &str) -> RuleError {
        const LINE_CHARS_MAX: usize = 200;
        let source_line = source.lines().nth(self.line.saturating_sub(1)).unwrap_or_default();
        RuleError {
            path: path.to_owned(),
            line: self.line,
            column: self.column,
            code: self.code,
            message: self.message,
            hint: self.hint,
            source_line: source_line.chars().take(LINE_CHARS_MAX).collect(),
        }
    }
}
