//! Per-use gradients: each use's contribution by itself, named by its path and line, summing to the slot.

use tiegrad::prelude::*;

use crate::common::{gpt, rng, tokens};

/// One cell at every step, an encoder used transposed by the decoder, a scale that is given to the tape by value.
#[derive(Module, Clone)]
struct Net {
    hh: Linear,
    encoder: Linear,
    decoder: TiedLinear,
    scale: ParamId,
}

const STEPS: usize = 9;

impl Net {
    fn new<T: Scalar>(params: &mut Params<T>, weights: impl init::Initializer + Copy) -> Self {
        let linear = |inputs, outputs| {
            let layer = Linear::with(inputs, outputs).bias(false);
            layer.weight_init(weights)
        };
        let encoder = linear(5, 3).build(params, &mut rng(2)).unwrap();
        Net {
            hh: linear(3, 3).build(params, &mut rng(1)).unwrap(),
            decoder: TiedLinear::new(params, Tied::transposed(encoder.weight), true).unwrap(),
            encoder,
            scale: params.insert(&array![T::from_f64(2.0)]).unwrap(),
        }
    }

    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let mut h = self.encoder.forward(x);
        for _ in 0..STEPS {
            h = self.hh.forward(h);
        }
        self.decoder.forward(h) * x.graph().param(self.scale)
    }
}

fn input<T: Scalar>(g: Graph<'_, T>) -> Var<'_, T> {
    let values: Vec<T> = (0..10)
        .map(|i| T::from_f64(f64::from(i % 3) - 1.0))
        .collect();
    g.input((&values[..], [2, 5]))
}

/// The sum of all contributions to a parameter.
fn sum<T: Scalar>(uses: &UseGrads<T>, id: ParamId) -> Vec<f64> {
    let mut sum = Vec::new();
    for each in uses.of(id) {
        sum.resize(each.grad().len(), 0.0);
        sum.iter_mut()
            .zip(each.grad().iter())
            .for_each(|(sum, x)| *sum += x.to_f64());
    }
    sum
}

#[test]
fn contributions_sum_to_the_slot_exactly_on_integers() {
    let mut params = Params::<f32>::new();
    let whole = init::from_fn(|_, values, rng| {
        values
            .iter_mut()
            .for_each(|x| *x = init::uniform_draw(rng, -1.5, 1.5).round());
    });
    // Weights of -1, 0 and 1: nine steps stay far below 2²⁴.
    let net = {
        let mut net = Net::new(&mut params, init::zeros());
        net.reinit(&mut params, whole, &mut rng(3)).unwrap();
        net.scale = params.insert(&array![2.0]).unwrap();
        net
    };
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params).per_use(&mut uses);
    net.forward(input(g)).sum().backward().unwrap();

    assert_eq!(uses.of(net.hh.weight).count(), STEPS);
    assert_eq!(uses.of(net.encoder.weight).count(), 2);
    for (path, id) in net.named_parameters() {
        let slot: Vec<f64> = params
            .grad_slice(id)
            .unwrap()
            .unwrap()
            .iter()
            .map(|&x| f64::from(x))
            .collect();
        assert_eq!(sum(&uses, id), slot, "{path}");
        assert!(slot.iter().any(|&x| x != 0.0), "{path} has a gradient");
    }
}

#[test]
fn contributions_sum_to_the_slot_within_rounding_and_change_nothing_else() {
    let mut params = Params::<f32>::new();
    let net = gpt(true, &mut params);
    let (x, y) = tokens();
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let plain_loss = net.loss(g.indices(&x), g.indices(&y)).backward().unwrap();
    let plain: Vec<Vec<f32>> = params
        .ids()
        .map(|id| params.grad_slice(id).unwrap().unwrap().to_vec())
        .collect();

    params.zero_grad();
    let mut uses = UseGrads::new();
    let g = tape.record(&mut params).per_use(&mut uses);
    let loss = net.loss(g.indices(&x), g.indices(&y)).backward().unwrap();
    assert_eq!(loss, plain_loss);
    assert_eq!(uses.of(net.wte.weight).count(), 2); // look-up and head
    for (id, plain) in params.ids().zip(plain) {
        let slot = params.grad_slice(id).unwrap().unwrap();
        let count = uses.of(id).count();
        assert!(count > 0);
        let size: f64 = uses
            .of(id)
            .map(|each| {
                each.grad()
                    .iter()
                    .map(|x| f64::from(x.abs()))
                    .fold(0.0, f64::max)
            })
            .sum();
        // The sum of `count` numbers, each rounded at most `count` times; the plain pass adds a row's products to the slot one by one.
        let bound = f64::from(f32::EPSILON) * size * (count as f64 + 64.0);
        for ((&slot, sum), plain) in slot.iter().zip(sum(&uses, id)).zip(plain) {
            assert!((f64::from(slot) - sum).abs() <= bound, "{id}: {slot} {sum}");
            assert!(
                (f64::from(slot) - f64::from(plain)).abs() <= bound,
                "{id}: {slot} {plain}"
            );
        }
    }
}

#[test]
fn uses_are_named_by_path_direction_and_line() {
    let mut params = Params::<f64>::new();
    let net = Net::new(&mut params, init::constant(0.1));
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params).per_use(&mut uses);
    net.forward(input(g)).square().sum().backward().unwrap();

    let report = net.use_report(&uses);
    let paths: Vec<&str> = report.parameters.iter().map(|each| &*each.path).collect();
    assert_eq!(
        paths,
        ["hh.weight", "encoder.weight", "decoder.bias", "scale"]
    );
    let encoder = &report.parameters[1];
    let named: Vec<_> = encoder
        .uses
        .iter()
        .map(|each| (&*each.path, each.transposed, each.op))
        .collect();
    assert_eq!(
        named,
        [
            ("encoder.weight", false, "linear"),
            ("decoder.weight", true, "linear")
        ]
    );
    assert!(
        encoder
            .uses
            .iter()
            .all(|each| each.location.file().ends_with("uses.rs"))
    );
    assert_ne!(
        encoder.uses[0].location.line(),
        encoder.uses[1].location.line()
    );
    // Given by value, and of one path only.
    assert_eq!(
        (
            &*report.parameters[3].uses[0].path,
            report.parameters[3].uses[0].op
        ),
        ("scale", "mul")
    );
    assert!(
        report.parameters[0]
            .uses
            .iter()
            .all(|each| each.path == "hh.weight")
    );
    assert_eq!(report.parameters[0].cosine(3, 3), Some(1.0));
    assert_eq!(report.parameters[0].cosine(0, STEPS), None);
}

#[test]
fn uses_in_a_run_time_list_are_named_too() {
    let mut params = Params::<f64>::new();
    let shared = Linear::new(&mut params, 3, 3, &mut rng(1));
    let net = sequential![shared.clone(), Tanh, sequential![shared.clone()], shared];
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params).per_use(&mut uses);
    let y = net.forward(g.full([2, 3], 0.5));
    let line = line!() - 1;
    y.sum().backward().unwrap();
    let report = net.use_report(&uses);
    let named: Vec<_> = report.parameters[0]
        .uses
        .iter()
        .map(|each| (&*each.path, each.location.line()))
        .collect();
    assert_eq!(
        named,
        [("0.weight", line), ("2.0.weight", line), ("3.weight", line)]
    );
}

#[test]
fn an_id_by_value_of_several_paths_is_named_by_all() {
    let mut params = Params::<f64>::new();
    let shared = Linear::new(&mut params, 3, 3, &mut rng(1));
    let net = (shared.clone(), shared);
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params).per_use(&mut uses);
    g.full([2, 3], 0.5)
        .linear(g.param(net.0.weight), None)
        .sum()
        .backward()
        .unwrap();
    assert_eq!(
        net.use_report(&uses).parameters[0].uses[0].path,
        "0.weight or 1.weight"
    );
}

#[test]
fn frozen_and_unselected_parameters_have_no_contributions() {
    let mut params = Params::<f64>::new();
    let net = (
        Linear::new(&mut params, 3, 3, &mut rng(1)),
        Linear::new(&mut params, 3, 1, &mut rng(1)),
    );
    net.0.requires_grad(&mut params, false).unwrap();
    let only = Selection::from_ids([net.1.weight, net.0.weight]);
    let mut tape = Tape::new();
    for order in 0..2 {
        let mut uses = UseGrads::new();
        let g = tape.record(&mut params);
        let g = match order {
            0 => g.only(&only).per_use(&mut uses),
            _ => g.per_use(&mut uses).only(&only),
        };
        let x = g.leaf(&[1.0, 2.0, 3.0]);
        net.forward(x.reshape([1, 3])).sum().backward().unwrap();
        assert!(x.grad().unwrap().is_some());
        assert!(uses.iter().map(|each| each.id()).eq([net.1.weight]));
    }
    assert!(params.grad(net.1.find("bias").unwrap()).unwrap().is_none());
}

#[test]
fn a_second_pass_adds_contributions_and_a_new_recording_drops_them() {
    let mut params = Params::<f64>::new();
    let w = params.insert(&array![3.0]).unwrap();
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params).per_use(&mut uses);
    let y = g.param(w).square().sum();
    y.backward().unwrap();
    y.backward().unwrap();
    assert_eq!(
        uses.of(w).map(|each| each.norm()).collect::<Vec<_>>(),
        [6.0, 6.0]
    );
    assert_eq!(params.grad_slice(w).unwrap(), Some(&[12.0][..]));
    let g = tape.record(&mut params).per_use(&mut uses);
    g.param(w).sum().backward().unwrap();
    assert_eq!(uses.iter().count(), 1);
}

#[test]
fn said_too_late_it_is_an_error_of_every_parameter() {
    let mut params = Params::<f64>::new();
    let w = params.insert(&array![3.0]).unwrap();
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params);
    let before = g.param(w);
    let g = g.per_use(&mut uses);
    let error = g.param(w).sum().backward().unwrap_err();
    assert_eq!(error.op(), "per_use");
    assert!(
        error
            .to_string()
            .contains("before the graph's first parameter or op")
    );
    assert_eq!(before.sum().backward().unwrap(), 3.0);
    assert_eq!(uses.iter().count(), 0);
}

#[test]
fn a_thousand_uses_cost_no_memory_beyond_the_tapes_records() {
    const N: usize = 1000;
    // One weight a thousand times, and a thousand weights: the same records.
    let tape_of = |tied: bool| {
        let mut params = Params::<f32>::new();
        let first = Linear::new(&mut params, 64, 64, &mut rng(1));
        let layers: Vec<Linear> = (0..N)
            .map(|_| match tied {
                true => first.clone(),
                false => first.duplicate(&mut params).unwrap(),
            })
            .collect();
        let mut tape = Tape::new();
        for _ in 0..3 {
            let g = tape.record(&mut params);
            layers
                .forward(g.full([1, 64], 0.1))
                .sum()
                .backward()
                .unwrap();
        }
        let slabs = params.values().slab().len() + params.split_mut().1.slab_mut().len();
        (tape.capacity(), slabs)
    };
    let (tied, untied) = (tape_of(true), tape_of(false));
    assert_eq!(tied.0, untied.0);
    // The weight and the bias, as values and as gradients.
    assert_eq!(tied.1, 2 * (64 * 64 + 64));
    // Nor do the records hold the weight: they take less than a quarter of what its copies would.
    assert!(tied.0 < N * 64 * 64 * 4 / 4, "{} bytes", tied.0);
}
