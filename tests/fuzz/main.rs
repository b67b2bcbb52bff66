//! Fuzzing for every compiler: the inputs that are kept are replayed, and some seconds' worth of mutations made of them.
//!
//! `corpus/TARGET/` holds what leads cargo-fuzz far into the code, `crashes/TARGET/` what once made a target panic. A failure prints
//! its seed; `FUZZ_SEED=N cargo test --test fuzz` makes the same mutations again, `FUZZ_SECONDS=60` more of them, so long for each
//! target. `tests/fuzz/run` does the real thing.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};
use targets::{ALL, Target};

/// Mutations for each target, unless they take longer than this.
const MUTATIONS: usize = 2000;
const LIMIT: Duration = Duration::from_secs(1);

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind).join(target)
}

/// The files of a folder in the order of their names; none if there is no folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Does the target bear this input?
fn bears(target: Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| target(input))).is_ok()
}

#[test]
fn what_is_kept() {
    let mut failed = Vec::new();
    for (name, target) in ALL {
        let corpus = files(&folder("corpus", name));
        assert!(!corpus.is_empty(), "there is no corpus for {name}");
        let all = corpus.into_iter().chain(files(&folder("crashes", name)));
        failed.extend(all.filter(|(_, input)| !bears(target, input)).map(|(path, _)| path));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_folder_has_a_target() {
    for kind in ["corpus", "crashes"] {
        for entry in fs::read_dir(folder(kind, "")).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(targets::find(&name).is_some(), "{kind}/{name} belongs to no target");
        }
    }
}

#[test]
fn mutations() {
    // The same each time, so that a change never fails by somebody else's luck; `FUZZ_SEED=0` takes another each time.
    let clock = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = std::env::var("FUZZ_SEED").map_or(1, |text| text.parse().unwrap());
    let seed = if seed == 0 { clock() } else { seed };
    println!("FUZZ_SEED={seed}");
    let longer = std::env::var("FUZZ_SECONDS").map(|text| Duration::from_secs(text.parse().unwrap()));
    let (mutations, limit) = longer.map_or((MUTATIONS, LIMIT), |limit| (usize::MAX, limit));
    for (name, target) in ALL {
        let corpus: Vec<Vec<u8>> = files(&folder("corpus", name)).into_iter().map(|(_, input)| input).collect();
        let mut random = Random(seed);
        let began = Instant::now();
        for number in 0..mutations {
            let input = random.mutation(&corpus);
            if !bears(target, &input) {
                let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-{seed}"));
                fs::write(&file, &input).unwrap();
                panic!("FUZZ_SEED={seed}: {name} fails with {}, {:?}", file.display(), String::from_utf8_lossy(&input));
            }
            if began.elapsed() > limit || number + 1 == mutations {
                println!("{name}: {} mutations", number + 1);
                break;
            }
        }
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One input of the corpus, changed in a few places.
    fn mutation(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            let end = (at + self.below(16)).min(input.len());
            match self.below(6) {
                0 => drop(input.drain(at..end)),
                1 => input.insert(at, self.next() as u8),
                2 => drop(input.splice(at..at, input[at..end].to_vec())),
                3 => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len());
                    drop(input.splice(at..end, other[from..(from + 32).min(other.len())].to_vec()));
                }
                _ => input.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << self.below(8)),
            }
        }
        input
    }
}
