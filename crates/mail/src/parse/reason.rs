//! Why something could not be inspected: one code, one text in each language.

use hinomi_model::{Text, Uninspected};
use std::fmt;

/// Why a file or a part of a message was not, or not wholly, inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Encrypted, and none of `tried` passwords found in the mail opens it.
    Encrypted {
        /// Passwords tried.
        tried: usize,
    },
    /// A format or a method nobody here reads; names it.
    Unsupported(String),
    /// Does not follow its format; what was wrong, in the reader's words (English).
    Damaged(String),
    /// A limit was reached.
    Limit(Limit),
    /// One piece of a message split over several mails (RFC 2046, 5.2.2).
    Fragment,
    /// The content lies elsewhere and is fetched by the reader's program (RFC 2046, 5.2.3).
    External,
    /// Some files of an archive could not be read; the first reason stands for all.
    Partly {
        /// Files not read.
        lost: usize,
        /// Files seen.
        total: usize,
        /// Why the first of them was not read.
        first: Box<Reason>,
    },
    /// A reader failed on it: a fault of ours.
    ReaderFailed,
}

/// Limits of [`super::Limits`], by what they bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Containers inside each other.
    Depth(usize),
    /// Messages inside each other.
    Nesting,
    /// Files of a message.
    Files(usize),
    /// Entries of one archive.
    Entries(u64),
    /// Unpacked bytes per packed byte.
    Ratio(u64),
    /// Unpacked bytes of one file or of all.
    Size,
    /// Memory a reader would need.
    Memory,
    /// Time for the whole message.
    Time,
    /// Text searched for addresses.
    Text,
    /// URLs of a message.
    Urls(usize),
}

impl Reason {
    /// Returns the code, stable across versions: `encrypted`, `unsupported_format`, `damaged`,
    /// `fragment`, `external`, `reader_failed` or `limit_…`.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Encrypted { .. } => "encrypted",
            Reason::Unsupported(_) => "unsupported_format",
            Reason::Damaged(_) => "damaged",
            Reason::Fragment => "fragment",
            Reason::External => "external",
            Reason::ReaderFailed => "reader_failed",
            Reason::Partly { first, .. } => first.code(),
            Reason::Limit(limit) => match limit {
                Limit::Depth(_) | Limit::Nesting => "limit_depth",
                Limit::Files(_) | Limit::Entries(_) => "limit_count",
                Limit::Ratio(_) => "limit_ratio",
                Limit::Size => "limit_size",
                Limit::Memory => "limit_memory",
                Limit::Time => "limit_time",
                Limit::Text => "limit_text",
                Limit::Urls(_) => "limit_urls",
            },
        }
    }

    /// Returns the sentence in both languages.
    pub fn text(&self) -> Text {
        match self {
            Reason::Encrypted { tried: 0 } => Text::new("encrypted", "暗号化されています"),
            Reason::Encrypted { tried } => Text::new(
                format!("encrypted: none of {tried} passwords from the mail opens it"),
                format!("暗号化されています（メール本文のパスワード候補{tried}件では開けませんでした）"),
            ),
            Reason::Unsupported(what) => {
                Text::new(format!("not opened: {what}"), format!("対応していない形式です（{what}）"))
            }
            Reason::Damaged(what) => Text::new(format!("damaged: {what}"), format!("壊れています（{what}）")),
            Reason::Limit(limit) => limit.text(),
            Reason::Fragment => Text::new(
                "one piece of a message split over several mails",
                "複数のメールに分割されたメッセージの一部です",
            ),
            Reason::External => Text::new("the content lies outside the mail", "内容はメールの外部にあります"),
            Reason::Partly { lost, total, first } => {
                let first = first.text();
                Text::new(
                    format!("{lost} of {total} files not read: {}", first.en),
                    format!("{total}個中{lost}個のファイルを読み取れませんでした：{}", first.ja),
                )
            }
            Reason::ReaderFailed => Text::new("the reader failed on it", "読み取り処理が失敗しました"),
        }
    }

    /// Returns code and sentence as the hunting tables and the console show them.
    pub fn uninspected(&self) -> Uninspected {
        Uninspected { code: self.code().to_owned(), text: self.text() }
    }
}

impl Limit {
    fn text(self) -> Text {
        match self {
            Limit::Depth(max) => {
                Text::new(format!("more than {max} levels deep"), format!("入れ子が{max}段を超えています"))
            }
            Limit::Nesting => Text::new("too many messages inside each other", "メッセージの入れ子が深すぎます"),
            Limit::Files(max) => Text::new(
                format!("only the first {max} files are kept"),
                format!("最初の{max}個のファイルだけを記録しました"),
            ),
            Limit::Entries(count) => {
                Text::new(format!("{count} files in one archive"), format!("1つの書庫に{count}個のファイルがあります"))
            }
            Limit::Ratio(max) => {
                Text::new(format!("compressed more than {max} to 1"), format!("圧縮率が{max}対1を超えています"))
            }
            Limit::Size => Text::new("too big to unpack", "大きすぎるため展開しませんでした"),
            Limit::Memory => Text::new("unpacking it takes too much memory", "展開に必要なメモリーが多すぎます"),
            Limit::Time => Text::new("time limit reached", "制限時間に達しました"),
            Limit::Text => Text::new("too much text to search for addresses", "URLを探す文章が多すぎます"),
            Limit::Urls(max) => Text::new(
                format!("only the first {max} URLs are kept"),
                format!("最初の{max}件のURLだけを記録しました"),
            ),
        }
    }
}

impl From<Limit> for Reason {
    fn from(limit: Limit) -> Self {
        Reason::Limit(limit)
    }
}

/// The English sentence.
impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text().en)
    }
}
