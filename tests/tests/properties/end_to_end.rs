//! Small trainings that must get somewhere, and one that is interrupted.

use std::path::Path;

use tiegrad::autodiff::RngState;
use tiegrad::nn::GptConfig;
use tiegrad::prelude::*;

fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// A function of two variables; the measure is points that were not trained on.
#[test]
fn regression() {
    let mut params = Params::<f32>::new();
    let mut rng = rng(1);
    let shared = Linear::new(&mut params, 32, 32, &mut rng);
    let net = (
        (Linear::new(&mut params, 2, 32, &mut rng), Tanh),
        (shared.clone(), Tanh, shared, Tanh),
        Linear::new(&mut params, 32, 1, &mut rng),
    );
    let mut points = |n| {
        let x = Array2::from_shape_simple_fn((n, 2), || rng.random_range(-1.0..1.0_f32));
        let y = x.map_axis(Axis(1), |p| (2.0 * p[0]).sin() * p[1] + 0.5 * p[0]);
        (x, y.insert_axis(Axis(1)))
    };
    let ((x, y), (new_x, new_y)) = (points(256), points(100));
    let (mut tape, mut opt) = (Tape::new(), Adam::new(1e-2));
    let schedule = WarmupCosine {
        warmup_iters: 10,
        lr_decay_iters: 500,
        learning_rate: 1e-2,
        min_lr: 1e-4,
    };
    for step in 0..500 {
        opt.set_lr(schedule.lr(step));
        let g = tape.record(&mut params);
        net.forward(g.input(&x))
            .mse_loss(g.input(&y))
            .backward()
            .unwrap();
        opt.step(&mut params).unwrap();
        params.zero_grad();
    }
    let g = tape.eval(&params);
    let error = net
        .forward(g.input(&new_x))
        .mse_loss(g.input(&new_y))
        .item()
        .unwrap();
    println!("regression: {error}");
    assert!(error < 1e-3, "{error}");
}

/// Two spirals, one inside the other.
#[test]
fn classification_of_spirals() {
    let mut params = Params::<f32>::new();
    let mut rng = rng(2);
    let net = (
        Linear::new(&mut params, 2, 32, &mut rng),
        ReLU,
        Linear::new(&mut params, 32, 32, &mut rng),
        ReLU,
        Linear::new(&mut params, 32, 2, &mut rng),
    );
    let x = Array2::from_shape_fn((200, 2), |(i, axis)| {
        let (arm, along) = ((i % 2) as f32, (i / 2) as f32 / 100.0);
        let angle = 5.0 * along + std::f32::consts::PI * arm;
        let radius = 0.1 + along;
        radius * if axis == 0 { angle.cos() } else { angle.sin() }
    });
    let y = Array1::from_shape_fn(200, |i| (i % 2) as u32);
    let (mut tape, mut opt) = (Tape::new(), SGD::new(0.1).momentum(0.9).nesterov(true));
    for _ in 0..600 {
        let g = tape.record(&mut params);
        net.forward(g.input(&x))
            .cross_entropy(g.indices(&y))
            .backward()
            .unwrap();
        opt.step(&mut params).unwrap();
        params.zero_grad();
    }
    let g = tape.eval(&params);
    let logits = net.forward(g.input(&x));
    let loss = logits.cross_entropy(g.indices(&y)).item().unwrap();
    let logits = logits.value().unwrap();
    let right = y
        .iter()
        .enumerate()
        .filter(|&(i, &class)| (logits[[i, 1]] > logits[[i, 0]]) == (class == 1));
    let right = right.count();
    println!("spirals: loss {loss}, {right} of 200");
    assert!(loss < 0.02 && right == 200, "loss {loss}, {right} of 200");
}

/// A GPT learns a sentence by heart and says it from the first letter on.
#[test]
fn a_gpt_memorizes_a_sentence() {
    let text = "a tie is one id used twice, and nothing can take it apart.";
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let code = |c: char| letters.binary_search(&c).unwrap() as u32;
    let tokens: Vec<u32> = text.chars().map(code).collect();

    let config = GptConfig {
        n_layer: 2,
        n_head: 2,
        n_embd: 32,
        block_size: tokens.len() - 1,
        vocab_size: letters.len(),
        ..GptConfig::default()
    };
    let mut params = Params::<f32>::new();
    let net = GPT::new(&mut params, &config, &mut rng(3)).unwrap();
    let (mut tape, mut opt) = (Tape::new(), AdamW::new(5e-3).weight_decay(0.0));
    let shape = [1, tokens.len() - 1];
    let mut losses = Vec::new();
    for _ in 0..200 {
        let g = tape.record(&mut params);
        let (x, y) = (
            g.indices((&tokens[..shape[1]], shape)),
            g.indices((&tokens[1..], shape)),
        );
        losses.push(net.loss(x, y).backward().unwrap());
        clip_grad_norm(&mut params, 1.0).unwrap();
        opt.step(&mut params).unwrap();
        params.zero_grad();
    }
    println!("GPT: from {} to {}", losses[0], losses[199]);
    assert!(
        (losses[0] - (letters.len() as f32).ln()).abs() < 0.3,
        "{}",
        losses[0]
    );
    assert!(losses[199] < 0.05, "{}", losses[199]);

    let mut said = vec![tokens[0]];
    while said.len() < tokens.len() {
        let g = tape.eval(&params);
        let logits = net
            .last_logits(g.indices((&said[..], [1, said.len()])))
            .value()
            .unwrap();
        let best = logits
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .unwrap();
        said.push(best.0 as u32);
    }
    let said: String = said.iter().map(|&token| letters[token as usize]).collect();
    assert_eq!(said, text);
}

/// A training of a GPT with dropout, as a program has it: everything that a checkpoint must bring back.
struct Training {
    params: Params<f32>,
    net: GPT,
    tape: Tape,
    opt: AdamW,
    step: u64,
    losses: Vec<u32>,
}

impl Training {
    fn new(seed: u64) -> Self {
        let config = GptConfig {
            n_layer: 2,
            n_head: 2,
            n_embd: 16,
            block_size: 8,
            vocab_size: 13,
            dropout: 0.2,
            ..GptConfig::default()
        };
        let mut params = Params::new();
        let net = GPT::new(&mut params, &config, &mut rng(seed)).unwrap();
        let decayed = net
            .select(&params, Select::by(|_, info| info.shape.rank() >= 2))
            .unwrap();
        let mut tape = Tape::new();
        tape.seed(seed);
        Self {
            opt: AdamW::new(1e-2)
                .weight_decay(0.0)
                .group(Group::new(decayed).weight_decay(0.1)),
            params,
            net,
            tape,
            step: 0,
            losses: Vec::new(),
        }
    }

    /// Trains up to this step. Batch and learning rate follow from the number of the step alone.
    fn run_to(&mut self, end: u64) {
        let schedule = WarmupCosine {
            warmup_iters: 3,
            lr_decay_iters: 20,
            learning_rate: 1e-2,
            min_lr: 1e-3,
        };
        while self.step < end {
            let mut rng = rng(1000 + self.step);
            let batch = Array2::from_shape_simple_fn((4, 8), || rng.random_range(0..13_u32));
            self.opt.set_lr(schedule.lr(self.step));
            let g = self.tape.record(&mut self.params);
            let loss = self
                .net
                .loss(g.indices(&batch), g.indices(&batch))
                .backward()
                .unwrap();
            self.losses.push(loss.to_bits());
            clip_grad_norm(&mut self.params, 1.0).unwrap();
            self.opt.step(&mut self.params).unwrap();
            self.params.zero_grad();
            self.step += 1;
        }
    }

    fn save(&self, path: &Path) {
        let RngState { seed, step } = self.tape.rng_state();
        let random = [seed.to_le_bytes(), step.to_le_bytes()].concat();
        Checkpoint::new(&self.params, &checkpoint_names(&self.net))
            .state("optimizer", self.opt.state())
            .bytes("rng", &random)
            .metadata("run.step", self.step.to_string())
            .save(path)
            .unwrap();
    }

    fn load(&mut self, path: &Path) {
        let loaded = Loaded::open(path).unwrap();
        let names = checkpoint_names(&self.net);
        loaded
            .load_into(&mut self.params, &names, Policy::strict())
            .unwrap();
        let state = self.opt.state_mut();
        loaded
            .restore_state("optimizer", state, &self.params, &names, Policy::strict())
            .unwrap();
        let random = loaded.bytes("rng").unwrap().chunks_exact(8);
        let random: Vec<u64> = random
            .map(|b| u64::from_le_bytes(b.try_into().unwrap()))
            .collect();
        self.tape.set_rng_state(RngState {
            seed: random[0],
            step: random[1],
        });
        self.step = loaded.metadata()["run.step"].parse().unwrap();
    }

    /// Values and optimizer state by path, in bits.
    fn bits(&self) -> Vec<(String, Vec<u32>)> {
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let state = self.opt.state();
        let mut all = Vec::new();
        for (path, id) in self.net.named_parameters() {
            all.push((path.clone(), bits(self.params.as_slice(id).unwrap())));
            all.push((path.clone(), vec![state.step(id).unwrap() as u32]));
            for name in state.names() {
                all.push((
                    format!("{name}.{path}"),
                    bits(state.tensor(id, name).unwrap().as_slice().unwrap()),
                ));
            }
        }
        all
    }
}

#[test]
fn a_resumed_training_is_the_uninterrupted_one_bit_for_bit() {
    let mut whole = Training::new(7);
    whole.run_to(20);

    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("resume.safetensors");
    let mut first = Training::new(7);
    first.run_to(11);
    first.save(&path);
    drop(first);

    // Other values, another seed: everything has to come from the file.
    let mut second = Training::new(8);
    second.run_to(2);
    second.losses.clear();
    second.load(&path);
    second.run_to(20);
    assert_eq!(second.losses, whole.losses[11..]);
    assert_eq!(second.bits(), whole.bits());
    assert_eq!(second.tape.rng_state(), whole.tape.rng_state());

    // The comparison sees a difference: dropout with another seed is another training.
    let mut other = Training::new(8);
    other.load(&path);
    other.tape.set_rng_state(RngState { seed: 9, step: 11 });
    other.run_to(20);
    assert_ne!(other.bits(), whole.bits());
}
