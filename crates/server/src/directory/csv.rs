//! CSV as offices write it: comma, semicolon or tab; UTF-8, UTF-16 or Shift_JIS; quotes after RFC 4180.
//!
//! The first row names the columns, in English or Japanese; several values in a cell are separated by
//! `|`. Columns nobody knows are told and left out.

use super::DirectoryError;
use super::draft::Draft;
use hinomi_model::Text;

/// Largest file, bytes.
pub(crate) const FILE_BYTES_MAX: usize = 64 << 20;
/// Columns of a file.
const COLUMNS_MAX: usize = 200;

/// What a column says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Key,
    Name,
    Accounts,
    Sids,
    Mailbox,
    Addresses,
    Devices,
    Department,
    Title,
    Disabled,
}

/// Names of columns, without spaces, `_` and `-`, lower case.
const NAMES: &[(Column, &[&str])] = &[
    (Column::Key, &["key", "id", "employeeid", "employeenumber", "社員番号", "キー"]),
    (Column::Name, &["name", "displayname", "fullname", "cn", "氏名", "名前", "表示名"]),
    (Column::Accounts, &["account", "accounts", "user", "username", "login", "uid", "samaccountname", "アカウント"]),
    (Column::Sids, &["sid", "sids", "objectsid"]),
    (Column::Mailbox, &["mailbox", "mail", "email", "emailaddress", "メールアドレス", "メール", "メールボックス"]),
    (Column::Addresses, &["address", "addresses", "alias", "aliases", "proxyaddresses", "別名", "エイリアス"]),
    (Column::Devices, &["device", "devices", "computer", "computers", "端末", "デバイス"]),
    (Column::Department, &["department", "部署", "部門"]),
    (Column::Title, &["title", "jobtitle", "役職"]),
    (Column::Disabled, &["disabled", "無効"]),
];

/// A file's rows.
#[derive(Debug)]
pub(super) struct Read {
    pub rows: Vec<Draft>,
    pub ignored_columns: Vec<String>,
}

/// Reads a file.
pub(super) fn read(file: &[u8]) -> Result<Read, DirectoryError> {
    if file.len() > FILE_BYTES_MAX {
        return fail("the file is larger than 64 MiB", "ファイルが 64 MiB を超えています");
    }
    let text = decode(file)?;
    let separator = separator(&text);
    let mut rows = Rows { text: &text, separator, line: 1 };
    let Some(head) = rows.next().transpose()? else { return fail("the file is empty", "ファイルが空です") };
    if head.cells.len() > COLUMNS_MAX {
        return fail("the file has more than 200 columns", "列が 200 を超えています");
    }
    let columns: Vec<Option<Column>> = head.cells.iter().map(|name| column(name)).collect();
    let names = |wanted: Column| columns.contains(&Some(wanted));
    if !names(Column::Accounts) && !names(Column::Mailbox) && !names(Column::Addresses) {
        return fail(
            "the first row names no column for accounts or addresses (account, mailbox, addresses)",
            "1 行目にアカウントまたはメールアドレスの列名がありません (account、mailbox、addresses)",
        );
    }
    let unknown = head.cells.iter().zip(&columns).filter(|(name, column)| column.is_none() && !name.trim().is_empty());
    let ignored_columns = unknown.map(|(name, _)| name.trim().chars().take(100).collect()).collect();
    let mut drafts = Vec::new();
    for row in rows {
        let row = row?;
        if row.cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if drafts.len() >= super::PEOPLE_MAX {
            return fail("the file names more than 1,000,000 people", "100 万人を超えています");
        }
        drafts.push(draft(&row, &columns));
    }
    Ok(Read { rows: drafts, ignored_columns })
}

fn fail<T>(en: impl Into<String>, ja: impl Into<String>) -> Result<T, DirectoryError> {
    Err(DirectoryError::File(Text::new(en, ja)))
}

/// The text of a file: by its byte order mark, else UTF-8, else Shift_JIS as Excel writes it in Japan.
fn decode(file: &[u8]) -> Result<String, DirectoryError> {
    if let Some((encoding, mark)) = encoding_rs::Encoding::for_bom(file) {
        let (text, broken) = encoding.decode_without_bom_handling(&file[mark..]);
        return if broken { unreadable() } else { Ok(text.into_owned()) };
    }
    if let Ok(text) = std::str::from_utf8(file) {
        return Ok(text.to_owned());
    }
    let (text, broken) = encoding_rs::SHIFT_JIS.decode_without_bom_handling(file);
    if broken { unreadable() } else { Ok(text.into_owned()) }
}

fn unreadable() -> Result<String, DirectoryError> {
    fail(
        "the file is neither UTF-8, UTF-16 nor Shift_JIS",
        "ファイルの文字コードが UTF-8、UTF-16、Shift_JIS のいずれでもありません",
    )
}

/// The separator the first line uses most.
fn separator(text: &str) -> char {
    let head = text.lines().next().unwrap_or_default();
    let count = |wanted: char| head.chars().filter(|c| *c == wanted).count();
    [',', ';', '\t'].into_iter().rev().max_by_key(|c| count(*c)).unwrap_or(',')
}

fn column(name: &str) -> Option<Column> {
    let plain: String = name.to_lowercase().chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).collect();
    NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(column, _)| *column)
}

fn draft(row: &Row, columns: &[Option<Column>]) -> Draft {
    let mut draft = Draft { row: row.line.to_string(), ..Draft::default() };
    for (cell, column) in row.cells.iter().zip(columns) {
        let Some(column) = column else { continue };
        let several = || cell.split(['|', '\n']).map(str::to_owned);
        match column {
            Column::Key => draft.key = cell.clone(),
            Column::Name => draft.name = cell.clone(),
            Column::Accounts => draft.accounts.extend(several()),
            Column::Sids => draft.sids.extend(several()),
            Column::Mailbox => draft.mailbox = Some(cell.clone()),
            Column::Addresses => draft.addresses.extend(several().filter_map(|value| address(&value))),
            Column::Devices => draft.devices.extend(several()),
            Column::Department => draft.department = Some(cell.clone()),
            Column::Title => draft.title = Some(cell.clone()),
            Column::Disabled => draft.disabled = matches!(&*cell.trim().to_lowercase(), "1" | "true" | "yes" | "はい"),
        }
    }
    draft
}

/// An address out of a list that may name its kind (`smtp:`, `X500:`); none for other kinds.
pub(super) fn address(value: &str) -> Option<String> {
    match value.split_once(':') {
        Some((kind, rest)) if kind.trim().eq_ignore_ascii_case("smtp") => Some(rest.to_owned()),
        Some(_) => None,
        None => Some(value.to_owned()),
    }
}

/// One row with the line it begins in.
struct Row {
    line: usize,
    cells: Vec<String>,
}

/// Rows of what is left of a text.
struct Rows<'a> {
    text: &'a str,
    separator: char,
    line: usize,
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, DirectoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.text.is_empty() {
            return None;
        }
        let line = self.line;
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut end = self.text.len();
        let mut characters = self.text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            self.line += usize::from(c == '\n');
            let cell = cells.last_mut().expect("there is always a cell");
            match c {
                '"' if quoted => match characters.peek() {
                    Some((_, '"')) => {
                        characters.next();
                        cell.push('"');
                    }
                    _ => quoted = false,
                },
                '"' if cell.is_empty() => quoted = true,
                '\n' if !quoted => {
                    end = at + 1;
                    break;
                }
                c if c == self.separator && !quoted => cells.push(String::new()),
                '\r' if !quoted => {}
                c => cell.push(c),
            }
        }
        self.text = &self.text[end..];
        if quoted {
            self.text = "";
            return Some(fail(
                format!("a quote that begins in line {line} never ends"),
                format!("{line} 行目から始まる引用符が閉じられていません"),
            ));
        }
        Some(Ok(Row { line, cells }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Vec<Draft> {
        read(text).expect("reads").rows
    }

    #[test]
    fn files_are_read_as_offices_write_them() {
        let english = rows(
            b"\xef\xbb\xbfName,Account,Mailbox,Aliases,Shoe size\r\n\
              \"Ann \"\"A\"\" Example, Ltd\",EXAMPLE\\ann|ann,ann@example.test,smtp:a@example.test|x500:/o=x,42\r\n\
              \r\n\"two\nlines\",bob,,,\r\n",
        );
        assert_eq!(english.len(), 2);
        assert_eq!(english[0].name, "Ann \"A\" Example, Ltd");
        assert_eq!(english[0].accounts, ["EXAMPLE\\ann", "ann"]);
        assert_eq!(english[0].addresses, ["a@example.test"]);
        assert_eq!((english[1].row.as_str(), english[1].name.as_str()), ("4", "two\nlines"));

        let (japanese, _, _) =
            encoding_rs::SHIFT_JIS.encode("氏名;アカウント;メールアドレス\n髙橋 花子;hanako;hanako@example.test\n");
        let japanese = rows(&japanese);
        assert_eq!((japanese[0].name.as_str(), japanese[0].accounts[0].as_str()), ("髙橋 花子", "hanako"));

        let wide: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("user\tmail\nann\tann@example.test".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(rows(&wide)[0].mailbox.as_deref(), Some("ann@example.test"));
        assert_eq!(read(b"user,shoe\nann,4").expect("reads").ignored_columns, ["shoe"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            (&b""[..], "empty"),
            (b"name,shoe\nann,4", "no column"),
            (b"user\n\"ann", "line 2"),
            (b"user\n\xfd\xfe\xff", "neither UTF-8"),
        ] {
            let error = read(text).expect_err("cannot be read").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
