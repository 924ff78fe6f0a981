//! Where the bytes of a source lie: in files of this machine, or in objects of a store.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path as Key;
use datafusion::object_store::{
    Error as StoreError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, Result as StoreResult,
};
use flow::codes;
use flow::plan::Source;
use flow::wire::PinnedFile;
use futures::TryStreamExt;
use url::{Position, Url};

use crate::objects;
use crate::pin::settled_stamp;
use crate::source::{SourceProblem, problem};

/// What is asked of a store at a time.
const FETCH_BYTES: u64 = 8 << 20;

/// Names shown of what stands where something was looked for.
const NEAR_MAX: usize = 8;

/// The characters that make a path stand for many.
const WILD: [char; 3] = ['*', '?', '['];

/// A file or object that a source is read from.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    Object(Object),
}

/// An object of a store, as it was listed.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    url: Url,
    key: Key,
    bytes: u64,
    /// Its ETag, or whatever else the store tells its content by.
    version: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Object(object) => object.url.fmt(f),
        }
    }
}

impl Place {
    /// Where a pinned file lies.
    pub(crate) fn of(pinned: &PinnedFile) -> Place {
        let object = objects::url(&pinned.path).and_then(|url| {
            let key = Key::from_url_path(url.path()).ok()?;
            Some(Object { url, key, bytes: pinned.bytes, version: pinned.hash.clone() })
        });
        object.map_or_else(|| Place::File(PathBuf::from(&pinned.path)), Place::Object)
    }

    /// As a pinned file of which only the place is known.
    pub(crate) fn unpinned(&self) -> PinnedFile {
        PinnedFile { path: self.to_string(), bytes: 0, stamp: String::new(), hash: String::new() }
    }

    /// What changes with its content, if that is known without reading it.
    pub(crate) fn stamp(&self) -> Option<String> {
        match self {
            Place::File(path) => settled_stamp(path),
            Place::Object(object) => Some(object.version.clone()),
        }
    }

    /// What its name ends with.
    pub(crate) fn extension(&self) -> Option<&str> {
        let name = match self {
            Place::File(path) => path.as_path(),
            Place::Object(object) => Path::new(object.key.filename()?),
        };
        name.extension().and_then(|extension| extension.to_str())
    }

    /// Its bytes from the first on. Of an object they are waited for: not to be called where others are served.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Place::File(path) => Ok(Box::new(File::open(path)?)),
            Place::Object(object) => {
                let store = objects::store(&object.url)?;
                let bytes = match object.bytes {
                    0 => objects::wire()?.block_on(store.head(&object.key))?.size,
                    known => known,
                };
                Ok(Box::new(Body { store, object: object.clone(), next: 0..bytes, chunk: Bytes::new() }))
            }
        }
    }

    /// The store that it is in, its key there, and a URL that no other store's objects have: of one like
    /// `abfss://CONTAINER@ACCOUNT` DataFusion leaves out the container.
    pub(crate) fn stored(&self) -> StoreResult<(Arc<dyn ObjectStore>, Key, String)> {
        match self {
            Place::File(path) => {
                let key = Key::from_absolute_path(path)?;
                let url = format!("{}{key}", ObjectStoreUrl::local_filesystem().as_str());
                Ok((Arc::new(LocalFileSystem::new()), key, url))
            }
            Place::Object(Object { url, key, .. }) => {
                let store = blake3::hash(url[..Position::BeforePath].as_bytes()).to_hex();
                Ok((objects::store(url)?, key.clone(), format!("objects://{store}{}", url.path())))
            }
        }
    }
}

/// The bytes of an object, asked for when those before have been read: so they do not pile up, and none of many is late.
struct Body {
    store: Arc<dyn ObjectStore>,
    object: Object,
    next: Range<u64>,
    chunk: Bytes,
}

impl Body {
    /// The next bytes of the version that was listed; none at the end.
    fn fetch(&mut self) -> io::Result<Bytes> {
        if self.next.is_empty() {
            return Ok(Bytes::new());
        }
        let end = self.next.end.min(self.next.start + FETCH_BYTES);
        // A weak ETag (`W/"…"`) matches nothing.
        let if_match = Some(&self.object.version).filter(|version| version.starts_with('"')).cloned();
        let options = GetOptions { range: Some((self.next.start..end).into()), if_match, ..GetOptions::default() };
        let fetched = async { self.store.get_opts(&self.object.key, options).await?.bytes().await };
        let fetched = objects::wire()?.block_on(fetched)?;
        self.next.start = end;
        Ok(fetched)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.fetch()?;
        }
        let count = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// The files or objects that a source's path stands for, sorted.
pub(crate) async fn places(source: &Source) -> Result<Vec<Place>, SourceProblem> {
    match (objects::url(&source.path), source.path.split_once("://")) {
        (Some(_), _) => Ok(listed(&source.path).await?.into_iter().map(Place::Object).collect()),
        (None, Some((scheme, _))) => {
            let hint = "a source is a path on this machine, or in an object store: s3://, gs://, az://, abfss://";
            Err(missing(format!("nothing is known of `{scheme}://`"), hint))
        }
        (None, None) => Ok(files(source)?.into_iter().map(Place::File).collect()),
    }
}

fn missing(message: String, hint: impl Into<String>) -> SourceProblem {
    problem(codes::SOURCE_MISSING, message, hint)
}

fn misread(path: &str) -> impl Fn(glob::PatternError) -> SourceProblem {
    move |error| missing(format!("`{path}`: {}", error.msg), "`*`, `**`, `?` and `[a-z]` are special")
}

/// The objects of a path like `s3://bucket/raw/*.csv`, sorted: of one, of all below a folder, or of a pattern, whose `*`
/// ends at a slash.
async fn listed(path: &str) -> Result<Vec<Object>, SourceProblem> {
    let unreadable = |error: StoreError| {
        let hint = match error {
            StoreError::InvalidPath { .. } => "rename that object, or leave it out by a narrower path",
            _ => "the store is reached as the variables AWS_…, GOOGLE_… or AZURE_… of the environment say",
        };
        problem(codes::SOURCE_UNREADABLE, format!("`{path}` cannot be read: {error}"), hint)
    };
    // Not by the URL: there `?` begins a query.
    let (scheme, rest) = path.split_once("://").unwrap_or_default();
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let root = Url::parse(&format!("{scheme}://{bucket}"));
    let root = root.map_err(|error| missing(format!("`{path}` is no URL: {error}"), "write s3://BUCKET/PATH"))?;
    let store = objects::store(&root).map_err(unreadable)?;
    let object = |found: ObjectMeta| Object::new(&root, found);
    let wild = key.find(WILD);
    let folder = match wild {
        Some(wild) => key[..wild].rsplit_once('/').map_or("", |(folder, _)| folder),
        None => key.trim_end_matches('/'),
    };
    let folder = Key::parse(folder).map_err(|error| unreadable(error.into()))?;
    let mut alone = None;
    if wild.is_none() && !key.is_empty() && !key.ends_with('/') {
        match store.head(&folder).await {
            Ok(found) => alone = Some(found),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    // Without bytes it may be what some stores keep for a folder.
    if let Some(found) = alone.take_if(|found| found.size > 0) {
        return Ok(vec![object(found)]);
    }
    let pattern = wild.map(|_| glob::Pattern::new(key)).transpose().map_err(misread(path))?;
    let apart = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let chosen = |found: &ObjectMeta| {
        let key = &found.location;
        let hidden = |name: &str| name.starts_with(['.', '_']);
        match &pattern {
            Some(pattern) => pattern.matches_with(key.as_ref(), apart) && !key.filename().is_some_and(hidden),
            None => key.prefix_match(&folder).is_some_and(|mut below| !below.any(|part| hidden(part.as_ref()))),
        }
    };
    let all = store.list(Some(&folder)).try_filter(|found| std::future::ready(found.size > 0 && chosen(found)));
    let mut found: Vec<ObjectMeta> = all.try_collect().await.map_err(unreadable)?;
    found.extend(alone.filter(|_| found.is_empty()));
    found.sort_by(|a, b| a.location.cmp(&b.location));
    if found.is_empty() {
        let message =
            if wild.is_some() { format!("no object matches `{path}`") } else { format!("`{path}` does not exist") };
        let above = if wild.is_some() { folder } else { parent(&folder) };
        let near = store.list_with_delimiter(Some(&above)).await.map_err(unreadable)?;
        let names = near.common_prefixes.iter().chain(near.objects.iter().map(|object| &object.location));
        let names = names.filter_map(|key| key.filename().map(str::to_owned)).collect();
        return Err(missing(message, holds(&format!("{root}/{above}"), names)));
    }
    Ok(found.into_iter().map(object).collect())
}

fn parent(key: &Key) -> Key {
    key.as_ref().rsplit_once('/').map_or_else(Key::default, |(parent, _)| Key::from(parent))
}

impl Object {
    pub(crate) fn pinned(&self) -> PinnedFile {
        let (path, hash) = (self.url.to_string(), self.version.clone());
        PinnedFile { path, bytes: self.bytes, stamp: String::new(), hash }
    }

    fn new(root: &Url, found: ObjectMeta) -> Object {
        let url = objects::below(root, found.location.as_ref());
        let unversioned = || format!("{}-{}", found.size, found.last_modified.timestamp_micros());
        let version = found.e_tag.or(found.version).unwrap_or_else(unversioned);
        Object { url, key: found.location, bytes: found.size, version }
    }
}

/// The files that a source's path on this machine stands for, sorted.
fn files(source: &Source) -> Result<Vec<PathBuf>, SourceProblem> {
    let path = Path::new(&source.path);
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    if path.exists() && !path.is_dir() {
        let message = format!("`{}` is neither a file nor a folder", source.path);
        return Err(missing(message, "a pipe or device cannot be read twice; write it to a file first"));
    }
    let pattern =
        if path.is_dir() { format!("{}/**/*", glob::Pattern::escape(&source.path)) } else { source.path.clone() };
    let matches = glob::glob(&pattern).map_err(misread(&source.path))?;
    let visible = |file: &PathBuf| {
        let inside = file.strip_prefix(path).unwrap_or(Path::new(file.file_name().unwrap_or_default()));
        !inside.iter().any(|part| part.to_string_lossy().starts_with(['.', '_']))
    };
    let mut files: Vec<PathBuf> =
        matches.filter_map(Result::ok).filter(|file| file.is_file() && visible(file)).collect();
    files.sort();
    if files.is_empty() && pattern == source.path && !pattern.contains(WILD) {
        return Err(missing(format!("`{}` does not exist", source.path), near_file(path)));
    }
    if files.is_empty() {
        return Err(missing(format!("no file matches `{}`", source.path), near_file(path)));
    }
    Ok(files)
}

/// What stands where the file was looked for.
fn near_file(path: &Path) -> String {
    let Some(folder) = path.ancestors().find(|folder| folder.is_dir()) else {
        return "paths are relative to the flow file".into();
    };
    let names = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    holds(&folder.display().to_string(), names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn holds(folder: &str, mut names: Vec<String>) -> String {
    names.sort();
    let shown: Vec<String> = names.iter().take(NEAR_MAX).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    match shown.is_empty() {
        true => format!("the folder `{folder}` is empty"),
        false => format!("`{folder}` holds {}{more}", shown.join(", ")),
    }
}
