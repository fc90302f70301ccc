//! `tiegrad sample` and `tiegrad inspect`: what reads a run without changing it.

use crate::args::{InspectArgs, SampleArgs};
use crate::config;
use crate::engine::Engine;
use crate::error::Result;
use crate::generate::{generate, start_tokens};
use crate::output::Output;
use crate::rng::{Stream, generator};
use crate::run_dir::RunDir;
use crate::sampler::Sampler;
use crate::state::RunState;

/// Prints generated texts, each after the text it starts with.
pub(crate) fn sample<E: Engine>(args: &SampleArgs, out: &mut Output) -> Result<()> {
    E::set_threads(config::threads(args.threads)?);
    let mut sampler = Sampler::new(args.temperature, args.top_k)?;
    let dir = RunDir::open(&args.run)?;
    let state = RunState::read::<E>(&dir)?;
    let vocabulary = state.vocabulary();
    let start = start_tokens(&vocabulary, args.start.as_deref())?;
    let mut engine: E = state.load(&dir)?;
    for number in 0..args.num_samples {
        if number > 0 {
            out.line("---------------")?;
        }
        out.print(args.start.as_deref().unwrap_or_default())?;
        let mut rng = generator(args.seed, Stream::Sample, number, 0);
        let (mut tokens, block, count) =
            (start.clone(), state.config.block_size, args.max_new_tokens);
        generate(
            &mut engine,
            &mut sampler,
            &mut rng,
            &mut tokens,
            block,
            count,
            |token| {
                out.print(vocabulary.character(token).encode_utf8(&mut [0; 4]))?;
                Ok(!out.is_closed())
            },
        )?;
        out.line("")?;
        if out.is_closed() {
            break;
        }
    }
    Ok(())
}

/// Prints the module tree and the metadata of a run's checkpoint.
pub(crate) fn inspect<E: Engine>(args: &InspectArgs, out: &mut Output) -> Result<()> {
    let dir = RunDir::open(&args.run)?;
    let state = RunState::read::<E>(&dir)?;
    let engine: E = state.load(&dir)?;
    out.line(engine.describe().trim_end())?;
    out.line(&format!("\nrun: {}", state.to_pretty_json()))
}
