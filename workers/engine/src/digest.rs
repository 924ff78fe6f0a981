//! The content of files, hashed by all cores together.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

/// What a core hashes at a time: a whole subtree of BLAKE3's hash tree, so a power of two.
const PART_BYTES: u64 = 4 << 20;

/// Small enough to stay in a core's own cache.
const BUFFER_BYTES: usize = 128 << 10;

/// The BLAKE3 hash of a file, in hexadecimal.
pub(crate) fn of(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length <= PART_BYTES {
        let mut hasher = Hasher::new();
        io::copy(&mut &file, &mut hasher)?;
        return Ok(hasher.finalize().to_hex().to_string());
    }
    let parts = parts(&file, length)?;
    let (left, right, cut) = halves(&parts, length);
    let hash = merge_subtrees_root(&merged(left, cut), &merged(right, length - cut), Mode::Hash);
    Ok(hash.to_hex().to_string())
}

/// The values of all parts of a file, in their order.
fn parts(file: &File, length: u64) -> io::Result<Vec<ChainingValue>> {
    let count = length.div_ceil(PART_BYTES);
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(count as usize);
    let next = AtomicU64::new(0);
    let work = || {
        let mut hashed = vec![];
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= count {
                return Ok(hashed);
            }
            let offset = part * PART_BYTES;
            hashed.push((part, subtree(file, offset, PART_BYTES.min(length - offset))?));
        }
    };
    let hashed = std::thread::scope(|scope| {
        let started = (0..cores).map(|_| Builder::new().spawn_scoped(scope, work));
        let workers = started.collect::<io::Result<Vec<_>>>()?;
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(io::Error::other("a panic"))));
        ended.collect::<io::Result<Vec<_>>>()
    });
    let mut hashed = hashed?.concat();
    hashed.sort_unstable_by_key(|(part, _)| *part);
    Ok(hashed.into_iter().map(|(_, value)| value).collect())
}

fn subtree(file: &File, offset: u64, length: u64) -> io::Result<ChainingValue> {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(offset);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done = 0;
    while done < length {
        let wanted = BUFFER_BYTES.min((length - done) as usize);
        file.read_exact_at(&mut buffer[..wanted], offset + done)?;
        hasher.update(&buffer[..wanted]);
        done += wanted as u64;
    }
    Ok(hasher.finalize_non_root())
}

fn merged(parts: &[ChainingValue], length: u64) -> ChainingValue {
    if let [part] = parts {
        return *part;
    }
    let (left, right, cut) = halves(parts, length);
    merge_subtrees_non_root(&merged(left, cut), &merged(right, length - cut), Mode::Hash)
}

/// The parts left and right of where the tree forks, and the bytes of those on the left.
fn halves(parts: &[ChainingValue], length: u64) -> (&[ChainingValue], &[ChainingValue], u64) {
    let cut = left_subtree_len(length);
    let (left, right) = parts.split_at((cut / PART_BYTES) as usize);
    (left, right, cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_length_have_the_hash_that_others_compute() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let content: Vec<u8> = (0..7 * PART_BYTES + 5).map(|n| (n % 251) as u8).collect();
        for length in [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 3 * PART_BYTES - 1, 7 * PART_BYTES + 5] {
            let content = &content[..length as usize];
            std::fs::write(file.path(), content).unwrap();
            assert_eq!(of(file.path()).unwrap(), blake3::hash(content).to_hex().to_string(), "{length} bytes");
        }
    }
}
