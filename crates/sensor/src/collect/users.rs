//! User names by number, from `/etc/passwd` only: a directory service may hang, and the collector must not.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

const FILE: &str = "/etc/passwd";
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// A cache of the user file.
#[derive(Debug, Default)]
pub struct Users {
    names: HashMap<u32, String>,
    modified: Option<SystemTime>,
    checked: Option<Instant>,
}

impl Users {
    /// Returns the name of a user, if the file has one.
    pub fn name(&mut self, uid: u32) -> Option<String> {
        if self.checked.is_none_or(|at| at.elapsed() > CHECK_EVERY) {
            self.checked = Some(Instant::now());
            self.reload();
        }
        self.names.get(&uid).cloned()
    }

    fn reload(&mut self) {
        let modified = std::fs::metadata(FILE).and_then(|meta| meta.modified()).ok();
        if modified == self.modified && modified.is_some() {
            return;
        }
        self.modified = modified;
        let text = std::fs::read(FILE).unwrap_or_default();
        self.names = parse(&String::from_utf8_lossy(&text));
    }
}

fn parse(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
        if let Ok(uid) = uid.parse() {
            // the first line of a number wins, as in the C library
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn first_name_of_a_number_wins() {
        let names =
            super::parse("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\n花子:x:1000:1000::/:\n");
        assert_eq!(names[&0], "root");
        assert_eq!(names[&1000], "花子");
        assert_eq!(names.len(), 2);
    }
}
