//! People of the directories, found by account, security identifier or address.

use crate::db::{Db, Key, Listed, Listing, Page, list};
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Filter, Sql, search_text};
use hinomi_model::{DirectoryChange, EntityKey, EntityKind, Person, directory_values};
use sqlx::any::AnyRow;
use std::collections::{BTreeMap, BTreeSet};

/// Entities looked up at once.
const KEYS_TOGETHER: usize = 200;
/// People read at once.
const PEOPLE_TOGETHER: i64 = 1_000;
/// People found by one value at most; a shared account or address has several.
const SHARING_MAX: i64 = 1_000;

/// Which people to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct PersonFilter {
    /// Directory they come from.
    pub source: Option<String>,
    /// Text in name, accounts, addresses, devices or department.
    pub text: Option<String>,
}

reads! {
    /// Returns a person.
    fn person(id: &str) -> Option<Person>;
    /// Lists people by name.
    fn people(filter: &PersonFilter, page: &Page) -> Listed<Person>;
    /// Returns the people that accounts and mailboxes belong to, each with those that are theirs. An
    /// entity that matches exactly is not looked for in its wider form.
    fn people_of(keys: &[EntityKey]) -> Vec<(Person, Vec<EntityKey>)>;
    /// Tells what putting these people in place of all of a source would change.
    fn compare_directory(source: &str, people: &[Person]) -> DirectoryChange;
}

writes! {
    /// Puts these people in place of all of a source; tells what that changed. Who is the same keeps
    /// the time of the last change.
    fn replace_directory(source: &str, people: &[Person]) -> DirectoryChange;
}

fn read(row: &AnyRow) -> Result<Person> {
    serde_json::from_str(&row.text("doc")?).map_err(|error| StoreError::damaged("person", error))
}

async fn person(db: &mut Db<'_>, id: &str) -> Result<Option<Person>> {
    let row = Sql::new("SELECT doc FROM directory WHERE id = $1").bind(Arg::indexed(id)).row(db).await?;
    row.map(|row| read(&row)).transpose()
}

async fn people(db: &mut Db<'_>, wanted: &PersonFilter, page: &Page) -> Result<Listed<Person>> {
    const LISTING: Listing =
        Listing { select: "doc", from: "directory", order: &[Key::Text("name"), Key::Text("id")], descending: false };
    let mut filter = Filter::new();
    if let Some(source) = &wanted.source {
        filter.and("source = ").arg(source.as_str());
    }
    filter.text("search", wanted.text.as_deref());
    list(db, &LISTING, &filter, page, read).await
}

async fn people_of(db: &mut Db<'_>, keys: &[EntityKey]) -> Result<Vec<(Person, Vec<EntityKey>)>> {
    let mut found: BTreeMap<String, (Person, Vec<EntityKey>)> = BTreeMap::new();
    for some in keys.chunks(KEYS_TOGETHER) {
        let owners = owners(db, some).await?;
        for key in some {
            let forms = directory_values(key);
            let own = forms.iter().find_map(|form| owners.get(&(kind_of(key), form.clone())));
            for person in own.into_iter().flatten() {
                let entry = found.entry(person.id.clone()).or_insert_with(|| (person.clone(), Vec::new()));
                if !entry.1.contains(key) {
                    entry.1.push(key.clone());
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

type Owners = BTreeMap<(&'static str, String), Vec<Person>>;

/// People by every form of these entities.
async fn owners(db: &mut Db<'_>, keys: &[EntityKey]) -> Result<Owners> {
    let mut owners = Owners::new();
    for kind in ["account", "address"] {
        let own = keys.iter().filter(|key| kind_of(key) == kind);
        let values: BTreeSet<String> = own.flat_map(directory_values).collect();
        if values.is_empty() {
            continue;
        }
        let mut sql = Sql::new(
            "SELECT k.value AS value, d.doc AS doc FROM directory_keys k JOIN directory d ON d.id = k.person_id \
             WHERE k.kind = ",
        );
        sql.arg(kind).push(" AND k.value IN ").args(values.iter().map(|value| Arg::indexed(value)));
        sql.push(" ORDER BY k.value, d.id LIMIT ").arg(SHARING_MAX * KEYS_TOGETHER as i64);
        for row in sql.rows(db).await? {
            owners.entry((kind, row.text("value")?)).or_default().push(read(&row)?);
        }
    }
    Ok(owners)
}

fn kind_of(key: &EntityKey) -> &'static str {
    match key.kind {
        EntityKind::User => "account",
        EntityKind::Mailbox => "address",
        _ => "",
    }
}

/// What is stored of a source, by id.
async fn of_source(db: &mut Db<'_>, source: &str) -> Result<BTreeMap<String, Person>> {
    let mut known = BTreeMap::new();
    let mut after = String::new();
    loop {
        let rows = Sql::new("SELECT id, doc FROM directory WHERE source = $1 AND id > $2 ORDER BY id LIMIT $3")
            .bind(source)
            .bind(after.as_str())
            .bind(PEOPLE_TOGETHER)
            .rows(db)
            .await?;
        let Some(last) = rows.last() else { return Ok(known) };
        after = last.text("id")?;
        for row in &rows {
            let person = read(row)?;
            known.insert(person.id.clone(), person);
        }
    }
}

/// What is different: people to write, ids to remove.
struct Difference {
    write: Vec<Person>,
    remove: Vec<String>,
    counts: DirectoryChange,
}

async fn difference(db: &mut Db<'_>, source: &str, people: &[Person]) -> Result<Difference> {
    let mut known = of_source(db, source).await?;
    let mut write = Vec::new();
    let mut counts = DirectoryChange { source: source.to_owned(), ..DirectoryChange::default() };
    let mut seen = BTreeSet::new();
    for person in people {
        if person.source != source || !seen.insert(&person.id) {
            let reason = "belongs to another source or comes twice".to_owned();
            return Err(StoreError::Invalid { what: "person", reason });
        }
        match known.remove(&person.id) {
            Some(same) if same.says_the_same(person) => {
                counts.unchanged += 1;
                continue;
            }
            Some(_) => counts.changed += 1,
            None => counts.added += 1,
        }
        write.push(person.clone());
    }
    counts.removed = known.len();
    Ok(Difference { write, remove: known.into_keys().collect(), counts })
}

async fn compare_directory(db: &mut Db<'_>, source: &str, people: &[Person]) -> Result<DirectoryChange> {
    let counts = difference(db, source, people).await?.counts;
    Ok(DirectoryChange { dry_run: true, ..counts })
}

async fn replace_directory(db: &mut Db<'_>, source: &str, people: &[Person]) -> Result<DirectoryChange> {
    let Difference { write, remove, counts } = difference(db, source, people).await?;
    let gone = remove.iter().map(String::as_str).chain(write.iter().map(|person| person.id.as_str()));
    let gone: Vec<Arg> = gone.map(Arg::indexed).collect();
    for some in gone.chunks(KEYS_TOGETHER) {
        for table in ["DELETE FROM directory_keys WHERE person_id IN ", "DELETE FROM directory WHERE id IN "] {
            let mut sql = Sql::new(table);
            sql.args(some.iter().cloned());
            sql.run(db).await?;
        }
    }
    for person in &write {
        insert(db, person).await?;
    }
    Ok(counts)
}

async fn insert(db: &mut Db<'_>, person: &Person) -> Result<()> {
    let doc = serde_json::to_string(person)
        .map_err(|error| StoreError::Invalid { what: "person", reason: error.to_string() })?;
    let parts = [&person.name].into_iter().chain(&person.accounts).chain(&person.addresses).chain(&person.devices);
    let search = search_text(parts.chain(&person.department).map(String::as_str));
    Sql::new("INSERT INTO directory (id, source, name, search, doc) VALUES ($1, $2, $3, $4, $5)")
        .bind(Arg::indexed(&person.id))
        .bind(&person.source)
        .bind(Arg::indexed(&person.name.to_lowercase()))
        .bind(search)
        .bind(doc)
        .run(db)
        .await?;
    let keys = [("account", &person.accounts), ("sid", &person.sids), ("address", &person.addresses)];
    let values: BTreeSet<(&str, String)> = keys
        .into_iter()
        .flat_map(|(kind, values)| values.iter().map(move |value| (kind, value.to_lowercase())))
        .collect();
    for (kind, value) in values {
        Sql::new("INSERT INTO directory_keys (kind, value, person_id) VALUES ($1, $2, $3)")
            .bind(kind)
            .bind(Arg::indexed(&value))
            .bind(Arg::indexed(&person.id))
            .run(db)
            .await?;
    }
    Ok(())
}
