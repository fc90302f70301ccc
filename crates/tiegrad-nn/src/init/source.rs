//! Where random numbers come from: one stream for all parameters, or a stream for each path.

use std::convert::Infallible;

use rand::Rng;
use rand::TryRng;

/// Where [`InitExt`](crate::InitExt) takes random numbers from: `&mut rng`, whose one stream the parameters share in the order of the tree, or
/// [`path_seeded`], which gives each path a stream of its own.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
/// net.init(&mut params, init::xavier_uniform(), &mut rng)?;
/// net.reinit(&mut params, init::xavier_uniform(), init::path_seeded(7))?;
/// # Ok::<(), init::InitError>(())
/// ```
pub trait Source {
    /// The generator for the parameter with this canonical path.
    fn at(&mut self, path: &str) -> &mut dyn Rng;
}

impl<R: Rng + ?Sized> Source for &mut R {
    fn at(&mut self, _: &str) -> &mut dyn Rng {
        self
    }
}

/// A stream of random numbers for each path: what [`path_seeded`] returns.
///
/// ```
/// use tiegrad_nn::init::{self, PathSeeded, Source};
/// let mut source: PathSeeded = init::path_seeded(7);
/// let first = source.at("0.weight").next_u64();
/// assert_ne!(source.at("1.weight").next_u64(), first);
/// assert_eq!(source.at("0.weight").next_u64(), first);
/// ```
#[derive(Clone, Debug)]
pub struct PathSeeded {
    seed: u64,
    stream: Xoshiro256PlusPlus,
}

/// Random numbers that depend on the seed and the parameter's path alone: equal (seed, path, shape, initializer) give equal values, in whatever order the net was
/// constructed, whatever else is in it, and with every version of this crate.
///
/// The construction: a path's bytes are hashed by FNV-1a (64 bits); the seed, through one SplitMix64 step, is added by exclusive or; four SplitMix64 steps from there
/// are the state of a Xoshiro256++ generator, whose stream the initializer gets.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let mut rng = tiegrad_nn::doc_rng();
/// let mut params = Params::<f32>::new();
/// let out = Linear::new(&mut params, 8, 1, &mut rng);
/// let hidden = Linear::new(&mut params, 4, 8, &mut rng);
/// let net = (hidden, out);
/// net.init(&mut params, init::pytorch_default(), init::path_seeded(7))?;
///
/// let mut others = Params::<f32>::new();
/// let other = (Linear::new(&mut others, 4, 8, &mut rng), Linear::new(&mut others, 8, 1, &mut rng), ReLU);
/// other.init(&mut others, init::pytorch_default(), init::path_seeded(7))?;
/// assert_eq!(params.as_slice(net.1.weight)?, others.as_slice(other.1.weight)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn path_seeded(seed: u64) -> PathSeeded {
    PathSeeded {
        seed,
        stream: Xoshiro256PlusPlus([0; 4]),
    }
}

impl Source for PathSeeded {
    fn at(&mut self, path: &str) -> &mut dyn Rng {
        // Without the step, seed and hash would stand on an equal footing, and a small change of one could undo one of the other.
        let mut state = split_mix(&mut { self.seed }) ^ fnv_1a(path.as_bytes());
        self.stream = Xoshiro256PlusPlus(std::array::from_fn(|_| split_mix(&mut state)));
        &mut self.stream
    }
}

/// FNV-1a with 64 bits: G. Fowler, L. C. Noll, K.-P. Vo (RFC 9923).
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// One step of SplitMix64: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// D. Blackman, S. Vigna, "Scrambled linear pseudorandom number generators" (arXiv:1805.01407). Written out here, so that its values
/// do not depend on the version of `rand`.
#[derive(Clone, Debug)]
struct Xoshiro256PlusPlus([u64; 4]);

impl TryRng for Xoshiro256PlusPlus {
    type Error = Infallible;

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        Ok(result)
    }

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // The upper half, which is the better one.
        self.try_next_u64().map(|x| (x >> 32) as u32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test vectors of the three parts: a stream that changed would change every user's values.
    #[test]
    fn the_parts_are_the_published_ones() {
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);

        let mut state = 1_234_567;
        let drawn: [u64; 3] = std::array::from_fn(|_| split_mix(&mut state));
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );

        let mut rng = Xoshiro256PlusPlus([1, 2, 3, 4]);
        let drawn: [u64; 5] = std::array::from_fn(|_| rng.next_u64());
        assert_eq!(
            drawn,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386,
                9_228_616_714_210_784_205
            ]
        );
        let mut bytes = [0; 11];
        Xoshiro256PlusPlus([1, 2, 3, 4]).fill_bytes(&mut bytes);
        assert_eq!(bytes, [1, 0, 128, 2, 0, 0, 0, 0, 103, 0, 128]);
    }
}
