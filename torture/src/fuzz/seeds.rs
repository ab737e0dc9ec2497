//! Stored inputs, and mutations of them.

use std::path::Path;
use std::{fs, iter};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The maximum length of an input, in bytes.
const MAX_LEN: usize = 4096;

/// Reads the stored inputs of a target, in `fuzz/seeds`.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = files.map(|file| file.expect("the directory can be read").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// Returns endless mutations of inputs. The same seed yields the same ones.
pub fn mutated(seeds: &[Vec<u8>], seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut random = SmallRng::seed_from_u64(seed);
    iter::repeat_with(move || {
        let mut input = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(1..=8) {
            mutate(&mut input, seeds, &mut random);
        }
        input.truncate(MAX_LEN);
        input
    })
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut SmallRng) {
    const EDGES: [u8; 8] = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x0a, 0x41];
    let at = random.random_range(0..=input.len());
    match (random.random_range(0..6), input.get_mut(at)) {
        (0, Some(byte)) => *byte ^= 1 << random.random_range(0..8),
        (1, Some(byte)) => *byte = EDGES[random.random_range(0..EDGES.len())],
        (2, _) => input.truncate(at),
        (3, _) => input.insert(at, random.random()),
        (4, Some(_)) => drop(input.remove(at)),
        // Appends the end of another seed.
        _ => {
            let other = &seeds[random.random_range(0..seeds.len())];
            let from = random.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
